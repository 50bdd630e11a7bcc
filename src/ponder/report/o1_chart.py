"""The o1 figure as a picture: two panels that share their height and their legend."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ponder.report.figures import PAPER, chart_of, house_style, load_altair
from ponder.report.o1 import O1, Kind, Line, Panel
from ponder.report.words import compact

__all__ = ["o1_chart"]

WIDTH, HEIGHT = 340, 260
_GAP = 34
# Viridis, darkened at its bright end: sizes are ordered, and so are these, in grey too.
_SIZES = ("#5db940", "#1f9a80", "#2a788e", "#3b4a8c", "#440154")
_REINFORCED = "#d55e00"
_LEFT: Panel = "training"

_KINDS: dict[Kind, str] = {
    "pretraining": "pretraining",
    "rl": "reinforcement learning",
    "vote": "vote of N samples",
    "any": "any of N right (oracle)",
    "chain": "one longer chain (search)",
}
_DASHES: dict[Kind, list[float]] = {
    "pretraining": [1, 0],
    "rl": [1, 0],
    "vote": [1, 0],
    "any": [5, 3],
    "chain": [1.5, 2.5],
}
_TITLES: dict[Panel, tuple[str, str]] = {
    "training": ("More training", "Training FLOP"),
    "inference": ("More inference", "Inference FLOP per problem"),
}


def o1_chart(figure: O1) -> Any:
    """Both panels, log FLOP against accuracy; bands are 90 % intervals from resampling problems.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    colours = _colours(list(figure.sizes))
    panels = [_panel(alt, figure, panel, colours) for panel in ("training", "inference")]
    both = alt.hconcat(*panels, spacing=_GAP)
    legend = _legend(alt, figure, colours, 2 * WIDTH + _GAP + 60)
    return house_style(alt.vconcat(legend, both, spacing=12), PAPER, background=PAPER.paper, padding=8)


def _colours(sizes: Sequence[str]) -> dict[str, str]:
    """From bright to dark, as far apart as so many sizes can be."""
    steps = max(1, len(sizes) - 1)
    last = len(_SIZES) - 1
    return {size: _SIZES[round(at * last / steps) if len(sizes) > 1 else 2] for at, size in enumerate(sizes)}


def _panel(alt: Any, figure: O1, panel: Panel, colours: dict[str, str]) -> Any:
    lines = [line for line in figure.lines if line.panel == panel]
    rows = [row for number, line in enumerate(lines) for row in _rows(line, number, colours)]
    title, axis = _TITLES[panel]
    base = chart_of(rows).encode(
        x=_x(alt, rows, axis), y=_y(alt, "y"), color=alt.Color("colour:N", scale=None), detail="line:N"
    )
    layers = [base.encode(y=_y(alt, "low"), y2="high:Q").mark_area(opacity=0.13)]
    for kind in _KINDS:
        own = base.transform_filter(f"datum.kind == '{kind}'")
        layers.append(own.mark_line(strokeWidth=1.8 if kind == "any" else 2.2, strokeDash=_DASHES[kind]))
        if kind in ("pretraining", "rl", "chain"):
            shape = {"rl": "diamond", "chain": "square"}.get(kind, "circle")
            layers.append(own.mark_point(shape=shape, size=26, filled=True, opacity=1))
    words = alt.TitleParams(title, subtitle=_subtitle(lines, panel))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=words)


def _subtitle(lines: Sequence[Line], panel: Panel) -> str:
    if panel == _LEFT:
        return "accuracy at one sample"
    said = {"vote": "1 to {}", "chain": "chains of up to {}"}
    most = {kind: [line.points[-1].at for line in lines if line.kind == kind] for kind in said}
    return "; ".join(said[kind].format(max(ends, key=_number)) for kind, ends in most.items() if ends)


def _number(at: str) -> int:
    return int(at.split()[0])


def _rows(line: Line, number: int, colours: dict[str, str]) -> list[dict[str, Any]]:
    colour = _REINFORCED if line.kind == "rl" else colours[line.size]
    return [
        {
            "line": number,
            "kind": line.kind,
            "colour": colour,
            "x": point.flop,
            "y": point.value,
            "low": point.low,
            "high": point.high,
        }
        for point in line.points
    ]


def _x(alt: Any, rows: Sequence[dict[str, Any]], title: str) -> Any:
    """A log axis with powers of ten, and 3 times them where they are few."""
    values = [row["x"] for row in rows] or [1.0, 10.0]
    low, high = min(values) / 1.25, max(values) * 1.25
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [10.0**power for power in powers if low <= 10.0**power <= high]
    marks = [(tick, f"1e{round(math.log10(tick))}") for tick in ticks]
    if len(marks) < 3:
        more = [3 * 10.0**power for power in powers if low <= 3 * 10.0**power <= high]
        marks = sorted([*marks, *((tick, f"3e{math.floor(math.log10(tick))}") for tick in more)])
    names = dict(marks)
    expression = "[" + ", ".join(f"'{name}'" for name in names.values()) + "]"
    place = "indexof([" + ", ".join(f"{tick!r}" for tick in names) + "], datum.value)"
    axis = alt.Axis(values=list(names), labelExpr=f"{expression}[{place}]", grid=False)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X("x:Q", scale=scale, axis=axis, title=title)


def _y(alt: Any, field: str) -> Any:
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%")
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis, title=None)


# ---------------------------------------------------------------- legend


def _legend(alt: Any, figure: O1, colours: dict[str, str], width: int) -> Any:
    """Two rows in pixels: the sizes by colour, then what each kind of line means."""
    sizes = [
        (f"{compact(count)} parameters" if at == 0 else compact(count), "pretraining", colours[name])
        for at, (name, count) in enumerate(figure.sizes.items())
    ]
    there = {line.kind for line in figure.lines}
    kinds = [
        (said, kind, _REINFORCED if kind == "rl" else PAPER.ink)
        for kind, said in _KINDS.items()
        if kind in there
    ]
    rows: list[dict[str, Any]] = []
    at, line = 0.0, 0
    for text, kind, colour in [*sizes, ("90 % interval", "band", PAPER.oracle), ("", "break", ""), *kinds]:
        need = 40 + 5.6 * len(text)
        if kind == "break" or at + need > width:
            at, line = 0.0, line + 1
        if kind == "break":
            continue
        place = {"x": at, "x2": at + 24, "mid": at + 12, "y": 18 * line + 8}
        rows.append({**place, "text": text, "kind": kind, "colour": colour})
        at += need
    return _swatches(alt, rows, width, 18 * (line + 1))


def _swatches(alt: Any, rows: list[dict[str, Any]], width: int, height: int) -> Any:
    place = {"scale": None, "axis": None}
    base = chart_of(rows).encode(
        x=alt.X("x:Q", **place), y=alt.Y("y:Q", **place), color=alt.Color("colour:N", scale=None)
    )
    ends, centre = {"x2": alt.X2("x2:Q")}, alt.X("mid:Q", **place)
    layers = [
        base.transform_filter("datum.kind == 'band'").mark_rule(strokeWidth=11, opacity=0.25).encode(**ends)
    ]
    for kind, dash in _DASHES.items():
        own = base.transform_filter(f"datum.kind == '{kind}'")
        layers.append(own.mark_rule(strokeWidth=2.2, strokeDash=dash).encode(**ends))
        if kind in ("pretraining", "rl", "chain"):
            shape = {"rl": "diamond", "chain": "square"}.get(kind, "circle")
            layers.append(own.mark_point(shape=shape, size=26, filled=True, opacity=1).encode(x=centre))
    layers.append(
        base.mark_text(align="left", dx=30, baseline="middle", fontSize=11.5).encode(
            color=alt.value(PAPER.ink)
        )
    )
    return alt.layer(*layers).encode(text="text:N").properties(width=width, height=height)
