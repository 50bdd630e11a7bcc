"""Multiple choice: an option is named by its letter, by its whole text, or by both, never by a part of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Prompt, Question
from ponder.errors import TaskFileError
from ponder.tasks import load
from ponder.tasks.extract import choice as read
from ponder.tasks.options import LETTERS, listed
from ponder.verifiers import grader

OPTIONS = ("Paris", "Rome", "Paris, Texas", "St. Petersburg", "a cat")
EMPTY = Question("q", "Which?", Prompt(()), Prompt(()), extract="choice")
BY_DATA = Question(
    "q", "Which?", Prompt(()), Prompt(()), extract="choice", data=MappingProxyType({"options": OPTIONS})
)
BY_TEXT = Question(
    "q", "Which?\nA) Paris\n(B) Rome\n C. Paris, Texas\nD: St. Petersburg\nE) a cat", Prompt(()), Prompt(())
)


def test_options_are_read_from_data_or_text() -> None:
    assert list(listed(BY_DATA).items()) == list(zip("ABCDE", OPTIONS, strict=True))
    assert listed(BY_TEXT) == listed(BY_DATA)
    assert listed(EMPTY) == {}
    two_lists = Question("q", "A) one\nB) two\n\nNow:\nA) red\nB) blue\nD) no", Prompt(()), Prompt(()))
    assert listed(two_lists) == {"A": "red", "B": "blue"}


def test_a_line_after_the_last_letter_is_no_option() -> None:
    text = "\n".join(f"{letter}) {letter.lower()}" for letter in f"{LETTERS}B")
    assert listed(Question("q", text, Prompt(()), Prompt(()))) == {at: at.lower() for at in LETTERS}


@pytest.mark.parametrize("question", [BY_DATA, BY_TEXT])
@pytest.mark.parametrize(
    ("key", "choice", "correct"),
    [
        ("B", "b", True),
        ("B", "(B)", True),
        ("(b)", "B.", True),
        ("B", "B) Rome", True),
        ("B", "Option B", True),
        ("B", "the correct answer is (B)", True),
        ("B", "rome.", True),
        ("Rome", "B", True),
        ("Rome", "**Rome**", True),
        ("C", "paris, texas", True),
        ("A", "A) Paris", True),
        ("E", "A cat", True),
        ("B", "A", False),
        ("A", "Paris, Texas", False),
        ("A", "Pari", False),
        ("A", "Paris or Rome", False),
        ("A", "B) Paris", False),
        ("B", "B) Paris", False),
        ("A", "A B", False),
        ("A", "A cat", False),
        ("A", "", False),
        ("A", "Z", False),
        ("Z", "Z", False),
    ],
)
def test_with_the_questions_options(question: Question, key: str, choice: str, correct: bool) -> None:
    assert grader("choice").grade(question, key, choice) is correct


@pytest.mark.parametrize(
    ("key", "choice", "correct"),
    [
        ("B", "(b)", True),
        ("B", "B) Paris", True),
        ("B) Paris", "Paris", True),
        ("B) Paris", "B: paris", True),
        ("B) Paris", "B) Rome", False),
        ("B", "Paris", False),
        ("B", "Berlin", False),
        ("Paris", "paris.", True),
        ("Paris", "Paris is nice", False),
        ("", "", False),
    ],
)
def test_without_options(key: str, choice: str, correct: bool) -> None:
    assert grader("choice").grade(EMPTY, key, choice) is correct


def test_two_options_of_the_same_text_are_told_by_letter_alone() -> None:
    question = Question("q", "q", Prompt(()), Prompt(()), data={"options": ["x", "X", "y"]})
    assert not grader("choice").grade(question, "A", "x x")
    assert grader("choice").grade(question, "C", "y")
    assert not grader("choice").grade(
        Question("q", "q", Prompt(()), Prompt(()), data={"options": ["red", "Red", "y"]}), "A", "red"
    )


@given(key=st.text(max_size=40), choice=st.text(max_size=40))
def test_any_text_is_graded_and_equality_is_symmetric(key: str, choice: str) -> None:
    for question in (EMPTY, BY_DATA):
        grade = grader("choice").grade
        assert grade(question, key, choice) == grade(question, choice, key)


@given(options=st.lists(st.from_regex(r"[a-z]{3,8}", fullmatch=True), min_size=2, max_size=5, unique=True))
def test_every_option_equals_itself_alone_in_every_spelling(options: list[str]) -> None:
    question = Question("q", "q", Prompt(()), Prompt(()), data={"options": options})
    for at, option in enumerate(options):
        spellings = (LETTERS[at], f"({LETTERS[at]})", option, f"{LETTERS[at]}) {option}")
        for other in range(len(options)):
            right = {grader("choice").grade(question, LETTERS[other], spelling) for spelling in spellings}
            assert right == {at == other}


def test_a_text_that_names_an_option_votes_with_its_letter() -> None:
    assert read(BY_DATA, "Answer: (B) Rome") == "B"
    assert read(BY_DATA, "The answer is Rome.") == "B"
    assert read(BY_DATA, "The answer is Berlin.") is None
    assert read(EMPTY, "The answer is Rome.") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The answer is (I).", "I"),
        ("Answer: I", "I"),
        ("Answer: **J**", "J"),
        ("Answer: J because it is round", "J"),
        ("Answer: z", "Z"),
        ("It is neither (K) nor (L).\nM", "M"),
        ("I) is right", "I"),
        ("Answer: I think it is round", None),
        ("Answer: I, for one, am not sure", None),
        ("The answer is I'm not sure", None),
        ("I do not know.", None),
        ("The answer is a round thing.", None),
        ("The answer is thing-3.", "D"),
    ],
)
def test_letters_to_the_last_option_are_read_and_words_are_not(text: str, found: str | None) -> None:
    data = {"options": [f"thing-{i}" for i in range(26)]}
    assert read(Question("q", "q", Prompt(()), Prompt(()), extract="choice", data=data), text) == found


def test_a_letter_that_no_option_has_is_no_choice() -> None:
    two = Question("q", "q", Prompt(()), Prompt(()), extract="choice", data={"options": ["x", "y"]})
    assert read(two, "Answer: D") is None
    assert read(EMPTY, "Answer: D") == "D"
    assert read(EMPTY, "Answer: F") is None
    assert read(BY_DATA, "The answer is a cat.") == "E"


def test_a_file_with_as_many_options_as_letters(tmp_path: Path) -> None:
    row = {"question": "Which?", "options": [f"thing {i}" for i in range(26)], "answer": "thing 25"}
    (problem,) = load(write(tmp_path, row), problems=9, seed=0).problems
    assert problem.question.text.endswith("\nZ) thing 25")
    assert grader("choice").grade(problem.question, problem.key, read(problem.question, "It is (Z).") or "")


def write(tmp_path: Path, *rows: object) -> str:
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_file_with_options(tmp_path: Path) -> None:
    row = {"question": "Capital of Italy?", "options": ["Paris", "Rome"], "answer": "Rome"}
    found = load(write(tmp_path, row), problems=9, seed=0)
    (problem,) = found.problems
    assert found.grader == "choice"
    assert problem.question.text == "Capital of Italy?\nA) Paris\nB) Rome"
    assert problem.question.prompt.messages[-1].content.startswith(problem.question.text)
    choice = read(problem.question, "It is Rome.\nAnswer: Rome")
    assert choice == "B"
    assert grader(found.grader).grade(problem.question, problem.key, choice)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": ["Paris"]}, "options must be a list of 2 to 26"),
        ({"options": [str(i) for i in range(27)]}, "options must be a list of 2 to 26"),
        ({"options": ["Rome", "rome"]}, "options must be a list of 2 to 26 different"),
        ({"options": ["Rome", {}]}, "options must be"),
        ({"options": "Rome"}, "options must be"),
        ({"answer": "Berlin"}, "answer names none of the options"),
        ({"grader": "chioce"}, "grader is 'chioce'; write one of choice, code, exact, math, numeric"),
        ({"grader": "code"}, "the grader code goes with tests"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(tmp_path: Path, change: dict[str, object], message: str) -> None:
    row: dict[str, object] = {"question": "q", "options": ["Paris", "Rome"], "answer": "Rome"}
    with pytest.raises(TaskFileError, match=message):
        load(write(tmp_path, row | change), problems=1, seed=0)


def test_one_file_has_one_grader(tmp_path: Path) -> None:
    rows = ({"question": "q", "answer": 1, "grader": "math"}, {"question": "q", "answer": 1})
    with pytest.raises(TaskFileError, match="grader is math and that of line 2 is none"):
        load(write(tmp_path, *rows), problems=1, seed=0)
