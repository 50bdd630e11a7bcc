"""Compute-equivalent gain, held against families in which it is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from tests.laws.experiments import equivalent_gain, share
from tests.laws.families import LADDER, family

from ponder.errors import LawUndefined
from ponder.laws.grid import Grid
from ponder.laws.worth import Shown, worth


@pytest.mark.parametrize("times", [0.5, 1.0, 3.0, 10.0])
def test_the_gain_is_that_of_the_construction(times: float) -> None:
    rows, _ = worth(family(times=times), draws=50)
    for row in rows:
        assert row.gain is not None
        assert row.gain.value == pytest.approx(times, rel=0.01)
        assert row.inference_ratio == pytest.approx(64.0)


def test_bounds_need_no_law_and_hold_the_gain() -> None:
    rows, _ = worth(family(times=4.0), draws=50)
    for row in rows[:-2]:
        assert row.at_least is not None
        assert row.at_most is not None
        assert row.at_least <= 4.0 <= row.at_most
    assert (rows[-2].at_least, rows[-2].at_most) == (pytest.approx(10**0.5), None)


def test_beyond_the_ladder_the_gain_is_marked() -> None:
    rows, _ = worth(family(times=10.0), draws=50)
    assert [row.gain.beyond for row in rows if row.gain] == [False] * 6 + [True] * 3


def test_two_models_give_a_lower_bound_only() -> None:
    """The small one, enhanced, beats the large one: it is worth at least the ratio of their compute."""
    rows, frontier = worth(family(times=100.0, compute=np.array([1e10, 1e11])), draws=50)
    assert rows[0].gain is None
    assert rows[0].undefined == "fewer than 4 plain models on the frontier bear no law"
    assert rows[0].at_least == pytest.approx(10.0)
    assert rows[0].at_most is None
    assert frontier.curve is None


def test_a_score_above_the_ceiling_is_undefined() -> None:
    grid = family(ceiling=0.6)
    values = grid.values.copy()
    values[:, :, 1] = 0.8
    rows, _ = worth(Grid(**{**vars(grid), "values": values}), draws=50)
    assert {row.undefined for row in rows} == {"the law of plain models ends below it"}
    assert rows[0].at_least == pytest.approx(1e4)


def test_where_training_does_not_help_the_gain_is_undefined() -> None:
    grid = family()
    flat = grid.values.copy()
    flat[:, :, 0] = np.linspace(0.5, 0.3, 9)
    rows, _ = worth(Grid(**{**vars(grid), "values": flat}), draws=50)
    assert {row.undefined for row in rows} == {"more training does not make the plain model better"}


def test_a_wasteful_model_is_compared_with_the_frontier() -> None:
    """A second model of the largest compute with the third's scores stands for the third's compute."""
    grid = family(times=10.0, compute=np.append(LADDER, 1e13))
    values = grid.values.copy()
    values[:, -1] = values[:, 2]
    rows, frontier = worth(Grid(**{**vars(grid), "values": values}), draws=50)
    assert "m9" not in frontier.models
    assert rows[-1].gain is not None
    assert rows[-1].gain.value == pytest.approx(10.0, rel=0.01)
    assert rows[-1].training_flop == 1e13
    assert rows[-1].gain.of_flop == pytest.approx(LADDER[2], rel=0.01)
    assert rows[-1].bounds_of_flop == LADDER[2]


def test_a_model_trained_otherwise_is_compared_with_what_it_took() -> None:
    """Trained on better texts to what ten times the compute would give."""
    grid = family(times=1.0, compute=np.append(LADDER, 1e11))
    values = grid.values.copy()
    values[:, -1] = values[:, 6]  # 1e12
    plain = np.arange(10) < 9
    rows, _ = worth(
        Grid(**{**vars(grid), "values": values}), amount=0, plain=plain, enhanced=~plain, draws=50
    )
    (row,) = rows
    assert row.gain is not None
    assert row.gain.value == pytest.approx(10.0, rel=0.01)
    assert row.gain.of_flop == pytest.approx(1e11)
    assert row.bounds_of_flop == 1e11
    assert row.inference_ratio == 1.0
    assert row.plain is not None
    assert row.plain.value == pytest.approx(0.5, abs=0.01)
    assert row.enhanced.value == pytest.approx(values[0, 6, 0])


def test_what_is_worth_more_than_the_same_score_takes_may_be_worth_less_than_its_own_training() -> None:
    """The second model of 1e13 is as good as the third, of 1e10; ten times that is far from 1e13."""
    grid = family(times=10.0, compute=np.append(LADDER, 1e13))
    values = grid.values.copy()
    values[:, -1] = values[:, 2]
    values[:, -1, 1] = values[:, 4, 0] - 0.01
    *rows, last = worth(Grid(**{**vars(grid), "values": values}), draws=50)[0]
    assert last.beside_equal.more == Shown(True, 1.0)
    assert last.beside_equal.less == Shown(False, 0.0)
    assert last.beside_own.more == Shown(False, 0.0)
    assert last.beside_own.less == Shown(True, 1.0)
    for row in rows:
        assert row.beside_own == row.beside_equal
        assert row.above_all.sure is (row.at_most is None)


def test_a_close_call_is_not_sure() -> None:
    """The enhanced model beats the next one by a tenth, give or take a whole point a problem: in the
    resamples as often as a normal error of that mean does."""
    grid = family(times=1.0, compute=np.array([1e10, 1e11, 1e12]), problems=100)
    values = grid.values.copy()
    values[:, :, 0] = [0.2, 0.5, 0.95]
    values[:, 0, 1] = np.where(np.arange(100) % 20 < 11, 1.0, 0.0)
    more = worth(Grid(**{**vars(grid), "values": values}), draws=4000)[0][0].beside_equal.more
    expected = norm.cdf(0.05 / (values[:, 0, 1].std() / 10.0))
    assert more.holds
    assert not more.sure
    assert more.share == pytest.approx(expected, abs=0.03)


def test_a_model_of_another_seed_is_there_in_half_of_the_resamples() -> None:
    """The cheap second seed alone is as good as the enhanced model; the model itself is always there."""
    grid = family(times=1.0, compute=np.array([1e10, 1e11, 1e12]))
    values = grid.values.copy()
    values[:, :, 0] = [0.6, 0.5, 0.4]
    values[:, 1, 1] = 0.55
    rows, _ = worth(
        Grid(**{**vars(grid), "values": values, "runs": ("one", "one", "two"), "seeds": (1, 0, 0)}),
        draws=2000,
    )
    row = rows[1]
    assert row.beside_own.less.holds
    assert row.beside_own.less.share == pytest.approx(0.5, abs=0.05)
    assert not row.above_all.holds
    assert row.above_all.share == pytest.approx(0.5, abs=0.05)
    assert row.beside_equal.more == Shown(False, 0.0)


def test_an_interval_without_an_upper_end() -> None:
    """Near the ceiling many resamples see no scaling that reaches the enhanced score."""
    grid = family(times=1e3, ceiling=0.7, problems=40, spread=1.0, draws=8)
    rows, _ = worth(grid, draws=200)
    last = rows[-1]
    assert last.gain is None or last.gain.high is None
    first = rows[0]
    assert first.gain is not None
    assert first.gain.low < first.gain.value


def test_what_has_no_worth_is_refused() -> None:
    with pytest.raises(
        LawUndefined, match=r"^models: synthetic has plain models of one training compute only"
    ):
        worth(family(compute=np.array([1e10])))
    with pytest.raises(LawUndefined, match=r"^problems: 1 cannot bound a gain"):
        worth(family(problems=1))
    grid = family()
    with pytest.raises(LawUndefined, match=r"^scores: no plain model of synthetic is ever right"):
        worth(Grid(**{**vars(grid), "values": np.zeros_like(grid.values)}))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    assert share(equivalent_gain, 20) >= 0.7
