"""What training and inference exchange for: contours of equal accuracy, the rate along them, the best split.

At a level of accuracy and an amount of training compute, the contour tells the least inference compute a
problem that reaches the level: over all sizes of the family, each trained on as many tokens as the compute
allows, each drawn from as often as the joint law asks for. Its slope is the exchange rate. Only what was
measured is used: sizes, tokens and amounts inside of the family's ranges.

Jones 2021 (Scaling Scaling Laws with Board Games, arXiv 2104.03113, §5) found 10 times the training to be
worth 15 times the inference on Hex; Villalobos & Atkinson 2023 (Trading Off Compute in Training and
Inference, Epoch AI) tell how far such exchanges go; Erdil 2024 (Optimally Allocating Compute Between
Inference and Training, Epoch AI) splits a budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from ponder.errors import InputError, LawUndefined
from ponder.laws.fit import Fit, interval
from ponder.laws.grid import Grid
from ponder.laws.joint import law_of
from ponder.measure.intervals import Estimate

__all__ = ["Costs", "Exchange", "Level", "Split", "best_split", "estimate_of", "exchange"]

Floats = NDArray[np.float64]

_SIZES, _TRAININGS, _SHARES = 25, 31, 49
_LEVELS = 5
_LEAST_POINTS = 3  # of a contour, for a rate
_KEPT = 0.8  # share of refits that must have a rate
_FLAT = 1.02  # how close to the least inference there is, a contour is at its end


@dataclass(frozen=True)
class Costs:
    """FLOP anywhere inside of a family's ranges. Training FLOP a token, and the inference FLOP of each
    measured amount, are power laws in the size, fitted to its models; between amounts the line is straight in
    logs.

    `training` [2] and `inference` [2, K] are constants and exponents in log10; `error` is the largest
    relative miss at what was measured. `sizes`, `tokens`, `amounts` are the ranges.
    """

    training: Floats
    inference: Floats
    at_amounts: Floats
    sizes: tuple[float, float]
    tokens: tuple[float, float]
    error: float

    @classmethod
    def of(cls, grid: Grid) -> Costs:
        """Raises LawUndefined for one size only."""
        if np.ptp(np.log10(grid.size)) < 1e-9:
            raise LawUndefined(f"size: {grid.name} has models of one size only; record other sizes.")
        columns = np.column_stack([np.ones(len(grid.size)), np.log10(grid.size)])
        told = np.column_stack([np.log10(grid.training_flop / grid.tokens), np.log10(grid.inference_flop)])
        found = np.linalg.lstsq(columns, told, rcond=None)[0]
        missed = np.abs(10.0 ** (columns @ found - told) - 1.0).max()
        return cls(
            training=found[:, 0],
            inference=found[:, 1:],
            at_amounts=np.log10(grid.amounts),
            sizes=(float(grid.size.min()), float(grid.size.max())),
            tokens=(float(grid.tokens.min()), float(grid.tokens.max())),
            error=float(missed),
        )

    @property
    def amounts(self) -> tuple[float, float]:
        return float(10.0 ** self.at_amounts[0]), float(10.0 ** self.at_amounts[-1])

    def training_per_token(self, size: Floats) -> Floats:
        """FLOP of learning from one token, at sizes [N] -> [N]."""
        out: Floats = 10.0 ** (self.training[0] + self.training[1] * np.log10(size))
        return out

    def inference_flop(self, size: float, log_amount: Floats) -> Floats:
        """FLOP of one problem at one size, at amounts [...] in log10."""
        out: Floats = 10.0 ** np.interp(log_amount, self.at_amounts, self._of_amounts(size))
        return out

    def log_amount(self, size: float, flop: Floats) -> Floats:
        """The amount in log10 that so much compute [...] buys at one size, at most the largest measured; nan
        below the least."""
        known = np.maximum.accumulate(self._of_amounts(size))
        wanted = np.log10(flop)
        out: Floats = np.where(wanted < known[0], np.nan, np.interp(wanted, known, self.at_amounts))
        return out

    def _of_amounts(self, size: float) -> Floats:
        out: Floats = self.inference[0] + self.inference[1] * np.log10(size)
        return out


@dataclass(frozen=True)
class Level:
    """A contour: the least `inference` [T] FLOP a problem that reaches `accuracy` after at most so much
    `training` [T], with its interval, and the `size` [T] that does. nan where nothing inside of the ranges
    reaches it.

    `rate` is the power r in "10 times the training is worth 10^r times the inference"; None where too little
    of the contour lies inside of the ranges. The spans count decades of the contour.
    """

    accuracy: float
    training: Floats
    inference: Floats
    low: Floats
    high: Floats
    size: Floats
    rate: Estimate | None
    training_span: float
    inference_span: float


@dataclass(frozen=True)
class Exchange:
    """Contours and rates of one family under one strategy. `by_size` tells the rate at which one model's own
    further training is worth more of the amount, at each of `sizes`."""

    name: str
    unit: str
    levels: tuple[Level, ...]
    sizes: tuple[float, ...]
    by_size: tuple[Estimate | None, ...]
    costs: Costs


def exchange(fitted: Fit, grid: Grid, *, accuracies: Sequence[float] = ()) -> Exchange:
    """Contours at `accuracies`, by default at five that were measured, from a joint law in samples that was
    fitted to the grid. Raises InputError for an accuracy that is no share."""
    for each in accuracies:
        if not 0.0 < each < 1.0:
            raise InputError(f"level: an accuracy must lie between 0 and 1, not {each:g}.")
    costs = Costs.of(grid)
    training = np.geomspace(grid.training_flop.min(), grid.training_flop.max(), _TRAININGS)
    levels = accuracies or _usual(grid)
    sizes = tuple(float(size) for size in np.unique(grid.size))
    return Exchange(
        name=grid.name,
        unit=grid.unit,
        levels=tuple(_level(fitted, costs, each, training) for each in levels),
        sizes=sizes,
        by_size=tuple(_own_rate(fitted, size) for size in sizes),
        costs=costs,
    )


def estimate_of(value: float, draws: Floats, fitted: Fit) -> Estimate | None:
    """A figure that is had from a fit's parameters, with its interval from the refits [B] that have one; None
    where the estimate or more than a fifth of the refits have none."""
    kept = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(kept) < _KEPT * len(draws):
        return None
    low, high = interval(np.array([value]), kept[:, None], level=fitted.level, problems=fitted.problems)
    return Estimate(float(value), float(low[0]), float(high[0]))


def _usual(grid: Grid) -> tuple[float, ...]:
    """Accuracies from the lower to the upper end of what was measured, evenly in the logit."""
    means = np.clip(grid.values.mean(axis=0), 0.005, 0.995)
    low, high = np.quantile(means, [0.3, 0.9])
    return tuple(float(np.round(each, 3)) for each in expit(np.linspace(logit(low), logit(high), _LEVELS)))


def _own_rate(fitted: Fit, size: float) -> Estimate | None:
    """b_D / (b_k + c·log N): along one model's own training, in amounts and not in FLOP."""

    def rate(parameters: Floats) -> Floats:
        amount = parameters[:, 3] + parameters[:, 4] * np.log10(size)
        return np.where(amount > 0.0, parameters[:, 2] / np.where(amount > 0.0, amount, 1.0), np.nan)

    return estimate_of(float(rate(fitted.value[None])[0]), rate(fitted.draws), fitted)


# ---------------------------------------------------------------- contours


def _level(fitted: Fit, costs: Costs, accuracy: float, training: Floats) -> Level:
    parameters = np.concatenate([fitted.value[None], fitted.draws])
    inference, size = _contour(parameters, law_of(fitted).floor, costs, accuracy, training)
    logs = np.log10(inference)
    low, high = np.full(len(training), np.nan), np.full(len(training), np.nan)
    for place in np.flatnonzero(np.isfinite(logs[0])):
        told = estimate_of(float(logs[0, place]), logs[1:, place], fitted)
        if told is not None:
            low[place], high[place] = 10.0**told.low, 10.0**told.high
    # Each refit is read along its own contour: where a contour begins and ends is as unsure as its slope.
    windows = _windows(logs)
    rates = -_slopes(np.log10(training), np.where(windows, logs, np.nan))
    own = windows[0]
    spans = (np.ptp(np.log10(training)[own]), np.ptp(logs[0, own])) if own.any() else (0.0, 0.0)
    return Level(
        accuracy=accuracy,
        training=training,
        inference=inference[0],
        low=low,
        high=high,
        size=size,
        rate=estimate_of(float(rates[0]), rates[1:], fitted),
        training_span=float(spans[0]),
        inference_span=float(spans[1]),
    )


def _contour(
    parameters: Floats, floor: float, costs: Costs, accuracy: float, training: Floats
) -> tuple[Floats, Floats]:
    """[B, T]: the least inference FLOP that reach the accuracy, nan where none do; [T]: the size that does so
    for the first row. Training compute that would buy more tokens than were measured is left unspent."""
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = logit((accuracy - floor) / (parameters[:, 5] - floor))[:, None]  # nan above the ceiling
    least = np.full((len(parameters), len(training)), np.inf)
    best = np.full(len(training), np.nan)
    for size in np.geomspace(*costs.sizes, _SIZES):
        tokens = np.minimum(training / costs.training_per_token(np.array([size])), costs.tokens[1])
        amount = _needed(parameters, wanted, float(np.log10(size)), np.log10(tokens), costs)
        too_few = tokens < costs.tokens[0] * (1.0 - 1e-9)
        flop = np.where(too_few | np.isnan(amount), np.inf, costs.inference_flop(float(size), amount))
        best = np.where(flop[0] < least[0], size, best)
        least = np.minimum(least, flop)
    return np.where(np.isinf(least), np.nan, least), best


def _needed(parameters: Floats, wanted: Floats, size: float, tokens: Floats, costs: Costs) -> Floats:
    """[B, T]: the amount in log10 at which the law reaches `wanted` [B, 1] logits, for one size and tokens
    [T] in log10; at least the least measured, nan past the largest."""
    base = parameters[:, :1] + parameters[:, 1:2] * size + parameters[:, 2:3] * tokens[None, :]
    slope = parameters[:, 3:4] + parameters[:, 4:5] * size
    first, last = costs.at_amounts[0], costs.at_amounts[-1]
    there = base + slope * first >= wanted
    amount = (wanted - base) / np.where(slope > 0.0, slope, 1.0)
    reached = (slope > 0.0) & (amount <= last + 1e-9)
    out: Floats = np.where(there, first, np.where(reached, np.maximum(amount, first), np.nan))
    return out


def _windows(logs: Floats) -> NDArray[np.bool_]:
    """[B, T]: where each contour exists and falls, up to the first place of its end, from which on it is
    flat."""
    filled = np.where(np.isfinite(logs), logs, np.inf)
    ended = filled <= filled.min(axis=1, keepdims=True) + np.log10(_FLAT)
    found: NDArray[np.bool_] = np.isfinite(logs) & (np.arange(logs.shape[1]) <= ended.argmax(axis=1)[:, None])
    return found


def _slopes(x: Floats, y: Floats) -> Floats:
    """[B]: the slope of a straight line through the finite points of each row of y [B, T]; nan for fewer than
    three."""
    there = np.isfinite(y)
    count = there.sum(axis=1)
    n = np.maximum(count, 1)
    filled = np.where(there, y, 0.0)
    mean_x = (there * x).sum(axis=1) / n
    mean_y = filled.sum(axis=1) / n
    apart = there * (x[None, :] - mean_x[:, None])
    squares = (apart**2).sum(axis=1)
    good = (count >= _LEAST_POINTS) & (squares > 0.0)
    slope = (apart * (filled - mean_y[:, None])).sum(axis=1) / np.where(good, squares, 1.0)
    return np.where(good, slope, np.nan)


# ---------------------------------------------------------------- the best split


@dataclass(frozen=True, slots=True)
class Split:
    """The best use of a budget for training and so many queries: the share that inference takes, the size,
    its training tokens and its amount a query, and the accuracy. `at_bounds` names what would go further than
    was measured."""

    queries: float
    budget: float
    inference_share: Estimate
    accuracy: Estimate
    size: float
    tokens: float
    amount: float
    at_bounds: tuple[str, ...]


def best_split(fitted: Fit, grid: Grid, *, budget: float, queries: float) -> Split:
    """Split `budget` FLOP between training and `queries` problems so that accuracy is greatest.

    Compute that would buy more tokens or samples than were measured is left unspent. Raises InputError for
    numbers that are not positive, LawUndefined where the budget does not pay for the smallest training and
    one sample a query.
    """
    for name, value in (("budget", budget), ("queries", queries)):
        if not 0.0 < value < np.inf:
            raise InputError(f"{name}: it must be a positive number, not {value:g}.")
    costs = Costs.of(grid)
    shares = expit(np.linspace(-7.0, 7.0, _SHARES))
    sizes = np.geomspace(*costs.sizes, _SIZES)
    places, at = _choices(costs, sizes, shares, budget, queries)
    if not len(places):
        raise LawUndefined(
            f"budget: {budget:.3g} FLOP do not pay for {queries:.3g} queries and the least training that was "
            "measured; give more, or ask for fewer."
        )
    parameters = np.concatenate([fitted.value[None], fitted.draws])
    accuracies = fitted.law.at(parameters, places)
    best = accuracies.argmax(axis=1)
    value = accuracies.max(axis=1)
    share = estimate_of(float(at[best[0]]), at[best[1:]], fitted)
    accuracy = estimate_of(float(value[0]), value[1:], fitted)
    if share is None or accuracy is None:
        raise LawUndefined(f"{fitted.law.name}: its refits do not settle on a split; measure more problems.")
    size, tokens, amount = (float(each) for each in places[best[0]])
    ranges = {
        "size": (size, costs.sizes),
        "tokens": (tokens, costs.tokens),
        "amount": (amount, costs.amounts),
    }
    ends = tuple(
        name for name, (x, ends) in ranges.items() if min(abs(np.log(x / end)) for end in ends) < 1e-6
    )
    return Split(queries, budget, share, accuracy, size, tokens, amount, ends)


def _choices(
    costs: Costs, sizes: Floats, shares: Floats, budget: float, queries: float
) -> tuple[Floats, Floats]:
    """[C, 3] the sizes, tokens and amounts that the budget pays for, and [C] inference's share in each."""
    places, at = [], []
    for size in sizes:
        tokens = (1.0 - shares) * budget / costs.training_per_token(np.array([size]))
        amount = 10.0 ** costs.log_amount(float(size), shares * budget / queries)
        good = (tokens >= costs.tokens[0]) & np.isfinite(amount)
        capped = np.minimum(tokens[good], costs.tokens[1])
        places.append(np.column_stack([np.full(good.sum(), size), capped, amount[good]]))
        at.append(shares[good])
    return np.concatenate(places), np.concatenate(at)
