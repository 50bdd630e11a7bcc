"""The page of findings on best-of-N: what a scorer's ROC curve foretells of it."""

from __future__ import annotations

from docs.findings_words import Result, counted, percent, points, side
from docs.training_pages import table

__all__ = ["verified_finding", "verified_table"]


def verified_table(verified: Result) -> str:
    rows = [
        [
            row["task"],
            row["scorer"],
            percent(row["one"]),
            percent(row["best"]),
            *(_law(row) if "word" in row else ("–",) * 6),
        ]
        for row in verified["rows"]
    ]
    draws = max(row["draws"] for row in verified["rows"])
    head = ["task", "scorer", "one draw, %", f"best of {draws}, %", "area, pooled, %", "within a problem, %"]
    return table([*head, "foretold, %", "seen, %", "is a", "of a hundred times the draws, %"], rows)


def _law(row: Result) -> tuple[str, ...]:
    told = (percent(row[name]) for name in ("area", "area_within", "predicted", "seen"))
    return (*told, row["word"], percent(row["far"]))


def verified_finding(verified: Result) -> str:
    rows = verified["rows"]
    tried = [row for row in rows if "word" in row]
    said = [_measured(rows)]
    if tried:
        said.append(_foretold(tried))
    return "\n".join(f"- {each}" for each in said)


def _measured(rows: list[Result]) -> str:
    sides = [side(row["change"], "better", "worse", "open") for row in rows]
    gain = max(rows, key=lambda row: row["change"]["value"])
    return (
        f"The best of all draws is surely better than one draw in {sides.count('better')} of {len(rows)} "
        f"pairs of task and scorer, surely worse in {sides.count('worse')}; the largest gain is "
        f"{points(gain['change'])} points (`{gain['task']}` by {gain['scorer']})."
    )


def _foretold(rows: list[Result]) -> str:
    """How the forecasts did, by how much the worst missed, and what a pooled curve hides."""
    sides = [side(row["difference"], "high", "low", "open") for row in rows]
    worst = max(rows, key=lambda row: abs(row["difference"]["value"]))
    smaller = sum(row["area_within"]["value"] < row["area"]["value"] for row in rows)
    misled = [row["misled"]["value"] for row in rows]
    laws, first = sum(row["word"] == "law" for row in rows), rows[0]
    return (
        f"Foretold from {first['fitted_to']} draws of a problem, the best of {first['samples']} others is a "
        f"law in {laws} of {counted(len(rows), 'trial')}, surely too high in {sides.count('high')} and "
        f"surely too low in {sides.count('low')}; the furthest off is `{worst['task']}` by "
        f"{worst['scorer']}, by {points(worst['difference'])} points. The area under the ROC curve is "
        f"smaller between samples of one problem than over all of them in {smaller} of {len(rows)}, and on "
        f"{100 * min(misled):.0f} to {100 * max(misled):.0f} % of the problems that have both, a wrong "
        "sample scores above a right one more often than not."
    )
