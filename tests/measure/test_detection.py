"""Catch rates at a fixed rate of false alarms, and areas under ROC curves, held against what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import mannwhitneyu

from ponder.measure.detection import (
    Inspected,
    auc_estimates,
    catch_estimates,
    catch_rates,
    flag_chances,
    rank_chances,
)

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

few_values = st.integers(0, 6).map(float)  # so that many are tied
any_values = st.floats(-1e6, 1e6, width=32)
rates = st.floats(0.01, 0.99)


def some(values: st.SearchStrategy[float]) -> st.SearchStrategy[Floats]:
    return arrays(np.float64, st.integers(1, 40), elements=values)


def chances(suspicion: Floats, clean: Floats, rate: float) -> Floats:
    return flag_chances(suspicion, clean, rate, np.ones((1, len(clean))))[0]


@given(some(few_values), rates)
def test_the_share_of_clean_items_that_is_flagged_is_the_rate(clean: Floats, rate: float) -> None:
    assert chances(clean, clean, rate).mean() == pytest.approx(rate)


@given(some(few_values), arrays(np.float64, (3, 40), elements=st.floats(0.1, 5.0)), rates)
def test_it_is_under_every_weighting(clean: Floats, weights: Floats, rate: float) -> None:
    own = weights[:, : len(clean)]
    flagged = flag_chances(clean, clean, rate, own)
    assert (own * flagged).sum(axis=1) / own.sum(axis=1) == pytest.approx(np.full(3, rate))


@given(some(any_values), some(any_values), rates)
def test_the_more_suspicious_is_flagged_no_less_surely(suspicion: Floats, clean: Floats, rate: float) -> None:
    flagged = chances(suspicion, clean, rate)
    assert np.all((flagged >= 0.0) & (flagged <= 1.0))
    assert np.all(np.diff(flagged[np.argsort(suspicion)]) >= 0.0)


@given(some(few_values), some(few_values), rates)
def test_only_the_order_of_suspicions_counts(suspicion: Floats, clean: Floats, rate: float) -> None:
    assert chances(np.exp(suspicion), np.exp(clean), rate) == pytest.approx(chances(suspicion, clean, rate))


@given(some(few_values), some(few_values), rates, st.randoms(use_true_random=False))
def test_no_order_of_clean_items_counts(
    suspicion: Floats, clean: Floats, rate: float, random: object
) -> None:
    shuffled = clean.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert chances(suspicion, shuffled, rate) == pytest.approx(chances(suspicion, clean, rate))


@given(some(few_values), some(few_values))
def test_more_false_alarms_catch_more(suspicion: Floats, clean: Floats) -> None:
    caught = [chances(suspicion, clean, rate).mean() for rate in (0.05, 0.2, 0.6)]
    assert caught == sorted(caught)


def test_by_hand() -> None:
    """Of twenty clean items the highest alone is flagged at 5 %, half of it at 2.5 %."""
    clean = np.arange(20.0)
    assert chances(np.array([18.5, 19.0, 30.0]), clean, 0.05) == pytest.approx([0.0, 1.0, 1.0])
    assert chances(np.array([18.5, 19.0, 30.0]), clean, 0.025) == pytest.approx([0.0, 0.5, 1.0])
    tied = np.zeros(20)
    assert chances(np.array([-1.0, 0.0, 1.0]), tied, 0.05) == pytest.approx([0.0, 0.05, 1.0])


@pytest.mark.parametrize(("rate", "value"), [(0.0, 1.0), (1.0, 1.0), (0.05, np.nan)])
def test_no_rate_and_no_number_are_refused(rate: float, value: float) -> None:
    with pytest.raises(ValueError, match=r"false_alarm|suspicion"):
        chances(np.array([value]), np.zeros(4), rate)


def inspected(shift: float, rng: np.random.Generator, count: int = 400) -> Inspected:
    clean = rng.normal(size=(count, 1))
    return Inspected(clean, rng.normal(shift, size=(count, 1)), np.arange(count))


def test_normal_suspicions_are_caught_as_theory_says() -> None:
    """Shifted by 2 standard deviations: 1 - Φ(1.645 - 2) = 0.639 at 5 %. Knowing nothing: 5 %."""
    ones = np.ones((1, 20_000))
    for shift, caught in ((2.0, 0.639), (0.0, 0.05)):
        fold = inspected(shift, np.random.default_rng(0), 20_000)
        assert catch_rates([fold], 0.05, ones, ones)[0, 0] == pytest.approx(caught, abs=0.015)


def test_folds_have_thresholds_of_their_own_and_count_alike() -> None:
    """One fold's suspicions are a thousand times the other's, and judged by its own clean items."""
    rng = np.random.default_rng(1)
    fold = inspected(2.0, rng)
    larger = Inspected(fold.clean * 1000.0, fold.attacked[:50] * 1000.0, fold.owner[:50])
    ones = np.ones((1, 400))
    alone = [catch_rates([each], 0.05, ones, ones)[0, 0] for each in (fold, larger)]
    assert catch_rates([fold, larger], 0.05, ones, ones)[0, 0] == pytest.approx(np.mean(alone))


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    held = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        (found,) = catch_estimates([inspected(2.0, rng, 120)], 120, 0.05, draws=300, rng=rng)
        held += found.low <= 0.639 <= found.high
    assert held >= 47  # of 54 expected; 47 is three standard deviations below


def test_an_interval_does_not_vanish_where_all_are_caught() -> None:
    fold = Inspected(np.zeros((30, 1)), np.ones((20, 1)), np.arange(20))
    (found,) = catch_estimates([fold], 20, 0.05, rng=np.random.default_rng(0))
    assert found.value == found.high == 1.0
    assert 0.8 < found.low < 0.99


def test_items_of_one_problem_are_resampled_together() -> None:
    rng = np.random.default_rng(3)
    clean, attacked = rng.normal(size=(2000, 1)), rng.normal(1.6, size=(20, 1))
    once = Inspected(clean, attacked, np.arange(20))
    again = Inspected(clean, np.tile(attacked, (30, 1)), np.tile(np.arange(20), 30))
    wide = [
        found.high - found.low
        for fold in (once, again)
        for found in catch_estimates([fold], 20, 0.05, rng=np.random.default_rng(0))
    ]
    assert wide[1] > 0.8 * wide[0]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="owner"):
        Inspected(np.zeros((3, 2)), np.zeros((4, 2)), np.zeros(3, np.int64))
    with pytest.raises(ValueError, match="there must be"):
        Inspected(np.zeros((0, 2)), np.zeros((4, 2)), np.zeros(4, np.int64))


# ---------------------------------------------------------------- the area under the ROC curve


@given(some(few_values), some(few_values))
def test_the_mean_rank_is_mann_whitneys_statistic(suspicion: Floats, clean: Floats) -> None:
    ranked = rank_chances(suspicion, clean, np.ones((1, len(clean))))[0]
    pairs = len(suspicion) * len(clean)
    assert ranked.mean() == pytest.approx(mannwhitneyu(suspicion, clean).statistic / pairs)


@given(some(few_values), arrays(np.float64, (3, 40), elements=st.floats(0.1, 5.0)))
def test_clean_items_rank_among_themselves_by_half(clean: Floats, weights: Floats) -> None:
    own = weights[:, : len(clean)]
    ranked = rank_chances(clean, clean, own)
    assert (own * ranked).sum(axis=1) / own.sum(axis=1) == pytest.approx(np.full(3, 0.5))


def test_a_rank_needs_a_number() -> None:
    with pytest.raises(ValueError, match="no number"):
        rank_chances(np.array([np.nan]), np.array([1.0]), np.ones((1, 1)))


def test_the_interval_holds_a_half_where_nothing_is_known() -> None:
    held, runs = 0, 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        folds = [Inspected(rng.normal(size=(30, 1)), rng.normal(size=(20, 1)), np.arange(20))]
        (area,) = auc_estimates(folds, 20, draws=200, rng=rng)
        held += area.low <= 0.5 <= area.high
    assert 0.85 * runs <= held <= 0.97 * runs


def test_a_sure_detector_has_an_interval_below_one() -> None:
    folds = [Inspected(np.zeros((20, 1)), np.ones((10, 1)), np.arange(10))]
    (area,) = auc_estimates(folds, 10, rng=np.random.default_rng(0))
    assert area.value == area.high == 1.0
    assert 0.75 < area.low < 0.99
