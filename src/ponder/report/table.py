"""The same numbers for a terminal, at most 100 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ponder.measure.curve import Measurement, Point
from ponder.report import words

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

__all__ = ["WIDTH", "render"]

WIDTH = 100


def render(measurement: Measurement) -> RenderableType:
    """The finding, one row a task, what it cost and the notes, as a rich renderable."""
    from rich.console import Group
    from rich.constrain import Constrain
    from rich.text import Text

    parts: list[RenderableType] = [Text(words.plain(words.finding(measurement)), style="bold")]
    columns = words.columns(measurement)
    wide = len(columns) > words.WIDEST
    table = _long(measurement) if wide else _table(measurement, columns)
    parts += [table, *_footer(measurement, columns, long=wide)]
    return Constrain(Group(*parts), WIDTH)


def _table(measurement: Measurement, columns: Sequence[words.Column]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task", max_width=22, overflow="fold", min_width=10)
    table.add_column("n", justify="right", no_wrap=True)
    table.add_column("guess", justify="right", no_wrap=True)
    for column in columns:
        name = words.plain(column.title).replace("@", "\n@").replace(" ", "\n")
        name += "*" if column.oracle else ""
        table.add_column(Text(name), justify="right", style="dim" if column.oracle else None, no_wrap=True)
    table.add_column("tokens", justify="right", no_wrap=True)
    for row in words.rows(measurement, columns):
        constant = row.task.constant
        table.add_row(
            Text(words.plain(row.task.task)),
            str(row.task.problems),
            "-" if constant is None else f"{100 * constant:.0f}",
            *(_cell(point) for point in row.points),
            _tokens(row),
        )
    return table


def _long(measurement: Measurement) -> Table:
    """A row for each strategy on each task at its largest budget: for more strategies than fit in columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("task", max_width=18, overflow="fold", min_width=8)
    table.add_column("strategy", overflow="fold", min_width=16)
    for name in ("accuracy", "90%", "samples", "tokens", "FLOP"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in words.lines(measurement):
        if line.named:
            table.add_section()
        point = line.point
        table.add_row(
            Text(f"{words.plain(line.task.task)}\n{line.task.problems} problems" if line.named else ""),
            Text(words.plain(line.strategy) + f" @{point.k}" + (" *" if line.oracle else "")),
            Text(f"{100 * point.accuracy:.0f}", style="bold"),
            Text(f"{100 * point.low:.0f}–{100 * point.high:.0f}", style="dim"),
            "-" if point.samples is None else f"{point.samples:.3g}",
            words.compact(point.tokens),
            words.compact(point.flop),
            style="dim" if line.oracle else None,
        )
    return table


def _cell(point: Point | None) -> Text:
    from rich.text import Text

    if point is None:
        return Text("-")
    interval = (f"\n{100 * point.low:.0f}–{100 * point.high:.0f}", "dim")
    return Text.assemble((f"{100 * point.accuracy:.0f}", "bold"), interval)


def _tokens(row: words.Row) -> str:
    if row.cheapest is None or row.dearest is None:
        return "-"
    if row.cheapest.tokens is None or row.dearest.tokens is None:
        return words.UNKNOWN
    return f"{words.compact(row.cheapest.tokens)}\n→ {words.compact(row.dearest.tokens)}"


def _footer(
    measurement: Measurement, columns: Sequence[words.Column], *, long: bool = False
) -> Iterator[Text]:
    from rich.text import Text

    legend = "n problems; guess: the best constant answer; tokens per problem, from one sample to the most."
    if long:
        legend = "@ the largest scale; samples, tokens and FLOP: the mean of one problem at it."
    yield Text(
        f"Accuracy in percent with its 90% interval; {legend}"
        + (" * oracle bound: needs the answer key." if any(c.oracle for c in columns) else ""),
        style="dim",
    )
    if not long and (chosen_by := words.chosen_by(measurement, columns)):
        yield Text(words.plain(chosen_by), style="dim")
    usage = measurement.usage
    speed = measurement.tokens_per_second
    said = [
        f"{usage.samples:,} samples",
        f"{words.compact(usage.tokens)} tokens",
        f"{words.compact(usage.flop)} FLOP",
        "dollars unknown (no price)" if usage.usd is None else f"${usage.usd:.4f}",
    ]
    new = measurement.new_usage
    took = words.duration(sum(t.seconds for t in measurement.timings))
    now = f"This start drew {new.samples:,} of them in {took}"
    now += "." if speed is None else f", generating {words.compact(speed)} tokens/s."
    yield Text(f"Spent: {', '.join(said)}. {now}")
    yield Text(
        f"Run {words.plain(measurement.run)}, ledger head {words.plain(measurement.ledger_head)[:16]}."
    )
    for note in measurement.notes:
        yield Text(f"Note: {words.plain(note)}", style="yellow")
