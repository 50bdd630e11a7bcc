"""What a fleet carries: worked numbers, identities, and that every input is a live wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from ponder.cli._app import run
from ponder.data import rows
from ponder.errors import InputError
from ponder.govern.calculator import Row, Table
from ponder.govern.efforts import EFFORTS
from ponder.govern.scale import CALCULATOR
from tests.govern.cases import middles, outcome

EFFORTS_KNOWN = {
    each.word: {"samples": 4.0**place, "accuracy": 1.0 - 0.5 / 1.5**place}
    for place, each in enumerate(EFFORTS)
}
BASE: dict[str, Any] = {"chips": 10_000, "sample_tokens": 1000, "efforts": EFFORTS_KNOWN}


def changed(base: Mapping[str, Any], **document: Any) -> Mapping[str, float]:
    return middles("scale", **{**base, **document})


def table(name: str, document: Mapping[str, Any]) -> Table:
    (found,) = [each for each in outcome("scale", document, draws=50).tables if each.name == name]
    return found


def test_one_h100_reads_the_speech_of_a_hundred_thousand_people() -> None:
    """Llama 3.1 8B at 40 % of the arithmetic: 24,600 tokens/s, 2.1e9 a day."""
    one = changed(
        {},
        chips=1,
        model="llama-3.1-8b",
        compute_use=0.4,
        serving=1,
        watch_questions=0,
        prompt_tokens=1,
        sample_tokens=100,
        speech=21_000,
        video=21.6e6,
    )
    assert one["read_a_second"] == pytest.approx(24_600, rel=0.01)
    assert one["people_speech"] == pytest.approx(1e5, rel=0.02)
    assert one["people_video"] == pytest.approx(100, rel=0.03)
    assert 1400 * one["chips_for_a_million_people_speech"] == pytest.approx(14_000, rel=0.02)


def test_the_cluster_that_trained_llama_405b_reads_ten_million_tokens_a_second() -> None:
    assert changed(BASE, training_days=54)["training_fleet"] == pytest.approx(1.0e7, rel=0.01)


def test_workers_say_how_many_of_their_answers_are_right() -> None:
    told = outcome("scale", {**BASE, "effort": "minimal"}, draws=50).notes
    assert "Workers count answers, right or wrong: here 50.0% of them are right." in told
    unknown = outcome("scale", {"chips": 10_000}, draws=50).notes
    assert not any("right or wrong" in note for note in unknown)


def test_twice_the_chips_are_twice_the_workers_at_the_same_cost_and_speed() -> None:
    once, twice = changed(BASE), changed(BASE, chips=20_000)
    linear = ("workers", "tasks_at_once", "tasks_a_day", "users", "people_messages", "people_speech",
              "people_video", "tokens_a_second", "read_a_second", "streams", "megawatts")  # fmt: skip
    for name in linear:
        assert twice[name] == pytest.approx(2 * once[name]), name
    for name in ("speed", "accuracy", "usd_a_task", "kwh_a_task", "chips_for_a_million_workers"):
        assert twice[name] == pytest.approx(once[name]), name


def test_workers_are_tasks_at_once_times_their_speed_round_the_clock() -> None:
    """A fleet works 24 hours of a person's eight (Little's law), where a task is one stream."""
    of = changed(BASE, effort="minimal", task_minutes=30)
    assert of["workers"] == pytest.approx(of["tasks_at_once"] * of["speed"] * 24 / 8)


def test_a_task_takes_its_prompt_once_and_all_its_samples() -> None:
    fast = changed(BASE, prompt_tokens=1e-6)
    taken = changed(BASE)
    serving = 10_000 * 0.82 * 86_400
    apart = 1000 / (taken["read_a_second"] / 8200) + 16 * 1000 / (taken["tokens_a_second"] / 8200)
    assert changed(BASE, prompt_tokens=1000)["tasks_a_day"] == pytest.approx(serving / apart, rel=0.05)
    assert fast["tasks_a_day"] > taken["tasks_a_day"]


def test_more_effort_is_fewer_workers_and_a_dearer_task() -> None:
    by_word = [changed(BASE, effort=each.word) for each in EFFORTS[::2]]
    for less, more in pairwise(by_word):
        assert more["workers"] < less["workers"]
        assert more["usd_a_task"] > less["usd_a_task"]
        assert more["accuracy"] > less["accuracy"]


def test_without_a_law_a_task_takes_the_most_samples_and_its_accuracy_is_unknown() -> None:
    found = outcome("scale", {"chips": 10_000, "effort": "high"})
    (accuracy,) = [each for each in found.results if each.name == "accuracy"]
    assert accuracy.median is None
    assert any("all 128 samples that effort high allows" in note for note in found.notes)
    stated = outcome("scale", {"chips": 10_000, "effort": "high", "efforts": {"high": {"samples": 128}}})
    assert stated.middle["workers"] == found.middle["workers"]


def test_a_fleet_that_cannot_hold_the_model_says_so() -> None:
    found = outcome("scale", {"chips": 8})
    assert found.results[0].median is None
    assert any(note.startswith("In 100.00% of the draws the fleet does not serve") for note in found.notes)
    held = outcome("scale", {"chips": 8, "precision": "fp8", "chip": "h200-sxm"})
    assert held.results[0].median is not None


def test_a_chip_without_the_precision_is_refused() -> None:
    with pytest.raises(InputError, match=r"^precision: a100-sxm has no fp8; take bf16, or give flop_fp8\.$"):
        outcome("scale", {"chips": 100, "chip": "a100-sxm", "precision": "fp8"})


def test_a_model_whose_shape_is_unknown_asks_for_it() -> None:
    with pytest.raises(InputError, match="layers: it must be given"):
        outcome("scale", {"chips": 100, "model": "gpt-3"})


def test_only_chips_move_the_workers_one_for_one() -> None:
    found = table("what_moves_workers", BASE)
    times = {str(row[0]): row[2] for row in found.rows}
    assert times.pop("twice the chips") == pytest.approx(2.0)
    assert all(isinstance(each, float) and each < 1.0 for each in times.values())


def test_every_row_of_scale_is_an_inputs_default() -> None:
    used = {
        (each.default.name, each.default.figure)
        for each in CALCULATOR.inputs
        if isinstance(each.default, Row) and each.default.table == "scale"
    }
    assert used == {(name, figure) for name, row in rows.rows("scale").items() for figure in row}
    assert set(outcome("scale", BASE, draws=2).choices.values()) >= set(rows.rows("actors"))


def test_the_value_of_an_answer_and_the_cost_of_a_wrong_one_choose_the_effort() -> None:
    sure = {"prompt_tokens": 1000, "compute_use": 0.4, "serving": 0.8, "chip_hour": 2, "least_speed": 20}

    def told(**document: float) -> str:
        return " ".join(outcome("scale", BASE | sure | document, draws=50).notes)

    cost = middles("scale", **BASE | sure | {"effort": "minimal"})["usd_a_task"]
    assert "minimal in 100% of the draws" in told(answer_value=3 * cost)
    assert "max in 100% of the draws" in told(answer_value=1e6)
    assert "none at all in 100%" in told(answer_value=3 * cost, wrong_cost=1e6)


# ---------------------------------------------------------------- the verb


def test_a_fleet_may_be_written_with_its_chip(scale_verb: Callable[..., dict[str, Any]]) -> None:
    apart = scale_verb("--chips", "500", "--chip", "h200-sxm", "--draws", "100")
    together = scale_verb("--chips", "500xH200-SXM", "--draws", "100")
    assert together["outputs"] == apart["outputs"]


@pytest.fixture
def scale_verb(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    def go(*arguments: str) -> dict[str, Any]:
        assert run(["govern", "scale", *arguments, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return go


def test_a_fleet_of_two_chips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["govern", "scale", "--chips", "10xH100", "--chip", "b200"]) == 2
    assert "chips: the chip is H100 there and b200 in --chip; give one." in capsys.readouterr().err


def test_a_fleet_of_less_than_no_chips_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["govern", "scale", "--chips", "-5xH100"]) == 2
    assert "chips: -5 chip must be above zero" in capsys.readouterr().err
