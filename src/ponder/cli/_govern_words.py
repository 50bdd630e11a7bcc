"""An outcome as the terminal shows it."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click

from ponder.cli._output import cells, clean, console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ponder.govern.assumptions import Assumption
    from ponder.govern.calculator import Table
    from ponder.govern.outcome import Outcome, Swing

__all__ = ["show", "show_assumptions"]

_SWINGS = 5
_WIDTH = 80
_LEAST_SOURCE = 12


def show(outcome: Outcome) -> None:
    """What was chosen, the outputs, further tables, what moves the first output most, the assumptions, and
    notes."""
    from rich.table import Table as Rich

    from ponder.report.govern_words import numbers

    click.echo(_head(outcome))
    table = Rich(title=None, box=None, pad_edge=False)
    for name, justify in (("", "left"), ("median", "right"), ("90 % interval", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for each in outcome.results:
        median, low, high = numbers([each.median, each.low, each.high])
        interval = f"{low} to {high}" if each.low is not None else ""
        table.add_row(*cells(each.what.rstrip("."), median, interval, each.unit))
    console().print(table)
    for line in outcome.tables:
        _show_table(line)
    _show_swings(outcome)
    show_assumptions(outcome.assumptions)
    for note in outcome.notes:
        click.echo()
        click.echo(textwrap.fill(clean(note), _WIDTH))


def _head(outcome: Outcome) -> str:
    """The calculator with what was chosen that is no number; what an item of a group chose is left out."""
    chosen = [f"{name} {each}" for name, each in outcome.choices.items() if "." not in name]
    return textwrap.fill(
        clean(", ".join([f"{outcome.calculator}: {outcome.draws:,} draws", *chosen])), _WIDTH
    )


def _show_table(of: Table) -> None:
    from rich.table import Table as Rich

    from ponder.report.govern_words import numbers

    click.echo(f"\n{clean(of.title)}")
    table = Rich(box=None, pad_edge=False)
    for place, name in enumerate(of.columns):
        figures = any(isinstance(row[place], float) for row in of.rows)
        table.add_column(clean(name), justify="right" if figures else "left")
    for row in zip(*map(numbers, zip(*of.rows, strict=True)), strict=True):
        table.add_row(*cells(*row))
    console().print(table)


def _show_swings(outcome: Outcome) -> None:
    """Of the first output that inputs move, those that do; of the others in its unit, the one that does
    most."""
    moving = [(each, _moving(outcome.swings.get(each.name, ()))) for each in outcome.results]
    moving = [each for each in moving if each[1]]
    if not moving:
        return
    (first, swings), *others = moving
    middle = f"{_words(outcome.middle[first.name])} {first.unit}".rstrip()
    click.echo(f"\nWhat moves it most ({clean(first.what.rstrip('.'))}):")
    click.echo(f"With every input at its median it is {clean(middle)}.")
    _table_of_swings([(each.input, each) for each in swings])
    beside = [(f"{each.what.rstrip('.')}: {most[0].input}", most[0]) for each, most in others
              if first.unit and each.unit == first.unit]  # fmt: skip
    if beside:
        click.echo(f"\nWhat moves the other outputs in {clean(first.unit)} most:")
        _table_of_swings(beside)


def _table_of_swings(rows: Sequence[tuple[str, Swing]]) -> None:
    from rich.table import Table as Rich

    table = Rich(box=None, pad_edge=False)
    for name in ("input", "at its 5th percentile", "at its 95th"):
        table.add_column(name, justify="left" if name == "input" else "right")
    for name, each in rows:
        table.add_row(*cells(name, _words(each.at_low), _words(each.at_high)))
    console().print(table)


def _words(value: float) -> str:
    from ponder.report.govern_words import number

    return number(value)


def _moving(swings: Sequence[Swing]) -> Sequence[Swing]:
    return [each for each in swings if each.size > 0.0][:_SWINGS]


def show_assumptions(assumptions: Sequence[Assumption]) -> None:
    """Every number that an answer rests on, and where it comes from; the names of those that are unset."""
    from rich.table import Table as Rich

    click.echo("\nAssumptions:")
    rows = [
        (
            each.name,
            str(each.quantity),
            each.origin,
            f"{each.source}, {each.date}" if each.date else each.source,
        )
        for each in assumptions
        if each.quantity is not None
    ]
    names = ("input", "value", "origin", "source")
    taken = sum(max(map(len, column)) for column in list(zip(names, *rows, strict=True))[:3])
    table = Rich(box=None, pad_edge=False)
    for name in names:
        last = name == "source"  # what is left of the line, for a source is long and the figures matter more
        room = max(_LEAST_SOURCE, console().width - taken - len(names)) if last else None
        table.add_column(name, overflow="ellipsis" if last else "fold", no_wrap=last, max_width=room)
    for row in rows:
        table.add_row(*cells(*row))
    console().print(table)
    unset = [each.name for each in assumptions if each.quantity is None]
    if unset:
        click.echo()
        click.echo(textwrap.fill(clean(f"Not set, and unknown: {', '.join(unset)}."), _WIDTH))
