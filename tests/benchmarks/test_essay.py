"""What an evaluator sees of a recording, and the pictures of the essay's pages, on made-up data."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from benchmarks.essay import evaluators, pictures
from benchmarks.essay.pictures import Bar

from ponder.laws import Counts
from ponder.train.recorded import load, save
from tests.laws.recordings import DRAWS, TASK, write_ladder


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of a synthetic ladder's checkpoints under the names that the module reads."""
    folder = tmp_path_factory.mktemp("recorded")
    write_ladder(folder)
    found = load(folder / f"154k-steps-random-0-4.{len(TASK)}.jsonl.xz")
    for name in ("154k.char-countdown-numbers-4", evaluators.SEARCH):
        save(folder / f"{name}.jsonl.xz", found.about, found.tallies)
    return folder


@pytest.fixture
def told(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(evaluators, "RECORDED", recorded)
    monkeypatch.setattr(evaluators, "SAMPLES", (1, 4, DRAWS))
    monkeypatch.setattr(evaluators, "FITTED", (10,))
    monkeypatch.setattr(evaluators, "RARE", 0.5)
    return evaluators.seen_by_samples("154k")


def test_more_samples_show_more_and_all_show_all(told: Any) -> None:
    rows = told["rows"]
    checked = [row["checked"]["value"] for row in rows]
    assert checked == sorted(checked)
    assert rows[-1]["checked_share"]["value"] == 1.0
    assert rows[0]["checked_share"]["value"] == pytest.approx(checked[0] / checked[-1])
    assert rows[0]["voted"]["value"] == pytest.approx(checked[0]), "a vote of one is one sample"
    assert all(row["voted_share"]["value"] <= 1.0 for row in rows)
    assert rows[-1]["tokens"] == pytest.approx(DRAWS * rows[0]["tokens"])


def test_every_figure_lies_inside_of_its_interval(told: Any) -> None:
    for row in told["rows"]:
        for name in ("checked", "rare", "voted", "checked_share", "voted_share"):
            assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]


def test_rare_problems_are_solved_by_all_samples_and_seldom_by_one(told: Any, recorded: Path) -> None:
    right = load(recorded / "154k.char-countdown-numbers-4.jsonl.xz").right
    assert told["rare"] == {"most": 0.5, "problems": int(((right > 0) & (right <= DRAWS / 2)).sum())}
    assert told["rows"][-1]["rare"]["value"] == 1.0
    assert told["rows"][0]["rare"]["high"] <= 0.5  # as none of them is right more often
    assert told["rows"][-1]["rare"]["low"] == pytest.approx(1.0)


@pytest.mark.parametrize(("low", "high", "holds"), [(0.0, 1.0, True), (-2.0, -1.0, False), (2.0, 3.0, False)])
def test_a_forecast_holds_where_its_interval_meets_the_measured_one(
    told: Any, recorded: Path, low: float, high: float, holds: bool
) -> None:
    counts = Counts.from_recorded(load(recorded / "154k.char-countdown-numbers-4.jsonl.xz"))
    found = evaluators._foretold(counts, 10, {"low": low, "high": high})
    assert found["foretold"] == told["laws"][0]["foretold"]
    assert found["holds"] is holds


def test_a_longer_chain_is_right_more_often(recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluators, "RECORDED", recorded)
    found = evaluators.chain([1, 8, 1 << 20])
    values = [row["value"] for row in found["rows"]]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(found["whole"]["value"])


# ---------------------------------------------------------------- pictures


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """The points' own: altair keeps all data by name."""
    datasets: list[list[dict[str, Any]]] = list(chart.to_dict(validate=False)["datasets"].values())
    return next(rows for rows in datasets if "kind" in rows[0])


def test_an_end_that_is_never_is_cut_at_the_last_finite_one() -> None:
    chart = pictures.bars([Bar("one", "", 1.0, 0.5, math.inf), Bar("other", "", 2.0, 1.0, 3.0)], "years")
    assert [row["high"] for row in rows_of(chart)] == [3.0, 3.0]


def test_nothing_below_zero_is_drawn_on_a_logarithmic_axis() -> None:
    found = [Bar("none", "", 0.0, 0.0, 0.0), Bar("some", "", 1e24, 1e23, 1e25, mark=1e26)]
    chart = pictures.bars(found, "FLOP", log=True)
    assert [row["name"] for row in rows_of(chart)] == ["some"]


def test_a_picture_is_an_svg_with_its_names(tmp_path: Path) -> None:
    pictures.save(pictures.bars([Bar("a name", "", 1.0, 0.5, 2.0)], "times", rule=1.0), tmp_path / "bars.svg")
    text = (tmp_path / "bars.svg").read_text("utf-8")
    assert text.startswith("<svg")
    assert "a name" in text
