"""Numbers with their intervals in words, for the page of findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = [
    "STEPS",
    "Result",
    "chance",
    "counted",
    "figure",
    "listed",
    "percent",
    "points",
    "power",
    "side",
    "size_name",
    "times",
]

Result = Mapping[str, Any]
STEPS = "char_countdown:numbers=4"  # the reasoning task


def _with_ends(estimate: Result | None, text: Callable[[float], str]) -> str:
    """A dash for no figure; no brackets where there is no interval."""
    if estimate is None:
        return "–"
    low, high = estimate["low"], estimate["high"]
    if low == high:
        return text(estimate["value"])
    ends = ("no end" if end is None else text(end) for end in (low, high))
    return f"{text(estimate['value'])} [{', '.join(ends)}]"


def figure(estimate: Result | None) -> str:
    """Three digits, with interval."""
    return _with_ends(estimate, _three)


def percent(estimate: Result | None) -> str:
    """A share in percent."""
    return _with_ends(estimate, lambda x: f"{100 * x:.1f}")


def points(estimate: Result | None) -> str:
    """A difference of shares in points, with its sign."""
    return _with_ends(estimate, lambda x: f"{100 * x:+.1f}")


def times(estimate: Result | None) -> str:
    return _with_ends(estimate, lambda x: f"{_three(x)}×")


def _three(value: float) -> str:
    """Three digits, and no power of ten below a million."""
    return f"{float(f'{value:.3g}'):,g}" if 1e3 <= abs(value) < 1e6 else f"{value:.3g}"


def power(estimate: Result | None) -> str:
    """10 to the power of an estimate, as times."""
    if estimate is None:
        return "–"
    return times({name: 10.0**value for name, value in estimate.items()})


def side(estimate: Result, above: str, below: str, open_: str) -> str:
    """Which word an interval allows: the first above 0, the second below, the third where it holds 0."""
    if estimate["low"] is not None and estimate["low"] > 0.0:
        return above
    return below if estimate["high"] is not None and estimate["high"] < 0.0 else open_


def chance(p: float) -> str:
    """A p-value as far as it means anything."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def size_name(parameters: float) -> str:
    """8 thousand, 1 million."""
    millions = parameters / 1e6
    return f"{millions:.0f} million" if millions >= 0.9995 else f"{parameters / 1e3:.0f} thousand"
