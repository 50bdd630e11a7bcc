"""An account as a picture: each rule's sum by each method, with its interval, beside the rule's line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ponder.govern.accounting import Finding
from ponder.govern.accounting.words import amount, scientific
from ponder.report.figures import PAGE, house_style, load_altair

__all__ = ["sums_chart"]

_WIDTH, _ROW = 560, 26
_COLOURS = {"architecture": PAGE.lines[0], "hardware": PAGE.lines[1]}
_ROOM = 2.0
"""How far the axis reaches beyond the last figure, as a factor."""


def sums_chart(findings: Sequence[Finding]) -> Any | None:
    """A row a rule that is asked and counts FLOP: its sums as points with their intervals, its line as a bar
    across. None where no rule has a sum above zero.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    shown = [each for each in findings if each.side != "not asked" and each.rule.measure != "usd"]
    sums: list[dict[str, Any]] = [
        {
            "rule": each.rule.short,
            "from": candidate.amount.low,
            "to": candidate.amount.high,
            "at": candidate.amount.value,
            "colour": _COLOURS[candidate.method],
            "said": f"{each.rule.short}: {amount(candidate.amount)} FLOP by the {candidate.method}",
        }
        for each in shown
        for candidate in each.candidates
        if candidate.amount.low > 0
    ]
    if not sums:
        return None
    lines: list[dict[str, Any]] = [
        {"rule": each.rule.short, "at": each.line.value, "said": f"line: {scientific(each.line.value)} FLOP"}
        for each in shown
    ]
    ends = [row[key] for row in sums for key in ("from", "to")] + [row["at"] for row in lines]
    scale = alt.Scale(type="log", domain=[min(ends) / _ROOM, max(ends) * _ROOM], nice=False)
    axis = alt.Axis(
        labelExpr="replace(format(datum.value, '~e'), '+', '')", values=_decades(min(ends), max(ends))
    )
    y = alt.Y("rule:N", sort=[each.rule.short for each in shown], title=None,
              axis=alt.Axis(domain=False, ticks=False, labelLimit=220))  # fmt: skip
    told = alt.Chart(alt.InlineData(values=sums)).encode(
        y=y, color=alt.Color("colour:N", scale=None), tooltip="said:N"
    )
    drawn = alt.Chart(alt.InlineData(values=lines)).encode(y=y, tooltip="said:N")
    layers = (
        drawn.encode(x=alt.X("at:Q", scale=scale, axis=axis, title="FLOP")).mark_tick(
            color=PAGE.ink, thickness=2.5, size=18
        ),
        told.encode(x=alt.X("from:Q", scale=scale, axis=axis), x2="to:Q").mark_rule(
            strokeWidth=3, opacity=0.5
        ),
        told.encode(x=alt.X("at:Q", scale=scale, axis=axis)).mark_point(size=42, filled=True, opacity=1),
    )
    chart = alt.layer(*layers).properties(width=_WIDTH, height=_ROW * len(shown))
    return house_style(chart, PAGE, background="transparent", padding=6)


def _decades(low: float, high: float) -> list[float]:
    """Powers of ten, every so many of them."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, (last - first) // 8)
    return [10.0**power for power in range(first, last + 1, every)]
