"""Compute-optimal choice: which strategy at which budget for which predicted difficulty, from a bank.

After Snell et al. 2024 (arXiv 2408.03314 §3): difficulty is predicted without a key, problems are binned by
it, and each bin takes the strategy that is best there. Here the prediction comes from the first samples of a
problem (their agreement, entropy and log-probability), whose cost is counted. Keys are used on one half of
the problems alone; the other half is evaluated, then the halves change places, so every problem is evaluated
by a policy that never saw its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError
from ponder.measure.allocation import Prompts
from ponder.measure.intervals import resample
from ponder.measure.policies import doubling
from ponder.measure.stored import StoredBank

__all__ = ["Bins", "Choice", "ChoicePoint", "FixedPolicy", "Policies", "Table", "choose", "cross_fit", "fit"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Interval = tuple[float, float, float]

LOOKED_AT = 4
"""Samples that difficulty is predicted from."""

_RIDGE = 1e-3


@dataclass(frozen=True, slots=True)
class ChoicePoint:
    """One budget in mean tokens a problem: accuracy of the chosen policy and of the best fixed one with their
    90 % intervals, the paired difference with its own, and the tokens that each really took."""

    budget: float
    chosen: Interval
    fixed: Interval
    gain: Interval
    chosen_tokens: float
    fixed_tokens: float
    by_bin: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FixedPolicy:
    """The same strategy for every problem: its mean tokens and its accuracy with a 90 % interval."""

    name: str
    tokens: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Choice:
    """The curve of the choice beside every fixed policy. `edges` are the predicted accuracies of one sample
    between the bins, hardest first; `by_bin` of a point names each bin's strategy (fitted on all problems, as
    one would use it; accuracies are cross-fitted)."""

    tasks: tuple[str, ...]
    problems: int
    looked_at: int
    prompts: Prompts
    edges: tuple[float, ...]
    points: tuple[ChoicePoint, ...]
    fixed: tuple[FixedPolicy, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Table:
    """What every action does for every problem in every order of its samples: `features` [R, P, F]; `single`
    [P], the accuracy of one sample; `earned` [R, P, A], the credit; `spent` [R, P, A], tokens with the look
    included, and `plain` without it."""

    names: tuple[str, ...]
    features: Floats
    single: Floats
    earned: Floats
    spent: Floats
    plain: Floats

    def part(self, rows: NDArray[np.bool_]) -> Table:
        return Table(
            self.names,
            self.features[:, rows],
            self.single[rows],
            self.earned[:, rows],
            self.spent[:, rows],
            self.plain[:, rows],
        )


@dataclass(frozen=True, slots=True)
class Bins:
    """What was learned with keys: how features predict difficulty, where the bins are, and for each budget
    the share with which a bin takes each action, [B, bins, A]."""

    weights: Floats
    edges: Floats
    shares: Floats

    def decide(self, features: Floats) -> Floats:
        """[..., B, A]: with what share a problem takes each action at each budget, by its features alone."""
        where: Ints = np.searchsorted(self.edges, features @ self.weights, side="right")
        out: Floats = np.moveaxis(self.shares, 1, 0)[where]
        return out

    def evaluate(self, table: Table, *, looked: bool) -> Floats:
        """[2, P, B]: expected accuracy and tokens of each problem at each budget."""
        shares = self.decide(table.features)
        spent = table.spent if looked else table.plain
        means = [np.einsum("rpba,rpa->pb", shares, each) / len(shares) for each in (table.earned, spent)]
        return np.stack(means)


@dataclass(frozen=True, slots=True)
class Policies:
    """The choice by difficulty, the best fixed policy, and at which budgets looking was worth its cost where
    keys are known, [B]; at the others the choice is the fixed policy, without a look."""

    binned: Bins
    fixed: Bins
    looks: NDArray[np.bool_]

    def evaluate(self, table: Table) -> Floats:
        """[2, P, B]: expected accuracy and tokens of each problem at each budget."""
        looked, blind = self.binned.evaluate(table, looked=True), self.fixed.evaluate(table, looked=False)
        out: Floats = np.where(self.looks, looked, blind)
        return out

    def named(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """[B][bins]: the action that a bin takes for the most part."""
        bins = self.binned.shares.shape[1]
        shares = np.where(self.looks[:, None, None], self.binned.shares, self.fixed.shares.repeat(bins, 1))
        return [tuple(names[int(i)] for i in row) for row in shares.argmax(axis=2)]


def choose(
    banks: Sequence[StoredBank],
    *,
    looked_at: int = LOOKED_AT,
    bins: int = 5,
    prompts: Prompts = "read",
    orders: int = 8,
    rng: np.random.Generator,
) -> Choice:
    """Choose by predicted difficulty over all problems of the banks together, cross-fitted.

    The fixed policy at a budget is the best mixture of two fixed strategies, picked on the same half. Raises
    InputError for fewer than 8 problems a bin (4 in each half), or fewer samples than twice those looked at.
    """
    problems = sum(len(bank) for bank in banks)
    samples = min(bank.choice.shape[1] for bank in banks)
    if problems < 8 * bins:
        raise InputError(f"run: {problems} problems are too few for {bins} bins; measure {8 * bins} or more.")
    if samples < 2 * looked_at:
        raise InputError(f"run: {samples} samples a problem are too few; measure {2 * looked_at} or more.")
    table = _table(banks, looked_at, samples, prompts, orders, rng)
    grid = _budgets(table)
    chosen, fixed = cross_fit(table, rng.permutation(problems) % 2 == 0, grid, bins)
    whole = fit(table, grid, bins)
    gains = _interval((chosen[0] - fixed[0] + 1) / 2, rng)
    rows = zip(
        grid,
        _interval(chosen[0], rng),
        _interval(fixed[0], rng),
        [(2 * m - 1, 2 * a - 1, 2 * b - 1) for m, a, b in gains],
        chosen[1].mean(axis=0).tolist(),
        fixed[1].mean(axis=0).tolist(),
        whole.named(table.names),
        strict=True,
    )
    accuracy = _interval(table.earned.mean(axis=0), rng)
    tokens = table.plain.mean(axis=(0, 1)).tolist()
    return Choice(
        tuple(bank.task for bank in banks),
        problems,
        looked_at,
        prompts,
        tuple(whole.binned.edges.tolist()),
        tuple(ChoicePoint(float(row[0]), *row[1:]) for row in rows),
        tuple(FixedPolicy(*each) for each in zip(table.names, tokens, accuracy, strict=True)),
    )


def cross_fit(table: Table, half: NDArray[np.bool_], grid: Floats, bins: int) -> tuple[Floats, Floats]:
    """Accuracy and tokens of the choice and of the fixed policy, [2, P, B] each. Those of the problems in
    `half` ([P]) come from policies that were learned from the others, and the other way round."""
    chosen, fixed = np.zeros((2, half.size, grid.size)), np.zeros((2, half.size, grid.size))
    for judged in (half, ~half):
        policies = fit(table.part(~judged), grid, bins)
        chosen[:, judged] = policies.evaluate(table.part(judged))
        fixed[:, judged] = policies.fixed.evaluate(table.part(judged), looked=False)
    return chosen, fixed


def _interval(values: Floats, rng: np.random.Generator) -> list[Interval]:
    low, high = resample(np.clip(values, 0.0, 1.0), rng=rng)
    return list(zip(values.mean(axis=0).tolist(), low.tolist(), high.tolist(), strict=True))


# ---------------------------------------------------------------- learning and deciding


def fit(table: Table, grid: Floats, bins: int) -> Policies:
    """Learn from problems whose keys are known, for the budgets of `grid` (mean tokens a problem)."""
    binned, fixed = _fit(table, grid, bins), _fit(table, grid, 1)
    gain = binned.evaluate(table, looked=True)[0] - fixed.evaluate(table, looked=False)[0]
    return Policies(binned, fixed, gain.mean(axis=0) > 0)


def _fit(table: Table, grid: Floats, bins: int) -> Bins:
    """With one bin there is nothing to look at, and its costs are those of a fixed strategy."""
    looked = bins > 1
    rows = table.features.reshape(-1, table.features.shape[-1])
    target = np.tile(table.single, len(table.features))
    inner = rows.T @ rows + _RIDGE * len(rows) * np.eye(rows.shape[1])
    weights = np.asarray(np.linalg.solve(inner, rows.T @ target), np.float64)
    predicted = rows @ weights
    edges = np.asarray(np.quantile(predicted, np.arange(1, bins) / bins), np.float64)
    where = np.searchsorted(edges, predicted, side="right")
    earned = table.earned.reshape(len(rows), -1)
    spent = (table.spent if looked else table.plain).reshape(len(rows), -1)
    known = [where == b for b in range(bins)]
    mass = np.array([own.mean() for own in known])
    blank = np.full(earned.shape[1], np.nan)
    means = [(earned[own].mean(0), spent[own].mean(0)) if own.any() else (blank, blank) for own in known]
    return Bins(weights, edges, _shares(mass, means, grid))


def _shares(mass: Floats, means: Sequence[tuple[Floats, Floats]], grid: Floats) -> Floats:
    """[B, bins, A]: along the upper convex hull of every bin's actions, the steepest step of all bins first,
    until the budget is spent; the last step is taken with the share that the budget has room for."""
    actions = len(means[0][0])
    steps: list[tuple[float, int, int, int, float]] = []
    start, at_start = 0.0, [0] * len(means)
    for b, (earned, spent) in enumerate(means):
        if mass[b] == 0:
            continue
        at = min(range(actions), key=lambda a: (spent[a], -earned[a]))
        at_start[b] = at
        start += mass[b] * spent[at]
        while True:
            dearer = [a for a in range(actions) if spent[a] > spent[at] and earned[a] > earned[at]]
            if not dearer:
                break
            slope, after = max(((earned[a] - earned[at]) / (spent[a] - spent[at]), a) for a in dearer)
            steps.append((float(slope), b, at, after, float(mass[b] * (spent[after] - spent[at]))))
            at = after
    # Slopes fall along a bin's hull, and a stable sort keeps its steps in order.
    steps.sort(key=lambda step: -step[0])
    out = np.zeros((grid.size, len(means), actions))
    for row, budget in zip(out, grid, strict=True):
        row[np.arange(len(means)), at_start] = 1.0
        left = max(0.0, budget - start)
        for _, b, before, after, cost in steps:
            share = min(1.0, left / cost)
            row[b, before] -= share
            row[b, after] += share
            left -= share * cost
            if left <= 0:
                break
    return out


def _budgets(table: Table) -> Floats:
    """Budgets from what a look costs to the dearest action."""
    low, high = table.spent.mean(axis=(0, 1)).min(), table.spent.mean(axis=(0, 1)).max()
    out: Floats = np.geomspace(low, high, 12)
    return out


# ---------------------------------------------------------------- what the bank tells


def _table(
    banks: Sequence[StoredBank],
    looked_at: int,
    samples: int,
    prompts: Prompts,
    orders: int,
    rng: np.random.Generator,
) -> Table:
    scored = not any(np.isnan(bank.certainty).any() for bank in banks)
    direct = all(bank.direct is not None for bank in banks)
    ks = doubling(samples)
    kinds = ("vote:", "weighted_vote:by=confidence,", "best:by=confidence,") if scored else ("vote:",)
    names = [f"{kind}n={k}" for kind in kinds for k in ks if kind == "vote:" or k > 1]
    rows = [
        [_row(bank, i, rng.permutation(samples), ks, looked_at, prompts, scored) for _ in range(orders)]
        for bank in banks
        for i in range(len(bank))
    ]
    features, earned, spent, plain = (
        np.array([[order[part] for order in own] for own in rows]).swapaxes(0, 1) for part in range(4)
    )
    if direct:
        names.append("direct")
        known = [bank.direct for bank in banks if bank.direct is not None]
        right = np.tile(np.concatenate([accuracy for accuracy, _ in known]), (orders, 1))[..., None]
        cost = np.tile(np.concatenate([tokens for _, tokens in known]), (orders, 1))[..., None]
        earned = np.concatenate([earned, right], axis=-1)
        spent = np.concatenate([spent, cost + spent.min(axis=-1, keepdims=True)], axis=-1)
        plain = np.concatenate([plain, cost], axis=-1)
    single = np.concatenate([bank.correct.mean(axis=1) for bank in banks])
    return Table(tuple(names), features, single, earned, spent, plain)


def _row(
    bank: StoredBank,
    i: int,
    order: Ints,
    ks: Sequence[int],
    looked_at: int,
    prompts: Prompts,
    scored: bool,
) -> tuple[Floats, Floats, Floats, Floats]:
    """Features, and each action's credit, tokens after a look, and tokens without one, in one order."""
    labels, right = bank.choice[i, order], bank.correct[i, order]
    tokens, certainty = np.cumsum(bank.tokens[i, order]), bank.certainty[i, order]
    read = float(bank.prompt_tokens[i]) if prompts == "read" else 0.0
    kinds = [np.ones(labels.size)] + ([np.exp(certainty)] if scored else [])
    asked = [(weights, k) for weights in kinds for k in ks if weights is kinds[0] or k > 1]
    earned = [_voted(labels, right, weights, k) for weights, k in asked]
    sizes = [k for _, k in asked]
    if scored:
        earned += [_best(labels, right, certainty, k) for k in ks if k > 1]
        sizes += [k for k in ks if k > 1]

    def reads(k: int) -> float:
        return -(-k // bank.samples_per_read) * read

    plain = [reads(k) + tokens[k - 1] for k in sizes]
    look = reads(looked_at) + tokens[looked_at - 1]
    spent = [look + max(0.0, reads(k - looked_at) + tokens[k - 1] - tokens[looked_at - 1]) for k in sizes]
    spent = [look if k <= looked_at else cost for k, cost in zip(sizes, spent, strict=True)]
    seen = _features(labels[:looked_at], certainty[:looked_at] if scored else np.zeros(looked_at))
    return seen, np.array(earned), np.array(spent), np.array(plain)


def _features(labels: Ints, certainty: Floats) -> Floats:
    """A constant, the leader's share and its square, the entropy of the choices in nats, the share without a
    choice, and the mean log-probability of a token."""
    counts = np.array(list(Counter(labels[labels >= 0].tolist()).values()), np.float64)
    shares = counts / labels.size
    leader = shares.max(initial=0.0)
    entropy = -(shares * np.log(shares)).sum()
    return np.array([1.0, leader, leader**2, entropy, (labels < 0).mean(), certainty.mean()])


def _voted(labels: Ints, right: NDArray[np.bool_], weights: Floats, k: int) -> float:
    """The credit of the answer with the largest sum of weights among the first k; ties are shared."""
    cast = labels[:k] >= 0
    if not cast.any():
        return 0.0
    sums = np.bincount(labels[:k][cast], weights[:k][cast])
    good = np.bincount(labels[:k][cast], right[:k][cast]) > 0
    return float(good[sums >= sums.max() - 1e-12].mean())


def _best(labels: Ints, right: NDArray[np.bool_], certainty: Floats, k: int) -> float:
    """The credit of the surest of the first k that has a choice; ties are shared."""
    cast = labels[:k] >= 0
    if not cast.any():
        return 0.0
    own = certainty[:k][cast]
    return float(right[:k][cast][own == own.max()].mean())
