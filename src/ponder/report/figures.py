"""The curve: accuracy against inference compute, one panel a task.

Two looks from the same panels: `curve_chart` for paper (fixed colours, one picture with its legend)
and `panel(..., look=PAGE)` for the web page, whose colours are CSS variables that follow its theme.
"""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from ponder.core import canonical_json
from ponder.errors import InputError, MissingExtra
from ponder.measure.curve import Curve, Measurement, Point, TaskResult
from ponder.report.words import compact, plain

if TYPE_CHECKING:
    import altair as alt

__all__ = [
    "PAGE",
    "PAPER",
    "Axis",
    "Look",
    "Series",
    "axes",
    "chart_of",
    "curve_chart",
    "house_style",
    "label",
    "load_altair",
    "panel",
    "rest_label",
    "series",
    "themed",
]

Axis = Literal["tokens", "flop", "samples"]

AXIS_TITLE: dict[Axis, str] = {
    "tokens": "Tokens per problem",
    "flop": "FLOP per problem",
    "samples": "Samples per problem",
}

# Okabe & Ito's palette (https://jfly.uni-koeln.de/color/): told apart with any colour vision. The
# oracle bound is grey on purpose: it is a yardstick, not a competitor.
_LINES = ("#0072b2", "#d55e00", "#8f4e9e", "#a67c00", "#5c6bc0", "#b0306a", "#6d7f00", "#00838f")
_ORACLE, _DIRECT, _INK = "#767676", "#009E73", "#1b1f24"

WIDTH, HEIGHT = 232, 176
_TITLE_LETTERS, _TITLE_LINE = 34, 16  # what a line of a title holds, and its height in pixels
_FRAME = {"left": 40, "top": 46, "right": 30, "bottom": 42}


@dataclass(frozen=True, slots=True)
class Look:
    """Colours of one medium: `lines` in order of strategy, then the marks that have a fixed meaning."""

    lines: tuple[str, ...]
    oracle: str
    direct: str
    ink: str
    paper: str
    font: str


PAPER = Look(_LINES, _ORACLE, _DIRECT, _INK, "#ffffff", "Liberation Sans, Arial, Helvetica, sans-serif")
PAGE = Look(
    tuple(f"var(--line-{i})" for i in range(len(_LINES))),
    "var(--oracle)",
    "var(--direct)",
    "currentColor",
    "var(--paper)",
    "system-ui, Liberation Sans, Helvetica, Arial, sans-serif",
)


@dataclass(frozen=True, slots=True)
class Series:
    """How a strategy is drawn: "line", "oracle" (dashed), "dot" (a single budget), or "rest" (thin and grey:
    one of too many)."""

    strategy: str
    label: str
    kind: Literal["line", "oracle", "dot", "rest"]
    colour: str


def load_altair() -> Any:
    """The altair module, or MissingExtra."""
    try:
        import altair
    except ImportError as error:
        raise MissingExtra("the report", "report") from error
    return altair


def chart_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A chart of these rows, which nothing may change: Altair copies all data of a chart each time when it is
    put beside another, and these are shared instead."""
    alt = load_altair()
    return alt.Chart(_shared(alt)(values=rows))


@cache
def _shared(alt: Any) -> Any:
    class SharedData(alt.InlineData):  # type: ignore[misc]
        def __deepcopy__(self, memo: object = None) -> SharedData:
            return self

    return SharedData


def label(curve: Curve) -> str:
    """A strategy's name for the reader; an oracle bound says so."""
    name = plain(curve.strategy)
    return f"{name} (oracle bound)" if curve.oracle else name


def series(measurement: Measurement, look: Look = PAPER) -> tuple[Series, ...]:
    """Every strategy of the measurement once, with its style: single budgets, lines, the bounds, and the rest
    of those that are too many to be told apart."""
    found: dict[str, Series] = {}
    shown = _leaders(measurement, len(look.lines))
    lines = dots = 0
    longest: dict[str, int] = {}
    for curve in _curves(measurement):
        longest[curve.strategy] = max(longest.get(curve.strategy, 0), len(curve.points))
    for curve in _curves(measurement):
        if curve.strategy in found or not curve.points:
            continue
        if curve.oracle:
            found[curve.strategy] = Series(curve.strategy, label(curve), "oracle", look.oracle)
        elif curve.strategy not in shown:
            found[curve.strategy] = Series(curve.strategy, label(curve), "rest", look.oracle)
        elif longest[curve.strategy] == 1:
            colour = look.direct if curve.strategy == "direct" else look.lines[-1 - dots % len(look.lines)]
            found[curve.strategy] = Series(curve.strategy, label(curve), "dot", colour)
            dots += 1
        else:
            colour = look.lines[lines % len(look.lines)]
            found[curve.strategy] = Series(curve.strategy, label(curve), "line", colour)
            lines += 1
    order = ("dot", "line", "oracle", "rest")
    return tuple(sorted(found.values(), key=lambda each: order.index(each.kind)))


def _curves(measurement: Measurement) -> Iterable[Curve]:
    return (curve for task in measurement.tasks for curve in task.curves)


def _leaders(measurement: Measurement, most: int) -> set[str]:
    """The strategies that are drawn in colour: all, or where they are more than `most` those that hold most
    points of the tasks' Pareto fronts (no other strategy is as accurate at a lower mean cost)."""
    found = {curve.strategy for curve in _curves(measurement) if curve.points and not curve.oracle}
    if len(found) <= most:
        return found
    x, held = axes(measurement)[0], Counter[str]()
    for task in measurement.tasks:
        held.update(_front(task, x))
    return {name for name, _ in sorted(held.items(), key=lambda item: (-item[1], item[0]))[:most]}


def _front(task: TaskResult, x: Axis) -> list[str]:
    """Who holds each point of the task's Pareto front, from the cheapest on."""
    points = [
        (at, -point.accuracy, curve.strategy)
        for curve in task.curves
        if not curve.oracle
        for point in curve.points
        if (at := spent(point, x)) is not None
    ]
    holders, best = [], -1.0
    for _, lost, strategy in sorted(points):
        if -lost > best:
            holders.append(strategy)
            best = -lost
    return holders


def rest_label(found: Sequence[Series]) -> str | None:
    """The legend's word for the rest; None where every strategy has a colour."""
    rest = sum(each.kind == "rest" for each in found)
    return f"{rest} others, less often the most accurate for their cost" if rest else None


def spent(point: Point, x: Axis) -> float | None:
    """Where a point stands on an axis; None where that is unknown."""
    value = {
        "tokens": point.tokens,
        "flop": point.flop,
        "samples": point.samples if point.samples is not None else float(point.k),
    }[x]
    return value if value is not None and value > 0 and math.isfinite(value) else None


def axes(measurement: Measurement) -> tuple[Axis, ...]:
    """The axes on which anything is known: tokens and FLOP, or samples where neither is."""
    points = [p for curve in _curves(measurement) for p in curve.points]
    names: tuple[Axis, ...] = ("tokens", "flop")
    known = tuple(x for x in names if any(spent(p, x) is not None for p in points))
    return known or ("samples",)


def _domain(measurement: Measurement, x: Axis) -> tuple[float, float]:
    values = [v for c in _curves(measurement) for p in c.points if (v := spent(p, x)) is not None]
    if not values:
        raise InputError(
            f"the figure has nothing to draw: {x} are unknown for every point; choose another axis."
        )
    return min(values) / 1.15, max(values) * 1.12


def _ticks(low: float, high: float) -> list[float]:
    """Powers of ten inside the domain, with 2 and 5 (or 3) between them where they are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**d for d in decades for step in steps if low <= step * 10.0**d <= high]
        if len(ticks) >= 3:
            return ticks
    return ticks


def _rows(task: TaskResult, styles: dict[str, Series], x: Axis) -> list[dict[str, Any]]:
    rows = []
    for curve in task.curves:
        for point in curve.points:
            at = spent(point, x)
            if at is None:
                continue
            style = styles[curve.strategy]
            span = f"{point.low:.0%} to {point.high:.0%}"
            rows.append(
                {
                    "series": style.label,
                    "kind": style.kind,
                    "colour": style.colour,
                    "k": point.k,
                    "x": at,
                    "y": point.accuracy,
                    "low": point.low,
                    "high": point.high,
                    "said": f"{style.label}, {_samples(point.k)}: {point.accuracy:.0%} ({span})",
                    "alone": len(curve.points) == 1,
                    "told": point.k.bit_count() == 1 or point is curve.points[-1],
                }
            )
    return rows


def _samples(k: int) -> str:
    return "1 sample" if k == 1 else f"{k} samples"


def _ends(rows: list[dict[str, Any]], gap: float = 0.085) -> list[dict[str, Any]]:
    """The last point of each line with a label height, moved apart so that no two labels collide."""
    last: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["kind"] in ("line", "oracle") and (
            row["series"] not in last or row["k"] > last[row["series"]]["k"]
        ):
            last[row["series"]] = row
    ends = sorted(last.values(), key=lambda row: row["y"])
    heights = [row["y"] for row in ends]
    for _ in range(20):
        for i in range(1, len(heights)):
            overlap = gap - (heights[i] - heights[i - 1])
            if overlap > 1e-9:
                heights[i - 1] -= overlap / 2
                heights[i] += overlap / 2
    return [
        {"x": row["x"], "at": h, "text": f"{100 * row['y']:.0f}", "colour": row["colour"]}
        for row, h in zip(ends, heights, strict=True)
    ]


def _one_sample(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the lines begin: the first keyless line's accuracy at k = 1."""
    return next(([row] for row in rows if row["kind"] == "line" and row["k"] == 1), [])


def _x(alt: Any, measurement: Measurement, x: Axis) -> Any:
    """The log axis that all panels share."""
    low, high = _domain(measurement, x)
    ticks = _ticks(low, high)
    names = [compact(tick) for tick in ticks]
    expression = f"({canonical_json(names)})[indexof({canonical_json(ticks)}, datum.value)]"
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    axis = alt.Axis(values=ticks, labelExpr=expression, grid=False, labelOverlap=True)
    return alt.X("x:Q", scale=scale, axis=axis, title=AXIS_TITLE[x])


def _y(alt: Any, field: str) -> Any:
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%")
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis, title=None)


def panel(measurement: Measurement, task: TaskResult, x: Axis, *, look: Look = PAPER) -> alt.LayerChart:
    """One task's curves: bands and lines by strategy, dots for single budgets, the constant guess.

    Raises MissingExtra without altair, InputError where `x` is unknown for every point.
    """
    alt = load_altair()
    rows = _rows(task, {s.strategy: s for s in series(measurement, look)}, x)
    colour = alt.Color("colour:N", scale=None)
    base = chart_of(rows).encode(x=_x(alt, measurement, x), y=_y(alt, "y"), color=colour, detail="series:N")
    spread = base.encode(y=_y(alt, "low"), y2="high:Q")
    oracle, line, dot, rest = (f"datum.kind == '{kind}'" for kind in ("oracle", "line", "dot", "rest"))
    layers = [
        *_constant(alt, task, look),
        base.transform_filter(rest).mark_line(strokeWidth=0.8, opacity=0.5),
        base.transform_filter(f"{rest} && datum.alone").mark_point(
            shape="diamond", size=22, filled=True, opacity=0.5
        ),
        spread.transform_filter(oracle).mark_area(opacity=0.10),
        spread.transform_filter(line).mark_area(opacity=0.16),
        spread.transform_filter(dot).mark_rule(strokeWidth=1.4, opacity=0.75),
        base.transform_filter(line).mark_line(strokeWidth=2.2),
        # Above the lines, so that a strategy which reaches the bound shows both.
        base.transform_filter(oracle).mark_line(strokeWidth=1.6, strokeDash=[5, 3]),
        base.transform_filter("datum.told")
        .mark_point(size=120, filled=True, opacity=0)
        .encode(tooltip="said:N"),
        base.transform_filter(dot).mark_point(shape="diamond", size=64, filled=True, opacity=1),
        chart_of(_one_sample(rows))
        .mark_point(size=42, fill=look.paper, stroke=look.ink, strokeWidth=1.5, opacity=1)
        .encode(x=_x(alt, measurement, x), y=_y(alt, "y")),
        chart_of(_ends(rows))
        .mark_text(align="left", dx=5, fontSize=11, fontWeight=600)
        .encode(x=_x(alt, measurement, x), y=_y(alt, "at"), text="text:N", color=colour),
    ]
    title = alt.TitleParams(_title(task), limit=WIDTH + 30, subtitle=f"{task.problems} problems")
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)


def _title(task: TaskResult) -> list[str]:
    """The title in at most two lines."""
    lines = textwrap.wrap(plain(task.title), _TITLE_LETTERS, max_lines=2, placeholder=" …")
    return lines or [plain(task.task)[:_TITLE_LETTERS]]


def _constant(alt: Any, task: TaskResult, look: Look) -> list[Any]:
    if task.constant is None:
        return []
    rule = chart_of([{"y": task.constant}])
    return [
        rule.mark_rule(color=look.ink, opacity=0.55, strokeWidth=1, strokeDash=[1, 2]).encode(y=_y(alt, "y"))
    ]


def themed(chart: Any, measurement: Measurement, look: Look = PAPER) -> Any:
    """The chart with the house's typography: no frame, a faint horizontal grid, titles at the left."""
    if look is PAPER:
        return house_style(chart, look, background=look.paper, padding=6)
    # A frame of one size, so that panels line up whatever their labels are.
    lines = max(len(_title(task)) for task in measurement.tasks)
    frame = _FRAME | {"top": _FRAME["top"] + _TITLE_LINE * (lines - 1)}
    return house_style(chart, look, background="transparent", padding=frame, autosize="none")


def house_style(chart: Any, look: Look, **space: Any) -> Any:
    """The chart in the house's typography; `space` is what surrounds it."""
    alt = load_altair()
    axis = alt.AxisConfig(
        labelColor=look.ink,
        titleColor=look.ink,
        labelOpacity=0.8,
        titleOpacity=0.9,
        labelFontSize=11,
        titleFontSize=11,
        titleFontWeight="normal",
        gridColor=look.ink,
        gridOpacity=0.12,
        domainColor=look.ink,
        tickColor=look.ink,
        domainOpacity=0.45,
        tickOpacity=0.45,
    )
    title = alt.TitleConfig(
        anchor="start",
        frame="group",
        color=look.ink,
        fontSize=13,
        lineHeight=_TITLE_LINE,
        fontWeight=600,
        subtitleColor=look.ink,
        subtitleFontSize=11,
        offset=8,
    )
    # Set at once: each `configure_...` would copy the whole chart.
    config = alt.Config(
        font=look.font,
        aria=False,
        view=alt.ViewConfig(stroke=None),
        axis=axis,
        axisY=alt.AxisConfig(domain=False, ticks=False, labelPadding=6),
        title=title,
        **space,
    )
    return chart.properties(config=config)


def _legend_entries(measurement: Measurement) -> list[tuple[str, str, str]]:
    """(name, kind, colour) of all that is drawn."""
    found = series(measurement)
    entries: list[tuple[str, str, str]] = [(s.label, s.kind, s.colour) for s in found if s.kind != "rest"]
    rest = rest_label(found)
    if rest is not None:
        entries.append((rest, "rest", PAPER.oracle))
    if any(s.kind == "line" for s in found):
        entries.append(("one sample", "ring", PAPER.ink))
    if any(task.constant is not None for task in measurement.tasks):
        entries.append(("best constant guess", "rule", PAPER.ink))
    return [*entries, ("90% interval", "band", PAPER.oracle)]


def _legend_row(alt: Any, measurement: Measurement, width: int) -> Any:
    """A legend in pixels, a line or more: a swatch as it is drawn, then its name in ink."""
    rows, at, line = [], 0.0, 0
    for text, kind, colour in _legend_entries(measurement):
        need = 30 + 5.8 * len(text) + 20
        if at and at + need > width:
            at, line = 0.0, line + 1
        ends = {"x": at, "x2": at + 24, "mid": at + 12, "y": 18 * line + 8}
        rows.append({**ends, "text": text, "kind": kind, "colour": colour})
        at += need
    swatches = alt.layer(*_swatches(alt, rows)).encode(text="text:N")
    return swatches.properties(width=width, height=18 * (line + 1))


def _swatches(alt: Any, rows: list[dict[str, Any]]) -> list[Any]:
    """The legend's layers: each kind of swatch as the panels draw it, and the names."""
    place = {"scale": None, "axis": None}
    base = chart_of(rows).encode(
        x=alt.X("x:Q", **place), y=alt.Y("y:Q", **place), color=alt.Color("colour:N", scale=None)
    )

    def swatch(kind: str) -> Any:
        return base.transform_filter(f"datum.kind == '{kind}'")

    ends = {"x2": alt.X2("x2:Q")}
    centre = alt.X("mid:Q", **place)
    return [
        swatch("band").mark_rule(strokeWidth=11, opacity=0.25).encode(**ends),
        swatch("line").mark_rule(strokeWidth=2.4).encode(**ends),
        swatch("oracle").mark_rule(strokeWidth=1.8, strokeDash=[5, 3]).encode(**ends),
        swatch("rest").mark_rule(strokeWidth=0.8, opacity=0.6).encode(**ends),
        swatch("rule").mark_rule(strokeWidth=1, strokeDash=[1, 2], opacity=0.7).encode(**ends),
        swatch("dot").mark_point(shape="diamond", size=64, filled=True, opacity=1).encode(x=centre),
        swatch("ring").mark_point(size=42, fill=PAPER.paper, strokeWidth=1.5, opacity=1).encode(x=centre),
        base.mark_text(align="left", dx=30, baseline="middle", fontSize=11.5).encode(
            color=alt.value(PAPER.ink)
        ),
    ]


def curve_chart(measurement: Measurement, x: Axis = "tokens") -> alt.VConcatChart:
    """The picture: one panel a task on shared axes, with its legend. Log x; bands are 90% intervals.

    Raises MissingExtra without altair, InputError where `x` is unknown for every point.
    """
    alt = load_altair()
    count = len(measurement.tasks)
    columns = count if count <= 3 else 2 if count == 4 else 3
    panels = [panel(measurement, task, x) for task in measurement.tasks]
    grid = alt.concat(*panels, columns=columns, align="each", spacing=22)
    width = columns * (WIDTH + 60) - 30
    chart = alt.vconcat(_legend_row(alt, measurement, width), grid, spacing=14)
    return themed(chart, measurement)
