"""Compute-equivalent gain: what an enhancement is worth in training compute.

    CEG = C' / C,  score_plain(C') = score_enhanced(C)

How many times as much training compute the plain family would need to match the enhanced model (Davidson,
Denain, Villalobos & Bas 2023, AI capabilities can be significantly improved without expensive retraining,
arXiv 2312.07413, §2). The plain family stands for its compute-optimal frontier: at each compute the best
checkpoint that cost no more. A bounded sigmoid of log compute is fitted to it, so the gain is undefined where
the enhanced score lies above the ceiling of this law, which a measured model may pass where the law misses.
What the frontier shows without a law stands beside it as bounds: two models suffice for those (appendix A
there).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from ponder.errors import LawUndefined
from ponder.laws.compute import precision, sigmoid, solve_sigmoid
from ponder.laws.fit import FEWEST, interval, resampling
from ponder.laws.grid import Grid
from ponder.measure.intervals import Estimate, resample

__all__ = ["Beside", "Frontier", "Gain", "Shown", "Worth", "gains", "worth"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_FEWEST_POINTS = 4  # of a frontier: three numbers are fitted to it
_FEW = f"fewer than {_FEWEST_POINTS} plain models on the frontier bear no law"
_UNDEFINED = 99.0  # decades: a gain that no scaling reaches, in a place among the others
_ROUNDING = 1e-9
_LOST = 0.2  # of the resamples, in which nothing can be said
_SURE = 0.95
_NONE = -1.0  # below every score
_CURVE = 60  # places that the frontier's law is told at


@dataclass(frozen=True, slots=True)
class Gain:
    """How many times the training compute `of_flop`: what the frontier's law needs for the plain score, and
    of a model that was trained otherwise what it took. `value * of_flop` is where the law reaches the
    enhanced score; a plain model off the frontier took more than `of_flop`.

    `high` None is without bound: more than a twentieth of the resamples (for a 90 % interval) have no finite
    gain. `low` 0 likewise: so many see no better than a guess. `beyond` says that the plain family would need
    more compute than was measured: there the law is extrapolated."""

    value: float
    low: float
    high: float | None
    of_flop: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """Whether something `holds` as measured, and the `share` of the resamples in which it does."""

    holds: bool
    share: float

    @property
    def sure(self) -> bool:
        """One end of a 90 % interval says so."""
        return self.holds and self.share >= _SURE


@dataclass(frozen=True, slots=True)
class Beside:
    """An enhanced model beside one training compute: worth `more`, for it beats a plain model that took more
    and was the best until then; or `less`, for a plain model that took less is as good."""

    more: Shown
    less: Shown


@dataclass(frozen=True, slots=True)
class Worth:
    """One enhanced model of `size`, trained with `training_flop`.

    `plain` is its own score without the enhancement; of a model that was trained otherwise the one that the
    frontier's law foretells for its compute (None: no law). `gain` is None where `undefined` says why.
    `at_least` and `at_most` are the bounds that the measured frontier sets without a law, in multiples of
    `bounds_of_flop`: the training compute of the cheapest plain model that is as good as its own plain score,
    or what the model took where it was trained otherwise; None is no bound. `beside_equal` says whether it is
    worth more or less than that compute, which is found anew in each resample, `beside_own` than
    `training_flop`, and `above_all` whether it is better than every plain model.
    `inference_flop` is what the enhanced model spends a problem, and `inference_ratio` how many times as much
    as a plain answer of the same model.
    """

    model: str
    size: float
    training_flop: float
    plain: Estimate | None
    enhanced: Estimate
    gain: Gain | None
    undefined: str | None
    at_least: float | None
    at_most: float | None
    bounds_of_flop: float
    beside_equal: Beside
    beside_own: Beside
    above_all: Shown
    inference_flop: float
    inference_ratio: float


@dataclass(frozen=True)
class Frontier:
    """The compute-optimal plain models, from the least compute on: `compute`, `scores` [F]; and the law's
    `curve` [X] at `places` [X], with its interval (None: too few models for a law)."""

    models: tuple[str, ...]
    compute: Floats
    scores: Floats
    places: Floats
    curve: Floats | None
    low: Floats | None
    high: Floats | None


@dataclass(frozen=True)
class _Resampled:
    """Rows b of resampled problems and seeds: the plain models' means, which of them are there (the others'
    seeds have no weight), which are the frontier, and the law. `models` are their places in the grid."""

    models: NDArray[np.intp]
    compute: Floats
    plain: Floats
    there: Bools
    records: Bools
    law: Floats | None
    floor: float

    def needed(self, scores: Floats) -> Floats:
        """[B]: log10 of the compute at which the plain law reaches scores [B]: infinite above its ceiling,
        -infinite at or below its floor."""
        assert self.law is not None
        floor, ceiling, middle, slope = self.law.T
        share = (scores - floor) / np.where(ceiling > floor, ceiling - floor, 1.0)
        reached = (share < 1.0) & (ceiling > floor)
        inner = logit(np.clip(share, 1e-12, 1.0 - 1e-12)) / slope + middle
        out: Floats = np.where(reached, np.where(share > 0.0, inner, -np.inf), np.inf)
        return out


def worth(
    grid: Grid,
    *,
    amount: int = -1,
    plain: Bools | None = None,
    enhanced: Bools | None = None,
    guess: float = 0.0,
    draws: int = 1000,
    level: float = 0.9,
    seed: int = 0,
) -> tuple[tuple[Worth, ...], Frontier]:
    """The worth of `amount` (a place among the grid's amounts) over the least amount, model by model; and the
    frontier that it was read off.

    `plain` [M] says whose least amount is the plain family, `enhanced` [M] which models are told of; both are
    all by default. A model that is in both is compared with the compute that the frontier needs for its own
    plain score, one that is enhanced only (it was trained otherwise) with the compute that it took. Problems
    are resampled for all together, and the frontier and its law are had anew each time. Seeds are resampled
    for what the measured frontier says alone: without some models a frontier can only be lower, so a law of
    it would be of another family.

    Raises LawUndefined for one plain model, for one problem, and where no plain model is ever right.
    """
    everyone = np.ones(len(grid.models), dtype=np.bool_)
    of_plain = everyone if plain is None else np.asarray(plain, dtype=np.bool_)
    told = np.flatnonzero(everyone if enhanced is None else enhanced)
    told = told[np.argsort(grid.training_flop[told], kind="stable")]
    _require(grid, of_plain)
    weights = resampling(grid.units, draws, np.random.default_rng(seed))
    means = grid.means(weights)
    base = _frontier_rows(grid, of_plain, weights, guess)
    shares = [_shares(grid.values[:, told, at], level) for at in (0, amount)]
    rows = []
    for model, *share in zip(told, *shares, strict=True):
        before = means[:, model, 0] if of_plain[model] else None
        rows.append(_one(grid, int(model), amount, base, (before, means[:, model, amount]), share, level))
    return tuple(rows), _frontier(grid, of_plain, base, level)


def gains(
    grid: Grid, *, of: Grid | None = None, guess: float = 0.0, draws: int = 1000, seed: int = 0
) -> Floats:
    """[draws + 1, M, K]: log10 of the gain of each amount of inference over the least, of plain models; the
    first row is the estimate, the others resample problems.

    The frontier is that of `grid` at its least amount; models and amounts are those of `of`, at the same
    problems, by default of `grid` itself. nan where the plain score lies off the frontier's law, infinite
    where no scaling of plain models reaches the score. Raises LawUndefined as `worth` does, and where the
    frontier bears no law.
    """
    everyone = np.ones(len(grid.models), dtype=np.bool_)
    _require(grid, everyone)
    weights = resampling(grid.units, draws, np.random.default_rng(seed))
    base = _frontier_rows(grid, everyone, weights, guess)
    if base.law is None:
        raise LawUndefined(f"models: {_FEW}; {grid.name} needs more of them.")
    means = (grid if of is None else of).means(weights)
    needed = np.stack([base.needed(means[:, :, at].T).T for at in range(means.shape[2])], axis=2)
    had = np.where(np.isfinite(needed[:, :, :1]), needed[:, :, :1], np.nan)
    out: Floats = needed - had
    return out


def _one(
    grid: Grid,
    model: int,
    amount: int,
    base: _Resampled,
    scores: tuple[Floats | None, Floats],
    shares: Sequence[Estimate],
    level: float,
) -> Worth:
    """One model's row, from its plain and enhanced `scores` [B] in the resamples, and their `shares`."""
    compute, flop = float(grid.training_flop[model]), grid.inference_flop[model]
    gain, undefined = _gain(base, compute, *scores, level, len(grid.values))
    found = _measured(base, model, compute, *scores)
    at_least, at_most = found.bounds()
    return Worth(
        model=grid.models[model],
        size=float(grid.size[model]),
        training_flop=compute,
        plain=shares[0] if scores[0] is not None else _foretold(base, compute, level, len(grid.values)),
        enhanced=shares[1],
        gain=gain,
        undefined=undefined,
        at_least=at_least,
        at_most=at_most,
        bounds_of_flop=float(found.equal[0]),
        beside_equal=found.beside(found.equal),
        beside_own=found.beside(np.full(len(found.equal), compute)),
        above_all=_shown(np.isinf(found.match)),
        inference_flop=float(flop[amount]),
        inference_ratio=float(flop[amount] / flop[0]),
    )


def _require(grid: Grid, plain: Bools) -> None:
    if len(grid.values) < FEWEST:
        raise LawUndefined(
            f"problems: {len(grid.values)} cannot bound a gain; record at least {FEWEST}, better a hundred."
        )
    if len(np.unique(grid.training_flop[plain])) < 2:
        raise LawUndefined(
            f"models: {grid.name} has plain models of one training compute only; record a second one."
        )
    if not grid.values[:, plain, 0].any():
        raise LawUndefined(f"scores: no plain model of {grid.name} is ever right; take easier problems.")


def _frontier_rows(grid: Grid, plain: Bools, weights: Floats, guess: float) -> _Resampled:
    places = np.flatnonzero(plain)
    order = places[np.argsort(grid.training_flop[places], kind="stable")]
    compute, scores = grid.training_flop[order], grid.means(weights)[:, order, 0]
    there = grid.model_weights(weights)[:, order] > 0.0
    records = _records(scores)
    law = None
    if len(np.unique(compute[records[0]])) >= _FEWEST_POINTS:
        precise = records * precision(grid.values[:, order, 0])[None, :]
        law = solve_sigmoid(scores, compute, precise, floor=guess)
    return _Resampled(order, compute, scores, there, records, law, guess)


def _records(scores: Floats) -> Bools:
    """[B, M]: which models, in the order of their compute, are better than all before."""
    best = np.maximum.accumulate(scores, axis=1)
    before = np.concatenate([np.full((len(scores), 1), _NONE), best[:, :-1]], axis=1)
    out: Bools = scores > before
    return out


def _foretold(base: _Resampled, compute: float, level: float, problems: int) -> Estimate | None:
    """What the frontier's law says of a plain model of so much compute; None where there is no law."""
    if base.law is None:
        return None
    rows = sigmoid(base.law, np.array([compute]))
    (low,), (high,) = interval(rows[0], rows[1:], level=level, problems=problems)
    return Estimate(float(rows[0, 0]), float(low), float(high))


def _shares(values: Floats, level: float) -> list[Estimate]:
    """The means of columns [P, M], with intervals."""
    low, high = resample(values, level=level, draws=1000, rng=np.random.default_rng(0))
    return [Estimate(*map(float, each)) for each in zip(values.mean(axis=0), low, high, strict=True)]


def _gain(
    base: _Resampled, compute: float, before: Floats | None, after: Floats, level: float, problems: int
) -> tuple[Gain | None, str | None]:
    """The gain by the law, or why there is none."""
    if base.records[0].sum() < 2:
        return None, "more training does not make the plain model better"
    if base.law is None:
        return None, _FEW
    needed = base.needed(after)
    had = np.full(len(after), np.log10(compute)) if before is None else base.needed(before)
    if not np.isfinite(had[0]):
        return None, "the plain model does no better than a guess" if had[
            0
        ] < 0 else "the plain model is above the law"
    if np.isposinf(needed[0]):
        return None, "the law of plain models ends below it"
    if np.isneginf(needed[0]):
        return None, "the enhanced model does no better than a guess"
    # A refit that knows no compute for the plain score says nothing of the gain.
    kept = np.isfinite(had)
    kept[0] = False
    if kept[1:].mean() < 1.0 - _LOST:
        return None, "too few resamples of the problems have a plain score on the law"
    decades = np.clip(needed[kept] - had[kept], -_UNDEFINED, _UNDEFINED)
    value = float(needed[0] - had[0])
    (low,), (high,) = interval(np.array([value]), decades[:, None], level=level, problems=problems)
    finite = np.append(decades[np.abs(decades) < _UNDEFINED], value)
    gain = Gain(
        value=10.0**value,
        low=0.0 if low < finite.min() - _ROUNDING else float(10.0**low),
        high=None if high > finite.max() + _ROUNDING else float(10.0**high),
        of_flop=float(10.0 ** had[0]),
        beyond=bool(needed[0] > np.log10(base.compute[-1])),
    )
    return gain, None


@dataclass(frozen=True)
class _Measured:
    """[B] each, the training compute of a plain model: the cheapest that is as good as the model's own plain
    score, or what the model took where it has none (`equal`); the last frontier model that the enhanced one
    beats (`beaten`, 0: none); and the first that is at least as good (`match`, infinite: none)."""

    equal: Floats
    beaten: Floats
    match: Floats

    def bounds(self) -> tuple[float | None, float | None]:
        """As measured, in multiples of `equal`."""
        low, high = self.beaten[0] / self.equal[0], self.match[0] / self.equal[0]
        return float(low) if low > 0.0 else None, float(high) if np.isfinite(high) else None

    def beside(self, compute: Floats) -> Beside:
        return Beside(more=_shown(self.beaten > compute), less=_shown(self.match < compute))


def _shown(holds: Bools) -> Shown:
    return Shown(bool(holds[0]), float(holds[1:].mean()))


def _measured(
    base: _Resampled, model: int, compute: float, before: Floats | None, after: Floats
) -> _Measured:
    """A plain model is always there beside itself, whatever the weight of its seed."""
    there = base.there | (base.models == model)
    best = np.maximum.accumulate(np.where(there, base.plain, _NONE), axis=1)
    computes = np.append(base.compute, np.inf)
    equal = np.full(len(after), compute)
    if before is not None:
        equal = computes[_first(best >= before[:, None] - 1e-12)]
    match = _first(best >= after[:, None])
    last = np.take_along_axis(best, np.maximum(match - 1, 0)[:, None], axis=1)
    beaten = np.where((match > 0) & (last[:, 0] > _NONE), computes[_first(best >= last)], 0.0)
    return _Measured(equal, beaten, computes[match])


def _first(holds: Bools) -> NDArray[np.intp]:
    """[B, M] -> [B]: the first place that holds, M where none does."""
    places: NDArray[np.intp] = np.where(holds.any(axis=1), holds.argmax(axis=1), holds.shape[1])
    return places


def _frontier(grid: Grid, plain: Bools, base: _Resampled, level: float) -> Frontier:
    order = np.flatnonzero(plain)[np.argsort(grid.training_flop[plain], kind="stable")]
    here = base.records[0]
    places = np.geomspace(base.compute[0], base.compute[-1] * 10.0, _CURVE)
    curve = low = high = None
    if base.law is not None:
        rows = sigmoid(base.law, places)
        curve = rows[0]
        low, high = interval(curve, rows[1:], level=level, problems=len(grid.values))
    models = tuple(grid.models[at] for at in order[here])
    return Frontier(models, base.compute[here], base.plain[0][here], places, curve, low, high)
