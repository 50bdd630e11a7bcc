"""The compute curve of reinforcement learning: a sigmoid in the logarithm of compute.

    R(C) = R_0 + (A - R_0) / (1 + (C_mid / C)^B)

Khatri et al. 2025 (The Art of Scaling Reinforcement Learning Compute for LLMs, arXiv 2510.13786, equation 1).
R_0 is measured before the first step, A is the asymptote, C_mid the compute at which half of the gain is had,
B the steepness. Given B and C_mid the asymptote has a closed form, so the fit is a search over two numbers:
it cannot get stuck, and no start has to be guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST_POINTS", "Sigmoid", "fit_sigmoid", "sigmoid"]

Floats = NDArray[np.float64]

LEAST_POINTS = 5
"""Points after the start that a fit needs: three numbers are fitted, and something must be left to miss."""

_STEEPNESS = (0.3, 8.0)
_BEYOND = 30.0  # how far C_mid may lie outside of the compute that was measured
_GRID = (48, 96)
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """A fitted curve. Each pair is an interval from resampling problems.

    `start` is R_0, `asymptote` A, `middle` C_mid in FLOP, `steepness` B; `error` is the root mean square of
    what the curve misses. `settled` says that C_mid surely lies within the compute that was measured:
    otherwise the asymptote is an extrapolation that the points hardly bound.
    """

    start: float
    asymptote: float
    middle: float
    steepness: float
    asymptote_interval: tuple[float, float]
    middle_interval: tuple[float, float]
    steepness_interval: tuple[float, float]
    error: float
    settled: bool
    level: float

    def __call__(self, flop: float) -> float:
        """pass@1 after so many FLOP of reinforcement learning."""
        shape = _rise(np.array([flop]), np.array([self.steepness]), np.array([self.middle]))[0, 0]
        return float(self.start + (self.asymptote - self.start) * shape)

    def to_json(self) -> dict[str, Any]:
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Sigmoid:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
        return cls(**fields)


def sigmoid(flop: Floats, start: float, asymptote: float, middle: float, steepness: float) -> Floats:
    """The curve at each of `flop` [T] > 0."""
    rise = _rise(np.asarray(flop, dtype=np.float64), np.array([steepness]), np.array([middle]))[0]
    out: Floats = start + (asymptote - start) * rise
    return out


def _rise(flop: Floats, steepness: Floats, middle: Floats) -> Floats:
    """[G, T]: the share of the gain that is had after `flop` [T], for `steepness` and `middle` [G]."""
    exponent = steepness[:, None] * (np.log(middle)[:, None] - np.log(flop)[None, :])
    out: Floats = 1.0 / (1.0 + np.exp(np.clip(exponent, -60.0, 60.0)))
    return out


def fit_sigmoid(
    flop: Sequence[float],
    values: Floats,
    *,
    level: float = 0.9,
    draws: int = 400,
    rng: np.random.Generator,
) -> Sigmoid | None:
    """Fit the curve to `values` [P, T + 1] in [0, 1]: each problem's share of right answers at the start and
    after each of `flop` [T], which rise from above 0.

    Least squares on the means over problems; every point counts alike. The intervals are those of a Bayesian
    bootstrap over problems. None for fewer than `LEAST_POINTS` points. Raises ValueError for other shapes.
    """
    x = np.asarray(flop, dtype=np.float64)
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != x.size + 1 or values.shape[0] == 0:
        raise ValueError(f"values must be [problems, {x.size + 1}]; got {values.shape}.")
    if x.size and not (x[0] > 0 and np.all(np.diff(x) > 0)):
        raise ValueError("flop must rise from above 0.")
    if x.size < LEAST_POINTS:
        return None
    weights = rng.standard_gamma(1.0, size=(draws, len(values)))
    means = np.concatenate([values.mean(axis=0)[None], weights @ values / weights.sum(axis=1, keepdims=True)])
    fitted = np.array([_fit(x, mean[0], mean[1:]) for mean in means])
    asymptote, middle, steepness = (float(v) for v in fitted[0])
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(fitted[1:], [tail, 1.0 - tail], axis=0)
    low, high = np.minimum(low, fitted[0]), np.maximum(high, fitted[0])
    start = float(means[0, 0])
    missed = sigmoid(x, start, asymptote, middle, steepness) - means[0, 1:]
    return Sigmoid(
        start=start,
        asymptote=asymptote,
        middle=middle,
        steepness=steepness,
        asymptote_interval=(float(low[0]), float(high[0])),
        middle_interval=(float(low[1]), float(high[1])),
        steepness_interval=(float(low[2]), float(high[2])),
        error=float(np.sqrt(np.mean(missed**2))),
        settled=bool(x[0] <= low[1] and high[1] <= x[-1]),
        level=level,
    )


def _fit(x: Floats, start: float, y: Floats) -> tuple[float, float, float]:
    """(A, C_mid, B) of the least squares: a grid over B and log C_mid, then finer grids around the best."""
    all_steep = float(np.log(_STEEPNESS[0])), float(np.log(_STEEPNESS[1]))
    all_middle = float(np.log(x[0] / _BEYOND)), float(np.log(x[-1] * _BEYOND))
    steep, middle, counts = all_steep, all_middle, _GRID
    for _ in range(_ROUNDS):
        b = np.linspace(steep[0], steep[1], counts[0])
        m = np.linspace(middle[0], middle[1], counts[1])
        grid_b, grid_m = (g.ravel() for g in np.meshgrid(b, m, indexing="ij"))
        rise = _rise(x, np.exp(grid_b), np.exp(grid_m))
        gain = np.clip(rise @ (y - start) / np.einsum("gt,gt->g", rise, rise), -start, 1.0 - start)
        missed = ((gain[:, None] * rise - (y - start)) ** 2).sum(axis=1)
        best = int(np.argmin(missed))
        found = start + float(gain[best]), float(np.exp(grid_m[best])), float(np.exp(grid_b[best]))
        steep = _around(float(grid_b[best]), float(b[1] - b[0]), all_steep)
        middle = _around(float(grid_m[best]), float(m[1] - m[0]), all_middle)
        counts = (9, 9)
    return found


def _around(centre: float, step: float, bounds: tuple[float, float]) -> tuple[float, float]:
    return max(bounds[0], centre - step), min(bounds[1], centre + step)
