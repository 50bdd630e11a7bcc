"""Scores of held-out problems: unbiased, with intervals, graded by the task's own verifier."""

from __future__ import annotations

from math import comb

import pytest

from ponder.tasks import load
from ponder.train.held_out import Score, Verifier, changes, estimates


def score(right: list[int], samples: int = 8) -> Score:
    return Score(tuple(right), samples, 10.0, 0.0, 0)


def test_pass_at_k_is_the_share_of_subsets_with_a_right_one() -> None:
    right, n = [0, 1, 3, 8], 8
    found = estimates(score(right), seed=0)
    assert set(found) == {1, 4, 8}
    for k, estimate in found.items():
        expected = sum(1 - comb(n - c, k) / comb(n, k) for c in right) / len(right)
        assert estimate.value == pytest.approx(expected)
        assert estimate.low < estimate.value < estimate.high


def test_changes_are_of_pairs() -> None:
    before, after = score([1, 2, 3, 4] * 100), score([3, 4, 5, 6] * 100)
    found = changes(before, after, seed=0)
    assert found[1].value == pytest.approx(0.25)
    # Every problem gained the same, so the interval is much narrower than that of either score.
    alone = estimates(after, seed=0)[1]
    assert found[1].high - found[1].low < (alone.high - alone.low) / 2
    assert found[1].low > 0
    none = changes(before, before, seed=0)[1]
    assert none.value == 0
    assert none.low < 0 < none.high


def test_a_score_survives_json() -> None:
    kept = score([1, 2])
    assert Score.from_json(kept.to_json()) == kept


def test_the_verifier_passes_what_is_right_alone() -> None:
    problem = load("char_chain:operations=2", problems=1, seed=0).problems[0]
    verifier = Verifier("numeric")
    wrong = str(int(problem.key) + 1)
    said = [
        verifier.right(problem, verifier.choice(problem, text))
        for text in (f"1+1={problem.key}.", f"{wrong}.", "")
    ]
    verifier.close()
    assert said == [True, False, False]


def test_an_answer_is_graded_once_until_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = load("char_chain:operations=2", problems=1, seed=0).problems[0]
    verifier, asked = Verifier("numeric"), list[str]()

    def grade(question: object, key: str, choice: str, handle: object) -> None:
        asked.append(choice)

    monkeypatch.setattr(verifier._grader, "grade", grade)
    assert [verifier.right(problem, "1"), verifier.right(problem, "1"), verifier.right(problem, None)] == [
        None, None, False,
    ]  # fmt: skip
    verifier.forget()
    verifier.right(problem, "1")
    assert asked == ["1", "1"]
