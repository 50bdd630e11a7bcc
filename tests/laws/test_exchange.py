"""Contours, exchange rates and splits, held against laws whose answer is had by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tests.laws.experiments import exchange_rate, share
from tests.laws.ladders import Truth, ladder

from ponder.errors import InputError, LawUndefined
from ponder.laws.exchange import Costs, best_split, exchange
from ponder.laws.fit import Fit, fit
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw


def fitted(truth: Truth, **changes: int) -> tuple[Fit, Grid]:
    grid = ladder(truth, **{"problems": 3, **changes})
    return fit(grid, JointLaw(ceiling=1.0), draws=60), grid


def test_costs_are_those_of_the_family() -> None:
    grid = ladder(problems=3)
    costs = Costs.of(grid)
    assert costs.error < 1e-9
    assert costs.training_per_token(np.array([5e4])) == pytest.approx(6 * 5e4)
    assert costs.inference_flop(5e4, np.log10([1.0, 10.0])) == pytest.approx([60 * 5e4, 600 * 5e4])
    told = costs.log_amount(5e4, np.array([30 * 5e4, 600 * 5e4, 1e15]))
    assert np.isnan(told[0])
    assert told[1:] == pytest.approx([1.0, np.log10(256)])


def test_where_size_does_nothing_the_rate_is_that_of_the_weights() -> None:
    """b_N = 0 leaves the smallest model, where tokens buy b_D and samples b_k a decade: r = b_D / b_k."""
    law, grid = fitted(Truth(spread=0.0, size=0.0, interaction=0.0, tokens=0.9, amount=0.6))
    found = exchange(law, grid, accuracies=(0.3, 0.4))
    for level in found.levels:
        assert level.rate is not None
        assert level.rate.value == pytest.approx(1.5, abs=0.06)  # its last point is the end
        assert level.size[np.isfinite(level.inference)] == pytest.approx(8e3)
    assert [each.value for each in found.by_size if each] == pytest.approx([1.5] * 5, abs=1e-4)


def test_every_point_of_a_contour_reaches_the_level_and_no_cheaper_one_does() -> None:
    law, grid = fitted(Truth(spread=0.0))
    (level,) = exchange(law, grid, accuracies=(0.5,)).levels
    there = np.flatnonzero(np.isfinite(level.inference))
    assert len(there) > 10
    assert (np.diff(level.inference[there]) <= 1e-6 * level.inference[there][:-1]).all()
    sizes, tokens, amounts = (np.geomspace(*ends, 15) for ends in ((8e3, 1e6), (3e5, 1e7), (1, 256)))
    places = np.array([(n, d, k) for n in sizes for d in tokens for k in amounts])
    right = law.predict(places).value >= 0.5
    spent = 6 * places[:, 0] * places[:, 1], 60 * places[:, 0] * places[:, 2]
    for at in there:
        cheaper = (spent[0] <= level.training[at]) & (spent[1] < level.inference[at] * 0.85)
        assert not (right & cheaper).any()


def test_an_interaction_makes_samples_dearer_for_small_models() -> None:
    law, grid = fitted(Truth(spread=0.0, interaction=0.3))
    rates = [each.value for each in exchange(law, grid).by_size if each]
    assert all(np.diff(rates) < 0)


def test_a_level_that_nothing_reaches_has_no_rate() -> None:
    law, grid = fitted(Truth(spread=0.0))
    (level,) = exchange(law, grid, accuracies=(0.9999,)).levels
    assert level.rate is None
    assert np.isnan(level.inference).all()
    with pytest.raises(InputError, match=r"^level: an accuracy must lie between 0 and 1, not 1\."):
        exchange(law, grid, accuracies=(1.0,))


def test_intervals_come_from_the_problems() -> None:
    grid = ladder(problems=100, draws=16)
    law = fit(grid, JointLaw(ceiling=1.0), draws=100)
    for level in exchange(law, grid).levels:
        assert level.rate is not None
        assert level.rate.low < level.rate.value < level.rate.high
        there = np.isfinite(level.low)
        assert (level.low[there] <= level.inference[there]).all()
        assert (level.high[there] >= level.inference[there]).all()


def test_the_best_split_is_that_of_the_weights() -> None:
    """Without an effect of size the smallest model is best, and C_T + Q·C_I is split as b_D to b_k."""
    law, grid = fitted(Truth(spread=0.0, size=0.0, interaction=0.0, tokens=0.9, amount=0.6))
    queries = 2e3
    budget = 1.5e10 * 2
    found = best_split(law, grid, budget=budget, queries=queries)
    assert found.size == pytest.approx(8e3)
    assert found.inference_share.value == pytest.approx(0.6 / 1.5, abs=0.06)
    assert found.tokens * 6 * 8e3 + queries * found.amount * 60 * 8e3 == pytest.approx(budget, rel=1e-3)
    assert found.at_bounds == ("size",)


def test_more_queries_ask_for_smaller_models() -> None:
    law, grid = fitted(Truth(spread=0.0))
    splits = [best_split(law, grid, budget=1e13, queries=q) for q in (1e2, 1e4, 1e6)]
    assert splits[0].size > splits[-1].size
    assert splits[0].accuracy.value > splits[-1].accuracy.value


def test_a_budget_that_pays_for_nothing_is_refused() -> None:
    law, grid = fitted(Truth(spread=0.0))
    with pytest.raises(LawUndefined, match=r"^budget: 1e\+06 FLOP do not pay"):
        best_split(law, grid, budget=1e6, queries=10)
    with pytest.raises(InputError, match=r"^queries: it must be a positive number"):
        best_split(law, grid, budget=1e6, queries=0)
    with pytest.raises(LawUndefined, match=r"^size: "):
        Costs.of(grid.only(grid.size == grid.size[0]))


def test_the_rates_interval_holds_that_of_very_many_problems() -> None:
    """Of 40 intervals of 90 % fewer than 30 hold it by chance once in 700 times."""
    assert share(exchange_rate, 40) >= 0.75
