"""How good the chances are that a reward model tells: calibrated, and able to tell right steps from wrong.

Every step was continued several times; a continuation that ended right or not is an outcome. Intervals are
from resampling problems (Bayesian bootstrap, Rubin 1981).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.measure.intervals import Estimate
from ponder.train.held_out import LEVEL

__all__ = ["Bin", "Calibration", "calibration"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BINS = 10
_RESAMPLED = 1000


@dataclass(frozen=True, slots=True)
class Bin:
    """The steps whose chance was told to be from `low` to `high`: how many, the mean of what was told, and
    the share of continuations that ended right."""

    low: float
    high: float
    steps: int
    told: float
    right: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """`brier` is the mean squared error over outcomes (Brier 1950), `constant` that of telling the mean share
    always. `auc` is the chance that of two steps, one continued right and one wrong, the first was told to
    be better; `within` the same for two steps of one problem, where the problem's own difficulty is no help.
    None where all outcomes are alike.
    """

    problems: int
    steps: int
    brier: Estimate
    constant: Estimate
    auc: Estimate | None
    within: Estimate | None
    bins: tuple[Bin, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Calibration:
        names = ("brier", "constant", "auc", "within")
        told = {name: None if value[name] is None else Estimate(**value[name]) for name in names}
        bins = tuple(Bin(**each) for each in value["bins"])
        return cls(value["problems"], value["steps"], bins=bins, **told)  # type: ignore[arg-type]


def calibration(
    problem: Sequence[int], told: Sequence[float], worth: Sequence[float], *, seed: int = 0
) -> Calibration:
    """Of steps [S], each of a problem: the chance that was told, and the share that ended right.

    Raises ValueError for no steps.
    """
    _, places = np.unique(np.asarray(problem), return_inverse=True)
    p, y = np.asarray(told, dtype=np.float64), np.asarray(worth, dtype=np.float64)
    if not len(p) == len(y) == len(places) or not len(p):
        raise ValueError("calibration needs steps, each with a problem, a chance and a share.")
    count = int(places.max()) + 1
    rng = np.random.default_rng(seed)
    weights = np.concatenate([np.ones((1, count)), rng.standard_gamma(1.0, (_RESAMPLED, count))])
    return Calibration(
        problems=count,
        steps=len(p),
        brier=_needed(_estimate(weights, lambda w: _mean(w[places], (p - y) ** 2 + y * (1 - y)))),
        constant=_needed(_estimate(weights, lambda w: _spread(_mean(w[places], y)))),
        auc=_estimate(weights, _Ranked(p, y, places).auc),
        within=_estimate(weights, _Pairs(p, y, places).auc),
        bins=_bins(p, y),
    )


def _needed(estimate: Estimate | None) -> Estimate:
    assert estimate is not None  # a mean of something is a number
    return estimate


def _estimate(weights: Floats, statistic: Callable[[Floats], float]) -> Estimate | None:
    """The statistic and its interval; the first row of weights is the plain one."""
    values = np.array([statistic(row) for row in weights])
    if not np.isfinite(values[0]):
        return None
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(values[1:], [tail, 1 - tail])
    return Estimate(float(values[0]), float(min(low, values[0])), float(max(high, values[0])))


def _mean(weights: Floats, values: Floats) -> float:
    return float(weights @ values / weights.sum())


def _spread(share: float) -> float:
    return share * (1 - share)


class _Ranked:
    """Steps in the order of what was told of them."""

    def __init__(self, told: Floats, worth: Floats, places: Ints) -> None:
        levels, self._level = np.unique(told, return_inverse=True)
        self._worth, self._places, self._count = worth, places, len(levels)

    def auc(self, weights: Floats) -> float:
        """The chance that a right outcome's step stands above a wrong one's; equals count half."""
        each = weights[self._places]
        right = np.bincount(self._level, each * self._worth, self._count)
        wrong = np.bincount(self._level, each * (1 - self._worth), self._count)
        pairs = right.sum() * wrong.sum()
        below = np.cumsum(wrong) - wrong / 2
        return float(right @ below / pairs) if pairs > 0 else np.nan


class _Pairs:
    """For each problem, its pairs of different steps: how many, and how many stand in the right order."""

    def __init__(self, told: Floats, worth: Floats, places: Ints) -> None:
        count = int(places.max()) + 1
        self._pairs, self._good = np.zeros(count), np.zeros(count)
        for at in range(count):
            p, y = told[places == at], worth[places == at]
            above = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
            mass = y[:, None] * (1 - y[None, :])
            np.fill_diagonal(mass, 0.0)
            self._pairs[at], self._good[at] = mass.sum(), (mass * above).sum()

    def auc(self, weights: Floats) -> float:
        pairs = float(weights @ self._pairs)
        return float(weights @ self._good) / pairs if pairs > 0 else np.nan


def _bins(told: Floats, worth: Floats) -> tuple[Bin, ...]:
    place = np.minimum((told * _BINS).astype(np.int64), _BINS - 1)
    return tuple(
        Bin(
            at / _BINS,
            (at + 1) / _BINS,
            int((place == at).sum()),
            float(told[place == at].mean()),
            float(worth[place == at].mean()),
        )
        for at in range(_BINS)
        if (place == at).any()
    )
