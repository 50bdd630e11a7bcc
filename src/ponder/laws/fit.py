"""Fit a law to weighted problems, many weightings at a time, and say how sure the fit is.

The first weighting counts every problem once and gives the estimate; the others resample the problems. A
problem's draws are kept together, so the spread of the refits holds the luck of both: which problems were
asked, and which draws came (Davison & Hinkley 1997, Bootstrap Methods, §3.8).

Weights are those of a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338): none is zero, so no refit
lacks what the estimate had. Their concentration is (P - 2)/P instead of 1, which gives a mean the variance
s²/P with the unbiased s². Intervals are bias-corrected percentiles (Efron 1987, doi
10.1080/01621459.1987.10478410, without acceleration), widened by Student's t for few problems (Hesterberg
2015, doi 10.1080/00031305.2015.1089789).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ponder.errors import LawUndefined
from ponder.measure.intervals import Estimate

__all__ = [
    "Data",
    "Fit",
    "Law",
    "Peak",
    "Prediction",
    "fit",
    "interval",
    "require_problems",
    "resampling",
    "stated",
]

Floats = NDArray[np.float64]

FEWEST = 3
"""Problems that a law needs at least: fewer have no spread to resample."""

_PEAKS = 200  # refits whose peaks are looked for
_LOST = 0.05  # the share of refits that may fail before the fit itself is refused
_MOST_SHIFT = 0.25
"""Of the bias correction, in standard deviations. Refits that lie further to one side do so because the
estimate is at the edge of what it may be, and there the correction fails."""


class Data(Protocol):
    """What laws are fitted to."""

    @property
    def units(self) -> tuple[int, ...]:
        """How many problems are resampled; of a ladder also how many seeds, each kind by itself."""
        ...


D = TypeVar("D", bound=Data, contravariant=True)


class Law(Protocol[D]):
    """A curve with a few parameters. B weightings, Q parameters, X places."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> tuple[str, ...]:
        """Their names, in order."""
        ...

    def reach(self, data: D) -> tuple[ArrayLike, ArrayLike]:
        """The least and the largest x that the data hold; arrays [n] where x has n coordinates."""
        ...

    def solve(self, data: D, weights: Floats) -> Floats:
        """[B, U] weights -> [B, Q]. `weights` has the columns of `data.units`, kind after kind, each kind of
        mean 1. A weighting that cannot be fitted is a row of nan. Raises LawUndefined where the data
        themselves cannot be."""
        ...

    def at(self, parameters: Floats, x: Floats) -> Floats:
        """[B, Q] at [X], or at [X, n] where x has n coordinates -> [B, X]."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """A law's values at `x` [X] (or [X, n]), with intervals. `beyond` says where x lies outside of what was
    fitted: there the interval holds the luck of the sample, but not that the law may end."""

    x: Floats
    value: Floats
    low: Floats
    high: Floats
    beyond: NDArray[np.bool_]
    level: float


@dataclass(frozen=True, slots=True)
class Peak:
    """The x between the least that was fitted and `most` at which a law is highest, with its interval.
    `falls` is the share of refits that are lower again at `most`."""

    x: Estimate
    falls: float
    most: float


@dataclass(frozen=True)
class Fit:
    """A fitted law: `value` [Q] its parameters, `draws` [B, Q] those of the refits.

    `reach` is the range of x that was fitted, `problems` how many problems were resampled, `lost` how many
    refits failed (they are not among the draws).
    """

    law: Law[Any]
    value: Floats
    draws: Floats
    reach: tuple[Floats, Floats]
    problems: int
    lost: int
    level: float

    @cached_property
    def parameters(self) -> dict[str, Estimate]:
        """Each parameter by name, with its interval."""
        low, high = interval(self.value, self.draws, level=self.level, problems=self.problems)
        rows = zip(self.law.parameters, self.value, low, high, strict=True)
        return {name: Estimate(*map(float, each)) for name, *each in rows}

    def predict(self, x: ArrayLike | Sequence[float]) -> Prediction:
        """The law at x, which is a number, [X] or, where x has n coordinates, [X, n]."""
        places = np.atleast_1d(np.asarray(x, dtype=np.float64))
        value = self.law.at(self.value[None, :], places)[0]
        drawn = self.law.at(self.draws, places)
        low, high = interval(value, drawn, level=self.level, problems=self.problems)
        outside = np.asarray((places < self.reach[0]) | (places > self.reach[1]))
        beyond = np.array([bool(np.any(each)) for each in outside], dtype=np.bool_)
        return Prediction(places, value, low, high, beyond, self.level)

    def peak(self, most: float) -> Peak:
        """Where a law of the number of samples is highest, to the nearest of four a doubling."""
        least = float(self.reach[0])
        steps = 1 + int(4 * np.log2(max(2.0, most / least)))
        grid = np.unique(np.geomspace(least, most, steps).round())
        curves = self.law.at(np.concatenate([self.value[None, :], self.draws[:_PEAKS]]), grid)
        found = grid[np.argmax(curves, axis=1)]
        tail = (1.0 - self.level) / 2.0
        low, high = np.quantile(found[1:], [tail, 1.0 - tail])
        best = float(found[0])
        falls = float((curves.max(axis=1) > curves[:, -1] + 1e-9)[1:].mean())
        return Peak(Estimate(best, min(float(low), best), max(float(high), best)), falls, most)


def fit(data: D, law: Law[D], *, draws: int = 1000, level: float = 0.9, seed: int = 0) -> Fit:
    """Fit a law, with `draws` refits for its intervals. Raises LawUndefined for data that it cannot be
    fitted to."""
    problems = data.units[0]
    require_problems(problems)
    if draws < 1 or not 0.0 < level < 1.0:
        raise ValueError(f"draws must be at least 1 and level between 0 and 1; got {draws} and {level}.")
    weights = resampling(data.units, draws, np.random.default_rng(seed))
    found = law.solve(data, weights)
    kept = found[1:][np.isfinite(found[1:]).all(axis=1)]
    lost = draws - len(kept)
    if not np.isfinite(found[0]).all() or lost > _LOST * draws:
        raise LawUndefined(
            f"{law.name}: it could not be fitted to {lost} of {draws} resamplings of the problems; "
            "measure more problems or more samples."
        )
    low, high = (np.asarray(end, dtype=np.float64) for end in law.reach(data))
    return Fit(law, found[0], kept, (low, high), problems, lost, level)


def stated(told: Estimate) -> dict[str, float | None]:
    """As JSON. `low` and `high` are None where all refits have the estimate's own figure: a bound holds it
    there, or the steps of a search, and resampling tells nothing of its error."""
    if told.low == told.high:
        return {"value": told.value, "low": None, "high": None}
    return {"value": told.value, "low": told.low, "high": told.high}


def require_problems(count: int) -> None:
    """Raises LawUndefined for too few of them."""
    if count < FEWEST:
        raise LawUndefined(
            f"problems: {count} cannot bound a law; measure at least {FEWEST}, better a hundred."
        )


def resampling(units: Sequence[int], draws: int, rng: np.random.Generator) -> Floats:
    """[draws + 1, sum of units]: weights of mean 1 in each kind of unit; the first row is all ones.

    Of two units one has all the weight, to which the concentration leads; one unit is not resampled.
    """
    parts = []
    for count in units:
        part = np.ones((draws + 1, count))
        if count == 2:
            part[1:] = 2.0 * rng.permuted(np.tile([0.0, 1.0], (draws, 1)), axis=1)
        elif count > 2:
            part[1:] = rng.standard_gamma((count - 2) / count, size=(draws, count))
            part[1:] /= part[1:].mean(axis=1, keepdims=True)
        parts.append(part)
    return np.concatenate(parts, axis=1)


def interval(value: Floats, draws: Floats, *, level: float, problems: int) -> tuple[Floats, Floats]:
    """Bias-corrected percentiles of `draws` [B, X] around `value` [X] -> low [X], high [X].

    An estimator that tends to lie above the truth has refits that lie above the estimate; the share of them
    that lie below (ties count half) tells by how much, and both ends move against it.
    """
    count = len(draws)
    share = ((draws < value).sum(axis=0) + 0.5 * (draws == value).sum(axis=0) + 0.5) / (count + 1)
    shift = np.clip(special.ndtri(share), -_MOST_SHIFT, _MOST_SHIFT)
    reach = float(special.stdtrit(problems - 1, (1.0 + level) / 2.0))
    ranked = np.sort(draws, axis=0)
    ends = [_quantile(ranked, special.ndtr(2.0 * shift + sign * reach)) for sign in (-1.0, 1.0)]
    return np.minimum(ends[0], value), np.maximum(ends[1], value)


def _quantile(ranked: Floats, share: Floats) -> Floats:
    """Each column of `ranked` [B, X] at its own share [X], between the ranks by a straight line."""
    place = np.clip(share * (len(ranked) + 1) - 1.0, 0.0, len(ranked) - 1.0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, len(ranked) - 1)
    columns = np.arange(ranked.shape[1])
    part = place - below
    out: Floats = (1.0 - part) * ranked[below, columns] + part * ranked[above, columns]
    return out
