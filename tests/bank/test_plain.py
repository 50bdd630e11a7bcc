"""Plain JSON lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import Foreign, Wanted, gather
from ponder.errors import BankFileError, InputError

Write = Callable[..., Path]
RIGHT = {"question": "6 × 7?", "sample": "It is 42.", "correct": True}


def read(path: Path, **wanted: Any) -> list[Foreign]:
    (found,), _ = gather([path], Wanted(**wanted))
    return [each for task in found.tasks for drawn in task.problems.values() for each in drawn]


def test_the_pages_lines_are_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "banks.md").read_text("utf-8")
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(line for line in page.splitlines() if line.startswith('{"question"')), "utf-8")
    assert sorted((each.choice, each.correct) for each in read(path)) == [("14", False), ("42", True)]


def test_equal_questions_are_one_problem(write_lines: Write) -> None:
    (found,), _ = gather([write_lines([RIGHT, RIGHT | {"correct": False}, RIGHT | {"question": "1?"}])])
    assert sorted(len(drawn) for drawn in found.tasks[0].problems.values()) == [1, 2]
    assert found.tasks[0].name == "samples"


def test_everything_that_may_be_told(write_lines: Write) -> None:
    told = {
        "id": 3,
        "task": "sums",
        "model": "m",
        "choice": " 42 ",
        "tokens": 5,
        "prompt_tokens": 9,
        "flop": 1e9,
    }
    (found,) = read(
        write_lines([RIGHT | told | {"finish": "length", "options": ["41", "42"], "reasoning": "hm"}])
    )
    assert (found.asked.id, found.asked.task, found.asked.options) == ("3", "sums", ("41", "42"))
    assert (found.model, found.choice, found.reasoning, found.finish) == ("m", "42", "hm", "length")
    assert (found.tokens.prompt, found.tokens.completion, found.flop) == (9, 5, 1e9)


@pytest.mark.parametrize(
    ("changes", "choice", "correct"),
    [
        ({"answer": "42"}, "42", True),
        ({"answer": 42.0}, "42", True),
        ({"answer": 41}, "42", False),
        ({"answer": "Paris", "sample": "The answer is Paris."}, "Paris", True),
        ({"answer": "42", "choice": "41"}, "41", False),
        ({"answer": "42", "sample": ""}, None, False),
        ({"answer": "B", "options": ["41", "42"], "sample": "Answer: B"}, "B", True),
    ],
)
def test_without_a_verdict_the_answer_decides(
    write_lines: Write, changes: dict[str, Any], choice: str | None, correct: bool
) -> None:
    row = {key: value for key, value in (RIGHT | changes).items() if key != "correct"}
    (found,) = read(write_lines([row]))
    assert (found.choice, found.correct, found.score) == (choice, correct, "answer")


def test_another_field_may_hold_the_verdict(write_lines: Write) -> None:
    path = write_lines([RIGHT | {"grade": 0.8}])
    assert [(each.correct, each.score) for each in read(path, score="grade", right_at=0.9)] == [
        (False, "grade")
    ]
    with pytest.raises(BankFileError, match="line 1: it has no field 'grad'; choose another with --score"):
        read(path, score="grad")


def test_a_verdict_that_is_null_is_none(write_lines: Write) -> None:
    assert [each.correct for each in read(write_lines([RIGHT | {"correct": None}]))] == [None]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"sample": "x", "correct": True}, "question is missing"),
        ({"question": " ", "correct": True}, "question is missing"),
        ({"question": "q", "sample": "x"}, "correct is missing"),
        (RIGHT | {"sample": ["x"]}, "sample must be a string, not a list"),
        (RIGHT | {"tokens": -1}, "tokens must be a number from 0"),
        (RIGHT | {"tokens": 1.5}, "tokens must be a whole number"),
        (RIGHT | {"tokens": True}, "tokens must be a number"),
        (RIGHT | {"flop": "many"}, "flop must be a number"),
        (RIGHT | {"finish": ["x"]}, "finish is"),
        (RIGHT | {"task": "t" * 201}, "task is over 200 characters"),
        ([], "not a JSON object"),
    ],
)
def test_lines_that_make_no_sample_are_refused(write_lines: Write, row: Any, sentence: str) -> None:
    path = write_lines([RIGHT, row])
    with pytest.raises(BankFileError, match=f"samples.jsonl, line 2: {sentence}"):
        read(path)


def test_one_id_cannot_name_two_questions(write_lines: Write) -> None:
    path = write_lines([RIGHT | {"id": "a"}, RIGHT | {"id": "a", "question": "another?"}])
    with pytest.raises(
        BankFileError, match=r"line 2: the problem 'a' is another one in .*line 1; give each problem"
    ):
        read(path)


def test_a_stated_model_names_one_model(write_lines: Write) -> None:
    assert gather([write_lines([RIGHT])], Wanted(model="mine"))[0][0].model == "mine"
    several = write_lines([RIGHT | {"model": "a"}, RIGHT | {"model": "b"}])
    with pytest.raises(InputError, match=r"model: the files hold samples of several models \(a, b\)"):
        gather([several], Wanted(model="mine"))


def test_a_file_given_twice_is_read_once(write_lines: Write) -> None:
    (found,), notes = gather([write_lines([RIGHT], "a.jsonl"), write_lines([RIGHT], "b.jsonl")])
    assert found.tasks[0].counts["samples"] == 1
    assert notes == ["Files that were given twice and read once: 1 of 2."]


def test_the_order_of_the_files_does_not_matter(write_lines: Write) -> None:
    first = write_lines([RIGHT | {"task": "t"}], "a.jsonl")
    second = write_lines([RIGHT | {"task": "t", "sample": "It is 43.", "correct": False}], "b.jsonl")
    one, other = gather([first, second])[0][0], gather([second, first])[0][0]
    assert one.config() == other.config()
    assert one.tasks == other.tasks
