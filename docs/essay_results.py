"""Committed results for the pages of the essay's claims, and their figures with intervals in words."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from docs.training_pages import table
from ponder.report.govern_words import number

__all__ = [
    "BENCHMARKS",
    "BRACKETS",
    "EXAMPLES",
    "Result",
    "basis_table",
    "between",
    "case",
    "claims",
    "in_percent",
    "output",
    "rests_on",
    "result",
    "spanned",
    "table_of",
    "worded",
]

FOLDER = Path(__file__).parent
BENCHMARKS = FOLDER.parent / "benchmarks"
EXAMPLES = FOLDER.parent / "examples"
_PLACES = {
    "family": "laws/family.json",
    "votes": "laws/votes.json",
    "distill": "results/distill.json",
    "selfplay": "results/selfplay.json",
    "rl": "results/rl.json",
    "accounts": "essay/accounts.json",
    "evaluators": "essay/evaluators.json",
    "governance": "essay/governance.json",
}
_LONGEST = 90
_ORIGINS = {"yours": "given"}  # the reader has given nothing yet: the scenario has
BRACKETS = r"\[[^\[\]]+, [^\[\]]+\]"
"""An interval as the pages write it."""

Result = Mapping[str, Any]


@cache
def result(name: str) -> Any:
    """A committed result by its name. Raises FileNotFoundError where it is not committed."""
    return json.loads((BENCHMARKS / _PLACES[name]).read_text("utf-8"))


def claims() -> list[dict[str, str]]:
    """The committed list: id, title, claim and page of each."""
    found: list[dict[str, str]] = tomllib.loads((FOLDER / "essay_claims.toml").read_text("utf-8"))["claim"]
    return found


def case(name: str) -> Result:
    """A calculator's outcome on a committed example."""
    found: Result = result("governance")["cases"][name]
    return found


def output(of: str, name: str) -> Result:
    """One output of an outcome: median, low, high."""
    return next(each for each in case(of)["outputs"] if each["name"] == name)


def spanned(row: Result, middle: str = "median", low: str = "low", high: str = "high") -> str:
    """A figure with its interval, from shares to FLOP; "never" where it is infinite."""
    value, least, most = (_real(row[name]) for name in (middle, low, high))
    if least is None or most is None:
        return worded(value)
    return f"{worded(value)} [{worded(least)}, {worded(most)}]"


def in_percent(row: Result, middle: str = "median", low: str = "low", high: str = "high") -> str:
    """A share with its interval."""
    value, least, most = (_hundredths(row[name]) for name in (middle, low, high))
    return f"{value} % [{least}, {most}]"


def _hundredths(share: float) -> str:
    return "under 0.1" if 0.0 < share < 0.001 else f"{100.0 * share:.1f}"


def worded(value: float | None) -> str:
    """Counts of people and of tasks as a reader says them; FLOP and what is small as powers of ten."""
    if value is None or not 1e5 <= abs(value) < 1e12:
        return number(value)
    if abs(value) < 999_500.0:
        return f"{float(f'{value:.3g}'):,.0f}"
    unit, name = (1e9, "billion") if abs(value) >= 999_500_000.0 else (1e6, "million")
    return f"{float(f'{value / unit:.3g}'):g} {name}"


def between(value: Any, low: Any, high: Any) -> str:
    return spanned({"median": value, "low": low, "high": high})


def _real(value: Any) -> float | None:
    """JSON has no infinity; the results write it as a word."""
    return None if value is None else float(value)


def table_of(of: str, name: str) -> list[dict[str, Any]]:
    """The rows of an outcome's table, by column."""
    found = case(of)["tables"][name]
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


def basis_table() -> str:
    """The workers by what is taken for a task's samples and their length."""
    rows = [
        [row["taken"], worded(row["samples of a task"]), worded(row["tokens of a sample"]),
         spanned(row, "workers", "workers low", "workers high")]
        for row in table_of("scale", "what_workers_rest_on")
    ]  # fmt: skip
    return table(("taken", "samples of a task", "tokens of a sample", "workers"), rows)


def rests_on(of: str) -> str:
    """How many inputs are measured, published, assumed and given, and those that move the case's chief output
    most."""
    told = case(of)
    counts = {_ORIGINS.get(origin, origin): count for origin, count in told["origins"].items() if count}
    origins = ", ".join(f"{count} {origin}" for origin, count in counts.items())
    moving = [swing for swing in told["swings"] if swing["at_low"] != swing["at_high"]]
    rows = [_moving(told["assumptions"][swing["input"]], swing) for swing in moving]
    head = ("input", "value", "output at its low and high end", "is", "from")
    what = output(of, told["moved"])["what"].rstrip(".")
    said = f"Inputs by where they come from: {origins}. What moves it most ({what[0].lower()}{what[1:]}):"
    return f"{said}\n\n{table(head, rows)}"


def _moving(given: Result, swing: Result) -> Sequence[str]:
    value = spanned(given, "value")
    ends = f"{worded(_real(swing['at_low']))}, {worded(_real(swing['at_high']))}"
    source = (given["source"] or "the scenario").replace("|", "/")
    short = source if len(source) <= _LONGEST else f"{source[:_LONGEST].rsplit(' ', 1)[0]} …"
    origin = str(_ORIGINS.get(given["origin"], given["origin"]))
    return [f"`{given['name']}`", f"{value} {given['unit']}".rstrip(), ends, origin, short]
