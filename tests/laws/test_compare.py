"""Laws are told apart by what they say of draws that they have not seen."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws.populations import beta, counts, voted
from tests.laws.test_verified import EXPLOITED, RIGHT, made

from ponder.errors import LawUndefined
from ponder.laws import Counts
from ponder.laws.compare import forecasts
from ponder.laws.coverage import COVERAGE_LAWS, BetaBinomial, PowerLaw, pass_at
from ponder.laws.verified import BestOf, best_at
from ponder.laws.voting import VOTING_LAWS, vote_at


def test_the_law_that_made_the_draws_forecasts_best() -> None:
    data = beta(np.random.default_rng(0), 0.3, 3.0, problems=2000, draws=512)
    told = forecasts(data, COVERAGE_LAWS, seen=pass_at, draws=100, splits=2)
    names = [each.law.name for each in told]
    assert told[0].law.name == "beta-binomial"
    assert told[0].word == "law"
    assert told[0].fitted_to == 32
    assert told[0].samples == 480
    assert names.index("beta-binomial") < names.index("power law")
    poor = next(each for each in told if each.law.name == "least squares on pass@k")
    assert poor.word == "trend"
    assert poor.error is not None
    assert told[0].error is not None
    assert poor.error > 3 * told[0].error


def test_a_law_of_another_shape_is_flagged() -> None:
    """A share of problems that is never solved bends the curve where none is fitted."""
    data = beta(np.random.default_rng(1), 1.5, 6.0, problems=2000, draws=512, never=0.3)
    told = {each.law.name: each for each in forecasts(data, COVERAGE_LAWS, seen=pass_at, draws=100, splits=2)}
    assert told["zero-inflated beta-binomial"].passed
    assert not told["beta-binomial"].passed
    assert told["beta-binomial"].difference.low > 0.0  # it promises too much


class Fickle:
    """A law that can be fitted to the first division of the draws alone."""

    name, parameters = "fickle", ("p",)

    def __init__(self) -> None:
        self.fitted = 0

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: np.ndarray) -> np.ndarray:
        self.fitted += 1
        return np.full((len(weights), 1), 0.5 if self.fitted == 1 else np.nan)

    def at(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(parameters, (len(parameters), len(x)))


def test_a_law_that_some_divisions_do_not_define_is_left_out() -> None:
    data = beta(np.random.default_rng(4), 0.5, 2.0, problems=50, draws=100)
    told = forecasts(data, [BetaBinomial(), Fickle()], seen=pass_at, draws=50)
    assert [each.law.name for each in told] == ["beta-binomial"]
    with pytest.raises(LawUndefined, match="no law can be fitted"):
        forecasts(data, [Fickle()], seen=pass_at, draws=50)


def test_what_is_held_back_is_not_what_was_fitted() -> None:
    """Draws that are kept for the test are not in the fit: the two numbers of right draws add up."""
    data = beta(np.random.default_rng(2), 0.5, 2.0, problems=50, draws=100)
    told = forecasts(data, [BetaBinomial()], seen=pass_at, fit_to=60, draws=50)
    assert (told[0].fitted_to, told[0].samples) == (60, 40)


def test_votes_and_verified_picks_are_compared_alike() -> None:
    rng = np.random.default_rng(3)
    chance = np.where(rng.random(300) < 0.5, 0.85, 0.42)
    data = voted(rng, np.stack([chance, 1 - chance], axis=1), np.array([True, False]), draws=40)
    told = {each.law.name: each for each in forecasts(data, VOTING_LAWS, seen=vote_at, draws=60, splits=1)}
    assert told["rise and fall"].passed
    assert set(told) == {"vote as drawn", "beta vote", "rise and fall"}
    scored = made(rng, RIGHT, EXPLOITED, problems=200, draws=40)
    (best,) = forecasts(scored, [BestOf(4)], seen=best_at, draws=60, splits=2)
    assert best.passed


def test_where_all_is_solved_there_is_a_difference_but_no_relative_error() -> None:
    data = counts(50, np.full(20, 25))
    (told,) = forecasts(data, [BetaBinomial()], seen=pass_at, draws=20)
    assert told.seen.value == 1.0
    assert told.error is None
    assert told.difference.value == pytest.approx(0.0, abs=1e-6)


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(LawUndefined, match="draw more"):
        forecasts(counts(9, np.array([1, 2, 3])), COVERAGE_LAWS, seen=pass_at)
    with pytest.raises(LawUndefined, match="no draw is right"):
        forecasts(counts(40, np.zeros(5, int)), [PowerLaw()], seen=pass_at)
