"""Allocation across problems by replay, where the best allocation is known."""

import numpy as np
import pytest

from ponder.measure.allocation import compare, uniform
from tests.measure.test_choose import BIMODAL, bank

EASY_AND_HARD = [1.0] * 60 + [0.45] * 60


def test_adaptive_allocation_beats_uniform_where_half_is_settled_at_once() -> None:
    found = compare([bank(EASY_AND_HARD)], prompts="cached", orders=4, rng=np.random.default_rng(0))
    best = max(found.points, key=lambda point: point.gain[0])
    assert best.gain[1] > 0.0
    assert found.tokens_to_match is not None
    assert found.tokens_to_match < found.uniform_to_match <= found.uniform_tokens


def test_hindsight_bounds_every_allocation() -> None:
    found = compare([bank(BIMODAL)], prompts="cached", orders=4, rng=np.random.default_rng(0))
    for point in found.points:
        assert point.hindsight >= point.adaptive[0] - 1e-9
        assert point.hindsight >= point.informed - 0.02  # of the same curves, but in few orders
        assert point.informed >= point.uniform[0] - 1e-9


def test_what_is_certain_needs_one_sample() -> None:
    found = compare([bank([1.0] * 20)], prompts="cached", orders=2, rng=np.random.default_rng(0))
    assert found.points[0].adaptive[0] == 1.0
    assert found.tokens_to_match == pytest.approx(10.0)


def test_reading_prompts_again_is_counted() -> None:
    cached = compare([bank(BIMODAL, prompt=300.0)], prompts="cached", orders=2, rng=np.random.default_rng(0))
    read = compare([bank(BIMODAL, prompt=300.0)], prompts="read", orders=2, rng=np.random.default_rng(0))
    assert cached.points[0].tokens == pytest.approx(10.0)
    assert read.points[0].tokens == pytest.approx(310.0)
    assert cached.tokens_to_match is not None
    assert read.tokens_to_match is not None
    assert read.tokens_to_match > cached.tokens_to_match + 300


def test_uniform_allocation_spends_every_budget_in_full() -> None:
    votes = np.array([[0.2, 0.4], [0.6, 0.8]])
    spend = np.array([[10.0, 20.0], [10.0, 20.0]])
    assert uniform(votes, spend, np.array([20.0, 30.0, 40.0])).tolist() == [
        pytest.approx([0.2, 0.3, 0.4]),
        pytest.approx([0.6, 0.7, 0.8]),
    ]


def test_banks_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        compare([bank([0.5], n=8), bank([0.5], n=16)], rng=np.random.default_rng(0))
