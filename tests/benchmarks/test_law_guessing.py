"""What guessing gets, and votes whose right answers are pooled."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from benchmarks.laws import guessing
from benchmarks.laws.sources import STEPS

from ponder import tasks
from ponder.errors import InputError
from ponder.tasks.countdown import ILLEGAL, SOLVED, checks
from ponder.train.recorded import Tally


def test_the_chance_of_two_numbers_is_counted_by_hand() -> None:
    # 3 + 2, 3 - 2 and 3 * 2.
    assert [guessing.right_by_chance((2, 3), target) for target in (5, 1, 6, 7)] == pytest.approx(
        [1 / 3, 1 / 3, 1 / 3, 0.0]
    )
    # 2 + 2 and 2 * 2 are both 4.
    assert guessing.right_by_chance((2, 2), 4) == pytest.approx(2 / 3)


def test_the_chance_of_three_numbers_is_counted_by_hand() -> None:
    # 1 and 1 make 2, 0 or 1; with 5 that is 7, 3, 10; 5, 5, 0; 6, 4, 5. 1 and 5 (twice) make 6, 4 or 5; with
    # 1 that is 7, 5, 6; 5, 3, 4; 6, 4, 5. So 5 is hit in 3 + 2 * 3 of 27 ways.
    assert guessing.right_by_chance((1, 1, 5), 5) == pytest.approx(9 / 27)


def test_guessed_steps_are_legal_and_as_often_right_as_was_said() -> None:
    problems = tasks.load(STEPS, problems=20, seed=0).problems
    (chances,) = guessing.guesses(STEPS, problems).values()
    rng, times = Random(0), 150
    marks = np.array(
        [
            [checks(each.question, _steps(rng, each.question.data["numbers"])) for _ in range(times)]
            for each in problems
        ]
    )
    assert (marks > ILLEGAL).all()
    found, error = (
        (marks == SOLVED).mean(),
        np.sqrt((chances * (1.0 - chances)).sum() / times) / len(problems),
    )
    assert found == pytest.approx(chances.mean(), abs=4.0 * error)
    assert 0.0 < error < chances.mean() / 4.0


def _steps(rng: Random, numbers: list[int]) -> str:
    left, lines = numbers[:], list[str]()
    while len(left) > 1:
        rng.shuffle(left)
        less, more = sorted((left.pop(), left.pop()))
        operator = rng.choice("+-*")
        value = {"+": more + less, "-": more - less, "*": more * less}[operator]
        lines.append(f"{more}{operator}{less}={value}")
        left.append(value)
    return "\n".join(lines) + "."


def test_a_prompts_numbers_are_guessed_from() -> None:
    task = "char_facts:given=true"
    found = guessing.guesses(task, tasks.load(task, problems=5, seed=0).problems)
    assert found["any four digits"].tolist() == [1e-4] * 5
    assert found["a number of the prompt"].tolist() == [0.25] * 5
    with pytest.raises(InputError, match="no guess for 'countdown'"):
        guessing.guesses("countdown", ())


def _tally(**rest: dict[int, int]) -> Tally:
    """Right answers 4, 2 and what `rest_right` says; wrong ones 5, 1 and what `rest_wrong` says."""
    choices = {"a": (4, True), "b": (2, True), "c": (5, False), "d": (1, False)}
    right = 6 + sum(count * number for count, number in rest.get("rest_right", {}).items())
    return Tally("one", 1, 30, right, 0, 0, 0, choices, {}, {}, **rest)


def test_right_answers_are_pooled_and_wrong_ones_are_not() -> None:
    assert guessing.plurality(*_tally().ballots()) == 0.0
    assert guessing.pooled(_tally()) == 1.0
    # Three wrong answers of 3 draws each stay three; one of 6 ties with the right ones, one of 7 leads.
    assert guessing.pooled(_tally(rest_wrong={3: 3})) == 1.0
    assert guessing.pooled(_tally(rest_wrong={6: 1})) == 0.5
    assert guessing.pooled(_tally(rest_wrong={7: 1})) == 0.0
    # Two more right answers of one draw each are right draws too.
    assert guessing.pooled(_tally(rest_wrong={7: 1}, rest_right={1: 2})) == 1.0


def test_a_tie_counts_by_its_right_share() -> None:
    assert guessing.plurality([3, 3, 3, 1], [True, False, False, True]) == pytest.approx(1 / 3)
    assert guessing.plurality([], []) == 0.0
