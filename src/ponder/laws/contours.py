"""Exchange rates without a law: the checkpoints themselves, at the amounts that were drawn.

At a level of accuracy each checkpoint needs so much inference, read off its own curve in log FLOP. Those that
no checkpoint of at most their training undercuts are the contour; its slope is that of a straight line
through them in logs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponder.laws.fit import interval, resampling
from ponder.laws.grid import Grid
from ponder.measure.intervals import Estimate

__all__ = ["MeasuredContour", "measured_contours"]

Floats = NDArray[np.float64]

_LEAST = 3  # checkpoints of a contour, for a rate
_SPAN = 0.5  # decades of training that a rate takes at least
_KEPT = 0.8  # share of the resamples that must have a rate
_FLAT = 1.02  # times less inference, at least, than all of less training need


@dataclass(frozen=True)
class MeasuredContour:
    """The `models` [M] on a contour, by rising `training` [M] FLOP, and the `inference` [M] FLOP a problem
    that each needs to reach `accuracy`.

    `rate` is the power r in "10 times the training is worth 10^r times the inference", of a straight line in
    logs; None where fewer than three models are on the contour, of all problems or of a fifth of the
    resamples, and where they span less than half a decade of training. `without_one` has the least and the
    largest of the rates with each model left out in turn.
    """

    accuracy: float
    models: tuple[str, ...]
    training: Floats
    inference: Floats
    rate: Estimate | None
    without_one: tuple[float, float] | None

    @property
    def spans(self) -> tuple[float, float]:
        """Decades of training and of inference from its first model to its last."""
        if not self.models:
            return 0.0, 0.0
        ends = (float(np.log10(each.max() / each.min())) for each in (self.training, self.inference))
        return next(ends), next(ends)


@dataclass(frozen=True, slots=True)
class _Contour:
    """In log10: `training` [M] rises, `inference` [B, M] is what each checkpoint needs (inf: it does not
    reach the level), and `on` says which of them no earlier one undercuts. `order` [M] are their places in
    the grid."""

    order: NDArray[np.intp]
    training: Floats
    inference: Floats
    on: NDArray[np.bool_]


def measured_contours(
    grid: Grid, accuracies: Sequence[float], *, draws: int = 1000, level: float = 0.9
) -> tuple[MeasuredContour, ...]:
    """The contour at each accuracy, with the rate's interval from resampled problems and seeds."""
    weights = resampling(grid.units, draws, np.random.default_rng(0))
    return tuple(_measured(grid, each, weights, level) for each in accuracies)


def _measured(grid: Grid, accuracy: float, weights: Floats, level: float) -> MeasuredContour:
    contour = _contour(grid, accuracy, weights)
    on = contour.on[0]
    x, y = contour.training[on], contour.inference[0, on]
    rate, without_one = None, None
    if on.sum() >= _LEAST and np.ptp(x) >= _SPAN:
        rate = _rate(-_slopes(contour), level, len(grid.values))
        kept = ~np.eye(len(x), dtype=np.bool_)
        others = [-float(np.polyfit(x[each], y[each], 1)[0]) for each in kept if np.ptp(x[each]) > 0.0]
        without_one = (min(others), max(others))
    places = contour.order[on]
    return MeasuredContour(
        accuracy=accuracy,
        models=tuple(grid.models[at] for at in places),
        training=grid.training_flop[places],
        inference=10.0**y,
        rate=rate,
        without_one=None if rate is None else without_one,
    )


def _rate(rates: Floats, level: float, problems: int) -> Estimate | None:
    """From [1 + B] slopes, nan where there is none."""
    known = rates[1:][np.isfinite(rates[1:])]
    if not np.isfinite(rates[0]) or len(known) < _KEPT * (len(rates) - 1):
        return None
    low, high = interval(rates[:1], known[:, None], level=level, problems=problems)
    return Estimate(float(rates[0]), float(low[0]), float(high[0]))


def _contour(grid: Grid, accuracy: float, weights: Floats) -> _Contour:
    order = np.argsort(grid.training_flop, kind="stable")
    curves = np.maximum.accumulate(grid.means(weights)[:, order], axis=2)
    logs = np.log10(grid.inference_flop[order])
    inference = np.stack([_reached(curves[:, at], logs[at], accuracy) for at in range(len(order))], axis=1)
    # A seed that a resample leaves out is on no contour of it.
    inference = np.where(grid.model_weights(weights)[:, order] > 0.0, inference, np.inf)
    before = np.minimum.accumulate(inference, axis=1)
    before = np.concatenate([np.full((len(inference), 1), np.inf), before[:, :-1]], axis=1)
    fallen = inference < before - np.log10(_FLAT)
    return _Contour(order, np.log10(grid.training_flop[order]), inference, fallen)


def _reached(curves: Floats, logs: Floats, accuracy: float) -> Floats:
    """[B]: where rising curves [B, K] at logs [K] reach an accuracy; inf where they do not."""
    there = curves >= accuracy
    at = there.argmax(axis=1)
    rows = np.arange(len(curves))
    below = np.maximum(at - 1, 0)
    one, two = curves[rows, below], curves[rows, at]
    part = np.where(two > one, (accuracy - one) / np.where(two > one, two - one, 1.0), 1.0)
    return np.where(
        there.any(axis=1), logs[below] + np.clip(part, 0.0, 1.0) * (logs[at] - logs[below]), np.inf
    )


def _slopes(contour: _Contour) -> Floats:
    """[B]: of the straight line through each row's contour; nan for too few checkpoints."""
    on = contour.on & np.isfinite(contour.inference)
    count = np.maximum(on.sum(axis=1), 1)
    x, y = np.where(on, contour.training, 0.0), np.where(on, contour.inference, 0.0)
    apart = on * (contour.training - (x.sum(axis=1) / count)[:, None])
    squares = (apart**2).sum(axis=1)
    good = (on.sum(axis=1) >= _LEAST) & (squares > 0.0)
    slope = (apart * (y - (y.sum(axis=1) / count)[:, None])).sum(axis=1) / np.where(good, squares, 1.0)
    return np.where(good, slope, np.nan)
