"""What the pictures of laws show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.laws.families import family

from ponder.errors import InputError
from ponder.laws.compute import ComputeSigmoid, envelope, sigmoid
from ponder.laws.data import Scores
from ponder.laws.fit import fit
from ponder.laws.study import WorthStudy
from ponder.laws.worth import worth
from ponder.report.curve_charts import law_chart
from ponder.report.law_charts import envelope_chart, worth_chart
from ponder.report.law_files import write_picture
from ponder.report.law_parts import short_names

COMPUTE = np.geomspace(1e9, 1e13, 9)


def rows_of(chart: Any) -> list[dict[str, Any]]:
    """All values that a chart draws."""
    return [row for data in chart.to_dict(validate=False)["datasets"].values() for row in data]


def scores(middle: float) -> Scores:
    shift = np.random.default_rng(0).normal(0, 0.5, 50)
    parameters = np.column_stack([np.zeros(50), np.ones(50), middle + shift, np.full(50, 2.0)])
    return Scores(f"middle {middle:g}", "FLOP", COMPUTE, sigmoid(parameters, COMPUTE), 0.0)


def test_a_curve_shows_its_law_and_where_the_forecast_begins() -> None:
    data = scores(11.0)
    told = fit(data, ComputeSigmoid(), draws=50).predict(np.geomspace(1e9, 1e15, 20))
    measured = list(zip(COMPUTE, data.values.mean(axis=0), strict=True))
    drawn = rows_of(law_chart(measured, told, title="A curve", x_title="FLOP"))
    (region,) = [row for row in drawn if row.get("text") == "forecast" and "x2" in row][:1]
    inside = told.x[~told.beyond]
    assert (region["x"], region["x2"]) == (inside.max(), pytest.approx(1e15))
    assert len([row for row in drawn if "low" in row]) >= 20


def test_what_a_curve_lacks_is_drawn_on_a_log_axis() -> None:
    data = scores(11.0)
    told = fit(data, ComputeSigmoid(), draws=50).predict(np.geomspace(1e9, 1e15, 20))
    measured = [(1e9, 0.5, 0.4, 0.6), (1e12, 0.99, 0.98, 1.0), (1e13, 1.0, 1.0, 1.0)]
    about = {"title": "A curve", "x_title": "FLOP"}
    plain = law_chart(measured, told, **about)
    chart = law_chart(measured, told, **about, lacking="lost").to_dict(validate=False)
    assert "hconcat" not in plain.to_dict(validate=False)
    _, lost = chart["hconcat"]
    assert lost["title"]["text"] == "lost"
    axes = [layer["encoding"]["y"] for layer in lost["layer"] if layer["encoding"].get("y", {}).get("scale")]
    assert {each["scale"]["type"] for each in axes} == {"log"}
    points = [rows for rows in chart["datasets"].values() if len(rows) == 2 and rows[0].get("high", 0) > 0.9]
    (low, high), *_ = points  # the accuracy of 1 has no place there
    assert (low["y"], low["low"], low["high"]) == pytest.approx((-np.log(0.5), -np.log(0.6), -np.log(0.4)))
    assert high["y"] == pytest.approx(-np.log(0.99))
    assert 0.0 < high["low"] <= high["y"] < high["high"]
    least = axes[0]["scale"]["domain"][0]
    assert least < high["low"]


def test_an_envelope_shows_every_strategy_where_it_can_be_had() -> None:
    found = envelope([scores(10.0), scores(12.0)], draws=30)
    drawn = rows_of(envelope_chart(found, title="Two"))
    assert {row["line"] for row in drawn if "line" in row} == {"middle 10", "middle 12"}


def test_worth_without_an_end_runs_to_the_axis_and_undefined_is_said(tmp_path: Path) -> None:
    grid = family(ceiling=0.6, problems=30)
    values = grid.values.copy()
    values[:, -1, 1] = 0.9
    made, frontier = worth(type(grid)(**{**vars(grid), "values": values}), draws=50)
    study = WorthStudy("made", "vote", 64, 30, made, (None,) * len(made), frontier)
    drawn = rows_of(worth_chart([study]))
    said = [row["name"] for row in drawn if str(row.get("said")).startswith("undefined: ")]
    assert said == ["m8"]
    (written,) = write_picture([study], tmp_path / "worth.svg")
    assert written.read_text().startswith("<svg")
    with pytest.raises(InputError, match=r"^out: worth.gif is no .png, .svg, .json"):
        write_picture([study], tmp_path / "worth.gif")


def test_many_models_that_lack_a_worth_for_one_reason_are_said_once() -> None:
    grid = family(ceiling=0.6, problems=30)
    made, frontier = worth(grid, draws=50)
    lacking = replace(made[0], gain=None, undefined="no law")
    rows = (
        *(replace(lacking, model=f"n{at}") for at in range(7)),
        replace(lacking, undefined="a guess"),
        made[-1],
    )
    study = WorthStudy("made", "vote", 64, 30, rows, (None,) * len(rows), frontier)
    said = {row["name"]: row["said"] for row in rows_of(worth_chart([study])) if "said" in row}
    assert said == {"7 models": "undefined: no law", made[0].model: "undefined: a guess"}


def test_bounds_of_the_frontier_are_marked_beside_a_gain() -> None:
    made, frontier = worth(family(ceiling=0.6, problems=30), draws=50)
    study = WorthStudy("made", "vote", 64, 30, made, (None,) * len(made), frontier)
    marks = [(row["name"], row["bound"]) for row in rows_of(worth_chart([study])) if "mark" in row]
    told = [(row.model, each) for row in made if row.gain for each in (row.at_least, row.at_most) if each]
    assert marks
    assert set(marks) <= set(told)


def test_names_lose_what_all_of_them_share() -> None:
    names = ["154k-steps-random-0/6", "8k-steps-random-1/6"]
    assert short_names(names) == (("154k-0/6", "8k-1/6"), "steps-random")
    assert short_names(["154k-steps-random-0/6 vote", "154k-steps-random-0/6 coverage"])[0] == (
        "0/6 vote",
        "0/6 coverage",
    )
    for whole in (["one"], ["rl", "28k-steps-random-0/6"], ["same-a", "same-a"]):
        assert short_names(whole) == (tuple(whole), "")
