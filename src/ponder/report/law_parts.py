"""What the pictures of laws are put together from: a panel with points, line and band, log axes, names."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.report.figures import PAPER, chart_of, house_style
from ponder.report.words import plain

__all__ = [
    "HEIGHT",
    "WIDTH",
    "band_rows",
    "coloured",
    "first_of_each",
    "line_rows",
    "log_x",
    "log_y",
    "named",
    "ordered",
    "panel",
    "share",
    "short_names",
    "styled",
    "titled",
    "top_share",
]

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 320, 240
# Viridis, darkened at its bright end: what is drawn in these colours is ordered.
_ORDERED = ("#5db940", "#1f9a80", "#2a788e", "#3b4a8c", "#440154")
_REGION = 0.07
_TICKS = 6
_TOPS = (0.04, 0.1, 0.2, 0.4, 0.6, 0.8)


def panel(
    alt: Any,
    points: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    x_title: str,
    *,
    measured_until: float | None,
    thin: Sequence[dict[str, Any]] = (),
    legend: str | None = None,
    y_axis: Callable[[str], Any] | None = None,
) -> Any:
    """Points, with their intervals where they have a `low` and a `high`, and the law's line and band, in one
    colour unless a row has a `colour`; a `line` tells lines apart. `thin` are the rows of a line of a rival,
    without a band. With `legend`, its title, the lines are told beside the panel. `y_axis` makes the axis of
    the field that it is given; by default one of shares from 0."""
    for row in [*points, *rows]:
        row.setdefault("colour", PAPER.lines[0])
        row.setdefault("line", "law")
    x = log_x(alt, [row["x"] for row in [*points, *rows]], x_title)
    top = top_share([*points, *rows, *thin])
    y_axis = y_axis or (lambda field: share(alt, field, top))
    colour = coloured(alt, [*rows, *points], legend)
    line = chart_of(rows).encode(x=x, color=colour, detail="line:N")
    dots = chart_of(points).encode(x=x, color=colour)
    ends = chart_of([row for row in points if "low" in row])
    layers = [
        *_forecast_region(alt, x, measured_until, max((row["x"] for row in rows), default=0.0)),
        line.encode(y=y_axis("low"), y2="high:Q").mark_area(opacity=0.14),
        chart_of(list(thin))
        .encode(x=x, y=y_axis("y"), detail="line:N")
        .mark_line(strokeWidth=1, strokeDash=[4, 3], color=PAPER.oracle),
        line.encode(y=y_axis("y")).mark_line(strokeWidth=2),
        ends.encode(x=x, y=y_axis("low"), y2="high:Q", color=colour).mark_rule(strokeWidth=1.2),
        dots.encode(y=y_axis("y")).mark_point(size=28, filled=True, opacity=1),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def band_rows(x: Floats, y: Floats, low: Floats, high: Floats, **look: str) -> list[dict[str, Any]]:
    """A law's values and their intervals, where it has any."""
    columns = (np.asarray(each, dtype=np.float64).tolist() for each in (x, y, low, high))
    return [
        {"x": at, "y": value, "low": least, "high": most, **look}
        for at, value, least, most in zip(*columns, strict=True)
        if np.isfinite(value)
    ]


def line_rows(x: Floats, y: Sequence[float] | Floats, line: str, **look: str) -> list[dict[str, Any]]:
    """Values along a line, where there are any."""
    pairs = zip(np.asarray(x).tolist(), np.asarray(y).tolist(), strict=True)
    return [{"x": at, "y": value, "line": line, **look} for at, value in pairs if np.isfinite(value)]


def _forecast_region(alt: Any, x: Any, begin: float | None, end: float) -> list[Any]:
    """Grey from where the measurements end."""
    if begin is None or end <= begin * (1 + 1e-9):
        return []
    rows = [{"x": begin, "x2": end, "text": "forecast"}]
    base = chart_of(rows).encode(x=x)
    return [
        base.encode(x2="x2:Q").mark_rect(color=PAPER.ink, opacity=_REGION),
        base.encode(y=alt.value(HEIGHT - 8), text="text:N").mark_text(
            align="left", dx=4, color=PAPER.ink, fontSize=10
        ),
    ]


def short_names(names: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Names such as "154k-steps-random-0/6" without the parts that all of them share, and those parts."""
    parts = [name.split("-") for name in names]
    if len(set(names)) < 2 or len({len(each) for each in parts}) != 1:
        return tuple(names), ""
    shared = [len(set(column)) == 1 for column in zip(*parts, strict=True)]
    short = ["-".join(p for p, drop in zip(each, shared, strict=True) if not drop) for each in parts]
    return tuple(short), "-".join(p for p, drop in zip(parts[0], shared, strict=True) if drop)


def coloured(alt: Any, rows: Sequence[dict[str, Any]], legend: str | None = None) -> Any:
    """The rows' own colours; with a `legend`, its title, their lines are named beside the chart."""
    if legend is None:
        return alt.Color("colour:N", scale=None)
    colours = {row["line"]: row["colour"] for row in rows}
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color("line:N", scale=scale, legend=named(alt, legend))


def named(alt: Any, title: str = "") -> Any:
    """A legend of lines at the right."""
    return alt.Legend(
        title=title or None,
        titleFontWeight="normal",
        orient="right",
        labelLimit=280,
        symbolType="stroke",
        symbolStrokeWidth=3,
        symbolOpacity=1,
    )


def styled(chart: Any) -> Any:
    """In the house's typography, on paper."""
    return house_style(chart, PAPER, background=PAPER.paper, padding=8)


def titled(alt: Any, text: str, *subtitle: str) -> Any:
    """A title with its subtitle's lines."""
    return alt.TitleParams(plain(text), subtitle=[plain(line) for line in subtitle])


def ordered(place: int, count: int) -> str:
    """From bright to dark, as far apart as so many can be."""
    return _ORDERED[round(place * (len(_ORDERED) - 1) / max(1, count - 1))] if count > 1 else _ORDERED[2]


def first_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first row of each line."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["line"], row)
    return list(found.values())


def log_x(alt: Any, values: Sequence[float], title: str, field: str = "x") -> Any:
    """A log axis that holds all `values`."""
    scale, axis = _log(alt, values)
    return alt.X(f"{field}:Q", scale=scale, axis=axis, title=title)


def log_y(alt: Any, values: Sequence[float], field: str, title: str) -> Any:
    """A log axis that holds all `values`."""
    scale, axis = _log(alt, values)
    return alt.Y(f"{field}:Q", scale=scale, axis=axis, title=title)


def _log(alt: Any, values: Sequence[float]) -> tuple[Any, Any]:
    """A log scale with powers of ten, at most about six of them; with 1, 2 and 5 where there are few."""
    low, high = min(values) / 1.2, max(values) * 1.2
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / _TICKS))
    ticks = [10.0**power for power in powers if power % step == 0]
    if len(ticks) < 3:
        below = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        every = [digit * 10.0**power for power in below for digit in (1, 2, 5)]
        ticks = [tick for tick in every if low <= tick <= high]
    names = [_tick(tick) for tick in ticks]
    expression = f"({json.dumps(names)})[indexof({json.dumps(ticks)}, datum.value)]"
    axis = alt.Axis(values=ticks, labelExpr=expression, grid=False)
    return alt.Scale(type="log", domain=[low, high], nice=False), axis


def _tick(tick: float) -> str:
    """1000, 0.01, 2e7: in full within what is read at a glance."""
    if 1e-2 <= tick < 10001:
        return f"{tick:g}"
    power = math.floor(math.log10(tick) + 1e-9)
    return f"{round(tick / 10.0**power)}e{power}"


def share(alt: Any, field: str, top: float = 1.0) -> Any:
    """An axis of shares from 0 to `top`."""
    axis = alt.Axis(values=[top * part / 4 for part in range(5)], format=".0%" if top > 0.1 else ".1%")
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, top]), axis=axis, title=None)


def top_share(rows: Iterable[dict[str, Any]]) -> float:
    """Where an axis ends that holds all shares `y` and `high` of the rows."""
    most = max((row.get("high", row["y"]) for row in rows), default=1.0)
    return next((top for top in _TOPS if most <= top), 1.0)
