"""The frame that all laws share: weights, intervals, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws.populations import beta, counts

from ponder.core import Message, Prompt, Question, Sample
from ponder.errors import LawUndefined
from ponder.laws import Counts, fit
from ponder.laws.coverage import BetaBinomial
from ponder.laws.fit import interval, resampling
from ponder.measure.bank import Cost, build


class Mean:
    """The mean share of right draws, a law of no x; refuses weightings that `fails` names."""

    name = "mean"
    parameters = ("mean",)

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, 4.0

    def solve(self, data: Counts, weights: np.ndarray) -> np.ndarray:
        means = weights @ (data.right / data.draws) / weights.sum(axis=1)
        means[len(means) - self.fails :] = np.nan
        return means[:, None]

    def at(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.repeat(parameters, len(x), axis=1)


def test_the_first_weighting_counts_every_problem_once_and_each_kind_has_mean_one() -> None:
    weights = resampling((50, 4), 200, np.random.default_rng(0))
    assert weights.shape == (201, 54)
    assert (weights[0] == 1).all()
    assert weights[:, :50].mean(axis=1) == pytest.approx(np.ones(201))
    assert weights[:, 50:].mean(axis=1) == pytest.approx(np.ones(201))
    assert (weights[1:, :50] > 0).all()


def test_of_two_seeds_one_has_all_the_weight_and_one_seed_is_not_resampled() -> None:
    pairs = resampling((50, 2), 10, np.random.default_rng(0))[1:, 50:]
    assert np.sort(pairs, axis=1) == pytest.approx(np.tile([0.0, 2.0], (10, 1)))
    assert (resampling((50, 1), 10, np.random.default_rng(0))[:, 50] == 1).all()


def test_weighted_means_have_the_variance_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(size=10)
    means = resampling((10,), 20_000, np.random.default_rng(2))[1:] @ values / 10
    assert means.std() == pytest.approx(values.std(ddof=1) / np.sqrt(10), rel=0.03)


def test_an_interval_of_a_normal_sample_is_students() -> None:
    drawn = np.random.default_rng(3).normal(size=(50_000, 1))
    low, high = interval(np.zeros(1), drawn, level=0.9, problems=11)
    assert (-low[0], high[0]) == pytest.approx((1.812, 1.812), abs=0.03)  # t with 10 degrees of freedom


def test_an_interval_moves_against_the_bias_of_the_refits_up_to_a_limit() -> None:
    for bias, moved in ((0.1, 0.1), (3.0, 0.25)):
        drawn = np.random.default_rng(3).normal(bias, 1.0, size=(50_000, 1))
        low, high = interval(np.zeros(1), drawn, level=0.9, problems=10_000)
        shift = bias - 2 * moved
        assert (low[0], high[0]) == pytest.approx((min(0.0, shift - 1.645), shift + 1.645), abs=0.03)


def test_what_is_equal_in_all_refits_has_no_width() -> None:
    low, high = interval(np.array([2.0]), np.full((100, 1), 2.0), level=0.9, problems=10)
    assert (low[0], high[0]) == (2.0, 2.0)


def test_predictions_say_where_they_are_forecasts() -> None:
    found = fit(counts(4, np.array([0, 1, 2, 4])), Mean(), draws=50)
    told = found.predict([1, 4, 5])
    assert told.beyond.tolist() == [False, False, True]
    assert told.value == pytest.approx([7 / 16] * 3)
    assert (told.low < told.value).all()
    assert (told.value < told.high).all()
    assert found.parameters["mean"].value == pytest.approx(7 / 16)


def test_the_same_seed_gives_the_same_fit() -> None:
    data = beta(np.random.default_rng(0), 0.5, 2, problems=40, draws=16)
    first, again = (fit(data, BetaBinomial(), draws=50, seed=7) for _ in range(2))
    assert (first.draws == again.draws).all()
    assert (fit(data, BetaBinomial(), draws=50, seed=8).draws != first.draws).any()


def test_refits_that_fail_are_counted_and_many_are_refused() -> None:
    data = counts(4, np.array([0, 1, 2, 4]))
    assert fit(data, Mean(fails=2), draws=100).lost == 2
    with pytest.raises(LawUndefined, match="could not be fitted to 9 of 100 resamplings"):
        fit(data, Mean(fails=9), draws=100)


def test_two_problems_are_refused() -> None:
    with pytest.raises(LawUndefined, match="2 cannot bound a law"):
        fit(counts(4, np.array([1, 2])), Mean())


def test_thinned_draws_are_a_random_part() -> None:
    data = counts(20, np.array([0, 5, 20, 10]))
    rng = np.random.default_rng(0)
    taken = np.array([data.thinned(8, rng)[0].right for _ in range(500)])
    assert taken.mean(axis=0) == pytest.approx([0, 2, 8, 4], abs=0.25)
    first, rest = data.thinned(8, rng)
    assert (first.right + rest.right == data.right).all()
    assert (first.draws + rest.draws == data.draws).all()
    with pytest.raises(LawUndefined, match="draw more"):
        data.thinned(20, rng)


def test_a_measured_bank_becomes_counts() -> None:
    prompt = Prompt((Message("user", "q"),))
    questions = tuple(Question(f"q{i}", "q", prompt, prompt, task="made") for i in range(2))
    samples = [
        [Sample(index=i, text="", choice=choice, tokens=i + 1, finish="stop") for i, choice in enumerate(row)]
        for row in (["a", "b", "a", None], ["x", "x", "y", "z"])
    ]
    correct = [[True, False, True, False], [False, False, False, True]]
    bank = build(questions, samples, correct, {}, Cost(None, None, None, None, 1))
    data = Counts.from_bank(bank, "model")
    assert (data.name, data.task, data.ids) == ("model", "made", ("q0", "q1"))
    assert data.draws.tolist() == [4, 4]
    assert data.right.tolist() == [2, 1]
    assert data.tokens is not None
    assert data.tokens.tolist() == [2.5, 2.5]
    assert data.ballots is not None
    first, second = data.ballots
    assert (first.given.tolist(), first.right.tolist()) == ([2, 1], [True, False])
    assert (second.given.tolist(), second.right.tolist()) == ([2, 1, 1], [False, False, True])
