from __future__ import annotations

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Usage
from ponder.measure.curve import Curve, Gain, Point
from ponder.report import words

BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (950, "950"),
        (999.6, "1k"),
        (1250, "1.25k"),
        (4.1e13, "41T"),
        (3e20, "300E"),
        (4.5e21, "4.5Z"),
        (9.9996e23, "1Y"),
        (3e27, "3e+03Y"),
        (None, "unknown"),
    ],
)
def test_compact(value, text):
    assert words.compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(4.1e13, "41 TFLOP"), (12, "12 FLOP"), (float("inf"), "unknown"), (None, "unknown")]
)
def test_compact_with_a_unit(value, text):
    assert words.compact(value, "FLOP") == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.42, "0.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
        (None, "unknown"),
    ],
)
def test_duration(seconds, text):
    assert words.duration(seconds) == text


@given(st.text(st.characters()))
def test_plain_text_can_always_be_encoded_and_moves_no_cursor(text):
    cleaned = words.plain(text)
    cleaned.encode("utf-8")
    assert all(c in "\n\t" or (ord(c) >= 32 and not 0x7F <= ord(c) < 0xA0) for c in cleaned)
    assert not any(unicodedata.bidirectional(c) in BIDI_CONTROLS for c in cleaned)


def test_plain_text_keeps_what_is_written():
    text = "naïve\t数 ١٢ 👩\u200d🔬 می\u200cخواهم\n"
    assert words.plain(text) == text
    assert words.plain("a\u202eb\u2066c\u200fd\x1b[2Je\r\nf") == "a\ufffdb\ufffdc\ufffdd\ufffd[2Je\nf"


def test_the_columns_stand_in_order_and_mark_the_bound(measurement):
    columns = words.columns(measurement)
    titles = ["direct", "1 sample", "vote@32", "best by likelihood@32", "coverage@32"]
    assert [c.title for c in columns] == titles
    assert [c.oracle for c in columns] == [False, False, False, False, True]
    assert words.chosen_by(measurement, columns) == ""


def test_what_chooses_by_one_scorer_a_task_is_one_column(build_measurement):
    measured = build_measurement(tasks=6)
    columns = words.columns(measured)
    assert [c.title for c in columns] == ["direct", "1 sample", "vote@32", "best@32", "coverage@32"]
    found = words.rows(measured, columns)
    for row, task in zip(found, measured.tasks, strict=True):
        assert row.points[3] == task.curves[2].points[-1]
    said = "Column best chooses by likelihood, on countdown by checks."
    assert words.chosen_by(measured, columns) == said


def test_two_scorers_on_one_task_stay_two_columns(build_measurement):
    measured = build_measurement(tasks=6)
    task = measured.tasks[-1]
    both = (*task.curves, replace(task.curves[2], strategy="best by likelihood"))
    measured = replace(measured, tasks=(*measured.tasks[:-1], replace(task, curves=both)))
    titles = [c.title for c in words.columns(measured)]
    assert titles[3:5] == ["best by likelihood@32", "best by checks@32"]
    assert words.chosen_by(measured, words.columns(measured)) == ""


def test_a_row_holds_the_last_point_of_each_policy(measurement):
    row = words.rows(measurement, words.columns(measurement))[1]
    direct, vote, best, coverage = measurement.tasks[1].curves
    expected = (direct.points[0], vote.points[0], vote.points[-1], best.points[-1], coverage.points[-1])
    assert row.points == expected
    assert (row.cheapest, row.dearest) == (vote.points[0], vote.points[-1])


def _only(measurement, *points, strategy="vote"):
    task = measurement.tasks[0]
    return replace(measurement, tasks=(replace(task, curves=(Curve(task.task, strategy, points),)),))


def test_the_finding_is_computed_from_the_curve(measurement):
    measured = _only(
        measurement, Point(1, 0.42, 0.3, 0.5, 150.0, None), Point(16, 0.68, 0.6, 0.8, 600.0, None)
    )
    assert words.finding(measured) == (
        "With 16 samples, vote answers 68% of the problems correctly where one sample answers 42%: "
        "26 points more, for 4.0 times the tokens."
    )


def test_the_finding_admits_a_loss_and_unknown_tokens(measurement):
    measured = _only(measurement, Point(1, 0.5, 0.4, 0.6, None, None), Point(8, 0.4, 0.3, 0.5, None, None))
    assert words.finding(measured).endswith("10 points less, for 8 times the samples (tokens are unknown).")


def test_the_finding_takes_its_interval_from_the_curve_of_that_name(build_measurement):
    measured = build_measurement(tasks=6)
    tasks = tuple(replace(t, curves=t.curves[2:3]) for t in measured.tasks)
    gains = (Gain("best by checks", 0.5, 0.4, 0.6), Gain("best by likelihood", 0.3, 0.25, 0.375))
    said = words.finding(replace(measured, tasks=tasks, gains=gains))
    assert "best by likelihood answers" in said
    assert "90% interval +25 to +38" in said
    assert said.endswith("averaged over 5 tasks.")


def test_without_a_growing_policy_there_is_no_finding(measurement):
    measured = _only(measurement, Point(1, 0.5, 0.4, 0.6, 10.0, None), strategy="direct")
    assert words.finding(measured) == "No policy was measured at more than one budget."


def test_unknown_spending_is_never_zero():
    said = dict(words.spending(Usage(flop=None, usd=None, cached_tokens=None, completion_tokens=0)))
    assert said["FLOP"] == said["US dollars"] == said["of these read from a cache"] == "unknown"
    assert said["Generated tokens"] == "0"
