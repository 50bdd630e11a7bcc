"""Countdown in steps: chains that nothing can fool, and what an unfinished one can still lead to."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import permutations, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import checks, load
from ponder.tasks.countdown import evaluate
from ponder.tasks.countdown_steps import reachable, result, walk
from ponder.tasks.extract import choice, steps
from ponder.verifiers import grader


def ask(numbers: tuple[int, ...], target: int) -> Question:
    question = load("countdown:steps=true", problems=1, seed=5).problems[0].question
    data = {"checks": "countdown", "numbers": list(numbers), "target": target}
    return Question.from_json(question.to_json() | {"data": data})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (" 3 * 4 = 12;\n12 - 5 = 7", "3 * 4 = 12; 12 - 5 = 7"),
        ("12+5=17.", "5 + 12 = 17"),  # of a sum the smaller operand comes first
        ("12 - 5 = 7", "12 - 5 = 7"),
        ("12 × 5 = 60\n60 ÷ 2 = 30", "5 * 12 = 60; 60 / 2 = 30"),
        ("3 / 2 = 3/2; 3/2 * 4 = 6", "3 / 2 = 3/2; 3/2 * 4 = 6"),
        ("3 - 5 = -2; -2 + 9 = 7", "3 - 5 = -2; -2 + 9 = 7"),
        ("6/4 * 2 = 3", "3/2 * 2 = 3"),
        ("3 * 4 = 12;\n\n", "3 * 4 = 12"),
        ("3 * 4 = 12; so", None),
        ("3 * 4", None),
        ("3 * 4 = 12 + 5 = 17", None),
        ("3 * 4 * 5 = 60", None),
        ("3 / 0 = 1/0", None),
        ("1e3 + 1 = 1001", None),
        ("３ * 4 = 12", None),
        ("9" * 13 + " + 1 = 2", None),
        ("", None),
        ("__import__('os') + 1 = 2", None),
    ],
)
def test_a_chain_is_read_in_one_spelling(text: str, read: str | None) -> None:
    assert steps(text) == read
    assert read is None or steps(read) == read


@pytest.mark.parametrize(
    ("text", "finished", "unfinished"),
    [
        ("3 * 4 = 12; 12 + 5 = 17", 1.0, 0.25),  # whoever goes on from 17 cannot hit it again
        ("3 * 4 = 12", 0.5, 0.75),  # + 5
        ("3 + 4 = 7", 0.5, 0.25),  # 7 and 5 make 12, 2, 35, 7/5: never 17
        ("3 * 4 = 12; 12 - 5 = 7", 0.5, 0.25),
        ("3 * 4 = 13", 0.0, 0.0),  # wrong
        ("3 * 4 = 12; 12 + 4 = 16", 0.0, 0.0),  # 4 is used up
        ("3 * 6 = 18", 0.0, 0.0),  # 6 is not given
        ("3 * 4 = 12; then", 0.0, 0.0),
        ("5 - 4 = 1; 3 - 3 = 0", 0.0, 0.0),  # 3 is given once
        ("", 0.0, 0.0),
        ("17", 0.0, 0.0),
    ],
)
def test_a_chain_is_checked_without_a_key(text: str, finished: float, unfinished: float) -> None:
    question = ask((3, 4, 5), 17)
    assert checks(question, text) == finished
    assert checks(question, text, finished=False) == unfinished


def test_a_chain_that_has_hit_the_target_and_goes_on_must_hit_it_again() -> None:
    assert checks(ask((3, 4, 1), 12), "3 * 4 = 12") == 1.0
    assert checks(ask((3, 4, 1), 12), "3 * 4 = 12", finished=False) == 0.75  # 12 * 1
    assert checks(ask((3, 4, 5), 12), "3 * 4 = 12", finished=False) == 0.25


def test_what_follows_the_full_stop_is_not_read() -> None:
    question = ask((3, 4, 5), 17)
    assert choice(question, " 3 * 4 = 12;\n12 + 5 = 17.\n\nProblem: Make 2") == "3 * 4 = 12; 5 + 12 = 17"
    assert checks(question, "3 * 4 = 12;\n12 + 5 = 17. Or 1 + 1 = 2") == 1.0


def test_a_one_line_expression_is_judged_as_it_stands() -> None:
    question = load("countdown", problems=1, seed=5).problems[0].question
    text = str(question.data["numbers"][0])
    assert checks(question, text, finished=False) == checks(question, text) == 0.5


def by_trying_all(left: tuple[Fraction, ...], target: int) -> bool:
    """The same by another way: every order of the numbers, every operator, folded from any pair."""
    for a, b, *rest in permutations(left):
        for value in (result(a, operator, b) for operator in "+-*/"):
            if value == target:
                return True
            if value is not None and rest and by_trying_all((*rest, value), target):
                return True
    return False


@given(numbers=st.lists(st.integers(1, 9), min_size=1, max_size=4), target=st.integers(1, 60))
def test_reachable_is_exact(numbers: list[int], target: int) -> None:
    left = tuple(map(Fraction, numbers))
    expected = len(left) > 1 and by_trying_all(left, target)
    assert reachable(left, target) == expected


def test_a_last_step_that_only_repeats_a_number_is_none() -> None:
    assert not reachable((Fraction(7),), 7)  # the answer is the result of a step


def test_the_search_is_bounded() -> None:
    began = time.thread_time()
    assert not reachable(tuple(map(Fraction, (97, 89, 83, 79, 73))), 99_999_999)
    assert time.thread_time() - began < 20
    with pytest.raises(ValueError, match="at most 6 numbers, not 7"):
        reachable((Fraction(1),) * 7, 1)


@given(text=st.text(alphabet="0123456789+-*/=;. \n") | st.text())
def test_any_text_is_checked_without_an_error(text: str) -> None:
    question = ask((1, 2, 3, 4), 9)
    assert checks(question, text) in (0.0, 0.5, 1.0)
    assert checks(question, text, finished=False) in (0.0, 0.25, 0.75)


@given(data=st.data())
def test_a_legal_step_from_a_reachable_state_never_scores_illegal(data: st.DataObject) -> None:
    """And some legal step keeps the target reachable, down to the last one, which solves."""
    question = ask((3, 4, 5), 17)
    chain = ""
    for _ in range(2):
        left = walk(chain, (3, 4, 5)) if chain else tuple(map(Fraction, (3, 4, 5)))
        assert left is not None
        moves = [
            f"{a} {o} {b} = {value}"
            for (a, b), o in product(permutations(left, 2), "+-*/")
            if (value := result(a, o, b)) is not None
        ]
        scores = {m: checks(question, f"{chain}{m}", finished=False) for m in moves}
        assert min(scores.values()) >= 0.25  # type: ignore[type-var]
        good = [m for m, value in scores.items() if value == 0.75 or checks(question, f"{chain}{m}") == 1.0]
        assert good
        chain += data.draw(st.sampled_from(sorted(good))) + "; "
    assert checks(question, chain) == 1.0


@pytest.mark.parametrize("text", ["1 + 1 = 2;" * 10**5, "9" * 10**6, "3 * 4 = 12" + " " * 10**6, ";" * 10**6])
def test_hostile_chains_are_bounded(text: str) -> None:
    question = ask((3, 4, 5), 17)
    began = time.thread_time()
    checks(question, text)
    assert time.thread_time() - began < 1.0


def test_the_problems_are_those_of_countdown() -> None:
    plain, stepped = (load(f"countdown{form}", problems=20, seed=7) for form in ("", ":steps=true"))
    own = grader("own")
    for one, other in zip(plain.problems, stepped.problems, strict=True):
        assert one.question.text == other.question.text
        assert one.question.data == other.question.data
        assert other.question.id.startswith("countdown:steps=true/7-")
        assert evaluate(one.key, one.question.data["numbers"]) == one.question.data["target"]
        assert checks(other.question, other.key) == 1.0
        assert own.grade(other.question, other.key, other.key)
        assert own.grade(other.question, other.key, one.key) is False
        assert other.key not in str(other.question.to_json())
    assert stepped.prompt_text.endswith("Problem: {question}\nSteps:")


def test_the_examples_are_right() -> None:
    question = load("countdown:steps=true", problems=1, seed=7).problems[0].question
    turns = [m.content for m in question.prompt.messages]
    assert len(turns) == 17
    for shown, reply in zip(turns[:-1:2], turns[1::2], strict=True):
        target, numbers = shown.removeprefix("Problem: Make ").split(" from ")
        example = ask(tuple(map(int, numbers.split(", "))), int(target))
        assert checks(example, reply) == 1.0


@pytest.mark.parametrize("value", ["1", "yes", '"true"', "0.5"])
def test_steps_is_true_or_false(value: str) -> None:
    with pytest.raises(InputError, match="countdown's steps must be true or false"):
        load(f"countdown:steps={value}", problems=1, seed=0)
