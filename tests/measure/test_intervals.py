from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ponder.measure import intervals
from ponder.measure.intervals import resample, resample_differences


@settings(max_examples=50)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(0, 1)))
def test_the_mean_lies_inside_and_the_interval_in_bounds(values):
    low, high = resample(values, draws=200, rng=np.random.default_rng(0))
    assert np.all(low >= 0)
    assert np.all(low <= values.mean(axis=0) + 1e-12)
    assert np.all(values.mean(axis=0) <= high + 1e-12)
    assert np.all(high <= 1)


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0.0, 0.1109), (16, 0.8891, 1.0), (8, 0.3057, 0.6943)])
def test_right_or_wrong_values_give_the_jeffreys_interval(right, low, high):
    """Quantiles 5 % and 95 % of Beta(x + 1/2, 16 - x + 1/2)."""
    values = np.array([[1.0]] * right + [[0.0]] * (16 - right))
    got = resample(values, draws=40_000, rng=np.random.default_rng(1))
    np.testing.assert_allclose(np.ravel(got), [low, high], atol=0.004)


@settings(max_examples=50)
@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-1, 1)))
def test_the_mean_difference_lies_inside_and_a_swap_mirrors_it(values):
    low, high = resample_differences(values, draws=200, rng=np.random.default_rng(0))
    assert np.all((low >= -1) & (low <= values.mean(axis=0) + 1e-12))
    assert np.all((values.mean(axis=0) <= high + 1e-12) & (high <= 1))
    ends = resample_differences(-values, draws=4000, rng=np.random.default_rng(1))
    mirrored = resample_differences(values, draws=4000, rng=np.random.default_rng(2))
    np.testing.assert_allclose(ends[0], -mirrored[1], atol=0.1)


def test_differences_of_right_or_wrong_have_half_a_problem_on_either_side():
    """With 3 gained, 1 lost and 26 ties: a Dirichlet distribution of 3.5, 1.5 and 26."""
    values = np.array([[1.0]] * 3 + [[-1.0]] + [[0.0]] * 26)
    got = resample_differences(values, draws=40_000, rng=np.random.default_rng(1))
    shares = np.random.default_rng(2).dirichlet([3.5, 1.5, 26.0], 40_000)
    np.testing.assert_allclose(
        np.ravel(got), np.quantile(shares[:, 0] - shares[:, 1], [0.05, 0.95]), atol=0.003
    )


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_values_that_agree_leave_an_interval(value):
    low, high = (end.item() for end in resample(np.full((300, 1), value), rng=np.random.default_rng(5)))
    assert high - low == pytest.approx({0.5: 0.001}.get(value, 0.0064), rel=0.3)


def test_many_draws_tell_more_than_one_of_the_same_mean():
    """A mean of 0.002 from a share of 256 draws of each of 300 problems."""
    values = np.random.default_rng(6).binomial(256, 0.002, (300, 1)) / 256
    low, high = (end.item() for end in resample(values, rng=np.random.default_rng(7)))
    assert values.mean() - 0.0005 < low < values.mean() < high < values.mean() + 0.0025


def test_more_problems_and_lower_levels_narrow_it():
    rng = np.random.default_rng(2)
    values = rng.random((256, 1))

    def width(v, level=0.9):
        low, high = resample(v, level=level, rng=np.random.default_rng(3))
        return (high - low).item()

    assert width(values) < width(values[:64]) < width(values[:16])
    assert width(values, 0.5) < width(values, 0.9) < width(values, 0.99)
    assert width(values) == pytest.approx(2 * 1.645 * values.std() / 16, rel=0.1)


def test_strata_weigh_tasks_equally_and_resample_within_them():
    easy, hard = np.ones((90, 1)), np.zeros((10, 1))
    values = np.concatenate([easy, hard])
    strata = np.array(["easy"] * 90 + ["hard"] * 10)
    low, high = resample(values, strata=strata, rng=np.random.default_rng(4))
    assert low.item() <= 0.5 <= high.item()
    assert high.item() - low.item() < 0.12
    pooled = resample(values, rng=np.random.default_rng(4))
    assert pooled[0].item() > 0.8


def test_the_same_seed_gives_the_same_interval():
    values = np.random.default_rng(0).random((10, 2))
    one, two = (resample(values, rng=np.random.default_rng(9)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("values", "more", "message"),
    [
        (np.zeros((0, 2)), {}, "at least one problem"),
        (np.full((2, 1), 1.5), {}, r"\[0, 1\]"),
        (np.full((2, 1), np.nan), {}, r"\[0, 1\]"),
        (np.zeros((2, 1)), {"level": 1.0}, "level"),
        (np.zeros((2, 1)), {"strata": np.zeros(3)}, "one stratum a problem"),
    ],
)
def test_what_cannot_be_resampled_is_refused(values, more, message):
    with pytest.raises(ValueError, match=message):
        resample(values, rng=np.random.default_rng(0), **more)


def test_a_difference_lies_between_minus_1_and_1():
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        resample_differences(np.array([[-1.5]]), rng=np.random.default_rng(0))


def test_many_problems_are_resampled_a_few_draws_at_a_time(monkeypatch):
    values = np.random.default_rng(0).random((20_000, 2))
    whole = resample(values[:300], rng=np.random.default_rng(1))
    monkeypatch.setattr(intervals, "_TOGETHER", 1000)
    np.testing.assert_allclose(resample(values[:300], rng=np.random.default_rng(1)), whole, rtol=1e-12)
    monkeypatch.undo()
    tracemalloc.start()
    try:
        resample(values, rng=np.random.default_rng(1))
        assert tracemalloc.get_traced_memory()[1] < 100e6  # all weights at once are 320 MB
    finally:
        tracemalloc.stop()
