"""Intervals for a mean over problems, from resampling problems: the unit a claim generalises over.

The interval is a Bayesian bootstrap (Rubin 1981, doi 10.1214/aos/1176345338): each draw weights the
problems by a flat Dirichlet. The percentile bootstrap and the plain Bayesian bootstrap fail where
problems agree: 16 problems that all score 0 would give the interval [0, 0]. So two pseudo-problems, one
that scores 0 and one that scores 1, join with half a problem's weight each. For values that are all
0 or 1 the result is the Jeffreys interval Beta(x + ½, P - x + ½) (Brown, Cai & DasGupta 2001,
doi 10.1214/ss/1009213286), whose coverage is known to be good up to the edges; for values in between
it adapts to their spread as a bootstrap does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["EDGE", "Estimate", "resample"]

Floats = NDArray[np.float64]

EDGE = 0.5
"""Weight, in problems, of each pseudo-problem: Jeffreys' prior."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval from resampling problems."""

    value: float
    low: float
    high: float


def resample(
    values: Floats,
    *,
    strata: NDArray[Any] | None = None,
    level: float = 0.9,
    draws: int = 2000,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """An equal-tailed interval for the mean over problems. `values` [P, K] in [0, 1] -> low [K], high [K].

    With `strata` [P] (a label a problem) the mean is over strata, each of equal weight, problems are
    resampled within theirs, and the pseudo-problems' weight is shared between the strata. The mean of
    `values` itself always lies inside. Raises ValueError for values outside [0, 1] or no problem.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] == 0:
        raise ValueError(f"values must be [problems, budgets] with at least one problem; got {values.shape}.")
    if not (np.all(values >= 0.0) and np.all(values <= 1.0)):
        raise ValueError("values must lie in [0, 1].")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, not {level}.")
    labels = np.zeros(len(values)) if strata is None else np.asarray(strata)
    if labels.shape != (len(values),):
        raise ValueError(f"strata must name one stratum a problem; got {labels.shape} for {len(values)}.")
    groups = np.unique(labels)
    centre = np.zeros(values.shape[1])
    means = np.zeros((draws, values.shape[1]))
    for group in groups:
        part = values[labels == group]
        edges = np.repeat(np.array([[0.0], [1.0]]), part.shape[1], axis=1)
        mass = np.append(np.ones(len(part)), [EDGE / groups.size] * 2)
        weights = rng.standard_gamma(mass, size=(draws, mass.size))
        weights /= weights.sum(axis=1, keepdims=True)
        means += weights @ np.concatenate([part, edges]) / groups.size
        centre += part.mean(axis=0) / groups.size
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail], axis=0)
    return np.clip(np.minimum(low, centre), 0.0, 1.0), np.clip(np.maximum(high, centre), 0.0, 1.0)
