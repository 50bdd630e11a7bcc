"""An outcome as pictures: what moves an output most, and the curves of its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from ponder.govern.calculator import Chart, Table
from ponder.govern.outcome import Swing
from ponder.report.figures import PAGE, PAPER, Look, house_style, load_altair
from ponder.report.govern_words import number
from ponder.report.words import plain

__all__ = ["MOST_BARS", "line_chart", "tornado_chart"]

MOST_BARS = 8
_WIDTH, _BAR, _HEIGHT = 560, 24, 260
_LOW, _HIGH = PAGE.lines[0], PAGE.lines[1]
_DECADES = 1.0  # spread from which an axis is logarithmic
_NAME_LETTERS = 34
_TICKS, _FEWEST_TICKS = 6, 3
_LABEL = 13.0  # pixels from one label to the next


def tornado_chart(swings: Sequence[Swing], middle: float, unit: str) -> Any | None:
    """A bar an input, the largest first: from the output at the medians to it at the input's 5th (one colour)
    and 95th percentile (another). None where nothing finite moves it.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    shown = [each for each in swings if each.size > 0 and _all_finite(each.at_low, each.at_high, middle)]
    shown = shown[:MOST_BARS]
    if not shown:
        return None
    ends = [(each.at_low, each.at_high) for each in shown]
    x = _axis(alt, "from", [middle, *(value for pair in ends for value in pair)], unit or "")
    rows = [
        {"input": _short(each.input), "from": middle, "to": value, "colour": colour,
         "said": f"{each.input} at its {place} percentile: {number(value)} {unit}".rstrip()}
        for each in shown
        for value, place, colour in ((each.at_low, "5th", _LOW), (each.at_high, "95th", _HIGH))
    ]  # fmt: skip
    y = alt.Y("input:N", sort=[_short(each.input) for each in shown], title=None,
              axis=alt.Axis(domain=False, ticks=False, labelLimit=220))  # fmt: skip
    bars = (
        alt.Chart(alt.InlineData(values=rows))
        .encode(x=x, x2="to:Q", y=y, color=alt.Color("colour:N", scale=None), tooltip="said:N")
        .mark_bar(height=13, opacity=0.85)
    )
    rule = (
        alt.Chart(alt.InlineData(values=[{"from": middle}]))
        .encode(x=x)
        .mark_rule(color=PAGE.ink, opacity=0.6)
    )
    return _styled(alt.layer(bars, rule).properties(width=_WIDTH, height=_BAR * len(shown)))


def line_chart(table: Table, *, look: Look = PAGE) -> Any | None:
    """The curves that a table's chart asks for, with bands where it has columns `y low` and `y high`; on the
    page, or with `look` on paper. None without two points.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    chart = table.chart
    rows = [] if chart is None else _points(table, chart)
    if chart is None or len(rows) < 2:
        return None
    names = list(dict.fromkeys(row["by"] for row in rows))
    colours = {name: look.lines[at % len(look.lines)] for at, name in enumerate(names)}
    for row in rows:
        row["colour"] = colours[row["by"]]
    x = _axis(alt, "x", [row["x"] for row in rows], chart.x, log=chart.log_x)
    y_values = [row[name] for row in rows for name in ("y", "low", "high") if row[name] is not None]
    y, low = (_axis(alt, each, y_values, chart.y, log=chart.log_y, kind=alt.Y) for each in ("y", "low"))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=x, color=alt.Color("colour:N", scale=None), detail="by:N"
    )
    layers = [
        base.encode(y=low, y2="high:Q").mark_area(opacity=0.15),
        base.encode(y=y).mark_line(strokeWidth=2.2),
        base.encode(y=y, tooltip="said:N").mark_point(size=26, filled=True, opacity=1),
    ]
    if chart.label:
        layers.append(base.encode(y=y, text="label:N").mark_text(align="left", dx=7, dy=-7, fontSize=11))
    if len(names) > 1:
        last = {row["by"]: row for row in rows}
        shifts = _apart([row["y"] for row in last.values()], y_values, log=chart.log_y)
        layers += [
            alt.Chart(alt.InlineData(values=[row]))
            .encode(x=x, y=y, text="by:N", color=alt.Color("colour:N", scale=None))
            .mark_text(align="left", dx=7, dy=shift, fontSize=11, fontWeight=600, limit=150)
            for row, shift in zip(last.values(), shifts, strict=True)
        ]
    return _styled(alt.layer(*layers).properties(width=_WIDTH, height=_HEIGHT), look)


def _apart(heights: Sequence[float], values: Sequence[float], *, log: bool) -> list[float]:
    """By how many pixels labels at these heights of an axis of `values` go down, to lie apart."""
    low, high, _ = _domain(values, log=log)
    scaled = [math.log10(each) for each in (low, high, *heights)] if log else [low, high, *heights]
    least, most, *own = scaled
    pixels = [_HEIGHT * (most - each) / (most - least) for each in own]
    places = list(pixels)
    order = sorted(range(len(places)), key=places.__getitem__)
    for _ in range(20):
        for above, below in pairwise(order):
            overlap = _LABEL - (places[below] - places[above])
            if overlap > 0.0:
                places[above] -= overlap / 2.0
                places[below] += overlap / 2.0
    return [place - pixel for place, pixel in zip(places, pixels, strict=True)]


def _points(table: Table, chart: Chart) -> list[dict[str, Any]]:
    """The rows that can be drawn: numbers, above zero on a logarithmic axis."""
    place = {name: at for at, name in enumerate(table.columns)}
    found = []
    for row in table.rows:
        x, y = (
            _drawable(row[place[name]], log) for name, log in ((chart.x, chart.log_x), (chart.y, chart.log_y))
        )
        if x is None or y is None:
            continue
        low, high = (
            _drawable(row[place[f"{chart.y} {end}"]], chart.log_y) if f"{chart.y} {end}" in place else None
            for end in ("low", "high")
        )
        by = plain(str(row[place[chart.by]])) if chart.by else ""
        said = f"{by}{': ' if by else ''}{number(x)}, {number(y)}"
        label = plain(str(row[place[chart.label]])) if chart.label else ""
        found.append({"x": x, "y": y, "low": low, "high": high, "by": by, "said": said, "label": label})
    return found


def _drawable(value: str | float | None, log: bool) -> float | None:
    if not isinstance(value, int | float) or not math.isfinite(value) or (log and value <= 0):
        return None
    return float(value)


def _all_finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _short(name: str) -> str:
    return plain(name if len(name) <= _NAME_LETTERS else f"{name[: _NAME_LETTERS - 1]}…")


def _axis(
    alt: Any, field: str, values: Sequence[float], title: str, *, log: bool | None = None, kind: Any = None
) -> Any:
    low, high, logarithmic = _domain(values, log=log)
    kind_of = {"type": "log"} if logarithmic else {"zero": False}
    scale = alt.Scale(domain=[low, high], nice=False, **kind_of)
    label = "abs(datum.value) >= 1e5 || (abs(datum.value) < 1e-3 && datum.value != 0) ? " \
            "replace(format(datum.value, '.3~e'), '+', '') : format(datum.value, ',.3~r')"  # fmt: skip
    ticks = {"values": _log_ticks(low, high)} if logarithmic else {"tickCount": 5}
    axis = alt.Axis(labelExpr=label, grid=kind is not None, labelOverlap=True, **ticks)
    return (kind or alt.X)(f"{field}:Q", scale=scale, axis=axis, title=plain(title) or None)


def _domain(values: Sequence[float], *, log: bool | None) -> tuple[float, float, bool]:
    """From where to where an axis goes, and whether it is logarithmic: where `log`, or where that is not said
    and all values are above zero and decades apart."""
    low, high = min(values), max(values)
    if (low > 0 and math.log10(high / low) > _DECADES) if log is None else log:
        narrow = math.log10(high / low) < _DECADES  # an axis needs ticks
        return (low / 2, high * 2, True) if narrow else (low, high, True)
    room = 0.04 * (high - low) or abs(high) or 1.0
    return low - room, high + room, False


def _log_ticks(low: float, high: float) -> list[float]:
    """About five: every so many powers of ten, with 2 and 5 between them where they are few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = max(1, round(len(decades) / _TICKS))
    for steps in ((1,), (1, 3), (1, 2, 5)):
        ticks = [step * 10.0**each for each in decades[::every] for step in steps]
        ticks = [each for each in ticks if low <= each <= high]
        if len(ticks) >= _FEWEST_TICKS:
            break
    return ticks


def _styled(chart: Any, look: Look = PAGE) -> Any:
    return house_style(chart, look, background=look.paper if look is PAPER else "transparent", padding=6)
