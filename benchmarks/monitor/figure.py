"""The figure of docs/monitor.md: each monitor's ROC curves from the raw chain, the summary and the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.monitor.views import VIEWS

from ponder.report.figures import PAPER, house_style, load_altair

SIDE = 210
MADE = ("kind held out", "kind known")
# Okabe & Ito's palette, told apart with any colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73")


def points(told: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for view in VIEWS:
        for made, figures in zip(MADE, (told[view], told[view].get("known")), strict=True):
            for order, (alarms, caught) in enumerate(figures["curve"] if figures else ()):
                yield {"view": view, "made": made, "order": order, "alarms": alarms, "caught": caught}


def panel(alt: Any, name: str, told: Mapping[str, Any]) -> Any:
    percent = alt.Axis(grid=False, format=".0%", tickCount=4)
    whole = alt.Scale(domain=[0, 1])
    x = alt.X("alarms:Q", title="honest chains flagged", scale=whole, axis=percent)
    y = alt.Y("caught:Q", title="cheating chains flagged", scale=whole, axis=percent)
    legend = alt.Legend(title=None, orient="bottom", symbolOpacity=1)
    colour = alt.Color("view:N", scale=alt.Scale(domain=VIEWS, range=list(COLOURS)), legend=legend)
    dash = alt.Scale(domain=MADE, range=[[1, 0], [5, 3]])
    made = alt.StrokeDash("made:N", scale=dash, legend=alt.Legend(title=None, orient="bottom"))
    ends = [{"alarms": at, "caught": at} for at in (0, 1)]
    chance = alt.Chart(alt.InlineData(values=ends)).mark_line(color="#c8c8c8")
    lines = alt.Chart(alt.InlineData(values=list(points(told)))).mark_line(strokeWidth=2)
    return alt.layer(
        chance.encode(x=x, y=y), lines.encode(x=x, y=y, color=colour, strokeDash=made, order="order:Q")
    ).properties(width=SIDE, height=SIDE, title=name)


def write(found: Mapping[str, Any], path: Path) -> None:
    """Draw the figure as SVG."""
    import vl_convert

    alt = load_altair()
    panels = [panel(alt, name, told) for name, told in found["monitors"].items()]
    picture = house_style(alt.hconcat(*panels, spacing=30), PAPER, background=PAPER.paper, padding=8)
    path.write_text(vl_convert.vegalite_to_svg(picture.to_dict()), "utf-8")
