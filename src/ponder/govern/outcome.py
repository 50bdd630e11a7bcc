"""Draw a case's inputs, compute its outputs, and say how sure they are and which input matters most."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ponder.errors import InputError
from ponder.govern.assumptions import Assumption
from ponder.govern.calculator import Floats, Output, Outputs, Table
from ponder.govern.scenario import Case, cut
from ponder.quantity import Quantity

__all__ = ["DRAWS", "Outcome", "Result", "Swing", "draw", "evaluate"]

DRAWS = 10_000
"""How many there are unless more are asked for; tables and notes are had from no more, likewise."""
_LEVEL = (0.05, 0.5, 0.95)
_PIECE = 1 << 15  # draws that are made and computed at a time


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
    """Everything that a page, a table or a document says of a case. Assumptions have the intervals that are
    drawn, inside of their inputs' bounds. `swings` of each output, the largest
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
    """Each input [B], or [1] where it is the same in all draws. Every input has a stream of its own, so that
    a further one changes no other's; those of one law share theirs, and so its refits."""
    return next(_pieces(case, draws, seed, draws))


def _pieces(case: Case, draws: int, seed: int, size: int) -> Iterator[dict[str, Floats]]:
    """The inputs of so many draws at a time. Each piece overwrites the one before, so that the draws stay in
    the processor's cache, and no memory is asked for but the first piece's."""
    x: dict[str, Floats] = {}
    varying: dict[str, tuple[Quantity, np.random.Generator, tuple[float, float]]] = {}
    for each in case.assumptions:
        quantity = each.quantity
        x[each.name] = np.array([np.nan if quantity is None else quantity.value])
        if quantity is not None and quantity.varies:
            stream = _stream(quantity.together or each.name, seed)
            varying[each.name] = quantity, stream, cut(case.bounds[each.name])
    block = np.empty((len(varying), min(size, draws)))
    for start in range(0, draws, size):
        for row, (name, (quantity, stream, (least, most))) in zip(block, varying.items(), strict=True):
            x[name] = row[: draws - start]
            quantity.fill(stream, x[name], least=least, most=most)
        yield x


def _stream(name: str, seed: int) -> np.random.Generator:
    key = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype=np.uint32)
    return np.random.Generator(np.random.SFC64([seed, *key.tolist()]))


def evaluate(case: Case, *, draws: int = DRAWS, seed: int = 0, tabled: int = DRAWS) -> Outcome:
    """The outcome; tables and notes are had from the first `tabled` draws.

    Raises InputError for no draw at all, or an output that the settings do not give.
    """
    if draws < 1:
        raise InputError("draws: at least one is needed.")
    calculator, about = case.calculator, case.about
    outputs = calculator.outputs_for(about)
    few, y = _evaluated(case, draws, seed, tabled)
    shown = tuple(_as_drawn(each, case) for each in case.assumptions)
    middle, swings = _tornado(case, shown, [each for each in outputs if each.name in y])
    told = few, {name: each[:tabled] for name, each in y.items()}, about
    with np.errstate(all="ignore"):
        tables, notes = tuple(calculator.tables(*told)), tuple(calculator.notes(*told))
        whole = calculator.pooled(*told)
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
        assumptions=shown,
        choices=about.choices,
        tables=tables,
        notes=(*(about.measured.notes if about.measured else ()), *notes),
        draws=draws,
        seed=seed,
    )


def _as_drawn(each: Assumption, case: Case) -> Assumption:
    """With the interval that is drawn where the input's bounds cut the given one."""
    if each.quantity is None:
        return each
    return replace(each, quantity=each.quantity.inside(*cut(case.bounds[each.name])))


def _evaluated(case: Case, draws: int, seed: int, tabled: int) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The first draws of each input, from which tables and notes are had, and all of each output [B]."""
    few: dict[str, list[Floats]] = {}
    y: dict[str, Floats] = {}
    for start, x in zip(range(0, draws, _PIECE), _pieces(case, draws, seed, _PIECE), strict=True):
        found = _computed(case, x)
        if not y:  # in one block, which the system gives faster than many
            few = {name: [each[:tabled].copy()] for name, each in x.items()}
            y = dict(zip(found, np.empty((len(found), draws)), strict=True))
        elif start < tabled:
            for name, (first, *_) in few.items():
                few[name] += [x[name][: tabled - start].copy()] * (len(first) > 1)
        for name, each in found.items():
            y[name][start : start + _PIECE] = each
    return {name: np.concatenate(each) for name, each in few.items()}, y


def _computed(case: Case, x: Mapping[str, Floats]) -> Outputs:
    with np.errstate(all="ignore"):  # what is no number is counted as unknown
        return case.calculator.compute(x, case.about)


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


def _tornado(
    case: Case, assumptions: Sequence[Assumption], outputs: Sequence[Output]
) -> tuple[dict[str, float], dict[str, tuple[Swing, ...]]]:
    """All in one call: row 0 has every input at its median, then two rows an input that is not certain."""
    moving = [each for each in assumptions if each.quantity is not None and not each.quantity.certain]
    rows = 1 + 2 * len(moving)
    x = {
        each.name: np.full(rows, np.nan if each.quantity is None else each.quantity.value)
        for each in assumptions
    }
    for place, each in enumerate(moving):
        assert each.quantity is not None
        x[each.name][1 + 2 * place : 3 + 2 * place] = each.quantity.low, each.quantity.high
    y = {name: np.broadcast_to(each, rows) for name, each in _computed(case, x).items()}
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
