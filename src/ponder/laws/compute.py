"""Laws in compute: accuracy as a bounded sigmoid of log compute, and the envelope of several strategies.

    score(C) = floor + (ceiling - floor) / (1 + exp(-slope · (log10 C - middle)))

Sigmoids of log compute fit scores on benchmarks where power laws cannot, for a share is bounded on both sides
(Ruan, Maddison & Hashimoto 2024, arXiv 2405.10938 §3; Jones 2021, arXiv 2104.03113 §4 for test-time compute).
Given slope and middle, floor and ceiling have a closed form, so the fit is a search over two numbers: it
cannot get stuck, and no start has to be guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from ponder.errors import LawUndefined
from ponder.laws.data import Scores
from ponder.laws.fit import interval, resampling

__all__ = [
    "Ahead",
    "ComputeSigmoid",
    "Envelope",
    "Lead",
    "envelope",
    "forecast_ahead",
    "precision",
    "sigmoid",
    "solve_sigmoid",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_CENTRES = np.linspace(-9.0, 9.0, 37)  # logits at the middle of the compute that was measured
_SLOPES = np.geomspace(0.1, 40.0, 28)  # logits per tenfold compute
_LOCAL = np.linspace(-1.0, 1.0, 7)
_ROUNDS = 20
_CHUNK = 1 << 22  # numbers held at once
_PLACES = 64  # values of compute that an envelope is told at
_PASSES = 0.05  # in accuracy, root mean square: what a forecast may miss


@dataclass(frozen=True, slots=True)
class ComputeSigmoid:
    """The law of one strategy's accuracy in its compute.

    `floor` is the accuracy of a guess; None takes the data's own where it is known, and fits it elsewhere.
    `ceiling` None is fitted. `middle` is the log10 of the compute at which half of the gain is had, `slope`
    counts logits per tenfold compute.
    """

    floor: float | None = None
    ceiling: float | None = None
    name: str = "sigmoid of log compute"
    parameters: tuple[str, ...] = ("floor", "ceiling", "middle", "slope")

    def reach(self, data: Scores) -> tuple[float, float]:
        return float(data.compute[0]), float(data.compute[-1])

    def solve(self, data: Scores, weights: Floats) -> Floats:
        """[B, P] -> [B, 4]. Raises LawUndefined for too few values of compute, and where all is wrong or all
        right."""
        floor = data.guess if self.floor is None else self.floor
        fitted = 2 + (floor is None) + (self.ceiling is None)
        if len(data.compute) <= fitted:
            raise LawUndefined(
                f"compute: {data.name} was measured at {len(data.compute)} values, and a law of {fitted} "
                f"numbers needs at least {fitted + 1}; measure at more budgets, or more checkpoints."
            )
        _require_spread(data)
        means = weights @ data.values / weights.sum(axis=1, keepdims=True)
        return solve_sigmoid(means, data.compute, precision(data.values), floor=floor, ceiling=self.ceiling)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        return sigmoid(parameters, x)


@dataclass(frozen=True, slots=True)
class Ahead:
    """How well a law that was fitted up to some compute foretells what lies above: root mean squares in
    accuracy over `held_back` places. `baseline` is the error of saying that nothing changes any more."""

    held_back: int
    error: float
    baseline: float

    @property
    def word(self) -> Literal["law", "trend"]:
        """A fit is called a law when it foretells what was held back, and a trend until then."""
        return "law" if self.error <= min(_PASSES, self.baseline) else "trend"

    @classmethod
    def of(cls, told: Floats, seen: Floats, so_far: Floats, held_back: int) -> Ahead:
        """From what was foretold, seen, and seen before, in arrays of one shape."""
        error, baseline = (float(np.sqrt(np.mean((each - seen) ** 2))) for each in (told, so_far))
        return cls(held_back, error, baseline)


def forecast_ahead(data: Scores, law: ComputeSigmoid = ComputeSigmoid(), *, held_back: int = 2) -> Ahead:
    """Fit the law to all but the last `held_back` values of compute, and foretell those. Raises LawUndefined
    where the others do not bear it."""
    known = Scores(data.name, data.unit, data.compute[:-held_back], data.values[:, :-held_back], data.guess)
    found = law.solve(known, np.ones((1, len(data.values))))
    means = data.values.mean(axis=0)
    told, seen = law.at(found, data.compute[-held_back:])[0], means[-held_back:]
    return Ahead.of(told, seen, np.full(held_back, means[:-held_back].max()), held_back)


def _require_spread(data: Scores) -> None:
    for value, said in ((0.0, "wrong"), (1.0, "right")):
        if np.allclose(data.values.mean(axis=0), value, rtol=0.0, atol=1e-12):
            raise LawUndefined(
                f"scores: {data.name} is {said} at every problem and every compute; take "
                f"{'easier' if value == 0.0 else 'harder'} problems."
            )


def sigmoid(parameters: Floats, compute: Floats) -> Floats:
    """[B, X]: the score at each of `compute` [X] > 0, for rows (floor, ceiling, middle, slope) [B, 4]."""
    floor, ceiling, middle, slope = (column[:, None] for column in np.asarray(parameters, dtype=np.float64).T)
    out: Floats = floor + (ceiling - floor) * expit(slope * (np.log10(compute)[None, :] - middle))
    return out


def precision(scores: Floats) -> Floats:
    """[X]: weights of the points in a fit to `scores` [P, X]: the inverse of a share's variance p(1 - p).

    p is the mean over problems with half a right and half a wrong problem added (Jeffreys' prior), so that
    no point weighs without end. One set of weights serves all resamples.
    """
    p = (scores.sum(axis=0) + 0.5) / (len(scores) + 1.0)
    out: Floats = 1.0 / (p * (1.0 - p))
    return out


def solve_sigmoid(
    scores: Floats, compute: Floats, weights: Floats, *, floor: float | None, ceiling: float | None = None
) -> Floats:
    """[B, 4]: floor, ceiling, middle and slope by weighted least squares, for every row of `scores` [B, X].

    `compute` [X] > 0; `weights` [B, X] or [X] ≥ 0. A `floor` or `ceiling` that is given is kept; what is
    fitted obeys 0 ≤ floor ≤ ceiling ≤ 1. The slope is positive.
    """
    x = np.log10(np.asarray(compute, dtype=np.float64))
    weights = np.broadcast_to(np.asarray(weights, dtype=np.float64), scores.shape)
    bounds = _Bounds(floor, ceiling)
    centre = (x.min() + x.max()) / 2.0
    grid = np.array([(a, b) for a in _CENTRES for b in np.log(_SLOPES)])
    per_chunk = max(1, _CHUNK // len(grid))
    rows = [slice(at, at + per_chunk) for at in range(0, len(scores), per_chunk)]
    best = np.concatenate([_coarse(scores[r], weights[r], x - centre, grid, bounds) for r in rows])
    best = _refined(scores, weights, x - centre, best, bounds)
    ends = _amplitudes(scores, weights, _rise(best, x - centre)[:, None, :], bounds)
    slope = np.exp(best[:, 1])
    return np.column_stack([ends.floor[:, 0], ends.ceiling[:, 0], centre - best[:, 0] / slope, slope])


@dataclass(frozen=True, slots=True)
class _Bounds:
    floor: float | None
    ceiling: float | None


@dataclass(frozen=True, slots=True)
class _Ends:
    """[B, G] each: the best floor and ceiling for a rise, and what is left of the squares."""

    floor: Floats
    ceiling: Floats
    loss: Floats


def _rise(points: Floats, x: Floats) -> Floats:
    """[..., X]: the share of the gain at x, for (logits at 0, log slope) in the last axis of `points`."""
    out: Floats = expit(points[..., :1] + np.exp(points[..., 1:]) * x)
    return out


def _coarse(scores: Floats, weights: Floats, x: Floats, grid: Floats, bounds: _Bounds) -> Floats:
    """[B, 2]: the best point of one grid for all rows."""
    rise = _rise(grid, x)
    sums = _Sums(
        weights.sum(axis=1)[:, None],
        (weights * scores).sum(axis=1)[:, None],
        (weights * scores**2).sum(axis=1)[:, None],
        weights @ rise.T,
        weights @ (rise**2).T,
        (weights * scores) @ rise.T,
    )
    best: Floats = grid[_ends(sums, bounds).loss.argmin(axis=1)]
    return best


def _refined(scores: Floats, weights: Floats, x: Floats, start: Floats, bounds: _Bounds) -> Floats:
    """[B, 2]: from the coarse grid's best point by ever finer grids around the best so far. A grid shrinks
    only where its best point lies inside, so a valley may be followed."""
    best = start.copy()
    width = np.tile([_CENTRES[1] - _CENTRES[0], np.log(_SLOPES[1] / _SLOPES[0])], (len(best), 1))
    offsets = np.array([(a, b) for a in _LOCAL for b in _LOCAL])
    inside = (np.abs(offsets) < 1.0).all(axis=1)
    for _ in range(_ROUNDS):
        points = best[:, None, :] + offsets[None] * width[:, None, :]
        points[..., 1] = np.clip(points[..., 1], np.log(_SLOPES[0] / 10.0), np.log(_SLOPES[-1] * 10.0))
        place = _amplitudes(scores, weights, _rise(points, x), bounds).loss.argmin(axis=1)
        best = points[np.arange(len(best)), place]
        width[inside[place]] *= 0.5
    return best


def _amplitudes(scores: Floats, weights: Floats, rise: Floats, bounds: _Bounds) -> _Ends:
    """The best floors and ceilings for rows' own rises [B, G, X]."""
    first = rise @ np.stack([weights, weights * scores], axis=2)
    sums = _Sums(
        weights.sum(axis=1)[:, None],
        (weights * scores).sum(axis=1)[:, None],
        (weights * scores**2).sum(axis=1)[:, None],
        first[..., 0],
        (rise**2 @ weights[:, :, None])[..., 0],
        first[..., 1],
    )
    return _ends(sums, bounds)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Weighted sums over the points, [B, 1] or [B, G]: of 1, y, y², r, r² and r·y."""

    one: Floats
    y: Floats
    yy: Floats
    r: Floats
    rr: Floats
    ry: Floats

    def loss(self, floor: Floats, gain: Floats) -> Floats:
        """Σ w (y - floor - gain·r)²."""
        out: Floats = (
            self.yy
            - 2.0 * (floor * self.y + gain * self.ry)
            + floor**2 * self.one
            + 2.0 * floor * gain * self.r
            + gain**2 * self.rr
        )
        return out

    def gain(self, floor: Floats) -> Floats:
        """The best gain over a floor that is given."""
        out: Floats = (self.ry - floor * self.r) / np.maximum(self.rr, 1e-300)
        return out

    def floor_below(self, ceiling: Floats) -> Floats:
        """The best floor under a ceiling that is given: y = ceiling·r + floor·(1 - r)."""
        rest = self.one - 2.0 * self.r + self.rr
        out: Floats = (self.y - self.ry - ceiling * (self.r - self.rr)) / np.maximum(rest, 1e-300)
        return out


def _ends(sums: _Sums, bounds: _Bounds) -> _Ends:
    """A linear problem in floor and ceiling with bounds: its free solution where that obeys them, otherwise
    the best of those on the bounds."""
    shape = sums.r.shape
    if bounds.floor is not None and bounds.ceiling is not None:
        return _made(sums, np.full(shape, bounds.floor), np.full(shape, bounds.ceiling))
    if bounds.floor is not None:
        floor = np.full(shape, bounds.floor)
        return _made(sums, floor, np.clip(floor + sums.gain(floor), floor, 1.0))
    if bounds.ceiling is not None:
        ceiling = np.full(shape, bounds.ceiling)
        return _made(sums, np.clip(sums.floor_below(ceiling), 0.0, ceiling), ceiling)
    low, high = np.zeros(shape), np.ones(shape)
    lowest = _made(sums, low, np.clip(sums.gain(low), 0.0, 1.0))
    highest = _made(sums, np.clip(sums.floor_below(high), 0.0, 1.0), high)
    spread = sums.one * sums.rr - sums.r**2
    gain = (sums.one * sums.ry - sums.r * sums.y) / np.where(spread > 1e-12 * sums.one**2, spread, np.inf)
    floor = (sums.y - gain * sums.r) / sums.one
    free = _made(sums, floor, floor + gain)
    allowed = (free.floor >= 0.0) & (free.ceiling <= 1.0) & (gain >= 0.0)
    return _better(_Ends(free.floor, free.ceiling, np.where(allowed, free.loss, np.inf)), lowest, highest)


def _made(sums: _Sums, floor: Floats, ceiling: Floats) -> _Ends:
    return _Ends(floor, ceiling, sums.loss(floor, ceiling - floor))


def _better(*ends: _Ends) -> _Ends:
    choice = np.argmin([each.loss for each in ends], axis=0)[None]

    def chosen(name: str) -> Floats:
        out: Floats = np.take_along_axis(np.array([getattr(each, name) for each in ends]), choice, axis=0)[0]
        return out

    return _Ends(chosen("floor"), chosen("ceiling"), chosen("loss"))


# ---------------------------------------------------------------- envelope


@dataclass(frozen=True, slots=True)
class Lead:
    """A stretch of compute in which one strategy is the most accurate. `sure` is the part of it in which it
    is so in at least `level` of the resamples; None where it nowhere is."""

    name: str
    first: float
    last: float
    sure: tuple[float, float] | None


@dataclass(frozen=True)
class Envelope:
    """The most accurate strategy at each of `compute` [X], with the accuracy it reaches there for at most so
    much: `value`, `low`, `high` [X]. `values` [S, X] are those of all strategies (nan: it costs more than
    that), `share` [S, X] in how many resamples each leads."""

    names: tuple[str, ...]
    unit: str
    compute: Floats
    value: Floats
    low: Floats
    high: Floats
    leader: Ints
    values: Floats
    share: Floats
    level: float

    @property
    def leads(self) -> tuple[Lead, ...]:
        """Where each strategy leads, from the least compute on."""
        cuts = np.flatnonzero(np.diff(self.leader)) + 1
        found = []
        for places in np.split(np.arange(self.leader.size), cuts):
            who = int(self.leader[places[0]])
            sure = places[self.share[who, places] >= self.level]
            ends = self.compute[places[[0, -1]]]
            surely = self.compute[sure[[0, -1]]] if sure.size else None
            found.append(
                Lead(
                    self.names[who],
                    float(ends[0]),
                    float(ends[1]),
                    None if surely is None else (float(surely[0]), float(surely[1])),
                )
            )
        return tuple(found)


def envelope(
    strategies: Sequence[Scores], *, draws: int = 1000, level: float = 0.9, seed: int = 0
) -> Envelope:
    """The Pareto envelope of strategies measured at the same problems, in the same unit of compute.

    Between two budgets a strategy is read off a straight line in log compute; past its last it keeps what
    it had, for nobody must spend all. Problems are resampled for all strategies together. Raises
    LawUndefined for none, or for other problems or units.
    """
    if not strategies or len({(each.unit, len(each.values)) for each in strategies}) != 1:
        raise LawUndefined("strategies: an envelope needs some, of the same problems and unit of compute.")
    first = min(each.compute[0] for each in strategies)
    last = max(each.compute[-1] for each in strategies)
    places = np.geomspace(first, last, _PLACES)
    # The ends are exact, or rounding would put the cheapest budget out of reach.
    places[0], places[-1] = first, last
    weights = resampling(strategies[0].units, draws, np.random.default_rng(seed))
    weights /= weights.sum(axis=1, keepdims=True)
    values = np.array([_read_off(weights @ each.values, each.compute, places) for each in strategies])
    ranked = np.where(np.isnan(values), -1.0, values)
    leader, best = ranked.argmax(axis=0), ranked.max(axis=0)  # [B, X]
    share = np.array([(leader[1:] == who).mean(axis=0) for who in range(len(strategies))])
    low, high = interval(best[0], best[1:], level=level, problems=strategies[0].units[0])
    return Envelope(
        names=tuple(each.name for each in strategies),
        unit=strategies[0].unit,
        compute=places,
        value=best[0],
        low=low,
        high=high,
        leader=leader[0],
        values=values[:, 0],
        share=share,
        level=level,
    )


def _read_off(values: Floats, compute: Floats, places: Floats) -> Floats:
    """[B, X]: the best that `values` [B, K] at `compute` [K] reach for at most `places` [X]; nan below."""
    so_far = np.maximum.accumulate(values, axis=1)
    x, known = np.log(places), np.log(compute)
    after = np.clip(np.searchsorted(known, x, side="right"), 1, max(1, len(known) - 1))
    before = after - 1
    after = np.minimum(after, len(known) - 1)
    gap = np.where(after > before, known[after] - known[before], 1.0)
    part = np.clip((x - known[before]) / gap, 0.0, 1.0)
    out: Floats = so_far[:, before] + part * (so_far[:, after] - so_far[:, before])
    out[:, places < compute[0]] = np.nan
    return out
