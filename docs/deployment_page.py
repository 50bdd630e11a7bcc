"""The page on deployment: text from `_deployment.md`, figures from the committed outcome of `scale`."""

from __future__ import annotations

import math
import re
import textwrap
from pathlib import Path
from typing import Any

from docs.essay_results import basis_table, in_percent, output, spanned, table_of, worded
from docs.training_pages import table

__all__ = ["deployment_page"]

_CASE, _WIDTH = "scale", 120
_SHOWN = ("minimal", "low", "medium", "high", "xhigh")


def deployment_page() -> str:
    """The page's text. Raises KeyError for a part that there is not."""
    parts = {
        "efforts": _efforts,
        "changes": _changes,
        "basis": basis_table,
        "tokens of a sample": lambda: spanned(output(_CASE, "tokens_of_a_sample")),
        "best effort": _best_effort,
        "largest share": lambda: in_percent(output(_CASE, "largest_share")),
        "concentration": lambda: spanned(output(_CASE, "hhi")),
    }
    text = (Path(__file__).parent / "_deployment.md").read_text("utf-8")
    filled = re.sub(r"\{\{(.+?)\}\}", lambda match: parts[match.group(1)](), text)
    return "\n\n".join(_wrapped(each) for each in filled.split("\n\n"))


def _wrapped(block: str) -> str:
    """A paragraph in lines; what is no paragraph, and one whose lines are short enough, as it is."""
    if block.startswith(("|", "#", "```")) or max(map(len, block.splitlines()), default=0) <= _WIDTH:
        return block
    return textwrap.fill(" ".join(block.split()), _WIDTH, break_long_words=False, break_on_hyphens=False)


def _rows() -> list[dict[str, Any]]:
    """Each effort's row of the frontier, with what it costs."""
    costs = {row["effort"]: row for row in table_of(_CASE, "costs")}
    rows = [row | costs[row["effort"]] for row in table_of(_CASE, "frontier_of_workers")]
    return [row for row in rows if row["effort"] in _SHOWN]


def _efforts() -> str:
    head = ("effort", "samples used", "accuracy", "workers", "right answers a day", "USD a right answer")
    return table(
        head,
        [
            (
                row["effort"],
                worded(row["samples"]),
                in_percent(row, "accuracy", "accuracy low", "accuracy high"),
                spanned(row, "workers", "workers low", "workers high"),
                worded(row["right a day"]),
                worded(row["USD a right one"]),
            )
            for row in _rows()
        ],
    )


def _changes() -> str:
    rows = table_of(_CASE, "what_moves_workers")
    return table(
        ("change", "multiplies the workers by"),
        [(row["change"], _span(row)) for row in rows],
    )


def _span(row: dict[str, Any]) -> str:
    return worded(row["times"]) if row["low"] == row["high"] else spanned(row, "times")


def _best_effort() -> str:
    """Which effort does most right in a day, and from which value of an answer each dearer one pays."""
    rows = _rows()
    most = max(rows, key=lambda row: float(row["right a day"]))["effort"]
    paying = [(row["effort"], float(row["pays from USD"])) for row in rows[1:]]
    said = [f"{word} from {worded(usd)} USD" for word, usd in paying if math.isfinite(usd)]
    never = [word for word, usd in paying if not math.isfinite(usd)]
    told = ", ".join(said) + (f", and {' and '.join(never)} never" if never else "")
    return (
        f"With more work than chips, the effort that does most tasks right in a day is best: here {most}. "
        "With chips to be had for money, an effort pays once a right answer is worth more than what it costs "
        f"above every cheaper effort, over the accuracy that it adds (`pays from USD`): here {told}."
    )
