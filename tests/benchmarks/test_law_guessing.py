"""What guessing gets, and votes whose right answers are pooled."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from benchmarks.laws import guessing
from benchmarks.laws.sources import STEPS

from docs import findings_guessing
from ponder import tasks
from ponder.errors import InputError
from ponder.laws.ladder import Ladder, read
from ponder.tasks.countdown import ILLEGAL, SOLVED, checks
from ponder.train.recorded import Tally
from tests.laws.recordings import DRAWS, write_ladder


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Ladder:
    folder = tmp_path_factory.mktemp("ladder")
    write_ladder(folder)
    return read(folder)


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


# ---------------------------------------------------------------- beside the checkpoints


def test_checkpoints_are_compared_with_as_many_guesses(ladder: Ladder) -> None:
    found = guessing.guessing(ladder)
    (row,) = found["guesses"]
    assert [beside["k"] for beside in row["beside"]] == [1, DRAWS]
    guessed = {each["k"]: each["value"] for each in row["any"]}
    for beside in row["beside"]:
        for each, recorded in zip(beside["checkpoints"], ladder.recordings, strict=True):
            apart = float(recorded.passed([beside["k"]]).mean()) - guessed[beside["k"]]
            assert each["less_guess"]["value"] == pytest.approx(apart)
        lows = [each["less_guess"]["low"] > 0.0 for each in beside["checkpoints"]]
        assert beside["above"] == sum(lows) > 0
    assert len(found["votes"]) == len(ladder.recordings)
    # They have one right answer a problem, so there is nothing to pool.
    assert all(each["gain"]["value"] == 0.0 and each["different_right"] == 1 for each in found["votes"])


def test_other_problems_are_refused(ladder: Ladder) -> None:
    first, *others = ladder.recordings
    turned = replace(first, tallies=first.tallies[::-1])
    with pytest.raises(InputError, match=f"{first.name} was not asked 40 problems of {STEPS} with seed 0"):
        guessing.guessing(replace(ladder, recordings=(*others, turned)))


def test_the_page_says_what_the_file_has(ladder: Ladder) -> None:
    found = guessing.guessing(ladder)
    (row,) = found["guesses"]
    most = row["beside"][-1]
    told = findings_guessing.guessing_finding(found)
    assert f"with {DRAWS} draws {most['above']} are surely above as many guesses and {most['below']}" in told
    assert f"{100 * row['any'][0]['value']:.1f} [" in findings_guessing.guessing_table(found)
    assert f"a tenth or more of `{STEPS}`" in findings_guessing.guessing_limit(found)
    little = {**found, "guesses": [{**row, "any": [{**each, "value": 0.001} for each in row["any"]]}]}
    assert "less than a tenth of every task" in findings_guessing.guessing_limit(little)
    assert "shows by itself" not in findings_guessing.guessing_finding(little)
    assert "the median problem has 1 different right ones" in findings_guessing.pooled_finding(found)
