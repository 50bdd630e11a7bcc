"""Which law forecasts best: fit to a few of the draws, and look at the others.

A curve that fits what was drawn may still miss what was not. So laws are compared by what they say of draws
that they have not seen, at the largest number of samples there is, and a fit is called a law only when that
forecast passes; until then its word is trend.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ponder.errors import LawUndefined
from ponder.laws.fit import Data, Fit, Law, fit, interval, require_problems, resampling
from ponder.measure.intervals import EDGE, Estimate, pseudo_scores

__all__ = ["FITTED_TO", "Forecast", "chosen", "forecasts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Divisible(Data, Protocol):
    """Draws of problems, of which some can be held back."""

    @property
    def name(self) -> str: ...

    @property
    def least(self) -> int:
        """Draws of the problem that has fewest."""
        ...

    def thinned(self, k: int, rng: np.random.Generator) -> tuple[Self, Self]:
        """A random k of every problem's draws, and the others."""
        ...


E = TypeVar("E", bound=Divisible)

FITTED_TO = 32
"""Draws of a problem that a law is fitted to when it is tried; fewer where there are few."""

_HELD_BACK = 4  # times as many draws are looked at as a law is fitted to, at least


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a law that was fitted to `fitted_to` draws of each problem said of the others.

    `predicted` and `seen` are the accuracies at `samples`; `difference` is the first less the second, with
    the interval of problems that are resampled for both together. `error` is the relative error of
    -log(accuracy), None where what was seen is 0 or 1.
    """

    law: Law[Any]
    fitted_to: int
    samples: int
    predicted: Estimate
    seen: Estimate
    difference: Estimate
    error: float | None

    @property
    def passed(self) -> bool:
        """Whether chance explains the difference."""
        return self.difference.low <= 0.0 <= self.difference.high

    @property
    def word(self) -> Literal["law", "trend"]:
        return "law" if self.passed else "trend"

    @property
    def rank(self) -> tuple[float, int]:
        """The smaller the better; of equals, the law with fewer parameters."""
        missed = abs(self.difference.value) if self.error is None else self.error
        return missed, len(self.law.parameters)


def forecasts(
    data: E,
    laws: Sequence[Law[E]],
    *,
    seen: Callable[[E, Ints], Floats],
    fit_to: int | None = None,
    splits: int = 4,
    draws: int = 400,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[Forecast, ...]:
    """Each law's forecast, the best first; laws that these draws do not define are left out, and so are those
    that have become another, as where a share that they allow is 0.

    `seen` gives what the laws are about, each problem's unbiased accuracy at so many samples, [P, K]:
    `coverage.pass_at`, `voting.vote_at` or `verified.best_at`. Every problem's draws are split at random
    `splits` times into `fit_to` (default: 32, and at most a fifth) and the others, and the forecasts of all
    splits are averaged. Raises LawUndefined for fewer than 10 draws of a problem, or where no law is defined.
    """
    require_problems(data.units[0])
    k = min(FITTED_TO, data.least // (_HELD_BACK + 1)) if fit_to is None else fit_to
    if k < 2 or k >= data.least:
        raise LawUndefined(
            f"samples: {data.name} has {data.least} a problem; a law is fitted to at least 2 and tried "
            f"on {2 * _HELD_BACK} more: draw more."
        )
    rng = np.random.default_rng(seed)
    weights = resampling(data.units, draws, rng)
    parts = [data.thinned(k, rng) for _ in range(splits)]
    most = data.least - k
    edges = np.concatenate([np.zeros((1, 2)), rng.standard_gamma(EDGE, size=(draws, 2))])
    held = [_mean(weights, edges, seen(rest, np.array([most]))[:, 0]) for _, rest in parts]
    told, curves, why = list[Forecast](), list[Floats](), ""
    for law in laws:
        try:
            said = [law.at(law.solve(first, weights), np.array([float(most)]))[:, 0] for first, _ in parts]
        except LawUndefined as error:
            why = str(error)
            continue
        both = np.stack([np.mean(said, axis=0), np.mean(held, axis=0)], axis=1)
        if np.isfinite(both[0]).all():
            if any(np.array_equal(both, curve, equal_nan=True) for curve in curves):
                continue
            curves.append(both)
            told.append(_forecast(law, k, most, both, level, data.units[0]))
    if not told:
        ending = f": {why.removeprefix(f'{data.name}: ')}" if why else "; draw more."
        raise LawUndefined(f"{data.name}: no law can be fitted to {k} draws of a problem{ending}")
    return tuple(sorted(told, key=lambda each: each.rank))


def chosen(
    data: E,
    laws: Sequence[Law[E]],
    *,
    seen: Callable[[E, Ints], Floats],
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[Fit, tuple[Forecast, ...]]:
    """The law that forecasts best, fitted to all draws, and the forecasts of all of them, the best first.

    Raises what `forecasts` and `fit` raise.
    """
    told = forecasts(data, laws, seen=seen, level=level, seed=seed)
    return fit(data, told[0].law, draws=draws, level=level, seed=seed), told


def _mean(weights: Floats, edges: Floats, values: Floats) -> Floats:
    """[B + 1]: the mean of `values` [P] under each weighting. The two pseudo-problems of `measure.intervals`,
    each as far off as widens an interval, join with the weights `edges` [B + 1, 2]: where all problems that
    were asked are solved, it may still be that one in a few hundred is not."""
    scores = pseudo_scores(values[:, None])[(0, 1), (0, 1), 0]
    mean: Floats = (weights @ values + edges @ scores) / (weights.sum(axis=1) + edges.sum(axis=1))
    return mean


def _forecast(law: Law[Any], k: int, most: int, both: Floats, level: float, problems: int) -> Forecast:
    """From what was predicted and what was seen, [B + 1, 2], the first row unweighted."""
    known = both[np.isfinite(both).all(axis=1)]
    columns = np.concatenate([known, known[:, :1] - known[:, 1:]], axis=1)
    low, high = interval(columns[0], columns[1:], level=level, problems=problems)
    one, two, three = (Estimate(*map(float, each)) for each in zip(columns[0], low, high, strict=True))
    defined = 0.0 < two.value < 1.0 and one.value > 0.0
    error = abs(float(np.log(one.value) / np.log(two.value)) - 1.0) if defined else None
    return Forecast(law, k, most, one, two, three, error)
