"""Numbers as the result files hold them: estimates with intervals, rounded, and medians over checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.measure.intervals import resample, resample_differences

__all__ = ["LEVEL", "Result", "difference", "median", "rounded", "share"]

Floats = NDArray[np.float64]
Result = dict[str, Any]

LEVEL = 0.9
_DIGITS = 5
_RESAMPLES = 2000


def share(values: Floats) -> Result:
    """The mean of [P] shares, with its interval from resampling problems."""
    return _estimated(values, resample)


def difference(one: Floats, other: Floats) -> Result:
    """The mean of `one` less `other` [P], paired by problem, with its interval."""
    return _estimated(one - other, resample_differences)


def _estimated(values: Floats, how: Any) -> Result:
    low, high = how(values[:, None], level=LEVEL, rng=np.random.default_rng(0))
    return {"value": float(values.mean()), "low": float(low[0]), "high": float(high[0])}


def median(values: Sequence[float], clusters: Sequence[str]) -> Result | None:
    """The median of figures of checkpoints, with its interval from resampling whole clusters: checkpoints of
    one training run resemble each other. None for no figure, and without interval for one cluster."""
    if not values:
        return None
    names = sorted(set(clusters))
    value = float(np.median(values))
    if len(names) < 2:
        return {"value": value, "low": None, "high": None}
    groups = [np.array([v for v, c in zip(values, clusters, strict=True) if c == name]) for name in names]
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(groups), size=(_RESAMPLES, len(groups)))
    medians = [float(np.median(np.concatenate([groups[at] for at in row]))) for row in drawn]
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(medians, [tail, 1.0 - tail])
    return {"value": value, "low": min(float(low), value), "high": max(float(high), value)}


def rounded(value: Any) -> Any:
    """Floats to five digits, at any depth. Raises ValueError for one that is not finite: JSON has no such."""
    if isinstance(value, Mapping):
        return {str(key): rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no place in a result.")
        return float(f"{value:.{_DIGITS}g}")
    return value
