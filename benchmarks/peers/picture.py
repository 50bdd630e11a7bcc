"""The table as a picture: accuracy against generated tokens, every system with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["draw"]

COLOURS = {"ponder": "#1b6ca8", "its_hub": "#c2571a", "optillm": "#6b6b6b"}
TITLES = {"generated": "Generated tokens a problem", "billed": "Generated and prompt tokens a problem"}


def draw(told: Mapping[str, Any], path: Path) -> None:
    """Write the picture of all tasks; the oracle is a dashed line."""
    import altair as alt

    own = told["replay"]["all"]
    panels = [_panel(own, count) for count in TITLES]
    title = f"{own['problems']:,} problems, the same recorded samples for every system"
    alt.hconcat(*panels, title=title).configure_view(stroke=None).save(str(path), scale_factor=2)


def _panel(own: Mapping[str, Any], count: str) -> Any:
    import altair as alt

    rows = [_point(name, row, count) for name, row in own["systems"].items()]
    base = alt.Chart(alt.Data(values=rows))
    tokens = alt.X("tokens:Q", title=TITLES[count], scale=alt.Scale(type="log", nice=False, padding=20))
    accuracy = alt.Y("accuracy:Q", title="Accuracy (%)", scale=alt.Scale(zero=False))
    who = alt.Color(
        "library:N", title=None, scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values()))
    )
    rules = base.mark_rule(opacity=0.35).encode(x=tokens, y="low:Q", y2="high:Q", color=who)
    points = base.mark_point(filled=True, size=60).encode(
        x=tokens, y=accuracy, color=who, shape=alt.Shape("how:N", title=None)
    )
    lines = base.mark_line(opacity=0.5).encode(x=tokens, y=accuracy, color=who, detail="family:N")
    bound = alt.Data(values=[{"tokens": own["oracle"]["same answers"][count]}])
    oracle = alt.Chart(bound).mark_rule(strokeDash=[4, 4], color="#999").encode(x=tokens)
    return (rules + lines + points + oracle).properties(width=360, height=300)


def _point(name: str, row: Mapping[str, Any], count: str) -> dict[str, Any]:
    library = row["family"].split()[0]
    value, low, high = (100 * x for x in row["accuracy"])
    return {
        "name": name,
        "library": library if library in COLOURS else "ponder",
        "family": row["family"],
        "how": "adaptive" if row["adaptive"] else "fixed number of samples",
        "tokens": row["tokens"][count][0],
        "accuracy": value,
        "low": low,
        "high": high,
    }
