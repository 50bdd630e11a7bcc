"""What an import says by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import Wanted, gather, store
from ponder.cli import _app
from ponder.errors import InputError
from ponder.ledger import Ledger
from ponder.measure import Measurement, finished
from ponder.measure.stored import load_banks

Write = Callable[..., Path]


def drawn(question: str, marks: str, **more: Any) -> list[dict[str, Any]]:
    """A line a letter: r right with its choice, w wrong with another, s right and silent, ? not scored."""
    told = {"r": ("7", True), "w": ("8", False), "s": (None, True), "?": ("7", None)}
    rows = [{"question": question, "choice": told[m][0], "correct": told[m][1]} | more for m in marks]
    return [row | {"sample": f"{question} {place}"} for place, row in enumerate(rows)]


@pytest.fixture
def measured(write_lines: Write, tmp_path: Path) -> Callable[..., Measurement]:
    def make(rows: list[dict[str, Any]], model: str | None = None) -> Measurement:
        (found,), _ = gather([write_lines(rows)], Wanted(model=model))
        with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
            return finished(ledger, store(ledger, found).run)

    return make


def curves(measurement: Measurement) -> dict[str, list[float]]:
    (task,) = measurement.tasks
    return {curve.strategy: [point.accuracy for point in curve.points] for curve in task.curves}


def test_votes_and_coverage_are_those_of_the_counts(measured: Callable[..., Measurement]) -> None:
    found = measured([*drawn("a", "rrw"), *drawn("b", "wwr"), *drawn("c", "www")])
    # One sample: (2/3 + 1/3 + 0) / 3; of two, a tie counts half; all three: a alone is voted right.
    assert curves(found)["vote"] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert curves(found)["coverage"] == pytest.approx([1 / 3, (1 + 2 / 3) / 3, 2 / 3])
    assert (found.usage.samples, found.usage.tokens, found.notes) == (9, None, ())


def test_tokens_and_flop_are_those_of_the_samples(measured: Callable[..., Measurement]) -> None:
    rows = [*drawn("a", "rw", tokens=4, prompt_tokens=10), *drawn("b", "rw", tokens=8, prompt_tokens=20)]
    points = measured(rows, "smollm2").tasks[0].curves[0].points
    assert [point.tokens for point in points] == [21, 42]
    assert points[1].flop == pytest.approx(2 * (points[0].flop or 0))
    assert points[0].flop == pytest.approx(2 * 134.5e6 * 21, rel=0.3)


def test_problems_with_fewer_samples_are_left_out_with_a_note(measured: Callable[..., Measurement]) -> None:
    found = measured([*drawn("a", "rrr"), *drawn("b", "wwrr"), *drawn("c", "w"), *drawn("d", "rw?w")])
    assert (found.tasks[0].problems, found.tasks[0].samples) == (3, 3)
    assert found.notes == (
        "samples: curves are over the first 3 samples of 3 of 4 problems, as they need equally many of each; "
        "2 samples of the bank are not in them.",
        "samples: samples without a score, left out: 1.",
    )


def test_without_answers_there_is_coverage_alone(measured: Callable[..., Measurement]) -> None:
    found = measured([*drawn("a", "sw"), *drawn("b", "ww")])
    assert list(curves(found)) == ["coverage"]
    (note,) = found.notes
    assert "tell no answers of some right samples, so no vote is evaluated" in note


def test_without_a_grade_there_is_no_measurement(measured: Callable[..., Measurement]) -> None:
    with pytest.raises(InputError, match="is no measurement"):
        measured(drawn("a", "??"))


def test_other_policies_read_an_import_as_a_measured_bank(write_lines: Write, tmp_path: Path) -> None:
    told = {"tokens": 4, "prompt_tokens": 10}
    (found,), _ = gather(
        [write_lines([*drawn("a", "rw", **told), *drawn("b", "s?w", **told), *drawn("c", "?", **told)])]
    )
    with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
        (bank,) = load_banks(ledger, store(ledger, found).run)
    place = {question.text: row for row, question in enumerate(bank.questions)}
    assert bank.correct[place["a"]].tolist() == [True, False]
    assert bank.choice[[place["a"], place["b"]]].tolist() == [[0, 1], [-1, 0]]
    assert bank.cost(2).tolist() == [28.0, 28.0]
    assert bank.direct is None


def test_the_report_of_an_import_says_that_times_are_unknown(
    write_lines: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--ledger", str(tmp_path / "ledger.db"))
    log = write_lines([*drawn("a", "rw"), *drawn("b", "ww")])
    assert _app.run(["bank", "import", str(log), "--run", "mine", *at]) == 0
    pytest.importorskip("altair")
    capsys.readouterr()
    assert _app.run(["report", "mine", "--to", str(tmp_path / "out"), *at, "--json"]) == 0
    page = Path(json.loads(capsys.readouterr().out)["html"]).read_text("utf-8")
    assert "samples, imported" in page
    row = page.split("Time in calls, summed")[1][:200]
    assert "unknown" in row
