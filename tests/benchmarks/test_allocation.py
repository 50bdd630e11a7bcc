"""The committed bank as allocation reads it, and the committed result."""

from __future__ import annotations

import json

import numpy as np
import pytest
from benchmarks.allocation import RESULT, TUNED, stored, trusted
from benchmarks.peers.bank import HELD_OUT, SAMPLES, load

from ponder.measure.stored import StoredBank


@pytest.fixture(scope="module")
def banks() -> list[StoredBank]:
    return stored(load())


def test_equal_answers_have_equal_grades_and_no_answer_is_never_right(banks: list[StoredBank]) -> None:
    for bank in banks:
        assert not bank.correct[bank.choice < 0].any()
        for choice, correct in zip(bank.choice, bank.correct, strict=True):
            for answer in np.unique(choice):
                assert len(set(correct[choice == answer])) == 1
        assert (bank.tokens > 0).all()
        assert (bank.certainty <= 0).all()


def test_the_committed_result_is_of_this_bank(banks: list[StoredBank]) -> None:
    result = json.loads(RESULT.read_text("utf-8"))
    for label, names in (("tuned", TUNED), ("held out", HELD_OUT)):
        own = [bank for bank in banks if bank.task in names]
        for prompts in ("cached", "read"):
            told = result[label][prompts]["allocation"]
            assert (told["problems"], told["samples"]) == (sum(map(len, own)), SAMPLES)
    assert result["tuned"]["votes"] == trusted([bank for bank in banks if bank.task in TUNED])


def test_a_vote_is_told_by_its_share_of_all_samples(banks: list[StoredBank]) -> None:
    (first, *_) = banks
    made = StoredBank(
        "t",
        first.questions[:3],
        np.array([[0, 0, 0, 1], [0, 1, 1, -1], [-1, -1, -1, -1]]),
        np.array([[True, True, True, False], [True, False, False, False], [False] * 4]),
        np.ones((3, 4)),
        np.zeros((3, 4)),
        np.ones(3),
        4,
    )
    told = {(row["above"], row["up_to"]): (row["problems"], row["right"]) for row in trusted([made])}
    assert told[0.7, 0.9] == (1, 1.0)
    assert told[0.3, 0.5] == (1, 0.0)
    assert sum(problems or 0 for problems, _ in told.values()) == 2
