"""A card's curves as pictures: accuracy against inference compute, with the law and the efforts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.govern.card.document import Curve, Effort, Place, Task
from ponder.report.figures import PAGE, chart_of, house_style, load_altair
from ponder.report.law_parts import log_x, share, top_share

__all__ = ["axis_of", "curves_chart"]

_WIDTH, _HEIGHT, _SMALL = 470, 236, (250, 112)
_TALLER = (1.0, 1.0, 1.25, 1.7)  # with so many small pictures beside it
_REGION = 0.06
_COLOURS = {"vote": PAGE.lines[0], "coverage": PAGE.oracle}
_EFFORT = PAGE.lines[1]
_TITLES = {
    "flop": "FLOP of an answer, its prompt's included",
    "tokens": "tokens of an answer, its prompt's included",
    "samples": "samples of an answer",
}


def axis_of(task: Task) -> str:
    """What compute is counted in: FLOP where they are known, else tokens, else samples."""
    places = [each for curve in task.curves for each in (*curve.measured, *curve.told)]
    for name in ("flop", "tokens"):
        if all(getattr(each, name) is not None for each in places):
            return name
    return "samples"


def curves_chart(task: Task, *, large: bool, beside: int = 0) -> Any:
    """Each curve as measured, with its law and band, beyond the draws on grey; and where each effort lies.
    Large, with so many small ones `beside` it, or small.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    axis = axis_of(task)
    taller = _TALLER[min(beside, len(_TALLER) - 1)]
    size = (_WIDTH, round(_HEIGHT * taller)) if large else _SMALL
    points = [row for curve in task.curves for row in _rows(curve, curve.measured, axis)]
    lines = [row for curve in task.curves for row in _rows(curve, curve.told, axis)]
    marks = _efforts(task.efforts, axis)
    x = log_x(alt, [row["x"] for row in (*points, *lines, *marks)], _TITLES[axis])
    top = top_share([*points, *lines])
    colour = alt.Color("colour:N", scale=None)
    line = chart_of(lines).encode(x=x, color=colour, detail="line:N")
    dots = chart_of(points).encode(x=x, color=colour)
    layers = [
        *_beyond(alt, x, lines, size[1]),
        line.encode(y=share(alt, "low", top), y2="high:Q").mark_area(opacity=0.14),
        *(
            line.transform_filter(f"datum.line == '{curve.strategy}'")
            .encode(y=share(alt, "y", top))
            .mark_line(strokeWidth=1.8, strokeDash=[5, 3] if curve.oracle else [1, 0])
            for curve in task.curves
        ),
        dots.encode(y=share(alt, "low", top), y2="high:Q").mark_rule(strokeWidth=1.1),
        dots.encode(y=share(alt, "y", top), tooltip="said:N").mark_point(size=24, filled=True, opacity=1),
        *_marked(alt, x, marks, top, named=large),
    ]
    chart = alt.layer(*layers).properties(width=size[0], height=size[1])
    return house_style(chart, PAGE, background="transparent", padding=2)


def _rows(curve: Curve, places: Sequence[Place], axis: str) -> list[dict[str, Any]]:
    return [
        {
            "x": getattr(each, axis),
            "y": each.accuracy.value,
            "low": each.accuracy.low,
            "high": each.accuracy.high,
            "beyond": each.beyond,
            "line": curve.strategy,
            "colour": _COLOURS[curve.strategy],
            "said": f"{curve.strategy} of {each.samples:g}: {each.accuracy.value:.1%}",
        }
        for each in places
    ]


def _efforts(efforts: Sequence[Effort], axis: str) -> list[dict[str, Any]]:
    """Where each effort lies, from its own cost and accuracy: a vote that stops by itself takes fewer samples
    than one that does not. Tokens are left out, as an effort's are told without its prompt's."""
    found = []
    for each in efforts:
        at = {"flop": each.flop, "samples": each.samples}.get(axis)
        if at is not None and each.accuracy is not None:
            found.append({"x": at.value, "y": each.accuracy.value, "word": each.effort})
    return found


def _marked(alt: Any, x: Any, marks: Sequence[dict[str, Any]], top: float, *, named: bool) -> list[Any]:
    if not marks:
        return []
    base = chart_of(marks).encode(x=x, y=share(alt, "y", top))
    drawn = [base.mark_point(shape="diamond", size=46, filled=True, opacity=1, color=_EFFORT)]
    if named:  # on the side of the points where there is room
        room = max(mark["y"] for mark in marks) > top / 4
        place = {"angle": 40, "dx": 7, "dy": 4} if room else {"angle": 320, "dx": 7, "dy": -4}
        drawn.append(
            base.encode(text="word:N").mark_text(
                align="left", fontSize=10, color=_EFFORT, fontWeight=600, **place
            )
        )
    return drawn


def _beyond(alt: Any, x: Any, lines: Sequence[dict[str, Any]], height: int) -> list[Any]:
    """Grey from where the draws end."""
    inside = [row["x"] for row in lines if not row["beyond"]]
    outside = [row["x"] for row in lines if row["beyond"]]
    if not inside or not outside:
        return []
    base = chart_of([{"x": max(inside), "x2": max(outside), "text": "foretold"}]).encode(x=x)
    return [
        base.encode(x2="x2:Q").mark_rect(color=PAGE.ink, opacity=_REGION),
        base.encode(y=alt.value(height - 7), text="text:N").mark_text(
            align="left", dx=4, color=PAGE.ink, opacity=0.7, fontSize=10
        ),
    ]
