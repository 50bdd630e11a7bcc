"""Graders: equal answers in other spellings, and nothing else, are correct."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Prompt, Question
from ponder.errors import ChildCrashed, ChildTimeout, InputError, MissingExtra, UnknownName
from ponder.tasks import Problem, gym, load
from ponder.tasks.extract import choice as read
from ponder.verifiers import Grader, grader, grader_names, scorer_names

EMPTY = Question("q", "q", Prompt(()), Prompt(()))


@pytest.fixture
def own() -> Iterator[Grader]:
    found = grader("own")
    yield found
    found.close()


def test_they_are_found_by_name() -> None:
    assert grader_names() == ("choice", "code", "exact", "math", "numeric", "own")
    assert {"checks", "likelihood"} <= set(scorer_names())
    at_once = [name for name in grader_names() if name != "code"]  # which is off unless it is switched on
    assert [grader(name).name for name in at_once] == at_once
    with pytest.raises(UnknownName, match="Unknown grader 'numbers': did you mean numeric"):
        grader("numbers")
    for name in ("", "..", "graders", "__init__", "os"):
        with pytest.raises(UnknownName):
            grader(name)


@pytest.mark.parametrize(
    ("name", "key", "choice", "correct"),
    [
        ("exact", "Paris", " paris. ", True),
        ("exact", "Paris", "**Paris**", True),
        ("exact", "New  York", "New York", True),
        ("exact", "Paris", "Paris is nice", False),
        ("exact", "7.0", "7", True),
        ("exact", "15 apples", "15", True),
        ("exact", "3 June 1990", "3 June 1990", True),
        ("exact", "3 June 1990", "3 July 1990", False),
        ("exact", "B", "b", True),
        ("exact", "(b)", "B) Paris", True),
        ("exact", "B", "Berlin", False),
        ("exact", "B", "A", False),
        ("exact", "B", "A cat", False),
        ("exact", "", "", False),
        ("numeric", "7", "7.0", True),
        ("numeric", "7", "+07", True),
        ("numeric", "1000", "1,000", True),
        ("numeric", "0.5", "1/2", True),
        ("numeric", "2/4", "3/6", True),
        ("numeric", "0.333", "1/3", False),
        ("numeric", "7", "-7", False),
        ("numeric", "7", "17", False),
        ("numeric", "7", "x = 7", True),
        ("numeric", "7", "about 7 m", True),
        ("numeric", "7", "3 or 7", False),
        ("numeric", "7", "seven", False),
        ("numeric", "seven", "seven", False),
        ("numeric", "0.1", "0.10000000000000000001", False),
        ("numeric", "9" * 300, "9" * 299 + "8", False),
    ],
)
def test_equality(name: str, key: str, choice: str, correct: bool) -> None:
    assert grader(name).grade(EMPTY, key, choice) is correct


@pytest.mark.parametrize(
    ("grading", "key", "text", "correct"),
    [
        ("exact", "B", "The answer is (B).", True),
        ("exact", "B", "So, **Answer:** **B**", True),
        ("exact", "B", "Answer: b", True),
        ("exact", "B", "The answer is B. Paris", True),
        ("exact", "B", "The answer is \\boxed{(B)}.", True),
        ("exact", "B", "B", True),
        ("exact", "B", "The answer is (C).", False),
        ("exact", "Paris", "The answer is paris.", True),
        ("exact", "7.0", "Answer: 7.0", True),
        ("exact", "2024-01-05", "Answer: 2024-01-05", True),
        ("exact", "2024-01-05", "Answer: 2024-01-06", False),
        ("exact", "10:30", "The answer is 10:45.", False),
        ("exact", "2, 3, 5", "Answer: 2, 3, 5", True),
        ("exact", "2, 3, 5", "Answer: 2, 3, 7", False),
        ("numeric", "15", "8 + 7 = 15. The answer is x = 15.", True),
        ("numeric", "15", "Answer: 15 apples", True),
        ("numeric", "1000", "The answer is $1,000.00.", True),
        ("numeric", "15", "Answer: 8 + 7 = 15", True),
        ("numeric", "15", "Answer: 16", False),
    ],
)
def test_what_the_general_rule_reads_is_graded_as_a_person_would(
    grading: str, key: str, text: str, correct: bool
) -> None:
    found = read(EMPTY, text)
    assert found is not None
    assert grader(grading).grade(EMPTY, key, found) is correct


@given(key=st.text(), choice=st.text())
def test_any_text_is_graded_without_an_error(key: str, choice: str) -> None:
    for name in ("exact", "numeric"):
        assert grader(name).grade(EMPTY, key, choice) == grader(name).grade(EMPTY, choice, key)


@given(value=st.fractions(max_denominator=10**6))
def test_a_number_equals_itself_alone(value: object) -> None:
    numeric = grader("numeric")
    assert numeric.grade(EMPTY, str(value), str(value))
    assert not numeric.grade(EMPTY, str(value), str(value + 1))  # type: ignore[operator]


def test_a_megadigit_answer_is_refused_at_once() -> None:
    began = time.thread_time()
    assert not grader("numeric").grade(EMPTY, "7", "7" * 10**6)
    assert time.thread_time() - began < 0.5


def test_own_countdown(own: Grader) -> None:
    problem = load("countdown", problems=1, seed=1000).problems[0]
    numbers = problem.question.data["numbers"]
    assert own.grade(problem.question, problem.key, problem.key)
    assert own.grade(problem.question, "", problem.key)  # the key is not what is compared
    assert not own.grade(problem.question, problem.key, str(numbers[0]))
    assert not own.grade(problem.question, problem.key, str(problem.question.data["target"]))


def judged(own: Grader, problem: Problem, choice: str) -> bool | None:
    return own.grade(problem.question, problem.key, choice, problem.handle)


@pytest.mark.parametrize("spec", ["gcd", "sudoku", "letter_counting", "knights_knaves"])
def test_own_reasoning_gym(own: Grader, spec: str) -> None:
    for problem in load(spec, problems=3, seed=1000).problems:
        assert judged(own, problem, problem.key) is True
        assert judged(own, problem, "no idea") is False


def test_own_pays_nothing_for_a_substring(own: Grader) -> None:
    problem = load("gcd", problems=1, seed=1000).problems[0]
    assert judged(own, problem, f"{problem.key} or {problem.key}1") is False


def test_a_scorer_that_takes_too_long_is_tried_twice_and_then_says_nothing(
    own: Grader, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = load("gcd", problems=1, seed=1000).problems[0]
    tries: list[str] = []

    def slow(process: object, handle: object, answer: str) -> float:
        tries.append(answer)
        raise ChildTimeout("too long")

    with monkeypatch.context() as patch:
        patch.setattr(gym, "SCORE_SECONDS", 0.0)
        assert judged(own, problem, problem.key) is None
    with monkeypatch.context() as patch:
        patch.setattr(gym, "score", slow)
        assert judged(own, problem, problem.key) is None
    assert len(tries) == 2
    assert judged(own, problem, problem.key) is True


def test_a_scorer_that_cannot_start_is_an_error(own: Grader, monkeypatch: pytest.MonkeyPatch) -> None:
    problem = load("gcd", problems=1, seed=1000).problems[0]
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ChildCrashed):
        judged(own, problem, problem.key)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra):
        judged(grader("own"), problem, problem.key)


def test_own_needs_a_task_that_has_one(own: Grader) -> None:
    with pytest.raises(InputError, match="use exact or numeric"):
        own.grade(EMPTY, "7", "7")
