"""The figure of docs/defence.md: what is caught against the compute spent on an item, by detector against
families that were held out, and of one detector by attacker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ponder.report.figures import PAPER, house_style, load_altair

WIDTH, HEIGHT = 330, 240
# Okabe & Ito's palette, told apart with any colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")

Rows = list[dict[str, Any]]


def by_detector(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for each in found["detectors"]:
        for flop, point in zip(each["flop"], each["held_out"]["points"], strict=True):
            yield {"line": each["name"], "flop": flop, **point}


def by_attacker(detector: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    lines = {"rules, held out": detector["held_out"], **detector["attackers"]}
    for name, told in lines.items():
        for flop, point in zip(detector["flop"], told["points"], strict=True):
            yield {"line": name, "flop": flop, **point}


def panel(alt: Any, rows: Rows, title: str, false_alarm: float) -> Any:
    names = list(dict.fromkeys(row["line"] for row in rows))
    colour = alt.Scale(domain=names, range=list(COLOURS[: len(names)]))
    legend = alt.Legend(title=None, orient="bottom", columns=2, labelLimit=240, symbolOpacity=1)
    axis = alt.Axis(grid=False, format=".0e", tickCount=4)
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("flop:Q", title="FLOP an item", scale=alt.Scale(type="log"), axis=axis),
        color=alt.Color("line:N", scale=colour, legend=legend),
    )
    share = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%"))
    chance = alt.Chart(alt.InlineData(values=[{"value": false_alarm}])).encode(y=share)
    return alt.layer(
        chance.mark_rule(strokeDash=[4, 3], color="#767676"),
        base.encode(y=alt.Y("low:Q", title=None), y2="high:Q").mark_area(opacity=0.12),
        base.encode(y=share).mark_line(strokeWidth=2),
        base.encode(y=share).mark_point(size=22, filled=True, opacity=1),
    ).properties(width=WIDTH, height=HEIGHT, title=title)


def write(found: Mapping[str, Any], path: Path) -> None:
    """Draw the figure as SVG. The second panel is of the first detector."""
    import vl_convert

    alt, alarm = load_altair(), found["false_alarm"]
    first = found["detectors"][0]
    both = alt.hconcat(
        panel(alt, list(by_detector(found)), "Caught, of families held out", alarm),
        panel(alt, list(by_attacker(first)), f"Caught by {first['name']}, by attacker", alarm),
        spacing=34,
    ).resolve_scale(color="independent")
    picture = house_style(both, PAPER, background=PAPER.paper, padding=8)
    path.write_text(vl_convert.vegalite_to_svg(picture.to_dict()), "utf-8")
