from __future__ import annotations

import json
import sys
from dataclasses import replace
from itertools import pairwise

import pytest

from ponder.errors import InputError, MissingExtra
from ponder.measure.curve import Curve, Point
from ponder.report import figures


def _rows(spec):
    """Every mapping in a specification, its data rows among them."""
    if isinstance(spec, dict):
        yield spec
        spec = list(spec.values())
    if isinstance(spec, list):
        for value in spec:
            yield from _rows(value)


def test_the_chart_is_valid_and_draws_every_point(measurement):
    chart = figures.curve_chart(measurement, "flop").to_dict()
    drawn = {(r["series"], r["k"], r["x"], r["y"]) for r in _rows(chart) if "said" in r}
    for task in measurement.tasks:
        for curve in task.curves:
            for point in curve.points:
                assert (figures.label(curve), point.k, point.flop, point.accuracy) in drawn


def test_only_the_oracle_is_dashed_and_it_says_so(measurement):
    styles = {s.strategy: s for s in figures.series(measurement)}
    assert styles["coverage"].label == "coverage (oracle bound)"
    assert [s.strategy for s in styles.values() if s.kind == "oracle"] == ["coverage"]
    assert styles["direct"].kind == "dot"
    assert len({s.colour for s in styles.values()}) == len(styles)


def test_unknown_axes_are_left_out(measurement):
    def without(**changed):
        tasks = tuple(
            replace(
                t,
                curves=tuple(
                    replace(c, points=tuple(replace(p, **changed) for p in c.points)) for c in t.curves
                ),
            )
            for t in measurement.tasks
        )
        return replace(measurement, tasks=tasks)

    assert figures.axes(measurement) == ("tokens", "flop")
    assert figures.axes(without(flop=None)) == ("tokens",)
    unknown = without(flop=None, tokens=None)
    assert figures.axes(unknown) == ("samples",)
    with pytest.raises(InputError, match="flop are unknown"):
        figures.curve_chart(unknown, "flop")
    assert figures.curve_chart(unknown, "samples").to_dict()


def test_end_labels_keep_their_distance(measurement):
    task = measurement.tasks[0]
    close = tuple(
        Curve("t", name, tuple(Point(k, 0.5, 0.4, 0.6, 10.0 * k, None) for k in (1, 2)))
        for name in ("vote", "best", "other")
    )
    chart = figures.curve_chart(replace(measurement, tasks=(replace(task, curves=close),))).to_dict()
    heights = sorted(row["at"] for row in _rows(chart) if "at" in row)
    assert len(heights) == 3
    assert min(b - a for a, b in pairwise(heights)) > 0.08


def test_curves_that_coincide_are_told_apart(build_measurement):
    """On countdown choosing by checks is the oracle's bound: one line, two labels."""
    measured = build_measurement(tasks=6)
    chart = figures.panel(measured, measured.tasks[-1], "tokens").to_dict()
    ends = [row for row in _rows(chart) if "at" in row]
    same = [row for row in ends if row["text"] == ends[-1]["text"]]
    assert len({row["colour"] for row in same}) == 2
    assert abs(same[0]["at"] - same[1]["at"]) > 0.08


@pytest.mark.parametrize(
    ("title", "lines"),
    [("Sums", 1), ("Countdown: reach a target with 3 numbers", 2), ("many words " * 40, 2), ("x" * 200, 2)],
)
def test_a_long_title_takes_two_lines(build_measurement, title, lines):
    measured = build_measurement(tasks=1, title=title)
    chart = figures.panel(measured, measured.tasks[0], "tokens").to_dict()
    shown = chart["title"]["text"]
    assert len(shown) == lines
    assert max(map(len, shown)) <= 34
    assert title.startswith(shown[0])


def test_the_legend_of_six_tasks_takes_two_lines(build_measurement):
    chart = figures.curve_chart(build_measurement(tasks=6)).to_dict()
    entries = [row for row in _rows(chart) if "mid" in row]
    assert {"best by likelihood", "best by checks", "coverage (oracle bound)"} <= {e["text"] for e in entries}
    assert len({row["y"] for row in entries}) <= 2


@pytest.mark.parametrize("span", [(1, 1.2), (90, 1100), (3e9, 4e12), (1, 1e9)])
def test_ticks_lie_inside_the_domain(span):
    ticks = figures._ticks(*span)
    assert ticks
    assert all(span[0] <= tick <= span[1] for tick in ticks)


def test_a_missing_altair_names_the_extra(measurement, monkeypatch):
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingExtra, match=r"ponder\[report\]"):
        figures.curve_chart(measurement)


def crowded(measurement, count):
    """The measurement with `count` strategies beside its own that are ever worse and ever dearer."""

    def more(task):
        vote = next(curve for curve in task.curves if curve.strategy == "vote")

        def worse(i):
            points = (replace(p, accuracy=p.accuracy * 0.9**i, tokens=p.tokens * 1.1**i) for p in vote.points)
            return replace(vote, strategy=f"worse {i}", points=tuple(points)[: 1 if i % 3 == 0 else None])

        return replace(task, curves=(*task.curves, *(worse(i) for i in range(1, count + 1))))

    return replace(measurement, tasks=tuple(more(task) for task in measurement.tasks))


def test_of_too_many_strategies_the_leading_ones_have_colours(measurement):
    many = crowded(measurement, 12)
    styles = {s.strategy: s for s in figures.series(many)}
    assert {"vote", "direct"} <= {name for name, s in styles.items() if s.kind in ("line", "dot")}
    rest = [s for s in styles.values() if s.kind == "rest"]
    assert {s.colour for s in rest} == {figures.PAPER.oracle}
    assert len(styles) - len(rest) - 1 <= len(figures.PAPER.lines)  # the bound is drawn besides
    assert all(s.strategy.startswith("worse") for s in rest)
    text = json.dumps(figures.curve_chart(many).to_dict())
    assert f"{len(rest)} others, less often the most accurate for their cost" in text
    assert "worse 12" in text  # still there to be pointed at
    assert figures.rest_label(figures.series(measurement)) is None
    assert not any(s.kind == "rest" for s in figures.series(measurement))
