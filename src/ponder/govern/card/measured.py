"""Accuracy against inference compute, task by task: what was drawn, the law, and what votes are worth."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ponder.errors import LawUndefined
from ponder.govern.card.document import Curve, Figure, Forecast, Gain, Law, Place
from ponder.govern.card.subject import Drawn
from ponder.laws.coverage import COVERAGE_LAWS
from ponder.laws.data import Counts
from ponder.laws.draws import Kind, LawCurve, curve_of, measured
from ponder.laws.grid import Grid, Strategy
from ponder.laws.ladder import Ladder, grid_of
from ponder.laws.voting import VOTING_LAWS, Vote
from ponder.laws.worth import Worth, worth
from ponder.measure.intervals import Estimate
from ponder.train.recorded import Recorded

__all__ = ["curves", "gains", "rounded"]

Floats = NDArray[np.float64]

_PLACES = 28  # values of k at which a law is told, evenly in the logarithm
_AHEAD = 32.0  # times the draws: how far a law is told
_DIGITS = 6
_STRATEGY: dict[Kind, Strategy] = {"vote": "vote", "coverage": "pass"}


def rounded(value: float) -> float:
    """Six digits: more would be of chance."""
    return float(f"{value:.{_DIGITS}g}")


def estimated(of: Estimate) -> Figure:
    return Figure(value=rounded(of.value), low=rounded(of.low), high=rounded(of.high))


def curves(drawn: Drawn, *, refits: int) -> list[Curve]:
    """A vote and, as the bound that needs the key, coverage. A vote is left out where answers are unknown.
    Its law is the one that foretells the efforts too; coverage's is the one that forecasts best."""
    kinds: tuple[Kind, ...] = ("coverage",) if drawn.counts.ballots is None else ("vote", "coverage")
    return [_curve(kind, drawn, refits) for kind in kinds]


def _curve(kind: Kind, drawn: Drawn, refits: int) -> Curve:
    counts = drawn.counts
    found: LawCurve | None = None
    undefined = None
    try:
        if kind == "vote":
            found = curve_of(kind, counts, VOTING_LAWS, refits, Vote())
        else:
            found = curve_of(kind, counts, COVERAGE_LAWS, refits)
    except LawUndefined as error:
        undefined = str(error)
    seen = measured(counts, kind)
    return Curve(
        strategy=kind,
        oracle=kind == "coverage",
        measured=[_place(drawn, float(k), estimated(each), False) for k, each in seen],
        law=None if found is None else _law(found),
        told=[] if found is None else _told(found, drawn, seen),
        undefined=undefined,
    )


def _law(of: LawCurve) -> Law:
    best, fitted = of.best, of.fit
    return Law(
        name=fitted.law.name,
        word=best.word,
        parameters={name: estimated(each) for name, each in fitted.parameters.items()},
        reach=(float(fitted.reach[0]), float(fitted.reach[1])),
        problems=fitted.problems,
        forecast=Forecast(
            fitted_to=best.fitted_to,
            samples=best.samples,
            predicted=estimated(best.predicted),
            seen=estimated(best.seen),
            relative_error=None if best.error is None else rounded(best.error),
        ),
    )


def _told(of: LawCurve, drawn: Drawn, seen: Sequence[tuple[int, Estimate]]) -> list[Place]:
    """The law from where its interval meets what was measured to some times the draws; the first place and
    the last that was fitted are among them. A law of many samples may miss the first few."""
    first = _met(of, seen)
    if first is None:
        return []
    least = drawn.counts.least
    ks = np.unique([*np.geomspace(1.0, _AHEAD * least, _PLACES), first, least])
    ks = ks[ks >= first]
    said = of.fit.predict(ks)
    rows = zip(ks, said.value, said.low, said.high, said.beyond, strict=True)
    return [
        _place(drawn, rounded(float(k)), estimated(Estimate(*map(float, ends))), bool(beyond))
        for k, *ends, beyond in rows
        if all(map(math.isfinite, ends))
    ]


def _met(of: LawCurve, seen: Sequence[tuple[int, Estimate]]) -> int | None:
    """The fewest samples at which the law's interval meets the measured one; None where none does."""
    said = of.fit.predict(np.array([k for k, _ in seen], dtype=np.float64))
    rows = zip(seen, said.low, said.high, strict=True)
    return next((k for (k, each), low, high in rows if low <= each.high and each.low <= high), None)


def _place(drawn: Drawn, samples: float, accuracy: Figure, beyond: bool) -> Place:
    counts = drawn.counts
    tokens = flop = None
    if counts.tokens is not None and drawn.prompt_tokens is not None:
        tokens = rounded(float((drawn.prompt_tokens + samples * counts.tokens).mean()))
    if counts.flop is not None and counts.prompt_flop is not None:
        flop = rounded(float((counts.prompt_flop + samples * counts.flop).mean()))
    return Place(samples=samples, tokens=tokens, flop=flop, accuracy=accuracy, beyond=beyond)


# ---------------------------------------------------------------- what votes are worth


def gains(ladder: Ladder, counts: Counts, amounts: Sequence[int], *, refits: int) -> list[Gain]:
    """Compute-equivalent gains of votes of so many samples, and of any of the most being right, of the model
    of `counts` against the ladder's plain models. Raises LawUndefined where the ladder bears none."""
    family = ladder.pretrained(counts.task)
    own = [each for each in ladder.recordings if each.name == counts.name and each.task == counts.task]
    if not own:
        raise LawUndefined(f"models: {ladder.folder} has no recording of {counts.name} on {counts.task}.")
    everyone = [*family, *(each for each in own if each not in family)]
    found = []
    for kind in ("vote", "coverage"):
        grid = grid_of(everyone, _STRATEGY[kind], ends=kind == "coverage")
        for place, amount in enumerate(grid.amounts):
            if place and (amount in amounts or place == len(grid.amounts) - 1):
                found.append(_gain(kind, grid, place, family, own[0], refits))
    return found


def _gain(kind: Kind, grid: Grid, place: int, family: Sequence[Recorded], own: Recorded, refits: int) -> Gain:
    names = np.array(grid.models)
    plain = np.arange(len(names)) < len(family)
    (row,), _ = worth(grid, amount=place, plain=plain, enhanced=names == own.name, draws=refits)
    return _told_gain(kind, int(grid.amounts[place]), row)


def _told_gain(kind: Kind, samples: int, row: Worth) -> Gain:
    gain = row.gain
    return Gain(
        strategy=kind,
        samples=samples,
        inference_ratio=rounded(row.inference_ratio),
        value=None if gain is None else rounded(gain.value),
        low=None if gain is None else rounded(gain.low),
        high=None if gain is None or gain.high is None else rounded(gain.high),
        of_flop=None if gain is None else rounded(gain.of_flop),
        extrapolated=None if gain is None else gain.beyond,
        at_least=None if row.at_least is None else rounded(row.at_least),
        at_most=None if row.at_most is None else rounded(row.at_most),
        bounds_of_flop=rounded(row.bounds_of_flop),
        undefined=row.undefined,
    )
