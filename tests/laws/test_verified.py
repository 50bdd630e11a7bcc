"""Best-of-N under a verifier that errs, held against samples that are drawn and picked."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.errors import LawUndefined
from ponder.laws import fit
from ponder.laws.verified import BestOf, Verified, best_at

RIGHT = np.array([0.1, 0.3, 0.5, 0.1])
EXPLOITED = np.array([0.4, 0.35, 0.15, 0.1])  # wrong samples reach the top as often as right ones do


def made(
    rng: np.random.Generator, right: np.ndarray, wrong: np.ndarray, *, problems: int, draws: int
) -> Verified:
    """Problems of Beta(0.8, 2), with scores by level."""
    hits = rng.binomial(draws, rng.beta(0.8, 2.0, problems))
    return Verified("made", rng.multinomial(hits, right), rng.multinomial(draws - hits, wrong))


def picked(right: np.ndarray, wrong: np.ndarray, samples: int, rounds: int = 40_000) -> float:
    """The share of picks that are right when samples are drawn and one of the highest level is taken."""
    rng = np.random.default_rng(0)
    chance = rng.beta(0.8, 2.0, (rounds, 1))
    correct = rng.random((rounds, samples)) < chance
    levels = np.where(
        correct,
        rng.choice(len(right), (rounds, samples), p=right),
        rng.choice(len(wrong), (rounds, samples), p=wrong),
    )
    pick = np.argmax(levels + rng.random((rounds, samples)) * 0.5, axis=1)
    return float(correct[np.arange(rounds), pick].mean())


def law_at(right: np.ndarray, wrong: np.ndarray, samples: list[float]) -> np.ndarray:
    parameters = np.concatenate([[0.8, 2.0], right, wrong])[None, :]
    return BestOf(len(right)).at(parameters, np.array(samples))[0]


@pytest.mark.parametrize("samples", [1, 2, 5, 20])
def test_the_law_is_the_mean_of_many_picks(samples: int) -> None:
    assert law_at(RIGHT, EXPLOITED, [samples])[0] == pytest.approx(
        picked(RIGHT, EXPLOITED, samples), abs=0.006
    )


def test_a_verifier_that_never_errs_covers() -> None:
    sure, none = np.array([0.0, 1.0]), np.array([1.0, 0.0])
    wanted = 1.0 - np.prod([(2.0 + i) / (2.8 + i) for i in range(10)])
    assert law_at(sure, none, [10])[0] == pytest.approx(wanted, abs=2e-3)


def test_a_verifier_that_knows_nothing_changes_nothing() -> None:
    assert law_at(RIGHT, RIGHT, [1, 10, 1000, np.inf]) == pytest.approx([0.8 / 2.8] * 4, abs=2e-3)


def test_for_many_samples_only_the_precision_of_the_top_counts() -> None:
    """And where that is lower than the precision below, more samples do harm."""
    few, some, many, end = law_at(RIGHT, EXPLOITED, [1, 4, 1e6, np.inf])
    assert some > few + 0.05
    assert end < some - 0.05
    assert many == pytest.approx(end, abs=1e-3)
    assert end == pytest.approx(0.8 / 2.8, abs=2e-3)  # the top is reached alike: a random pick


def test_spreads_and_chances_are_found_and_the_harm_is_seen() -> None:
    data = made(np.random.default_rng(1), RIGHT, EXPLOITED, problems=1500, draws=32)
    found = fit(data, BestOf(4), draws=100)
    assert found.value == pytest.approx([0.8, 2.0, *RIGHT, *EXPLOITED], rel=0.15)
    peak = found.peak(1000)
    assert 2 <= peak.x.low <= peak.x.high <= 12
    assert peak.falls == 1.0


def test_best_of_the_draws_is_unbiased() -> None:
    data = made(np.random.default_rng(2), RIGHT, EXPLOITED, problems=2000, draws=8)
    found = best_at(data, np.array([1, 5])).mean(axis=0)
    assert found == pytest.approx([picked(RIGHT, EXPLOITED, k) for k in (1, 5)], abs=0.02)
    with pytest.raises(LawUndefined, match="best of 9"):
        best_at(data, np.array([9]))


def test_scores_are_parted_at_quantiles_and_a_missing_score_speaks_for_nothing() -> None:
    score = np.array([[0.1, 0.2, 0.3, np.nan], [0.4, 0.5, 0.6, 0.1]])
    correct = np.array([[False, True, True, True], [False, False, True, False]])
    each = Verified.from_scores("s", score, correct)
    assert each.right.tolist() == [[0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert each.wrong.tolist() == [[2, 0, 0, 0, 0, 0], [1, 0, 0, 1, 1, 0]]
    halves = Verified.from_scores("s", score, correct, levels=2)
    assert (halves.right + halves.wrong).tolist() == [[3, 1], [1, 3]]


def test_scores_of_nothing_are_refused() -> None:
    with pytest.raises(LawUndefined, match="has none; score"):
        Verified.from_scores("s", np.full((2, 2), np.nan), np.zeros((2, 2), bool))
    wrong = Verified("s", np.zeros((3, 2), int), np.ones((3, 2), int))
    with pytest.raises(LawUndefined, match="no sample is right"):
        fit(wrong, BestOf(2))
