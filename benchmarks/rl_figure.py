"""The figure of docs/reinforcement-learning.md, from benchmarks/results/rl.json: what a policy does (pass@1)
and what it could do (pass@64) after so much compute, by GRPO and by supervised steps.

python -m benchmarks.rl_figure
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ponder.report.figures import PAPER, house_style, load_altair

RESULT = Path(__file__).parent / "results" / "rl.json"
WIDTH, HEIGHT = 300, 220
# Okabe & Ito's palette, told apart with any colour vision; supervised steps in grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
SUPERVISED = "#767676"


def rows(found: dict[str, Any], k: str) -> Iterator[dict[str, Any]]:
    """Every point at pass@k; all lines begin at the start."""
    lines = {name: arm["points"] for name, arm in found["arms"].items()}
    start = next(iter(lines.values()))[0]
    lines["supervised"] = [start, *sorted(found["supervised"], key=lambda point: point["flop"])]
    for name, points in lines.items():
        for point in points:
            estimate = point["passed"][k]
            yield {"way": name, "flop": point["flop"], **estimate}


def panel(alt: Any, found: dict[str, Any], k: str, title: str) -> Any:
    names = [*found["arms"], "supervised"]
    scale = alt.Scale(domain=names, range=[*COLOURS[: len(names) - 1], SUPERVISED])
    legend = alt.Legend(title=None, orient="bottom", labelLimit=240, symbolOpacity=1)
    axis = alt.Axis(tickCount=4, grid=False, labelExpr="datum.value ? format(datum.value, '.1e') : '0'")
    base = alt.Chart(alt.InlineData(values=list(rows(found, k)))).encode(
        x=alt.X("flop:Q", title="FLOP since the checkpoint", axis=axis),
        color=alt.Color("way:N", scale=scale, legend=legend),
    )
    share = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%"))
    return alt.layer(
        base.encode(y=alt.Y("low:Q", title=None), y2="high:Q").mark_area(opacity=0.13),
        base.encode(y=share).mark_line(strokeWidth=2),
        base.encode(y=share).mark_point(size=22, filled=True, opacity=1),
    ).properties(width=WIDTH, height=HEIGHT, title=title)


def main() -> None:
    import vl_convert

    alt, found = load_altair(), json.loads(RESULT.read_text("utf-8"))
    most = max(next(iter(found["arms"].values()))["change"], key=int)
    both = alt.hconcat(
        panel(alt, found, "1", "What it does: pass@1"),
        panel(alt, found, most, f"What it could do: pass@{most}"),
        spacing=34,
    )
    picture = house_style(both, PAPER, background=PAPER.paper, padding=8)
    svg = vl_convert.vegalite_to_svg(picture.to_dict())
    RESULT.with_suffix(".svg").write_text(svg, "utf-8")


if __name__ == "__main__":
    main()
