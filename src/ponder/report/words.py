"""What the page, the terminal and the figure say in common: numbers in words, rows, the finding."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.core import mean_of

if TYPE_CHECKING:
    from ponder.core import Usage
    from ponder.measure.curve import Curve, Measurement, Point, TaskResult

__all__ = [
    "WIDEST",
    "Column",
    "Line",
    "Row",
    "chosen_by",
    "columns",
    "compact",
    "duration",
    "finding",
    "lines",
    "model_name",
    "percent",
    "plain",
    "rows",
    "spending",
]

UNKNOWN = "unknown"

# What steers a terminal or a page rather than being read: controls but for tab and newline, marks that
# do not show, those that turn the direction of writing, and lone surrogates, which no encoding takes.
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)


def compact(value: float | None, unit: str = "") -> str:
    """Three digits and an SI letter, with a unit after a space: 950, 1.25k, 41.2 TFLOP. Unknown says so."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    letter = ""
    for power, name in enumerate("YZEPTGMk"):
        size = 1e3 ** (8 - power)
        if abs(value) >= size * 0.9995:
            value, letter = value / size, name
            break
    return f"{value:.3g}{' ' if unit else ''}{letter}{unit}"


def percent(share: float | None) -> str:
    """57%. None says unknown."""
    return UNKNOWN if share is None or not math.isfinite(share) else f"{100 * share:.0f}%"


def duration(seconds: float | None) -> str:
    """0.4 s, 12 s, 3 min 5 s, 2 h 10 min."""
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def plain(text: str) -> str:
    """Untrusted text without what could steer a terminal or a page, which becomes the replacement
    character. Lines end in newlines."""
    return _STEERING.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n"))


def model_name(measurement: Measurement) -> str | None:
    """The configuration's model, if it names one."""
    model = measurement.config.get("model")
    return model if isinstance(model, str) and model else None


def _all_curves(measurement: Measurement) -> Iterable[Curve]:
    return (curve for task in measurement.tasks for curve in task.curves if curve.points)


def _last(curve: Curve) -> Point:
    return max(curve.points, key=lambda point: point.k)


def _first(curve: Curve) -> Point:
    return min(curve.points, key=lambda point: point.k)


# ---------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Column:
    """One policy at one budget, or a policy that chooses by another scorer on another task: `labels` are
    the names of its curves, none for one worked sample. `oracle` needs the key."""

    title: str
    labels: tuple[str, ...] = ()
    oracle: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One task; `points` in the order of the columns, None where the task has no such policy.

    `cheapest` and `dearest` are the growing policies' first and last budgets, for tokens and FLOP.
    """

    task: TaskResult
    points: tuple[Point | None, ...]
    cheapest: Point | None
    dearest: Point | None


@dataclass(frozen=True, slots=True)
class Line:
    """One strategy on one task at its largest scale. `named`: it is the task's first line."""

    task: TaskResult
    strategy: str
    point: Point
    oracle: bool
    named: bool


WIDEST = 6
"""The most policies that a table shows as columns; more are shown as lines."""


def lines(measurement: Measurement) -> tuple[Line, ...]:
    """A line for each strategy on each task."""
    return tuple(
        Line(task, curve.strategy, _last(curve), curve.oracle, place == 0)
        for task in measurement.tasks
        for place, curve in enumerate(c for c in task.curves if c.points)
    )


def columns(measurement: Measurement) -> tuple[Column, ...]:
    """Single budgets first, then one sample, the policies that grow, and the oracle bounds last."""
    most: dict[tuple[str, bool], set[int]] = {}
    for curve in _all_curves(measurement):
        most.setdefault((curve.strategy, curve.oracle), set()).add(_last(curve).k)

    def titled(name: str, labels: tuple[str, ...], *, oracle: bool) -> Column:
        ks = set().union(*(most[label, oracle] for label in labels))
        return Column(f"{name}@{ks.pop() if len(ks) == 1 else 'n'}", labels, oracle)

    dots = [Column(s, (s,)) for (s, oracle), ks in most.items() if not oracle and ks == {1}]
    grown = [s for (s, oracle), ks in most.items() if not oracle and ks != {1}]
    policies = [titled(name, labels, oracle=False) for name, labels in _merged(measurement, grown)]
    bounds = [titled(s, (s,), oracle=True) for s, oracle in most if oracle]
    return (*dots, *([Column("1 sample")] if grown else []), *policies, *bounds)


def _merged(measurement: Measurement, labels: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The columns' names with their labels: "best by likelihood" and "best by checks" share the column
    "best", unless a task has both."""
    families: dict[str, list[str]] = {}
    for label in labels:
        families.setdefault(label.partition(" by ")[0], []).append(label)
    columns: list[tuple[str, tuple[str, ...]]] = []
    for name, family in families.items():
        there = [{c.strategy for c in task.curves if c.points} & set(family) for task in measurement.tasks]
        if len(family) > 1 and all(len(each) <= 1 for each in there):
            columns.append((name, tuple(family)))
        else:
            columns += [(label, (label,)) for label in family]
    return columns


def chosen_by(measurement: Measurement, chosen: Sequence[Column]) -> str:
    """What a column chooses by where that is not the same on every task, as a sentence; else ""."""
    said = []
    for column in (c for c in chosen if len(c.labels) > 1):
        by: dict[str, list[str]] = {}
        for task in measurement.tasks:
            for curve in task.curves:
                if curve.strategy in column.labels and curve.points:
                    by.setdefault(curve.strategy.partition(" by ")[2], []).append(task.task)
        usual, *others = sorted(by, key=lambda scorer: -len(by[scorer]))
        exceptions = "".join(f", on {', '.join(by[scorer])} by {scorer}" for scorer in others)
        said.append(f"Column {column.title.partition('@')[0]} chooses by {usual}{exceptions}.")
    return " ".join(said)


def _grows(curve: Curve) -> bool:
    return not curve.oracle and len(curve.points) > 1


def _growing(task: TaskResult) -> Curve | None:
    """The first keyless policy that is measured at more than one budget; vote, if it is there."""
    grown = [c for c in task.curves if _grows(c)]
    return next((c for c in grown if c.strategy == "vote"), grown[0] if grown else None)


def _at_one(task: TaskResult) -> Point | None:
    curve = _growing(task)
    return next((p for p in curve.points if p.k == 1), None) if curve else None


def rows(measurement: Measurement, chosen: Sequence[Column]) -> tuple[Row, ...]:
    """The table's rows, one a task."""
    out = []
    for task in measurement.tasks:
        points = tuple(_at_one(task) if not column.labels else _point(task, column) for column in chosen)
        growing = _growing(task)
        out.append(
            Row(task, points, _first(growing) if growing else None, _last(growing) if growing else None)
        )
    return tuple(out)


def _point(task: TaskResult, column: Column) -> Point | None:
    found = (c for c in task.curves if c.points and c.strategy in column.labels)
    return next((_last(c) for c in found if c.oracle == column.oracle), None)


def spending(usage: Usage) -> tuple[tuple[str, str], ...]:
    """What was spent, in words; an unknown count says so."""

    def count(value: int | None) -> str:
        return UNKNOWN if value is None else f"{value:,}"

    return (
        ("Calls", count(usage.calls)),
        ("Samples", count(usage.samples)),
        ("Prompt tokens", count(usage.prompt_tokens)),
        ("of these read from a cache", count(usage.cached_tokens)),
        ("Generated tokens", count(usage.completion_tokens)),
        ("of these reasoning", count(usage.reasoning_tokens)),
        ("FLOP", compact(usage.flop)),
        # Imported calls whose file tells no time have none.
        ("Time in calls, summed", duration(None if usage.calls and not usage.seconds else usage.seconds)),
        ("US dollars", UNKNOWN if usage.usd is None else f"{usage.usd:.4f}"),
    )


# ---------------------------------------------------------------- the finding


def finding(measurement: Measurement) -> str:
    """One sentence: what the main policy's largest budget buys over one sample, in points, at what price.

    Means over tasks of equal weight; the tasks that have the policy at one sample.
    """
    growing = [c for task in measurement.tasks if _at_one(task) and (c := _growing(task))]
    if not growing:
        return "No policy was measured at more than one budget."
    name = next((c.strategy for c in growing if c.strategy == "vote"), growing[0].strategy)
    kept = [
        (_first(curve), _last(curve))
        for task in measurement.tasks
        for curve in task.curves
        if curve.strategy == name and _grows(curve) and _first(curve).k == 1
    ]
    before = sum(one.accuracy for one, _ in kept) / len(kept)
    after = sum(last.accuracy for _, last in kept) / len(kept)
    ks = {last.k for _, last in kept}
    size = f"{ks.pop()}" if len(ks) == 1 else f"{min(ks)} to {max(ks)}"
    verdict = _verdict(measurement, name, round(100 * after) - round(100 * before))
    over = "" if len(kept) == 1 else f", averaged over {len(kept)} tasks"
    return (
        f"With {size} samples, {plain(name)} answers {percent(after)} of the problems correctly where one "
        f"sample answers {percent(before)}: {verdict}, {_price(kept)}{over}."
    )


def _verdict(measurement: Measurement, name: str, points: int) -> str:
    """The difference in points, with its interval where it was computed."""
    verdict = "no more" if points == 0 else f"{abs(points)} points {'more' if points > 0 else 'less'}"
    gain = next((g for g in measurement.gains if g.strategy == name), None)
    if gain is None:
        return verdict
    low, high = round(100 * gain.low), round(100 * gain.high)
    return f"{verdict} (90% interval {low:+d} to {high:+d})".replace("-", "\N{MINUS SIGN}")


def _price(kept: Sequence[tuple[Point, Point]]) -> str:
    ratio = mean_of(
        last.tokens / one.tokens if one.tokens and last.tokens is not None else None for one, last in kept
    )
    if ratio is not None:
        return f"for {ratio:.1f} times the tokens"
    samples = mean_of(last.k / one.k for one, last in kept)
    return f"for {samples:.0f} times the samples (tokens are unknown)"
