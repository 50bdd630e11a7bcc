"""Forecasts of the most trained checkpoints, and the choice between a ceiling and none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.laws.ladders import PLAIN, Truth, ladder, with_values

from ponder.errors import LawUndefined
from ponder.laws.joint import JointLaw
from ponder.laws.upward import choose, forecast_up, split_up


def test_an_exact_law_foretells_the_checkpoints_above() -> None:
    forecast = forecast_up(ladder(Truth(spread=0.0), problems=3), JointLaw(ceiling=1.0))
    assert forecast.held_back == 4
    assert forecast.error < 1e-4
    assert forecast.word == "law"
    assert forecast.baseline > 0.05


def test_data_of_another_shape_are_no_law() -> None:
    """Accuracy that falls again with training is flagged by the forecast."""
    grid = ladder(Truth(spread=0.0), problems=3)
    most = grid.training_flop > np.quantile(grid.training_flop, 0.7)
    bent = with_values(grid, np.where(most[None, :, None], 0.05, grid.values))
    assert forecast_up(bent, JointLaw(ceiling=1.0)).word == "trend"


def test_those_of_most_training_are_held_back() -> None:
    grid = ladder(problems=3)
    known, held = split_up(grid)
    assert (len(known.models), len(held.models)) == (16, 4)
    assert known.training_flop.max() <= held.training_flop.min()
    with pytest.raises(LawUndefined, match=r"^models: none of synthetic is left"):
        split_up(grid.only(np.arange(20) == 0))


def test_accuracies_that_level_off_choose_a_ceiling() -> None:
    """Votes level off at the share of problems whose most likely answer is right, often far below a half."""
    low = choose(ladder(replace(PLAIN, ceiling=0.3, level=1.0), problems=100, draws=16))
    assert low.fitted
    assert low.with_ceiling is not None
    assert low.without is not None
    assert low.with_ceiling < low.without / 2.0
    assert low.to_json()["error_with"] == low.with_ceiling


def test_accuracies_that_do_not_choose_none() -> None:
    found = choose(ladder(Truth(spread=0.0, level=-2.0), problems=3))
    assert found.law == JointLaw(ceiling=1.0)
    assert found.without == pytest.approx(0.0, abs=1e-6)


def test_the_choice_sees_nothing_of_what_is_held_back() -> None:
    """The forecast that is told is of the form that the checkpoints of less training chose."""
    grid = ladder(replace(PLAIN, ceiling=0.3, level=1.0), problems=100, draws=16)
    known, held = split_up(grid)
    told = forecast_up(grid)
    assert told == forecast_up(grid, choose(known).law)
    above = np.isin(grid.models, held.models)
    other = with_values(grid, np.where(above[None, :, None], 0.0, grid.values))
    assert choose(split_up(other)[0]) == choose(known)


def test_with_too_few_checkpoints_for_a_forecast_the_ceiling_is_fitted() -> None:
    grid = ladder(problems=5)
    few = grid.only(np.isin(grid.size, np.unique(grid.size)[:2]) & np.isin(grid.tokens, [3e5, 1e6]))
    found = choose(few.only(np.arange(4) > 0))
    assert found.law == JointLaw()
    assert found.with_ceiling is None
