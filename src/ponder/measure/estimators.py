"""What a policy scores at every k, from one bank of n samples a problem.

Each estimator is the expectation over a uniformly random k-subset of a problem's n samples, drawn
without replacement: an unbiased estimate of the policy's accuracy with k fresh samples. Arrays are
[P, n] (problems, samples) in and [P, K] (problems, values of k) out; numpy only.

`coverage` and `best` are closed forms. `vote` is exact up to `EXACT_UP_TO` samples and a Monte Carlo
mean over random orders of the samples beyond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EXACT_UP_TO",
    "best",
    "coverage",
    "default_ks",
    "vote",
    "vote_exact",
    "vote_sampled",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

EXACT_UP_TO = 128
"""The most samples a problem for which `vote` is computed exactly; the cost grows like n³·log n."""

_LANES = 64  # rotations of one random order that are replayed side by side
_CHUNK = 4_000_000  # numbers held at once in one working array


def default_ks(n: int) -> tuple[int, ...]:
    """Every k for n ≤ 64; beyond, about eight to a doubling, 1 and n included."""
    if n < 1:
        raise ValueError(f"default_ks needs at least one sample, not n={n}.")
    if n <= 64:
        return tuple(range(1, n + 1))
    grid = np.geomspace(1, n, int(8 * np.log2(n)) + 1).round().astype(int)
    return tuple(sorted({1, n, *grid.tolist()}))


def _checked_ks(ks: Sequence[int], n: int) -> Ints:
    out = np.asarray(ks, dtype=np.int64).reshape(-1)
    if out.size and (out.min() < 1 or out.max() > n):
        raise ValueError(f"every k must lie between 1 and the {n} samples of the bank; got {list(ks)}.")
    return out


def _same_shape(name: str, values: NDArray[np.generic], correct: Bools) -> None:
    if values.ndim != 2 or values.shape != correct.shape:
        raise ValueError(
            f"{name} and correct must both be [problems, samples]; got {values.shape} and {correct.shape}."
        )


def _share(values: Floats) -> Floats:
    """Sums of rounded terms may pass 1 by a few units in the last place."""
    out: Floats = np.clip(values, 0.0, 1.0)
    return out


def _miss(n: int, ks: Ints, most: int) -> Floats:
    """[most+1, K]: the probability C(n-c, k)/C(n, k) that a k-subset misses c given samples.

    A running product of factors in [0, 1]: no factorial, so nothing overflows or cancels.
    """
    taken = np.arange(most)[:, None]
    factors = np.clip(1.0 - ks[None, :] / (n - taken), 0.0, 1.0)
    return np.concatenate([np.ones((1, ks.size)), np.cumprod(factors, axis=0)])


def coverage(correct: Bools, ks: Sequence[int]) -> Floats:
    """pass@k: the probability that at least one of k samples is correct. [P, n] -> [P, K].

    An oracle bound, for it needs the key to pick the right sample. Chen et al. 2021 (arXiv 2107.03374)
    §2.1, 1 - C(n-c, k)/C(n, k), as a product that is stable for any n.
    """
    correct = np.asarray(correct, dtype=np.bool_)
    k = _checked_ks(ks, correct.shape[1])
    found = correct.sum(axis=1)
    out: Floats = 1.0 - _miss(correct.shape[1], k, int(found.max(initial=0)))[found]
    return out


def best(score: Floats, correct: Bools, ks: Sequence[int]) -> Floats:
    """Best-of-k: the accuracy of the highest-scored of k samples. [P, n] -> [P, K].

    `score` NaN is no score: such a sample is never picked, and a subset without any score abstains
    and earns 0. Ties are broken uniformly. The sample at rank r (0 is best) is picked when it is drawn
    and the r better ones are not: C(n-r-1, k-1)/C(n, k); tied samples share their ranks' weights.
    """
    score, correct = np.asarray(score, dtype=np.float64), np.asarray(correct, dtype=np.bool_)
    _same_shape("score", score, correct)
    problems, n = score.shape
    k = _checked_ks(ks, n)
    order = np.argsort(-score, axis=1, kind="stable")  # NaN sorts last
    ranked = np.take_along_axis(score, order, axis=1)
    scored = ~np.isnan(ranked)
    right = np.take_along_axis(correct, order, axis=1) & scored
    fresh = np.ones((problems, n), dtype=np.bool_)
    fresh[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    tie = np.cumsum(fresh, axis=1) - 1 + np.arange(problems)[:, None] * n
    size = np.bincount(tie.ravel(), minlength=problems * n)
    good = np.bincount(tie.ravel(), weights=right.ravel(), minlength=problems * n)
    credit = good[tie] / size[tie]
    return _share(credit @ -np.diff(_miss(n, k, n), axis=0))


# ---------------------------------------------------------------- plurality vote


def _ballots(choice: Ints, correct: Bools) -> tuple[Ints, Ints, Floats]:
    """Relabel each row's choices 0, 1, ... by falling count: labels [P, n] (-1 stays), counts [P, M]
    and credit [P, M], the share of a choice's samples marked correct (0 or 1 for a sound grader)."""
    problems, n = choice.shape
    order = np.argsort(choice, axis=1, kind="stable")
    ranked = np.take_along_axis(choice, order, axis=1)
    fresh = ranked[:, :1] >= 0
    fresh = np.concatenate([fresh, (ranked[:, 1:] != ranked[:, :-1]) & (ranked[:, 1:] >= 0)], axis=1)
    group = np.cumsum(fresh, axis=1) - 1
    group[ranked < 0] = n  # one spare column for those who do not vote
    slot = (group + np.arange(problems)[:, None] * (n + 1)).ravel()
    right = np.take_along_axis(correct, order, axis=1).ravel()
    counts = np.bincount(slot, minlength=problems * (n + 1)).reshape(problems, n + 1)[:, :n]
    good = np.bincount(slot, weights=right, minlength=problems * (n + 1)).reshape(problems, n + 1)[:, :n]
    width = max(1, int((counts > 0).sum(axis=1).max(initial=0)))
    by_count = np.argsort(-counts, axis=1, kind="stable")
    place = np.empty((problems, n + 1), dtype=np.int64)
    np.put_along_axis(place, by_count, np.broadcast_to(np.arange(n), (problems, n)), axis=1)
    place[:, n] = -1
    labels = np.empty((problems, n), dtype=np.int64)
    np.put_along_axis(labels, order, np.take_along_axis(place, group, axis=1), axis=1)
    counts = np.take_along_axis(counts, by_count, axis=1)[:, :width]
    good = np.take_along_axis(good, by_count, axis=1)[:, :width]
    return labels, counts, good / np.maximum(counts, 1)


def vote(
    choice: Ints,
    correct: Bools,
    ks: Sequence[int],
    *,
    rng: np.random.Generator | None = None,
    rounds: int = 64,
) -> Floats:
    """Plurality vote of k samples (self-consistency, Wang et al. 2022, arXiv 2203.11171).

    `choice` [P, n]: equal numbers are equal answers, -1 is no choice and no vote. `correct` [P, n] is
    a property of the choice; several choices may be correct. Ties are broken uniformly, so a subset
    earns the share of correct choices among the tied; without any vote it earns 0. Returns [P, K].

    Exact up to `EXACT_UP_TO` samples; beyond, a mean over `rounds` random orders from `rng` (default: a
    fixed seed), each replayed from 64 starts. k = 1 and k = n are exact always.
    """
    if np.shape(choice)[-1] <= EXACT_UP_TO:
        return vote_exact(choice, correct, ks)
    generator = np.random.default_rng(0) if rng is None else rng
    return vote_sampled(choice, correct, ks, rng=generator, rounds=rounds)


def vote_exact(choice: Ints, correct: Bools, ks: Sequence[int]) -> Floats:
    """`vote` over all k-subsets at once, by generating functions; exact to rounding for n ≤ 512.

    With c_i samples of choice i, the subsets in which the winners hold exactly a votes are counted by
    the products over i of A_i = Σ_{b<a} C(c_i, b)·x^b (behind) or B_i = C(c_i, a)·x^a (tied); x counts
    the samples drawn. A tie of t choices pays 1/t = ∫₀¹ s^(t-1) ds, so with s marking the tied
    the credit is ∫ Σ_{j correct} B_j·Π_{i≠j}(A_i + s·B_i) ds, a polynomial in s that Gauss–Legendre
    nodes integrate without error.
    """
    choice, correct = np.asarray(choice, dtype=np.int64), np.asarray(correct, dtype=np.bool_)
    _same_shape("choice", choice, correct)
    problems, n = choice.shape
    k = _checked_ks(ks, n)
    out = np.zeros((problems, k.size))
    per_chunk = max(1, _CHUNK // ((n + 1) * (n // 2 + 1)))
    for start in range(0, problems, per_chunk):
        rows = slice(start, start + per_chunk)
        _, counts, credit = _ballots(choice[rows], correct[rows])
        out[rows] = _exact_credit(counts, credit, n)[:, k]
    return _share(out)


def _exact_credit(counts: Ints, credit: Floats, n: int) -> Floats:
    """[P, n+1]: the expected credit at every k, from each choice's count and credit [P, M]."""
    pascal = _pascal(n)
    silent = pascal[n - counts.sum(axis=1)]
    total = np.zeros_like(silent)
    for votes in range(1, int(counts.max(initial=0)) + 1):
        x, weight = np.polynomial.legendre.leggauss(n // votes // 2 + 1)
        nodes, weight = (x + 1) / 2, weight / 2
        reach = counts[:, 0] >= votes  # only where some choice can hold so many votes
        product = _winners(counts[reach], credit[reach], silent[reach], votes, nodes, pascal)
        total[reach] += np.einsum("pgd,g->pd", product, weight)
    out: Floats = total / pascal[n]
    return out


def _winners(
    counts: Ints, credit: Floats, silent: Floats, votes: int, nodes: Floats, pascal: Floats
) -> Floats:
    """[P, G, n+1]: Σ_j credit_j·B_j·Π_{i≠j}(A_i + s·B_i) at each node s, as coefficients of x."""
    shape = (len(counts), nodes.size, silent.shape[1])
    every = np.broadcast_to(silent[:, None, :], shape)  # no winner singled out yet
    won = np.zeros(shape)
    for column in range(counts.shape[1]):
        size = counts[:, column]
        highest = min(votes, int(size.max(initial=0)))
        if highest == 0:
            break  # columns fall in count
        next_every, next_won = np.zeros(shape), np.zeros(shape)
        for drawn in range(highest + 1):
            ways = pascal[size, drawn][:, None, None]
            kept = slice(0, shape[2] - drawn)
            if drawn < votes:
                next_every[..., drawn:] += ways * every[..., kept]
                next_won[..., drawn:] += ways * won[..., kept]
            else:
                tied = ways * nodes[:, None]
                next_every[..., drawn:] += tied * every[..., kept]
                next_won[..., drawn:] += tied * won[..., kept]
                next_won[..., drawn:] += ways * credit[:, column][:, None, None] * every[..., kept]
        every, won = next_every, next_won
    return won


def _pascal(n: int) -> Floats:
    """[n+1, n+1]: binomial coefficients C(i, j), 0 for j > i."""
    table = np.zeros((n + 1, n + 1))
    table[:, 0] = 1.0
    for i in range(1, n + 1):
        table[i, 1:] = table[i - 1, 1:] + table[i - 1, :-1]
    return table


def vote_sampled(
    choice: Ints, correct: Bools, ks: Sequence[int], *, rng: np.random.Generator, rounds: int = 64
) -> Floats:
    """`vote` as a mean over random orders: `rounds` a problem, each read from up to 64 starts around.

    Replays the vote one sample at a time and keeps only the leaders' tally, so every k of one order
    costs n steps in all. Its standard error at P problems is far below the interval of any P.
    """
    choice, correct = np.asarray(choice, dtype=np.int64), np.asarray(correct, dtype=np.bool_)
    _same_shape("choice", choice, correct)
    if rounds < 1:
        raise ValueError(f"vote needs at least one round, not rounds={rounds}.")
    problems, n = choice.shape
    k = _checked_ks(ks, n)
    out = np.zeros((problems, k.size))
    labels, counts, credit = _ballots(choice, correct)
    lanes, width = min(n, _LANES), counts.shape[1]
    starts = np.arange(lanes) * n // lanes
    per_chunk = max(1, _CHUNK // (lanes * width))
    row = np.repeat(np.arange(problems), rounds)
    inner = np.flatnonzero((k > 1) & (k < n))
    for begin in range(0, row.size if inner.size else 0, per_chunk):
        rows = row[begin : begin + per_chunk]
        order = rng.permuted(labels[rows], axis=1)
        earned = np.zeros((rows.size, k.size))
        earned[:, inner] = _replay(order, credit[rows], starts, k[inner])
        np.add.at(out, rows, earned / rounds)
    leads = (counts == counts.max(axis=1, keepdims=True)) & (counts > 0)
    whole = (credit * leads).sum(axis=1, keepdims=True) / np.maximum(leads.sum(axis=1, keepdims=True), 1)
    out[:, k == n] = whole
    single = np.where(labels >= 0, np.take_along_axis(credit, np.maximum(labels, 0), axis=1), 0.0)
    out[:, k == 1] = single.mean(axis=1, keepdims=True)
    return _share(out)


def _replay(order: Ints, credit: Floats, starts: Ints, ks: Ints) -> Floats:
    """[R, K]: mean credit over the starts, for each order [R, n] read round from each of them.

    A lane is one order from one start. `lead` is the leaders' votes, `tied` how many lead and `good`
    the sum of their credits. Only lanes whose leaders change are touched.
    """
    rows, n = order.shape
    width = credit.shape[1] + 1  # the last column is for samples without a choice, whose count stays below 0
    lanes = starts.size * rows
    around = np.where(order < 0, width - 1, order).T
    around = np.concatenate([around, around])
    base = np.tile(np.arange(rows) * width, starts.size)
    offset = np.repeat(np.arange(starts.size) * (rows * width), rows)
    value = np.concatenate([credit, np.zeros((rows, 1))], axis=1).ravel()
    tally = np.zeros((lanes, width), dtype=np.int32)
    tally[:, -1] = -n - 1
    tally = tally.ravel()
    lead = np.zeros(lanes, dtype=np.int32)
    tied, good = np.ones(lanes), np.zeros(lanes)
    out = np.zeros((rows, ks.size))
    for drawn in range(int(ks.max(initial=0))):
        choice = base + around[starts + drawn].ravel()
        votes = tally[offset + choice] + 1
        tally[offset + choice] = votes
        led = np.flatnonzero(votes >= lead)
        worth, ahead = value[choice[led]], votes[led] > lead[led]
        tied[led] = np.where(ahead, 1.0, tied[led] + 1.0)
        good[led] = np.where(ahead, worth, good[led] + worth)
        lead[led] = votes[led]
        now = np.flatnonzero(ks == drawn + 1)
        if now.size:
            out[:, now] = (good / tied).reshape(-1, rows).mean(axis=0)[:, None]
    return out
