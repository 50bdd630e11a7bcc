"""Banks as the laws' counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import TaskBank, gather, load, store
from ponder.errors import LawUndefined
from ponder.laws.data import Counts
from ponder.ledger import Ledger

Write = Callable[..., Path]


@pytest.fixture
def bank_of(write_lines: Write, tmp_path: Path) -> Callable[..., TaskBank]:
    def make(rows: list[dict[str, Any]]) -> TaskBank:
        (found,), _ = gather([write_lines(rows)])
        with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
            return load(ledger, store(ledger, found).run)[0]

    return make


def drawn(question: str, choice: str | None, correct: bool | None, **more: Any) -> dict[str, Any]:
    return {"question": question, "choice": choice, "correct": correct, "model": "m"} | more


def test_counts_leave_out_what_has_no_grade(bank_of: Callable[..., TaskBank]) -> None:
    rows = [
        drawn("a", "7", True, tokens=2),
        drawn("a", "8", False, tokens=4),
        drawn("a", "8", False, tokens=6),
        drawn("a", None, False, tokens=8),
        drawn("a", "9", None, tokens=5),
        drawn("b", "x", True, tokens=1),
        drawn("c", "x", None, tokens=1),
    ]
    counts = Counts.from_drawn(bank_of(rows))
    assert (counts.name, counts.task, len(counts.ids)) == ("m", "samples", 2)
    assert (counts.draws.tolist(), counts.right.tolist(), counts.guess) == ([4, 1], [1, 1], None)
    assert counts.tokens is not None
    assert counts.tokens.tolist() == [5.0, 1.0]
    assert counts.ballots is not None
    assert [(each.given.tolist(), each.right.tolist()) for each in counts.ballots] == [
        ([1, 2], [True, False]),
        ([1], [True]),
    ]


def test_unknown_tokens_and_answers_stay_unknown(bank_of: Callable[..., TaskBank]) -> None:
    counts = Counts.from_drawn(bank_of([drawn("a", "7", True), drawn("b", None, True, tokens=3)]))
    assert (counts.tokens, counts.ballots) == (None, None)
    assert Counts.from_drawn(bank_of([drawn("a", None, False), drawn("b", None, False)])).ballots is None


def test_options_tell_the_guess(bank_of: Callable[..., TaskBank]) -> None:
    rows = [drawn("a", "A", True, options=["1", "2"]), drawn("b", "A", False, options=["1", "2", "3", "4"])]
    assert Counts.from_drawn(bank_of(rows)).guess == 0.375


def test_without_a_grade_there_is_nothing_to_count(bank_of: Callable[..., TaskBank]) -> None:
    with pytest.raises(LawUndefined, match="has no graded samples of samples; import them with a score"):
        Counts.from_drawn(bank_of([drawn("a", "7", None)]))


def test_what_a_measurement_could_not_grade_is_wrong(bank_of: Callable[..., TaskBank]) -> None:
    rows = [drawn("a", "7", True), drawn("a", "9", None), drawn("b", "9", None)]
    counts = Counts.from_drawn(replace(bank_of(rows), kind="measure"))
    assert (counts.draws.tolist(), counts.right.tolist()) == ([2, 1], [1, 0])


def test_a_measurement_that_was_not_graded_has_nothing_to_count(bank_of: Callable[..., TaskBank]) -> None:
    with pytest.raises(LawUndefined, match="no graded samples"):
        Counts.from_drawn(replace(bank_of([drawn("a", "7", None)]), kind="measure"))
