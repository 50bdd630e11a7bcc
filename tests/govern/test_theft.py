"""Theft, held against worked numbers and limits."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.govern import theft
from ponder.govern.calculator import Measured
from ponder.laws.coverage import BetaBinomial
from ponder.quantity import point
from tests.govern.cases import middles, outcome

TERABYTE = {"parameters": "5e11", "stored_bytes": "2", "egress": "1e12", "compression": "1", "hidden": "1"}


def of(*numbers: float) -> list[np.ndarray]:
    return [np.array([number]) for number in numbers]


def test_a_terabyte_leaves_in_a_day_and_under_verification_in_two_hundred() -> None:
    assert middles("theft", **TERABYTE)["days_out"] == pytest.approx(1.0)
    verified = middles("theft", **{**TERABYTE, "hidden": "0.005"})["days_out"]
    assert verified == pytest.approx(200.0)


def test_days_follow_the_bandwidth_in_bits() -> None:
    """W · b · 8 / (κ · bandwidth · 86400) at 10 Mbit/s and 16 times compressed."""
    given = {**TERABYTE, "egress": "10 Mbit/s", "compression": "16"}
    assert middles("theft", **given)["days_out"] == pytest.approx(5e11 * 2 * 8 / (16 * 1e7 * 86400))


def test_no_draw_of_the_compression_makes_the_weights_larger() -> None:
    assert theft.days_out(*of(1e12, 0.5, 1e12, 1.0)) == theft.days_out(*of(1e12, 1.0, 1e12, 1.0)) == 1.0
    drawn = outcome("theft", {**TERABYTE, "compression": "0.5..8"}).results
    (days,) = [each for each in drawn if each.name == "days_out"]
    assert days.high == pytest.approx(1.0)


def test_the_days_out_say_that_they_are_those_of_a_service_that_verifies() -> None:
    said = "Where nobody verifies them hidden is 1, and the days are 200 times fewer."
    assert any(said in note for note in outcome("theft", {"hidden": "0.005"}).notes)
    assert not any("verif" in note for note in outcome("theft", {"hidden": "1"}).notes)


@pytest.mark.parametrize("compression", [16.0, 100.0])
def test_compression_turns_months_into_days(compression: float) -> None:
    slow = theft.days_out(*of(1e12, 1.0, 5e9, 1.0))
    assert slow == pytest.approx(200.0)
    assert theft.days_out(*of(1e12, compression, 5e9, 1.0)) == pytest.approx(200.0 / compression)


def test_a_model_needs_the_chips_that_hold_it() -> None:
    y = middles("theft", parameters="4.05e11", run_bytes="2", memory="80e9 B")
    assert y["least_chips"] == 11.0


def test_without_the_scaffold_its_gain_is_lost_and_the_training_is_kept() -> None:
    """A thief with compute enough keeps all but the scaffold."""
    y = middles("theft", scaffold="10", tasks="1", chips="1e6", training="3e25")
    assert y["kept"] == pytest.approx(0.1)
    assert y["kept_with_scaffold"] == pytest.approx(1.0)
    assert y["acts_like"] == pytest.approx(3e24)


def test_effort_that_the_thief_lacks_is_lost_by_the_exchange() -> None:
    """Fifteen times less inference at 1/1.2 decades a decade: ten times less training."""
    lost = theft.lost_decades(*of(1.0, 150.0, 10.0, 1 / np.log10(15.0), 9.0))
    assert lost == pytest.approx(1.0)
    assert theft.lost_decades(*of(1.0, 1e6, 1e3, 1.0, 1.0)) == pytest.approx(0.0)  # both beyond the span


def test_few_tasks_are_not_hindered_by_a_bound_on_compute_and_many_are() -> None:
    given = {"chips": "100", "days": "30", "scaffold": "1", "owner_effort": "100"}
    bound = middles("theft", **given)["unhindered"]
    few = middles("theft", **given, tasks=f"{bound / 2:.6g}")
    many = middles("theft", **given, tasks=f"{bound * 20:.6g}")
    assert (few["effort"], few["kept"]) == (pytest.approx(100.0), pytest.approx(1.0))
    assert many["effort"] == pytest.approx(5.0, rel=1e-3)
    assert many["kept"] < 0.7
    assert many["days_needed"] == pytest.approx(600.0, rel=1e-3)
    assert many["chips_needed"] == pytest.approx(2000.0, rel=1e-3)


def test_too_many_tasks_are_not_done_even_with_plain_answers() -> None:
    given = {"chips": "100", "days": "30", "owner_effort": "100"}
    bound = middles("theft", **given)["unhindered"]
    y = middles("theft", **given, tasks=f"{bound * 400:.6g}")
    assert (y["effort"], y["done"]) == (pytest.approx(1.0), pytest.approx(0.25, rel=1e-3))


def test_twice_the_chips_do_the_tasks_in_half_the_days_for_the_same_money() -> None:
    one, two = (middles("theft", chips=chips) for chips in ("1000", "2000"))
    assert two["days_needed"] == pytest.approx(one["days_needed"] / 2.0)
    assert two["cost"] == pytest.approx(one["cost"])


@pytest.mark.parametrize("chips", [1, 10])
def test_fewer_chips_than_hold_the_weights_do_nothing(chips: int) -> None:
    """405e9 parameters of two bytes on chips of 80 GB: eleven at least, however few the tasks."""
    given = {"parameters": "4.05e11", "run_bytes": "2", "memory": "80e9 B", "tasks": "1"}
    found = outcome("theft", {**given, "chips": chips})
    y = found.middle
    assert [y[name] for name in ("kept", "kept_with_scaffold", "acts_like", "done", "effort")] == [0.0] * 5
    assert y["days_needed"] == np.inf
    assert y["chips_needed"] == y["least_chips"] == 11.0
    assert any(note.startswith("In 100% of the draws the thief has fewer chips") for note in found.notes)
    enough = outcome("theft", {**given, "chips": 11})
    assert enough.middle["done"] == 1.0
    assert enough.middle["kept"] > 0.0
    assert not any("fewer chips" in note for note in enough.notes)


def test_the_table_of_fewer_chips_has_whole_ones_and_nothing_below_the_least() -> None:
    found = outcome("theft", {"parameters": "4.05e11", "run_bytes": "2", "memory": "80e9 B", "chips": "316"})
    (table,) = (each for each in found.tables if each.name == "chips")
    assert [row[0] for row in table.rows] == [316.0, 95.0, 32.0, 9.0, 3.0, 1.0]
    for chips, held, days, effort, done, kept in table.rows:
        assert isinstance(chips, float)
        if chips < 11.0:
            assert (held, days, effort, done, kept) == (0.0, np.inf, 0.0, 0.0, 0.0)
        else:
            assert held == 1.0
            assert isinstance(kept, float)
            assert kept > 0.0


def test_mixtures_of_experts_decode_by_their_active_parameters() -> None:
    dense, sparse = (
        middles("theft", parameters="6e11", active=active)["rate"] for active in ("6e11", "3e10")
    )
    assert sparse == pytest.approx(20.0 * dense)
    assert middles("theft", parameters="6e11")["rate"] == pytest.approx(dense)


def test_attempts_solve_what_the_measured_law_says() -> None:
    k = np.array([1.0, 10.0, 1e4])
    law = BetaBinomial(zeros=True, ones=True).at(np.array([[0.3, 5.0, 0.1, 0.05]]), k)[0]
    assert theft.solved(k, *of(0.3, 5.0, 0.1, 0.05)) == pytest.approx(law)


def test_a_thief_that_cannot_tell_right_answers_solves_no_more_than_votes_do() -> None:
    quantities = {"a": point(0.3), "b": point(1.0), "votes": point(0.4)}
    y = outcome("theft", {"tasks": "10"}, measured=Measured(quantities, "a law")).middle
    assert y["thief_solves"] == pytest.approx(y["owner_solves"])
    assert y["thief_votes"] == pytest.approx(0.4)
    hindered = outcome("theft", {"tasks": "1e12"}, measured=Measured(quantities, "a law")).middle
    assert hindered["thief_votes"] == pytest.approx(0.3 / 1.3)  # one attempt each, by Beta(0.3, 1)


def test_without_a_law_what_attempts_solve_is_unknown() -> None:
    (found,) = (each for each in outcome("theft").results if each.name == "owner_solves")
    assert (found.median, found.unknown) == (None, 1.0)
