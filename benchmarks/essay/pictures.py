"""The pictures of the essay's pages, in the colours of paper: one file serves light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.govern.calculator import Chart, Table
from ponder.report.figures import PAPER, house_style, load_altair
from ponder.report.govern_charts import line_chart

__all__ = ["Bar", "bars", "lines", "save"]

_WIDTH, _ROW = 420, 22


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure with its interval in the row `name`, in the colour of `kind`; with `mark`, a line to compare
    with. An end that is not finite is cut at the axis."""

    name: str
    kind: str
    value: float
    low: float
    high: float
    mark: float | None = None


def lines(table: Table) -> Any:
    """The table's own chart on paper."""
    chart = line_chart(table, look=PAPER)
    assert chart is not None
    return chart


def curves(chart: Chart, rows: Sequence[tuple[str, float, float, float, float]]) -> Any:
    """Lines with bands of (line, x, y, low, high)."""
    columns = (chart.by, chart.x, chart.y, f"{chart.y} low", f"{chart.y} high")
    return lines(Table("", "", columns, tuple(rows), chart))


def bars(found: Sequence[Bar], title: str, *, log: bool = False, rule: float | None = None) -> Any:
    """A row a name: points with their intervals, and a line down at `rule`."""
    alt = load_altair()
    kinds = list(dict.fromkeys(each.kind for each in found))
    names = list(dict.fromkeys(each.name for each in found))
    ends = [x for each in found for x in (each.value, each.low, each.high, each.mark) if x is not None]
    finite = [x for x in ends if _shown(x, log)]
    low, high = min(finite), max(finite)
    scale = alt.Scale(type="log", domain=[low / 1.5, high * 1.5], nice=False) if log else alt.Scale(nice=True)
    label = (
        "abs(datum.value) >= 1e5 ? replace(format(datum.value, '~e'), '+', '') : format(datum.value, '~r')"
    )
    ticks = {"values": _decades(low, high)} if log else {"tickCount": 6}
    x = {"scale": scale, "title": title, "axis": alt.Axis(labelExpr=label, labelOverlap=True, **ticks)}
    rows = [
        {
            "name": each.name,
            "kind": each.kind,
            "value": each.value,
            "mark": each.mark,
            "low": each.low if _shown(each.low, log) else low,
            "high": each.high if _shown(each.high, log) else high,
        }
        for each in found
        if _shown(each.value, log)
    ]
    colour = alt.Color(
        "kind:N",
        scale=alt.Scale(domain=kinds, range=list(PAPER.lines[: len(kinds)])),
        legend=alt.Legend(title=None, orient="bottom", labelLimit=300) if len(kinds) > 1 else None,
    )
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=330, domain=False, ticks=False)),
        yOffset=alt.YOffset("kind:N", sort=kinds),
    )
    layers = [
        base.encode(x=alt.X("low:Q", **x), x2="high:Q", color=colour).mark_rule(strokeWidth=3, opacity=0.5),
        base.encode(x=alt.X("value:Q", **x), color=colour).mark_point(size=42, filled=True, opacity=1),
    ]
    if any(each.mark is not None for each in found):
        layers.append(base.encode(x=alt.X("mark:Q", **x)).mark_tick(color=PAPER.ink, thickness=2.5, size=16))
    if rule is not None:
        down = alt.Chart(alt.InlineData(values=[{"rule": rule}]))
        layers.append(down.encode(x=alt.X("rule:Q", **x)).mark_rule(color=PAPER.ink, opacity=0.6))
    height = _ROW * len(names) * max(1.0, 0.6 * len(kinds))
    chart = alt.layer(*layers).properties(width=_WIDTH, height=height)
    return house_style(chart, PAPER, background=PAPER.paper, padding=8)


def _decades(low: float, high: float) -> list[float]:
    return [
        10.0**power
        for power in range(math.ceil(math.log10(low / 1.5)), math.floor(math.log10(high * 1.5)) + 1)
    ]


def _shown(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0.0 or not log)


def save(chart: Any, path: Path) -> None:
    """As SVG, which a browser opens without this program."""
    import vl_convert

    path.write_text(str(vl_convert.vegalite_to_svg(chart.to_dict(validate=False))), "utf-8")
