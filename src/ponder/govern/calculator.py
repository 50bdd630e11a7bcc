"""What a question of governance is: named inputs, named outputs, and a pure function between them.

A calculator is one file of this folder that holds `CALCULATOR`. Its function takes and gives arrays [B], one
element a draw, or [1] of what is the same in all draws, which is then computed with once. It does no I/O: the
frame reads the scenario, draws the inputs, and writes the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.quantity import Quantity

__all__ = [
    "Calculator",
    "Chart",
    "Choice",
    "Floats",
    "Group",
    "Input",
    "LawChoice",
    "Measured",
    "Output",
    "Row",
    "Settings",
    "Table",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of a data table: `data/TABLE.toml`, row `name`, key `figure` ("shape.layers" goes down).

    A `name` of "$chip" is the row that the scenario's choice `chip` names.
    """

    table: str
    name: str
    figure: str = ""


@dataclass(frozen=True, slots=True)
class Input:
    """A number that a calculator takes.

    `default` is a data row, a text such as "1e3..1e4" (an assumption on show, `why` says why), or None: must
    be given, unless it is `optional`: then it is unknown (nan), and so is what follows from it. Its whole
    interval must be above zero where it is `positive`, and between `least` and `most`.
    """

    name: str
    unit: str
    what: str
    default: Row | str | None = None
    positive: bool = True
    least: float = -math.inf
    most: float = math.inf
    why: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A thing that is no number: a row of `table` (by its name), or one of `options`."""

    name: str
    what: str
    default: str
    table: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Named things with the same inputs and choices, such as actors. The input `budget` of the item `leader`
    of `actors` is `x["actors.leader.budget"]`.

    `default` has the items of a scenario that names none, each with the defaults of its inputs (as an input
    has them) and of its choices. An item that a scenario gives under the same name keeps what it does not
    say. Where the items are
    `fixed` a scenario changes them, and neither adds nor leaves out any.
    """

    name: str
    what: str
    inputs: tuple[Input, ...]
    default: Mapping[str, Mapping[str, Row | str]]
    choices: tuple[Choice, ...] = ()
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """A number that a calculator gives."""

    name: str
    unit: str
    what: str


@dataclass(frozen=True, slots=True)
class LawChoice:
    """What `--law` named: a recording's file, a ladder's folder, or a run on `ledger`; and one of its
    tasks."""

    run: str
    ledger: str
    task: str | None = None


@dataclass(frozen=True)
class Measured:
    """What a calculator takes from a law: quantities for inputs by name, the law itself as it is for what is
    no single number, and where they came from; `sources` names the quantities that came from elsewhere.
    `notes` say what the reader must know of it."""

    quantities: Mapping[str, Quantity]
    source: str
    date: str = ""
    law: Any = None
    notes: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def source_of(self, name: str) -> str:
        """Where a quantity came from."""
        return self.sources.get(name, self.source)

    def beside(self, other: Measured) -> Measured:
        """With what was taken from a second law. The law itself is this one's."""
        sources = {name: other.source_of(name) for name in other.quantities}
        return replace(
            self,
            quantities={**self.quantities, **other.quantities},
            sources={**self.sources, **sources},
            notes=(*self.notes, *other.notes),
        )


@dataclass(frozen=True)
class Settings:
    """What is not a number. `choices` by name ("chip", or "actors.leader.chip"), the data `rows` that they
    name, the names of each group's items, and what was taken from a law."""

    choices: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measured: Measured | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns of a table to draw: `y` against `x`, a line for each value of `by`, the word of `label` at each
    point. Bands are drawn from columns of the names `y low` and `y high` where the table has them."""

    x: str
    y: str
    by: str = ""
    log_x: bool = False
    log_y: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """What does not fit into one number: rows of texts and numbers, None where unknown."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str | float | None, ...], ...]
    chart: Chart | None = None


Inputs = Mapping[str, Floats]
Outputs = Mapping[str, Floats]


def _no_tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    return ()


def _no_notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    return ()


def _none_pooled(x: Inputs, y: Outputs, about: Settings) -> Mapping[str, float | None]:
    return {}


@dataclass(frozen=True)
class Calculator:
    """A question. `compute` takes inputs [B] or [1] by name and gives outputs [B] or [1]; nan is unknown,
    infinity is never.

    `outputs` may depend on the settings (one an actor). `tables` and `notes` are had from the first
    draws of inputs ([B] or [1]) and outputs [B], which are all unless more are asked for than is usual; and
    so are the outputs of `pooled`: one number over all draws, such as the line that keeps a
    chance, which has no interval as all that is uncertain is in it already. `law` reads what `--law` names,
    `detector` what `--detector` does; None: it takes none.
    """

    name: str
    title: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...] | Callable[[Settings], tuple[Output, ...]]
    compute: Callable[[Inputs, Settings], Outputs]
    choices: tuple[Choice, ...] = ()
    groups: tuple[Group, ...] = ()
    tables: Callable[[Inputs, Outputs, Settings], Sequence[Table]] = _no_tables
    notes: Callable[[Inputs, Outputs, Settings], Sequence[str]] = _no_notes
    pooled: Callable[[Inputs, Outputs, Settings], Mapping[str, float | None]] = _none_pooled
    law: Callable[[LawChoice], Measured] | None = None
    detector: Callable[[str], Measured] | None = None

    def outputs_for(self, about: Settings) -> tuple[Output, ...]:
        """The outputs under these settings."""
        return self.outputs(about) if callable(self.outputs) else self.outputs
