"""Draw a case's inputs, compute its outputs, and say how sure they are and which input matters most."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ponder.errors import InputError
from ponder.govern.assumptions import Assumption
from ponder.govern.calculator import Floats, Output, Table
from ponder.govern.scenario import Case, cut
from ponder.quantity import Quantity

__all__ = ["DRAWS", "Outcome", "Result", "Swing", "draw", "evaluate"]

DRAWS = 10_000
_LEVEL = (0.05, 0.5, 0.95)
_PIECE = 1 << 15  # draws that are computed at a time


@dataclass(frozen=True, slots=True)
class Result:
    """An output's median and 90 % interval, over the draws in which it is known; None where it is known in
    less than half of them. One that is pooled over all draws is its own median and has no interval. Infinity
    is never. `unknown` is the share of draws in which it is not known."""

    name: str
    unit: str
    what: str
    median: float | None
    low: float | None
    high: float | None
    unknown: float


@dataclass(frozen=True, slots=True)
class Swing:
    """What an output is when one input is at its 5th and at its 95th percentile, the others at their
    medians."""

    input: str
    at_low: float
    at_high: float

    @property
    def size(self) -> float:
        """How far it moves: in decades where both ends are above zero."""
        if not (math.isfinite(self.at_low) and math.isfinite(self.at_high)):
            return 0.0 if self.at_low == self.at_high else math.inf
        if self.at_low > 0 and self.at_high > 0:
            return abs(math.log10(self.at_high) - math.log10(self.at_low))
        return abs(self.at_high - self.at_low)


@dataclass(frozen=True)
class Outcome:
    """Everything that a page, a table or a document says of a case. `swings` of each output, the largest
    first; `middle` is each output with all inputs at their medians. Pooled outputs have neither."""

    calculator: str
    title: str
    results: tuple[Result, ...]
    middle: Mapping[str, float]
    swings: Mapping[str, tuple[Swing, ...]]
    assumptions: tuple[Assumption, ...]
    choices: Mapping[str, str]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    draws: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain values: what is not known is None, infinity is the text "infinity"."""
        document: dict[str, Any] = {
            "calculator": self.calculator,
            "title": self.title,
            "outputs": [asdict(each) for each in self.results],
            "tornado": {
                name: [
                    {"input": each.input, "at_low": each.at_low, "at_high": each.at_high} for each in swings
                ]
                for name, swings in self.swings.items()
            },
            "choices": dict(self.choices),
            "assumptions": [each.to_json() for each in self.assumptions],
            "tables": [
                {
                    "name": each.name,
                    "title": each.title,
                    "columns": list(each.columns),
                    "rows": [list(row) for row in each.rows],
                }
                for each in self.tables
            ],
            "notes": list(self.notes),
            "draws": self.draws,
            "seed": self.seed,
        }
        found: dict[str, Any] = _plain(document)
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value


def draw(case: Case, draws: int, seed: int) -> dict[str, Floats]:
    """Each input [B]. Every input has a stream of its own, so that a further one changes no other's; those of
    one law share theirs, and so its refits."""
    return {
        each.name: _drawn(each.name, each.quantity, cut(case.bounds[each.name]), draws, seed)
        for each in case.assumptions
    }


def _drawn(
    name: str, quantity: Quantity | None, bounds: tuple[float, float], draws: int, seed: int
) -> Floats:
    if quantity is None:
        return np.broadcast_to(np.float64(np.nan), draws)
    key = hashlib.sha256((quantity.together or name).encode()).digest()
    rng = np.random.Generator(np.random.SFC64([seed, *np.frombuffer(key, dtype=np.uint32).tolist()]))
    return quantity.draw(rng, draws, least=bounds[0], most=bounds[1])


def evaluate(case: Case, *, draws: int = DRAWS, seed: int = 0) -> Outcome:
    """The outcome. Raises InputError for no draw at all, or an output that the settings do not give."""
    if draws < 1:
        raise InputError("draws: at least one is needed.")
    calculator, about = case.calculator, case.about
    outputs = calculator.outputs_for(about)
    x = draw(case, draws, seed)
    y = _computed(case, x, draws)
    middle, swings = _tornado(case, [each for each in outputs if each.name in y])
    with np.errstate(all="ignore"):
        tables = tuple(calculator.tables(x, y, about))
        notes = tuple(calculator.notes(x, y, about))
        whole = calculator.pooled(x, y, about)
    results = tuple(  # the last: it changes the draws' order
        _pooled(each, whole[each.name]) if each.name in whole else _result(each, y[each.name])
        for each in outputs
    )
    return Outcome(
        calculator=calculator.name,
        title=calculator.title,
        results=results,
        middle=middle,
        swings=swings,
        assumptions=case.assumptions,
        choices=about.choices,
        tables=tables,
        notes=(*(about.measured.notes if about.measured else ()), *notes),
        draws=draws,
        seed=seed,
    )


def _computed(case: Case, x: Mapping[str, Floats], draws: int) -> dict[str, Floats]:
    """Every output [B]. Piece by piece, as arrays that stay in the processor's cache are worked on faster."""
    out: dict[str, Floats] = {}
    for start in range(0, draws, _PIECE):
        piece = slice(start, min(start + _PIECE, draws))
        with np.errstate(all="ignore"):  # what is no number is counted as unknown
            found = case.calculator.compute({name: each[piece] for name, each in x.items()}, case.about)
        if not out:  # in one block, which the system gives faster than many
            out = dict(zip(found, np.empty((len(found), draws)), strict=True))
        for name, each in found.items():
            out[name][piece] = each
    return out


def _result(output: Output, values: Floats) -> Result:
    known = int(np.count_nonzero(~np.isnan(values)))
    ends: Sequence[float | None] = (None, None, None)
    if 2 * known > len(values):
        ends = _at_ranks(values, [math.ceil(known * each) - 1 for each in _LEVEL])
    low, median, high = ends
    return Result(output.name, output.unit, output.what, median, low, high, 1.0 - known / len(values))


def _pooled(output: Output, value: float | None) -> Result:
    return Result(output.name, output.unit, output.what, value, None, None, float(value is None))


def _at_ranks(values: Floats, ranks: Sequence[int]) -> list[float]:
    """What is at three rising ranks of values, which are put in another order: the middle one first, then the
    others on its two sides. This is far faster than to sort, and takes no memory. What is no number comes
    last."""
    low, middle, high = ranks
    values.partition(middle)
    found = [float(values[middle])] * 3
    below, above = values[:middle], values[middle + 1 :]
    if low < middle:
        below.partition(low)
        found[0] = float(below[low])
    if high > middle:
        above.partition(high - middle - 1)
        found[2] = float(above[high - middle - 1])
    return found


def _tornado(case: Case, outputs: Sequence[Output]) -> tuple[dict[str, float], dict[str, tuple[Swing, ...]]]:
    """All in one call: row 0 has every input at its median, then two rows an input that is not certain."""
    moving = [each for each in case.assumptions if each.quantity is not None and not each.quantity.certain]
    rows = 1 + 2 * len(moving)
    x = {
        each.name: np.full(rows, np.nan if each.quantity is None else each.quantity.value)
        for each in case.assumptions
    }
    for place, each in enumerate(moving):
        assert each.quantity is not None
        x[each.name][1 + 2 * place : 3 + 2 * place] = each.quantity.low, each.quantity.high
    y = _computed(case, x, rows)
    swings = {
        output.name: tuple(
            sorted(
                (
                    Swing(each.name, *map(float, y[output.name][1 + 2 * place : 3 + 2 * place]))
                    for place, each in enumerate(moving)
                ),
                key=lambda swing: -swing.size,
            )
        )
        for output in outputs
    }
    return {output.name: float(y[output.name][0]) for output in outputs}, swings
