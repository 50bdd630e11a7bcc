"""Allocation across problems, replayed on a bank: uniform, by expected worth, and two oracles.

All are compared at equal total cost. A policy's curve is its mean over random orders of every problem's
samples; intervals come from resampling problems, each paired with itself.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ponder.measure import estimators
from ponder.measure.intervals import resample, resample_differences
from ponder.measure.stored import StoredBank
from ponder.solve.posterior import FLOOR, first_step, next_step

__all__ = ["AllocationPoint", "Comparison", "Prompts", "compare", "uniform"]

Prompts = Literal["read", "cached"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AllocationPoint:
    """One budget in tokens a problem, and each allocation's accuracy there with its 90 % interval.

    `gain` is adaptive less uniform, paired. The oracles need the key: `informed` knows each problem's
    accuracy at every number of samples (the allocation of Damani et al. 2024, arXiv 2410.04707 §3, with the
    truth in place of its predictions); `hindsight` knows the very draws, and bounds every allocation of a
    vote."""

    tokens: float
    uniform: tuple[float, float, float]
    adaptive: tuple[float, float, float]
    gain: tuple[float, float, float]
    informed: float
    hindsight: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Allocations at every budget. `uniform_tokens` a problem buy all samples of every problem;
    `tokens_to_match` are those with which adaptive allocation is within `margin` of that accuracy (None:
    never), `uniform_to_match` those with which uniform allocation itself is."""

    problems: int
    samples: int
    prompts: Prompts
    points: tuple[AllocationPoint, ...]
    uniform_tokens: float
    tokens_to_match: float | None
    uniform_to_match: float
    margin: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare(
    banks: Sequence[StoredBank],
    *,
    prompts: Prompts = "read",
    orders: int = 16,
    floor: float = FLOOR,
    margin: float = 0.01,
    rng: np.random.Generator,
) -> Comparison:
    """Compare allocations over all problems of the banks together, which must have equally many samples.

    `prompts`: whether every ask reads its prompt again ("read") or prompts are cached and free ("cached").
    """
    problems = _problems(banks, prompts)
    n = problems[0].labels.size
    ks = estimators.default_ks(n)
    votes = np.concatenate([estimators.vote(b.choice, b.correct, ks) for b in banks])
    spend = np.array([[p.cost(k) for k in ks] for p in problems])
    grid = np.geomspace(spend[:, 0].sum(), spend[:, -1].sum(), 33)
    even = uniform(votes, spend, grid)
    adaptive, hindsight = np.zeros(even.shape), np.zeros(grid.size)
    for _ in range(orders):
        shuffled = [p.shuffled(rng) for p in problems]
        adaptive += _adaptive(shuffled, grid, floor) / orders
        hindsight += _hindsight(shuffled, grid) / orders
    informed = _steepest(votes, spend, grid)
    return _comparison(even, adaptive, (informed, hindsight), grid, n, prompts, margin, rng)


def _comparison(
    even: Floats,
    adaptive: Floats,
    oracles: tuple[Floats, Floats],
    grid: Floats,
    n: int,
    prompts: Prompts,
    margin: float,
    rng: np.random.Generator,
) -> Comparison:
    count = len(even)

    def interval(values: Floats, how: Any = resample) -> list[tuple[float, float, float]]:
        low, high = how(values, rng=rng)
        return list(zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True))

    gains = interval(adaptive - even, resample_differences)
    rows = zip(grid, interval(even), interval(adaptive), gains, *oracles, strict=True)
    points = tuple(
        AllocationPoint(float(t) / count, u, a, g, float(i), float(h)) for t, u, a, g, i, h in rows
    )
    target = points[-1].uniform[0] - margin
    adaptive_first = next((p.tokens for p in points if p.adaptive[0] >= target), None)
    uniform_first = next(p.tokens for p in points if p.uniform[0] >= target)
    return Comparison(count, n, prompts, points, points[-1].tokens, adaptive_first, uniform_first, margin)


def uniform(votes: Floats, spend: Floats, grid: Floats) -> Floats:
    """[P, B]: each problem's accuracy when all get equally many samples, from `votes` and `spend` [P, K].

    Between two whole numbers of samples problems are split at random, so that every budget is spent in full.
    """
    totals = spend.sum(axis=0)
    out: Floats = np.stack([np.interp(grid, totals, row) for row in votes])
    return out


@dataclass(frozen=True, slots=True)
class _Problem:
    """One problem's samples in some order. `reads`: prompt tokens of one ask, 0 where cached."""

    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]
    tokens: Floats
    reads: float
    per_read: int

    def cost(self, k: int) -> float:
        """What k samples in one ask cost in expectation."""
        return -(-k // self.per_read) * self.reads + k * float(self.tokens.mean())

    def shuffled(self, rng: np.random.Generator) -> _Problem:
        order = rng.permutation(self.labels.size)
        return replace(
            self, labels=self.labels[order], correct=self.correct[order], tokens=self.tokens[order]
        )

    def credits(self) -> Floats:
        """[n+1]: the vote's accuracy after each prefix, ties split evenly; 0 before the first sample."""
        votes, right, out = Counter[int](), dict[int, bool](), [0.0]
        for label, mark in zip(self.labels.tolist(), self.correct.tolist(), strict=True):
            if label >= 0:
                votes[label] += 1
                right[label] = mark
            most = max(votes.values(), default=0)
            leaders = [right[c] for c, count in votes.items() if count == most]
            out.append(sum(leaders) / len(leaders) if leaders else 0.0)
        return np.array(out)


def _problems(banks: Sequence[StoredBank], prompts: Prompts) -> list[_Problem]:
    sizes = {bank.choice.shape[1] for bank in banks}
    if len(sizes) != 1:
        raise ValueError(f"the banks must have equally many samples a problem, not {sorted(sizes)}.")
    return [
        _Problem(
            bank.choice[i],
            bank.correct[i],
            bank.tokens[i],
            float(bank.prompt_tokens[i]) if prompts == "read" else 0.0,
            bank.samples_per_read,
        )
        for bank in banks
        for i in range(len(bank))
    ]


@dataclass(frozen=True, slots=True)
class _Reach:
    """A problem's next step: its index, its cost, and the number of samples at its end."""

    index: float
    cost: float
    end: int


def _walk(problem: _Problem, first: int, floor: float) -> Iterator[_Reach]:
    """The steps that allocation would take on one problem, however many of them it is granted."""
    n, drawn, votes = problem.labels.size, 0, Counter[int]()
    more, index = first, inf
    while more:
        spent = -(-more // problem.per_read) * problem.reads + problem.tokens[drawn : drawn + more].sum()
        yield _Reach(index, float(spent), drawn + more)
        votes.update(c for c in problem.labels[drawn : drawn + more].tolist() if c >= 0)
        drawn += more
        expected = float(problem.tokens[:drawn].mean())
        step = next_step(
            sorted(votes.values(), reverse=True),
            n - drawn,
            read=problem.reads,
            each=expected,
            abstained=drawn - votes.total(),
            floor=floor,
        )
        more, index = step.more, step.index


def _adaptive(problems: Sequence[_Problem], grid: Floats, floor: float) -> Floats:
    """[P, B]: each problem's credit where the highest index is served next, until the next does not fit.

    What a problem gets at first depends on the budget, as it does live.
    """
    credits = [problem.credits() for problem in problems]
    read = float(np.mean([problem.reads for problem in problems]))
    each = float(np.mean([problem.tokens.mean() for problem in problems]))
    most = problems[0].labels.size
    firsts = [min(most, first_step(budget / len(problems), read=read, each=each)) for budget in grid]
    out = np.zeros((len(problems), grid.size))
    for first in sorted(set(firsts)):
        columns = [i for i, own in enumerate(firsts) if own == first]
        out[:, columns] = _spent_greedily(problems, credits, grid[columns], first, floor)
    return out


def _spent_greedily(
    problems: Sequence[_Problem], credits: Sequence[Floats], grid: Floats, first: int, floor: float
) -> Floats:
    walks = [_walk(problem, first, floor) for problem in problems]
    now, out = np.zeros(len(problems)), np.zeros((len(problems), grid.size))
    waiting = [(-inf, i, next(walk)) for i, walk in enumerate(walks)]
    spent, column = 0.0, 0
    while waiting:
        _, i, step = heapq.heappop(waiting)
        while column < grid.size and spent + step.cost > grid[column]:
            out[:, column] = now
            column += 1
        spent += step.cost
        now[i] = credits[i][step.end]
        following = next(walks[i], None)
        if following is not None:
            heapq.heappush(waiting, (-following.index, i, following))
    out[:, column:] = now[:, None]
    return out


def _hindsight(problems: Sequence[_Problem], grid: Floats) -> Floats:
    """[B]: what an allocation scores that knows these very draws and stops each problem where it pays most.
    Each prompt is read once."""
    spend = np.array([problem.reads + np.cumsum(problem.tokens) for problem in problems])
    return _steepest(np.array([problem.credits()[1:] for problem in problems]), spend, grid)


def _steepest(scores: Floats, spend: Floats, grid: Floats) -> Floats:
    """[B]: the largest mean score for each total cost, when each problem may stop at any of its K points of
    `scores` and `spend` [P, K] and has to pay for the first: steps along the upper convex hulls, steepest
    first. (Between two steps it is the optimum of a mixture, so a bound.)"""
    steps: list[tuple[float, float]] = []
    for costs, earned in zip(spend, scores, strict=True):
        at = 0
        while at + 1 < costs.size:
            slopes = (earned[at + 1 :] - earned[at]) / (costs[at + 1 :] - costs[at])
            best = int(slopes.argmax())
            if slopes[best] <= 0:
                break
            steps.append((float(slopes[best]), float(costs[at + 1 + best] - costs[at])))
            at += 1 + best
    steps.sort(reverse=True)
    totals = np.cumsum([spend[:, 0].sum(), *(cost for _, cost in steps)])
    sums = np.cumsum([scores[:, 0].sum(), *(slope * cost for slope, cost in steps)])
    out: Floats = np.interp(grid, totals, sums) / len(scores)
    return out
