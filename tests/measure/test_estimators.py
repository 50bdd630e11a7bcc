"""The closed forms against brute force: every k-subset of small banks, by the definition."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.measure.estimators import (
    EXACT_UP_TO,
    best,
    coverage,
    default_ks,
    vote,
    vote_exact,
    vote_sampled,
)


@st.composite
def banks(draw, most=7):
    """(choice [P, n], correct [P, n]): -1 is no choice; correctness belongs to the choice."""
    problems, n = draw(st.integers(1, 3)), draw(st.integers(1, most))
    choice = draw(
        st.lists(st.lists(st.integers(-1, 4), min_size=n, max_size=n), min_size=problems, max_size=problems)
    )
    right = [draw(st.sets(st.integers(0, 4))) for _ in range(problems)]
    correct = [[c in r for c in row] for row, r in zip(choice, right, strict=True)]
    return np.array(choice), np.array(correct)


def vote_of(choices, right) -> float:
    votes = [c for c in choices if c >= 0]
    if not votes:
        return 0.0
    most = max(votes.count(c) for c in votes)
    tied = {c for c in votes if votes.count(c) == most}
    return sum(c in right for c in tied) / len(tied)


def every_subset(row, k, score) -> float:
    n = len(row)
    return sum(score([row[i] for i in chosen]) for chosen in combinations(range(n), k)) / comb(n, k)


@given(banks())
def test_vote_is_the_mean_over_every_subset(bank):
    choice, correct = bank
    ks = range(1, choice.shape[1] + 1)
    right = [
        {c for c, ok in zip(*pair, strict=True) if ok} for pair in zip(choice.tolist(), correct, strict=True)
    ]
    expected = [
        [every_subset(row, k, lambda s, r=r: vote_of(s, r)) for k in ks]
        for row, r in zip(choice.tolist(), right, strict=True)
    ]
    np.testing.assert_allclose(vote(choice, correct, ks), expected, atol=1e-12)


@given(banks(), st.integers(0, 2**32 - 1))
def test_sampled_vote_is_exact_at_one_and_at_all(bank, seed):
    choice, correct = bank
    ks = [1, choice.shape[1]]
    got = vote_sampled(choice, correct, ks, rng=np.random.default_rng(seed), rounds=1)
    np.testing.assert_allclose(got, vote_exact(choice, correct, ks), atol=1e-12)


def test_sampled_vote_converges_to_the_exact_one():
    rng = np.random.default_rng(5)
    choice = rng.integers(-1, 5, (6, 12))
    correct = (choice == 0) | (choice == 3)
    ks = default_ks(12)
    got = vote_sampled(choice, correct, ks, rng=rng, rounds=20_000)
    np.testing.assert_allclose(got, vote_exact(choice, correct, ks), atol=0.006)


@given(banks(), st.randoms(use_true_random=False))
def test_order_of_samples_and_names_of_choices_never_matter(bank, random):
    choice, correct = bank
    ks = range(1, choice.shape[1] + 1)
    order = random.sample(range(choice.shape[1]), choice.shape[1])
    renamed = np.where(choice >= 0, 1000 - 7 * choice, -1)
    np.testing.assert_allclose(
        vote(renamed[:, order], correct[:, order], ks), vote(choice, correct, ks), atol=1e-12
    )


@given(banks())
def test_no_vote_beats_coverage(bank):
    choice, correct = bank
    ks = range(1, choice.shape[1] + 1)
    bound = coverage(correct, ks)
    assert np.all(vote(choice, correct, ks) <= bound + 1e-12)
    assert np.all(np.diff(bound, axis=1) >= -1e-12)


def test_certain_success_is_one_and_never_more():
    rng = np.random.default_rng(0)
    choice = np.where(rng.random((64, 32)) < 0.99, 0, 1)
    ks = default_ks(32)
    for values in (
        vote(choice, choice == 0, ks),
        vote_sampled(choice, choice == 0, ks, rng=rng),
        best(rng.normal(size=choice.shape), choice == 0, ks),
        coverage(choice == 0, ks),
    ):
        assert values.min() >= 0.0
        assert values.max() == 1.0


@given(st.lists(st.booleans(), min_size=1, max_size=9))
def test_coverage_is_the_mean_over_every_subset(row):
    ks = range(1, len(row) + 1)
    expected = [every_subset(row, k, any) for k in ks]
    np.testing.assert_allclose(coverage(np.array([row]), ks)[0], expected, atol=1e-12)


def test_coverage_is_stable_for_ten_thousand_samples():
    n = 10_000
    correct = np.zeros((3, n), dtype=bool)
    correct[0, :1] = correct[1, :5000] = True
    ks = [1, 2, 10, 5000, n]
    exact = [[float(1 - _ratio(n, c, k)) for k in ks] for c in (1, 5000, 0)]
    np.testing.assert_allclose(coverage(correct, ks), exact, rtol=1e-10)


def _ratio(n, c, k):
    return Fraction(comb(n - c, k), comb(n, k))


@st.composite
def scored(draw):
    n = draw(st.integers(1, 7))
    score = draw(
        st.lists(st.sampled_from([float("nan"), float("-inf"), -1.0, 0.0, 2.5]), min_size=n, max_size=n)
    )
    return np.array([score]), np.array([draw(st.lists(st.booleans(), min_size=n, max_size=n))])


def best_of(pairs) -> float:
    known = [(s, ok) for s, ok in pairs if not np.isnan(s)]
    top = [ok for s, ok in known if s == max(k for k, _ in known)]
    return sum(top) / len(top) if top else 0.0


@given(scored())
def test_best_is_the_mean_over_every_subset(bank):
    score, correct = bank
    ks = range(1, score.shape[1] + 1)
    row = list(zip(score[0].tolist(), correct[0].tolist(), strict=True))
    expected = [every_subset(row, k, best_of) for k in ks]
    np.testing.assert_allclose(best(score, correct, ks)[0], expected, atol=1e-12)


def test_best_by_a_perfect_score_is_coverage():
    correct = np.random.default_rng(1).random((20, 30)) < 0.2
    ks = default_ks(30)
    np.testing.assert_allclose(best(correct.astype(float), correct, ks), coverage(correct, ks), atol=1e-12)


def test_best_by_a_worthless_score_is_one_sample():
    correct = np.random.default_rng(1).random((20, 30)) < 0.2
    got = best(np.zeros(correct.shape), correct, default_ks(30))
    np.testing.assert_allclose(got, np.repeat(correct.mean(axis=1, keepdims=True), 30, axis=1), atol=1e-12)


def test_large_banks_are_sampled_and_agree_with_the_exact_vote():
    rng = np.random.default_rng(3)
    n = EXACT_UP_TO + 26
    choice = np.where(rng.random((8, n)) < 0.35, 0, rng.integers(-1, 6, (8, n)))
    correct = choice == 0
    ks = (1, 3, 17, n)
    got = vote(choice, correct, ks, rng=rng)
    np.testing.assert_allclose(got, vote_exact(choice, correct, ks), atol=0.02)
    np.testing.assert_array_equal(vote(choice, correct, ks), vote(choice, correct, ks))


@settings(max_examples=30)
@given(st.integers(1, 20_000))
def test_default_ks_rise_from_one_to_n(n):
    ks = default_ks(n)
    assert ks[0] == 1
    assert ks[-1] == n
    assert all(a < b for a, b in pairwise(ks))
    assert len(ks) == n if n <= 64 else len(ks) < 150


@pytest.mark.parametrize("k", [0, 4])
def test_a_k_outside_the_bank_is_refused(k):
    correct = np.ones((2, 3), dtype=bool)
    choice = np.zeros((2, 3), dtype=int)
    for call in (
        lambda: coverage(correct, [k]),
        lambda: vote(choice, correct, [k]),
        lambda: best(choice.astype(float), correct, [k]),
    ):
        with pytest.raises(ValueError, match="between 1 and the 3 samples"):
            call()


def test_mismatched_banks_are_refused():
    with pytest.raises(ValueError, match="problems, samples"):
        vote(np.zeros((2, 3), dtype=int), np.zeros((2, 4), dtype=bool), [1])
    with pytest.raises(ValueError, match="at least one round"):
        vote_sampled(
            np.zeros((2, 3), dtype=int),
            np.zeros((2, 3), dtype=bool),
            [1],
            rng=np.random.default_rng(),
            rounds=0,
        )
    with pytest.raises(ValueError, match="at least one sample"):
        default_ks(0)
