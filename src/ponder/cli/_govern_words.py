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
    """The outputs, what moves the first of them most, further tables, the assumptions, and notes."""
    from rich.table import Table as Rich

    from ponder.report.govern_words import number

    table = Rich(title=None, box=None, pad_edge=False)
    for name, justify in (("", "left"), ("median", "right"), ("90 % interval", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for each in outcome.results:
        interval = f"{number(each.low)} to {number(each.high)}" if each.low is not None else ""
        table.add_row(*cells(each.what.rstrip("."), number(each.median), interval, each.unit))
    console().print(table)
    for line in outcome.tables:
        _show_table(line)
    _show_swings(outcome)
    show_assumptions(outcome.assumptions)
    for note in outcome.notes:
        click.echo()
        click.echo(textwrap.fill(clean(note), _WIDTH))


def _show_table(of: Table) -> None:
    from rich.table import Table as Rich

    from ponder.report.govern_words import cell

    click.echo(f"\n{clean(of.title)}")
    table = Rich(box=None, pad_edge=False)
    for place, name in enumerate(of.columns):
        figures = any(isinstance(row[place], float) for row in of.rows)
        table.add_column(clean(name), justify="right" if figures else "left")
    for row in of.rows:
        table.add_row(*cells(*map(cell, row)))
    console().print(table)


def _show_swings(outcome: Outcome) -> None:
    """Of the first output that inputs move, those that do."""
    from rich.table import Table as Rich

    from ponder.report.govern_words import number

    moving = [(each, _moving(outcome.swings.get(each.name, ()))) for each in outcome.results]
    result, swings = next((each for each in moving if each[1]), (None, ()))
    if result is None:
        return
    middle = number(outcome.middle[result.name])
    click.echo(f"\nWhat moves it most ({clean(result.what.rstrip('.'))}):")
    click.echo(f"With every input at its median it is {clean(f'{middle} {result.unit}'.rstrip())}.")
    table = Rich(box=None, pad_edge=False)
    for name in ("input", "at its 5th percentile", "at its 95th"):
        table.add_column(name, justify="left" if name == "input" else "right")
    for each in swings:
        table.add_row(*cells(each.input, number(each.at_low), number(each.at_high)))
    console().print(table)


def _moving(swings: Sequence[Swing]) -> Sequence[Swing]:
    return [each for each in swings if each.size > 0.0][:_SWINGS]


def show_assumptions(assumptions: Sequence[Assumption]) -> None:
    """Every number that an answer rests on, and where it comes from."""
    from rich.table import Table as Rich

    click.echo("\nAssumptions:")
    rows = [
        (
            each.name,
            "unknown" if each.quantity is None else str(each.quantity),
            each.origin,
            f"{each.source}, {each.date}" if each.date else each.source,
        )
        for each in assumptions
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
