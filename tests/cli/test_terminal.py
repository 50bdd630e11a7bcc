"""Tables and figures for a terminal."""

from __future__ import annotations

import pytest

from ponder.cli._terminal import estimate, number, percent, show_table
from ponder.measure.intervals import Estimate


def test_figures_are_short_and_exact_where_it_matters() -> None:
    assert [number(each) for each in (5.2111, 0.000231, 1234.0, float("inf"))] == [
        "5.21",
        "0.000231",
        "1.23k",
        "∞",
    ]
    assert estimate(Estimate(1.0, 0.5, 2.25), digits=2) == "1 [0.5, 2.2]"
    assert estimate(None) == "unknown"
    assert percent(Estimate(0.3123, 0.2701, 0.361)) == "31.2 [27.0, 36.1]"
    assert percent(Estimate(0.99951, 0.9, 1.0)) == "99.95 [90.0, 100.0]"
    assert percent(Estimate(-0.002, -0.01, 0.005), sign="+") == "-0.2 [-1.0, +0.5]"
    assert percent(Estimate(0.312, 0.07, 1.0), short=True) == "31 [7.0, 100]"


def test_a_table_has_a_line_a_row_and_narrow_gaps_where_it_must(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(("name", "x"), [("a" * 30, "1"), ("b", "22")])
    wide = capsys.readouterr().out.splitlines()
    assert wide[1] == "a" * 30 + "   1"
    show_table(("name", "x"), [("a" * 77, "22"), ("b", "1")])
    narrow = capsys.readouterr().out.splitlines()
    assert narrow[1] == "a" * 77 + " 22"
    show_table(("name", "x"), [("a" * 300, "22")])
    assert len(capsys.readouterr().out.splitlines()) == 2
