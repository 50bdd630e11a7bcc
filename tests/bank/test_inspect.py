"""Inspect's logs, small made ones; `test_real_logs` has what Inspect itself wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import Foreign, Wanted, gather
from ponder.errors import BankFileError

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


def read(path: Path, **wanted: Any) -> list[Foreign]:
    """All samples of the file's one model."""
    (found,), _ = gather([path], Wanted(**wanted))
    return [each for task in found.tasks for drawn in task.problems.values() for each in drawn]


def test_a_sample_is_read_with_all_that_its_log_tells(write_eval: Write, sample: Make) -> None:
    (found,) = read(write_eval([sample()]))
    assert (found.asked.task, found.asked.id, found.asked.text, found.asked.key) == (
        "sums",
        "1",
        "Question 1?",
        "7",
    )
    assert (found.model, found.text, found.choice, found.correct, found.score) == (
        *("lab/m", "It is 7."),
        *("7", True, "match"),
    )
    assert (found.tokens.prompt, found.tokens.completion, found.tokens.reasoning) == (10, 4, None)
    assert (found.seconds, found.started, found.finish) == (1.5, 1777629600.0, "stop")
    assert found.settings == {"temperature": 0.7, "solver": [["generate", {}]]}


def test_epochs_are_samples_of_one_problem_in_their_order(write_eval: Write, sample: Make) -> None:
    wrong = {"match": {"value": "I", "answer": "8"}}
    path = write_eval([sample("1", 2, scores=wrong), sample("2", 1), sample("1", 1)])
    (found,), _ = gather([path])
    (task,) = found.tasks
    assert {key: [each.epoch for each in drawn] for key, drawn in task.problems.items()} == {
        "1": [1, 2],
        "2": [1],
    }
    assert task.counts == {"problems": 2, "samples": 3, "right": 2, "ungraded": 0, "failed": 0}


def test_problems_are_in_the_order_of_their_ids(write_eval: Write, sample: Make) -> None:
    (found,), _ = gather([write_eval([sample(each) for each in ("10", "b", "9", "a")])])
    assert list(found.tasks[0].problems) == ["9", "10", "a", "b"]


def test_a_json_log_reads_as_the_eval_log(
    write_eval: Write, tmp_path: Path, sample: Make, header: Make
) -> None:
    rows = [sample("1"), sample("2")]
    for indent in (None, 2):
        path = tmp_path / f"log{indent}.json"
        path.write_text(json.dumps(header() | {"samples": rows}, indent=indent), "utf-8")
        same = [(each.asked, each.text, each.tokens, each.settings) for each in read(path)]
        assert same == [
            (each.asked, each.text, each.tokens, each.settings) for each in read(write_eval(rows))
        ]


def test_a_log_that_was_cut_short_has_its_start_alone(write_eval: Write, sample: Make) -> None:
    assert len(read(write_eval([sample()], at="_journal/start.json"))) == 1


def test_of_several_scores_one_must_be_chosen(write_eval: Write, sample: Make) -> None:
    scores = {
        "match": {"value": "C", "answer": "7"},
        "judge": {"value": {"clear": 0, "true": 1}, "answer": "x"},
    }
    path = write_eval([sample(scores=scores)])
    with pytest.raises(BankFileError, match=r"several scores \(match, judge/clear, judge/true\); choose one"):
        read(path)
    assert [(each.score, each.correct, each.choice) for each in read(path, score="match")] == [
        ("match", True, "7")
    ]
    (found,) = read(path, score="clear")
    assert (found.score, found.correct, found.choice) == ("judge/clear", False, "x")
    with pytest.raises(BankFileError, match="it has no score 'mach'; choose --score from match, judge/clear"):
        read(path, score="mach")
    with pytest.raises(BankFileError, match="'judge' is a part of each"):
        read(path, score="judge")


@pytest.mark.parametrize(
    ("value", "correct"),
    [
        ("C", True),
        ("I", False),
        ("N", False),
        (1, True),
        (0.0, False),
        (True, True),
        ("no", False),
        ("1.0", True),
    ],
)
def test_values_that_say_right_or_wrong(write_eval: Write, sample: Make, value: Any, correct: bool) -> None:
    (found,) = read(write_eval([sample(scores={"s": {"value": value}})]))
    assert found.correct is correct


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_was_not_scored_has_no_verdict(write_eval: Write, sample: Make, value: Any) -> None:
    (found,), notes = gather([write_eval([sample(scores={"s": {"value": value}})])])
    assert found.tasks[0].counts["ungraded"] == 1
    assert notes == ["Samples without a score: 1; they have no grade, and no part in figures."]


@pytest.mark.parametrize("value", ["P", 0.5, 7, -1])
def test_partial_credit_is_refused_until_it_is_said_what_is_right(
    write_eval: Write, sample: Make, value: Any
) -> None:
    path = write_eval([sample(scores={"s": {"value": value}})])
    with pytest.raises(
        BankFileError, match=r"log.eval, samples/1_epoch_1.json: the score s is .* --right-at"
    ):
        read(path)
    assert [each.correct for each in read(path, right_at=0.5)] == [value != -1]


@pytest.mark.parametrize("value", ["excellent", [1, 0]])
def test_a_score_that_is_no_verdict_is_refused(write_eval: Write, sample: Make, value: Any) -> None:
    with pytest.raises(BankFileError, match="neither right nor wrong; choose another with --score"):
        read(write_eval([sample(scores={"s": {"value": value}})]))


def test_failed_and_invalid_draws_are_no_samples_but_keep_their_tokens(
    write_eval: Write, sample: Make
) -> None:
    path = write_eval(
        [
            sample("1", 1),
            sample("1", 2, error={"message": "boom"}, scores=None),
            sample("1", 3, invalidation={"author": "me"}),
        ]
    )
    (found,), notes = gather([path])
    assert found.tasks[0].counts == {"problems": 1, "samples": 1, "right": 1, "ungraded": 0, "failed": 2}
    drawn = found.tasks[0].problems["1"]
    assert [(each.error, each.tokens.completion) for each in drawn] == [
        (None, 4),
        ("boom", 4),
        ("marked as invalid", 4),
    ]
    assert notes == ["Draws that failed or are invalid, and are no samples: 2 (most often: boom)."]


def test_the_prompt_has_its_cached_tokens_and_judges_are_apart(write_eval: Write, sample: Make) -> None:
    usage = {
        "lab/m": {
            "input_tokens": 10,
            "output_tokens": 4,
            "total_tokens": 20,
            "input_tokens_cache_read": 6,
            "reasoning_tokens": 3,
        },
        "judge": {"input_tokens": 50, "output_tokens": 2, "total_tokens": 52},
    }
    (found,) = read(write_eval([sample(model_usage=usage)]))
    assert (found.tokens.prompt, found.tokens.cached, found.tokens.reasoning) == (16, 6, 3)
    assert {name: (each.prompt, each.completion) for name, each in found.judges.items()} == {"judge": (50, 2)}


def test_tokens_that_are_not_told_are_unknown(write_eval: Write, sample: Make) -> None:
    plain = sample(model_usage={})
    del plain["output"]["usage"]
    (found,) = read(write_eval([plain]))
    assert (found.tokens.prompt, found.tokens.completion) == (None, None)


def test_contents_in_parts_and_attachments(write_eval: Write, sample: Make) -> None:
    content = [
        {"type": "reasoning", "reasoning": "attachment://abc"},
        {"type": "text", "text": "So"},
        {"type": "image", "image": "x"},
        {"type": "text", "text": "7."},
    ]
    output = {"choices": [{"message": {"content": content}, "stop_reason": "max_tokens"}]}
    asked = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "attachment://q"}]
    path = write_eval([sample(output=output, input=asked, attachments={"abc": "hm", "q": "3 + 4?"})])
    (found,) = read(path)
    assert (found.text, found.reasoning, found.finish) == ("So\n7.", "hm", "length")
    assert found.asked.text == "Be short.\n\n3 + 4?"


def test_a_whole_long_reply_is_no_choice(write_eval: Write, sample: Make) -> None:
    (found,) = read(write_eval([sample(scores={"includes": {"value": "C", "answer": "word " * 200}})]))
    assert (found.choice, found.correct) == (None, True)


@pytest.mark.parametrize("told", [-1, "long", None, True])
def test_a_time_that_is_none_is_unknown(write_eval: Write, sample: Make, told: Any) -> None:
    (found,) = read(write_eval([sample(total_time=told, started_at=told)]))
    assert (found.seconds, found.started) == (None, None)


def test_options_and_several_targets(write_eval: Write, sample: Make) -> None:
    (found,) = read(write_eval([sample(choices=["Paris", "Rome"], target=["A", "B"])]))
    assert (found.asked.options, found.asked.key) == (("Paris", "Rome"), "A | B")


def test_a_sample_in_two_logs_counts_once(write_eval: Write, sample: Make) -> None:
    first = write_eval([sample("1", 1)], "first.eval")
    retried = write_eval([sample("1", 1), sample("1", 2)], "retried.eval")
    (found,), notes = gather([first, retried])
    assert found.tasks[0].counts["samples"] == 2
    assert notes == ["Samples that are in several logs, each counted once: 1."]


def test_other_settings_are_another_bank(write_eval: Write, sample: Make, header: Make) -> None:
    head = header()
    hot = head | {"plan": {"steps": head["plan"]["steps"], "config": {"temperature": 1.2}}}
    cold = write_eval([sample(uuid=None)], "cold.eval")
    (found,), _ = gather([cold, write_eval([sample(uuid=None)], "hot.eval", hot)])
    assert len(found.tasks) == 2
    assert all(task.name.startswith("sums@") for task in found.tasks)
    assert sorted(task.settings["temperature"] for task in found.tasks) == [0.7, 1.2]


def test_models_are_gathered_apart(write_eval: Write, sample: Make, header: Make) -> None:
    one = write_eval([sample(uuid=None)], "one.eval")
    other = write_eval([sample(uuid=None)], "other.eval", header(model="lab/n"))
    found, _ = gather([one, other])
    assert sorted(str(each.model) for each in found) == ["lab/m", "lab/n"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"id": None}, "id is missing"),
        ({"id": ["a"]}, "id must be a string, not a list"),
        ({"epoch": "x"}, "epoch must be a number"),
        ({"model_usage": {"lab/m": {"output_tokens": 1.5}}}, "output_tokens must be a whole number"),
        ({"output": {"choices": ["x"]}}, "output: not a JSON object"),
        ({"choices": "Paris"}, "choices must be a list of strings"),
    ],
)
def test_values_of_another_kind_are_refused(
    write_eval: Write, sample: Make, changes: dict[str, Any], sentence: str
) -> None:
    path = write_eval([sample()])
    bad = json.dumps(sample() | changes)
    import zipfile

    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("samples/bad.json", bad)
    with pytest.raises(BankFileError, match=f"log.eval, samples/bad.json.*{sentence}"):
        read(path)
