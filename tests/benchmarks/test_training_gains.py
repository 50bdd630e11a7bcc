"""What a stage gained, and the pages that show it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from benchmarks.gains import gained
from benchmarks.rl_figure import rows

from docs import training_pages
from ponder.train.held_out import Score
from ponder.train.learning import Scored
from ponder.train.scoring import TaskScore


def of(task: str, right: list[int]) -> TaskScore:
    return TaskScore(task, Score(tuple(right), 4, 10.0, 0.0, 0), {10: 4 * len(right)}, (0,) * len(right))


def scored(own: list[int], **others: list[int]) -> Scored:
    return Scored(of("own", own), {task: of(task, right) for task, right in others.items()})


def test_gains_on_the_task_and_on_others_stand_apart() -> None:
    before = scored([0, 2, 1, 1] * 4, one=[4, 4], other=[0, 0, 0, 0])
    after = scored([2, 4, 3, 3] * 4, one=[2, 2], other=[0, 0, 0, 4])
    found = gained(before, after)
    assert found["narrow"]["value"] == pytest.approx(0.5)
    assert found["narrow"]["low"] > 0
    assert found["tasks"]["one"]["value"] == pytest.approx(-0.5)
    # The mean over tasks, not over problems: (-0.5 + 0.25) / 2.
    assert found["broad"]["value"] == pytest.approx(-0.125)
    assert found["broad"]["low"] < -0.125 < found["broad"]["high"]


def test_a_page_without_its_result_says_how_to_make_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_pages, "RESULTS", tmp_path)
    for make, command, results in (
        (training_pages.distillation_page, "make distill", 1),
        (training_pages.selfplay_page, "make selfplay", 1),
        (training_pages.rl_page, "make rl", 2),
    ):
        text = make()
        assert text.count(f"*No result is committed. `{command}`") == results
        assert "{{" not in text


def gain(name: str, flop: float, narrow: float) -> dict[str, Any]:
    estimate = {"value": narrow, "low": narrow - 0.1, "high": narrow + 0.1}
    return {"name": name, "flop": flop, "inference_flop": flop / 4, "narrow": estimate, "broad": estimate}


def test_stages_of_one_start_stand_together_with_gains_per_flop(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(training_pages, "RESULTS", tmp_path)
    shared = {"began_with": "weak/5", "task": "t"}
    more = {**shared, "gains": [gain("weak/6", 2e12, 0.3)]}
    arms = {
        "verifier": {**shared, "gains": [gain("round 1", 5e11, 0.2)]},
        "other start": {**shared, "began_with": "28k", "gains": [gain("round 1", 1e12, 0.2)]},
        "proposer": {"stopped": "nothing was posed"},
    }
    (tmp_path / "pretrain.json").write_text(json.dumps(more))
    (tmp_path / "selfplay.json").write_text(json.dumps(arms))
    rows = training_pages.stages({}).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| pretrain: weak/6", "| selfplay, verifier: round 1"]
    assert "25%" in rows[1]
    assert "+0.150 [+0.100, +0.200]" in rows[0]
    assert "+0.400 [+0.200, +0.600]" in rows[1]


def test_every_line_of_the_figure_begins_at_the_start() -> None:
    def point(flop: float, value: float) -> dict[str, Any]:
        return {"flop": flop, "passed": {"1": {"value": value, "low": value, "high": value}}}

    found = {
        "arms": {"GRPO": {"points": [point(0.0, 0.2), point(5.0, 0.4)]}},
        "supervised": [point(9.0, 0.5), point(4.0, 0.3)],
    }
    drawn = [(row["way"], row["flop"], row["value"]) for row in rows(found, "1")]
    assert drawn == [
        ("GRPO", 0.0, 0.2),
        ("GRPO", 5.0, 0.4),
        ("supervised", 0.0, 0.2),
        ("supervised", 4.0, 0.3),
        ("supervised", 9.0, 0.5),
    ]
