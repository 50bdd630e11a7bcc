"""The page of an outcome: whole, offline, without scripts, and nothing in it acts."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from ponder.errors import InputError
from ponder.govern.calculator import Calculator, Chart, Table
from ponder.govern.outcome import Outcome, Swing, evaluate
from ponder.govern.scenario import read, resolve
from ponder.report.govern_charts import line_chart, tornado_chart
from ponder.report.govern_page import write_govern_page
from ponder.report.govern_words import number

CURVE = Table(
    "curve", "A curve", ("year", "who", "score", "score low", "score high"),
    tuple((float(year), who, year * slope, year * slope / 2, None) for who, slope in (("a", 1.0), ("b", 2.0))
          for year in range(5)),
    Chart("year", "score", "who"),
)  # fmt: skip


@pytest.fixture
def outcome(sample: Calculator) -> Outcome:
    found = evaluate(resolve(sample, read(sample, {"tokens": "1e14..1e15"})), draws=200)
    return replace(found, tables=(*found.tables, CURVE))


def page(outcome: Outcome, folder: Path) -> str:
    write_govern_page(outcome, folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


def drawn(chart: Any, field: str) -> list[dict[str, Any]]:
    """The rows of a chart's first data that have a field."""
    layers = [chart, *chart.layer]
    held = [layer.data.values for layer in layers if hasattr(layer.data, "values")]
    return next(rows for rows in held if field in rows[0])


def test_a_pooled_output_has_no_interval_and_a_column_one_kind_of_figures(
    outcome: Outcome, tmp_path: Path
) -> None:
    pooled = replace(
        outcome.results[0], name="pooled", what="All at once", median=4.6e22, low=None, high=None
    )
    mixed = Table("mixed", "Mixed", ("many",), ((95_461.0,), (153_000.0,)))
    text = page(replace(outcome, results=(pooled, *outcome.results), tables=(mixed,)), tmp_path)
    row = text.partition("All at once")[2].partition("</tr>")[0]
    assert "4.6e22" in row
    assert " to " not in row
    assert "<bdi>9.55e4</bdi>" in text
    first = outcome.results[0]
    assert f"With every input at its median: {number(outcome.middle[first.name])} " in text


def test_it_shows_every_output_assumption_and_note(outcome: Outcome, tmp_path: Path) -> None:
    text = page(outcome, tmp_path)
    for result in outcome.results:
        assert number(result.median) in text
        assert result.what in text
    for each in outcome.assumptions:
        assert f"<bdi>{each.name}</bdi>" in text
    assert "A data sheet" in text
    assert outcome.notes[0] in text
    assert text.count("<svg") >= 3  # two tornados and a curve, besides the keys


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(outcome: Outcome, tmp_path: Path) -> None:
    text = page(outcome, tmp_path)
    assert "<script" not in text
    assert "default-src 'none'; style-src 'sha256-" in html.unescape(text)
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert {each for each in addresses if "www.w3.org" not in each} == set()


def test_a_hostile_name_is_shown_and_does_nothing(outcome: Outcome, tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>\u202e"
    rows = (("1", bad), ("2", bad))
    curve = Table("c", bad, ("x", bad), ((1.0, 1.0), (2.0, 2.0)), Chart("x", bad))
    swings = {name: (Swing(bad, 1.0, 2.0),) for name in outcome.swings}
    hostile = replace(
        outcome, title=bad, notes=(bad,), swings=swings, choices={"chip": bad},
        tables=(Table("t", bad, ("x", bad), rows), curve),
        assumptions=tuple(replace(each, name=bad, source=bad, unit=bad) for each in outcome.assumptions),
    )  # fmt: skip
    text = page(hostile, tmp_path)
    assert "<img" not in text
    assert "\u202e" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_place_that_cannot_be_written_is_named(outcome: Outcome, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: .*page\.html cannot be written"):
        write_govern_page(outcome, tmp_path / "file" / "page.html")


def test_bars_go_from_the_middle_to_each_end() -> None:
    chart: Any = tornado_chart((Swing("chips", 20.0, 5.0), Swing("rate", 9.0, 11.0)), 10.0, "days")
    assert [(each["input"], each["from"], each["to"]) for each in drawn(chart, "to")] == [
        ("chips", 10.0, 20.0),
        ("chips", 10.0, 5.0),
        ("rate", 10.0, 9.0),
        ("rate", 10.0, 11.0),
    ]


def test_what_is_not_finite_or_moves_nothing_is_not_drawn() -> None:
    infinite = Swing("a", 1.0, float("inf"))
    assert tornado_chart((infinite, Swing("b", 3.0, 3.0)), 3.0, "") is None
    assert tornado_chart((infinite, Swing("c", 3.0, 4.0)), 3.0, "") is not None
    assert line_chart(replace(CURVE, rows=CURVE.rows[:1])) is None
    assert line_chart(replace(CURVE, chart=None)) is None


def test_points_are_named_where_the_chart_asks_for_it() -> None:
    chart: Any = line_chart(replace(CURVE, chart=Chart("year", "score", label="who")))
    assert {each["label"] for each in drawn(chart, "label")} == {"a", "b"}
    assert any(layer.mark.type == "text" for layer in chart.layer)


def test_a_logarithmic_axis_leaves_out_zero() -> None:
    chart: Any = line_chart(replace(CURVE, chart=Chart("year", "score", "who", log_y=True)))
    assert {each["x"] for each in drawn(chart, "x")} == {1.0, 2.0, 3.0, 4.0}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "unknown"),
        (float("nan"), "unknown"),
        (float("inf"), "never"),
        (0.0, "0"),
        (0.0123, "0.0123"),
        (57.14, "57.1"),
        (12_300.0, "12,300"),
        (3.8e25, "3.8e25"),
        (1e26, "1e26"),
        (-2.5e-7, "-2.5e-7"),
    ],
)
def test_numbers_in_words(value: float | None, said: str) -> None:
    assert number(value) == said
