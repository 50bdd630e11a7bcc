"""Countdown: solvable instances, and an exact checker that nothing can fool or hang."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.errors import InputError
from ponder.tasks import checks, load
from ponder.tasks.countdown import evaluate


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("3 * 4 + 5", 17),
        ("3*(4+5)", 27),
        ("5 - 3 - 4", -2),
        ("3 / 4 * 5", Fraction(15, 4)),
        ("5", 5),
        ("((5))", 5),
        ("3 + 3", None),  # 3 is given once
        ("3 + 6", None),  # 6 is not given
        ("34 + 5", None),  # digits glued together
        ("-3 + 4", None),
        ("3 -", None),
        ("3 4", None),
        ("(3 + 4", None),
        ("3 + 4)", None),
        ("3 ** 4", None),
        ("3 // 4", None),
        ("5 / (4 - 4)", None),
        ("", None),
        ("__import__('os')", None),
        ("3 + 4 = 7", None),
        ("３ + 4", None),  # a full-width digit
        ("3 + \n4", None),
    ],
)
def test_expressions(expression: str, value: int | Fraction | None) -> None:
    assert evaluate(expression, (3, 4, 5)) == value


def test_division_by_zero_is_illegal() -> None:
    assert evaluate("5 / (4 - 4)", (4, 4, 5)) is None
    assert evaluate("5 / 0", (0, 5)) is None


@given(text=st.text(alphabet="0123456789+-*/() .x\n") | st.text())
def test_any_text_is_checked_without_an_error(text: str) -> None:
    value = evaluate(text, (1, 2, 3, 4))
    assert value is None or isinstance(value, Fraction)


@pytest.mark.parametrize(
    "text", ["(" * 10**6, "1+" * 10**6, "9" * 10**6, "1" + "*1" * 49, "(" * 49 + "1" + ")" * 49]
)
def test_hostile_expressions_are_bounded(text: str) -> None:
    began = time.thread_time()
    evaluate(text, (1,))
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize("numbers", [3, 4, 6])
def test_every_instance_is_solvable_by_its_key(numbers: int) -> None:
    found = load(f"countdown:numbers={numbers}", problems=30, seed=5)
    assert len({p.question.text for p in found.problems}) == 30
    for problem in found.problems:
        data = problem.question.data
        assert len(data["numbers"]) == numbers
        assert data["target"] not in data["numbers"]
        assert evaluate(problem.key, data["numbers"]) == data["target"]
        assert checks(problem.question, problem.key) == 1.0


def test_checks_are_graded_without_a_key() -> None:
    question = load("countdown", problems=1, seed=5).problems[0].question
    numbers = question.data["numbers"]
    miss = next(f"{numbers[i]}" for i in range(3))
    assert checks(question, f" {miss}") == 0.5
    assert checks(question, " 999 + 1 = 1000") == 0.0
    assert checks(question, "no idea") == 0.0
    other = load("chain_sum", problems=1, seed=5).problems[0].question
    assert checks(other, "1 + 1") is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("countdown:numbers=1", "numbers must be a whole number from 2 to 6"),
        ("countdown:numbers=3.5", "numbers must be"),
        ("countdown:numbers=true", "numbers must be"),
        ("countdown:largest=4", "largest must be"),
        ("countdown:target=3", "no parameter 'target'"),
    ],
)
def test_bad_parameters(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(spec, problems=1, seed=0)


def test_a_small_world_runs_out_instead_of_hanging() -> None:
    found = load("countdown:numbers=2,largest=5", problems=500, seed=0)
    assert 10 < len(found.problems) < 500
