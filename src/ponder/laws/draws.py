"""A run's laws put together: coverage and votes of its draws, which law of each forecasts best, and the
curves as they were measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ponder.errors import LawUndefined, UnknownName
from ponder.laws.compare import Forecast, chosen, forecasts
from ponder.laws.coverage import COVERAGE_LAWS, BetaBinomial, pass_at
from ponder.laws.data import Counts
from ponder.laws.fit import Fit, Law, stated
from ponder.laws.voting import VOTING_LAWS, vote_at
from ponder.measure.intervals import Estimate, resample

__all__ = ["DrawsStudy", "LawCurve", "curve_of", "measured", "study_draws"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["coverage", "vote"]
Seen = Callable[[Counts, Ints], Floats]

_SEEN: dict[Kind, Seen] = {"coverage": pass_at, "vote": vote_at}
_LEVEL = 0.9


def measured(counts: Counts, kind: Kind) -> tuple[tuple[int, Estimate], ...]:
    """The unbiased accuracy at 1, 2, 4, ... samples and at all that every problem has, with 90 % intervals
    from resampling problems. A vote of two is left out, for it is that of one. Raises LawUndefined for a vote
    where answers are unknown."""
    top = counts.least
    ks = sorted({top, *(1 << power for power in range(top.bit_length()))})
    ks = [k for k in ks if k <= top and not (kind == "vote" and k == 2)]
    values = _SEEN[kind](counts, np.array(ks))
    low, high = resample(values, level=_LEVEL, rng=np.random.default_rng(0))
    rows = zip(values.mean(axis=0), low, high, strict=True)
    return tuple((k, Estimate(*map(float, row))) for k, row in zip(ks, rows, strict=True))


@dataclass(frozen=True)
class LawCurve:
    """Coverage or the accuracy of a vote against the number of samples: the law that forecasts best, fitted
    to all draws, or one that was asked for; and the forecasts of all laws, first its own and then the
    best."""

    kind: Kind
    counts: Counts
    fit: Fit
    forecasts: tuple[Forecast, ...]

    @property
    def best(self) -> Forecast:
        """The fitted law's own forecast of what was held back."""
        return self.forecasts[0]

    @cached_property
    def measured(self) -> tuple[tuple[int, Estimate], ...]:
        """What was measured of it."""
        return measured(self.counts, self.kind)

    def rival(self, x: Floats) -> tuple[str, Floats] | None:
        """The law that forecasts best besides, fitted to all draws, and its values at x [X]; None where there
        is none."""
        if len(self.forecasts) < 2:
            return None
        law: Law[Counts] = self.forecasts[1].law
        found = law.solve(self.counts, np.ones((1, *self.counts.units)))
        return law.name, law.at(found, np.asarray(x, dtype=np.float64))[0]

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        return {
            "law": self.fit.law.name,
            "word": self.best.word,
            "parameters": {name: stated(value) for name, value in self.fit.parameters.items()},
            "forecasts": [_told(each) for each in self.forecasts],
            "measured": [{"samples": k, **asdict(value)} for k, value in self.measured],
        }


@dataclass(frozen=True)
class DrawsStudy:
    """The laws of one model's draws on one task. `vote` is None where `note` says why; `likelihood` is the
    law of coverage that the counts themselves ask for."""

    counts: Counts
    coverage: LawCurve
    vote: LawCurve | None
    note: str
    likelihood: str

    @property
    def curves(self) -> tuple[LawCurve, ...]:
        return (self.coverage,) if self.vote is None else (self.coverage, self.vote)

    def heading(self) -> dict[str, Any]:
        """Whose draws they are, how many of how many problems."""
        draws = self.counts.draws
        return {
            "name": self.counts.name,
            "task": self.counts.task,
            "problems": len(self.counts.ids),
            "draws": [int(draws.min()), int(draws.max())],
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        coverage = self.coverage.to_json() | {"likelihood": self.likelihood}
        vote = None if self.vote is None else self.vote.to_json()
        return {**self.heading(), "coverage": coverage, "vote": vote, "note": self.note}


def study_draws(counts: Counts, law: str | None = None, *, draws: int = 1000) -> DrawsStudy:
    """The laws of coverage and of votes that forecast best; with `law` the law of coverage of that name.

    Raises UnknownName, and LawUndefined where no law of coverage can be had.
    """
    laws = {each.name: each for each in COVERAGE_LAWS}
    if law is not None and law not in laws:
        raise UnknownName("law", law, laws)
    coverage = curve_of("coverage", counts, COVERAGE_LAWS, draws, None if law is None else laws[law])
    likelihood = BetaBinomial.chosen(counts).name
    try:
        vote = curve_of("vote", counts, VOTING_LAWS, draws)
    except LawUndefined as error:
        return DrawsStudy(counts, coverage, None, str(error), likelihood)
    return DrawsStudy(counts, coverage, vote, "", likelihood)


def curve_of(
    kind: Kind, counts: Counts, laws: Sequence[Law[Counts]], draws: int, wanted: Law[Counts] | None = None
) -> LawCurve:
    """By the law that forecasts best, or by the `wanted` one."""
    seen = _SEEN[kind]
    if wanted is None:
        return LawCurve(kind, counts, *chosen(counts, laws, seen=seen, draws=draws))
    fitted, own = chosen(counts, [wanted], seen=seen, draws=draws)
    others = [each for each in forecasts(counts, laws, seen=seen) if each.law != wanted]
    return LawCurve(kind, counts, fitted, (*own, *others))


def _told(each: Forecast) -> dict[str, Any]:
    return {
        "law": each.law.name,
        "word": each.word,
        "fitted_to": each.fitted_to,
        "samples": each.samples,
        "predicted": asdict(each.predicted),
        "seen": asdict(each.seen),
        "difference": asdict(each.difference),
        "relative_error": each.error,
    }
