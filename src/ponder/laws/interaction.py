"""Whether larger models gain more from inference, and whether training and inference simply multiply.

Both depend on the scale and on what is held equal, so both are said for each: on the logit and on the
probability scale, at equal samples and at equal FLOP. What the joint law says stands beside what the family's
best-trained checkpoints show without any law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import f as f_distribution

from ponder.errors import LawUndefined
from ponder.laws.exchange import Costs, estimate_of
from ponder.laws.fit import Fit, fit, interval, resampling
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw, law_of
from ponder.measure.intervals import EDGE, Estimate, spread_of

__all__ = ["Gains", "ProductForm", "interaction", "most_trained", "product_form", "without_each_size"]

Floats = NDArray[np.float64]
Scale = Literal["logit", "probability"]
Equal = Literal["samples", "FLOP"]

_AS_MANY = 0.99  # of the tokens of another seed are as many: batches differ in their padding
_NOTHING = 1e-7  # of a mean: less is the rounding of a place beside one where no draw is right


@dataclass(frozen=True, slots=True)
class Gains:
    """By how much more a model of `larger` parameters gains than one of `smaller`, from the `least` to the
    `most` amount (equal samples) or inference FLOP (equal FLOP) that both were measured at.

    `law` is the joint law's word at the family's middling training tokens, `measured` that of the checkpoints
    of most training of the two sizes, the mean of their seeds, whose interval resamples the seeds; in logits
    or in points of accuracy. `tokens` are what these learnt from, smaller and larger; `seeds` has the
    measured figure for each choice of one seed of either size. None is unknown, as all is where no two
    sizes' FLOP overlap.
    """

    scale: Scale
    equal: Equal
    smaller: float
    larger: float
    least: float | None
    most: float | None
    law: Estimate | None
    measured: Estimate | None
    tokens: tuple[float, float] | None = None
    seeds: tuple[float, ...] = ()

    @property
    def verdict(self) -> str:
        """By the law's interval."""
        if self.law is None:
            return "unknown"
        if self.law.low > 0.0:
            return "larger models gain more"
        return "smaller models gain more" if self.law.high < 0.0 else "undecided"


@dataclass(frozen=True, slots=True)
class ProductForm:
    """Whether performance is a function of C_train · C_inf: equal weights and no interaction.

    `training` and `inference` are the weights in logits per tenfold compute at the middle of what was
    measured, `ratio` inference's to training's, `interaction` the coefficient of the product of the logs.
    `p_value` is that of equal weights and no interaction together (a Wald test on the refits, F distributed).
    """

    training: Estimate
    inference: Estimate
    ratio: Estimate | None
    interaction: Estimate
    p_value: float


def interaction(fitted: Fit, grid: Grid) -> tuple[Gains, ...]:
    """On both scales, at equal samples and at equal FLOP, for the smallest and the largest size; at equal
    FLOP for the sizes farthest apart whose FLOP overlap by at least a doubling.

    `fitted` is a joint law in samples of this grid.
    """
    costs = Costs.of(grid)
    sizes = np.unique(grid.size)
    whole = float(costs.at_amounts[0]), float(costs.at_amounts[-1])
    samples = _Pair("samples", float(sizes[0]), float(sizes[-1]), whole, lambda size, at: at)
    flop = _overlapping(costs, sizes)
    found = [_gains(fitted, grid, scale, samples) for scale in _SCALES]
    if flop is None:
        ends = samples.smaller, samples.larger
        return (*found, *(Gains(scale, "FLOP", *ends, None, None, None, None) for scale in _SCALES))
    return (*found, *(_gains(fitted, grid, scale, flop) for scale in _SCALES))


_SCALES: tuple[Scale, ...] = ("logit", "probability")


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two sizes, the ends in log10 of what both can spend, and the log10 of a size's amount there."""

    equal: Equal
    smaller: float
    larger: float
    ends: tuple[float, float]
    amount: Callable[[float, float], float]

    def corners(self) -> tuple[tuple[float, float], ...]:
        """(size, log10 of the amount) of the smaller at both ends, then of the larger."""
        return tuple(
            (size, self.amount(size, end)) for size in (self.smaller, self.larger) for end in self.ends
        )


def _overlapping(costs: Costs, sizes: Floats) -> _Pair | None:
    """The two sizes farthest apart that can spend equal FLOP over at least a doubling."""
    pairs = [(float(n), float(m)) for place, n in enumerate(sizes) for m in sizes[place + 1 :]]
    for smaller, larger in sorted(pairs, key=lambda pair: pair[0] / pair[1]):
        low = float(np.log10(costs.inference_flop(larger, costs.at_amounts[:1]))[0])
        high = float(np.log10(costs.inference_flop(smaller, costs.at_amounts[-1:]))[0])
        if high - low >= np.log10(2.0):
            # Just inside, so that rounding leaves both ends in reach.
            ends = low + 1e-9, high - 1e-9
            return _Pair("FLOP", smaller, larger, ends, lambda n, at: _amount(costs, n, at))
    return None


def _amount(costs: Costs, size: float, at: float) -> float:
    return float(costs.log_amount(size, np.array(10.0**at)))


def _gains(fitted: Fit, grid: Grid, scale: Scale, pair: _Pair) -> Gains:
    corners = pair.corners()
    tokens = 10.0 ** np.log10(grid.tokens).mean()
    places = np.array([(size, tokens, 10.0**at) for size, at in corners])
    rows = np.concatenate([fitted.value[None], fitted.draws])
    floor = law_of(fitted).floor
    by_law = _seconds(_scaled(fitted.law.at(rows, places), scale, floor))
    weights = resampling(grid.units, len(fitted.draws), np.random.default_rng(0))
    models = _Measured(grid, grid.means(weights), grid.model_weights(weights), pair, scale, floor)
    measured = np.full(len(rows), np.nan)
    one_seed: tuple[float, ...] = ()
    if models.known():
        measured = _seconds(models.corners())
        one_seed = tuple(float(_seconds(each)[0]) for each in models.by_seed())
    least, most = (10.0**end for end in pair.ends)
    return Gains(
        scale,
        pair.equal,
        pair.smaller,
        pair.larger,
        least,
        most,
        _told(by_law, fitted),
        _told(measured, fitted),
        (models.tokens(pair.smaller), models.tokens(pair.larger)),
        one_seed,
    )


def _scaled(values: Floats, scale: Scale, floor: float) -> Floats:
    """Shares, or their logits above the floor."""
    if scale == "probability":
        return values
    out: Floats = logit(np.clip((values - floor) / (1.0 - floor), 1e-9, 1.0 - 1e-9))
    return out


def _seconds(corners: Floats) -> Floats:
    """[B]: what the larger gains less what the smaller gains, from [B, 4]: smaller at the least and the most,
    larger at the least and the most."""
    out: Floats = (corners[:, 3] - corners[:, 2]) - (corners[:, 1] - corners[:, 0])
    return out


def _told(values: Floats, fitted: Fit) -> Estimate | None:
    return estimate_of(float(values[0]), values[1:], fitted)


@dataclass(frozen=True)
class _Measured:
    """A pair's sizes as their checkpoints of most training show them: `means` [B, M, K] of the grid, and its
    models' `weights` [B, M]."""

    grid: Grid
    means: Floats
    weights: Floats
    pair: _Pair
    scale: Scale
    floor: float

    def known(self) -> bool:
        """Of logits whether no share is at an end, where nothing tells how near to it."""
        seen = np.concatenate([each for _, each in self._seeds(self.means[:1])], axis=1)
        return self.scale != "logit" or bool(np.all((seen > _NOTHING) & (seen < 1.0 - _NOTHING)))

    def tokens(self, size: float) -> float:
        return float(self.grid.tokens[most_trained(self.grid, size)[0]])

    def corners(self) -> Floats:
        """[B, 4] at the pair's corners, the mean of each size's seeds."""
        return self._read(_inside(self.grid, self.means), self.weights)

    def by_seed(self) -> Iterator[Floats]:
        """[1, 4] for each choice of one seed of either size, where a size has several."""
        inside = _inside(self.grid, self.means[:1])
        sizes = [most_trained(self.grid, size) for size in (self.pair.smaller, self.pair.larger)]
        choices = list(product(*sizes))
        for chosen in choices if len(choices) > 1 else ():
            weights = np.zeros((1, len(self.grid.models)))
            weights[:, list(chosen)] = 1.0
            yield self._read(inside, weights)

    def _read(self, means: Floats, weights: Floats) -> Floats:
        """Gains are on a scale, so seeds are averaged on it."""
        columns = []
        for own, shares in self._seeds(means):
            # A resample that leaves out every seed which was trained so far has no other in its place.
            left = weights[:, own] + (weights[:, own].sum(axis=1, keepdims=True) == 0.0)
            columns.append((_scaled(shares, self.scale, self.floor) * left).sum(axis=1) / left.sum(axis=1))
        return np.column_stack(columns)

    def _seeds(self, means: Floats) -> Iterator[tuple[list[int], Floats]]:
        """At each corner the models of its size, and their shares there [B, seeds]."""
        for size, at in self.pair.corners():
            own = most_trained(self.grid, size)
            amounts = np.log10(self.grid.amounts)
            yield own, np.stack([_between(means[:, m], amounts, at) for m in own], axis=1)


def most_trained(grid: Grid, size: float) -> list[int]:
    """The checkpoints of a size that learnt from most tokens, one of each seed that went so far."""
    own = np.flatnonzero(grid.size == size)
    return [int(at) for at in own[grid.tokens[own] >= _AS_MANY * grid.tokens[own].max()]]


def _inside(grid: Grid, means: Floats) -> Floats:
    """Means [B, M, K] with half a problem right and half a problem wrong, so that resamples have a logit; of
    shares of many draws a smaller part of one, by their spread, or it would outweigh a small mean. Means of
    0 and 1 stay: their shares tell no spread."""
    mean = grid.values.mean(axis=0)
    edge = np.where((mean > 0.0) & (mean < 1.0), EDGE * spread_of(grid.values), 0.0)
    out: Floats = (len(grid.values) * means + edge) / (len(grid.values) + 2.0 * edge)
    return out


def _between(means: Floats, known: Floats, at: float) -> Floats:
    """[B]: means [B, K] at amounts [K] in log10, read off at another."""
    after = int(np.clip(np.searchsorted(known, at), 1, len(known) - 1))
    part = (at - known[after - 1]) / (known[after] - known[after - 1])
    out: Floats = means[:, after - 1] + part * (means[:, after] - means[:, after - 1])
    return out


def without_each_size(
    grid: Grid, law: JointLaw, *, draws: int = 200
) -> dict[float, Mapping[str, Estimate] | None]:
    """The parameters when each size is left out in turn: a verdict that hangs on one size is none. None where
    the others do not bear the law.

    Resampling problems does not tell how much the choice of models matters; this does.
    """
    found: dict[float, Mapping[str, Estimate] | None] = {}
    for size in np.unique(grid.size):
        try:
            found[float(size)] = fit(grid.only(grid.size != size), law, draws=draws).parameters
        except LawUndefined:
            found[float(size)] = None
    return found


def product_form(fitted: Fit) -> ProductForm:
    """Test the product form on a joint law in FLOP."""
    low, high = (np.log10(end) for end in fitted.reach)
    centre = (low + high) / 2.0
    rows = np.concatenate([fitted.value[None], fitted.draws])
    training = rows[:, 2] + rows[:, 4] * centre[2]
    inference = rows[:, 3] + rows[:, 4] * centre[1]
    ratio = np.where(training > 0.0, inference / np.where(training > 0.0, training, 1.0), np.nan)
    apart = np.column_stack([inference - training, rows[:, 4]])
    wald = float(apart[0] @ np.linalg.solve(np.cov(apart[1:].T), apart[0])) / 2.0
    return ProductForm(
        training=_sure(training, fitted),
        inference=_sure(inference, fitted),
        ratio=_told(ratio, fitted),
        interaction=_sure(rows[:, 4], fitted),
        p_value=float(f_distribution.sf(wald, 2, max(1, fitted.problems - 2))),
    )


def _sure(values: Floats, fitted: Fit) -> Estimate:
    """Of a figure that every refit has."""
    low, high = interval(values[:1], values[1:, None], level=fitted.level, problems=fitted.problems)
    return Estimate(float(values[0]), float(low[0]), float(high[0]))
