"""Tables and figures for a terminal of 80 columns: one line a row, prose wrapped at words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponder.cli._output import cells, clean, console, quantity

if TYPE_CHECKING:
    from ponder.measure.intervals import Estimate

__all__ = [
    "UNKNOWN",
    "estimate",
    "number",
    "percent",
    "say",
    "show_table",
    "times",
    "written",
]

UNKNOWN = "unknown"
_COLUMNS = 80
_WIDEST = 1000  # columns: a table is never folded here; a narrower terminal does that by itself


def show_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)) -> None:
    """One line a row, whole; narrow gaps where wide ones would pass 80 columns. `left` are the columns that
    begin at the left."""
    from rich.cells import cell_len
    from rich.table import Table

    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    gap = 2 if sum(widths) + 2 * (len(heads) - 1) <= _COLUMNS else 1
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, gap, 0, 0))
    for place, name in enumerate(heads):
        table.add_column(name, justify="left" if place in left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*cells(*row))
    wide = console()
    wide.width = _WIDEST
    wide.print(table)


def say(sentence: str) -> None:
    """Prose, wrapped at words to the terminal's width."""
    (text,) = cells(sentence)
    console().print(text)


def number(value: float, *, digits: int = 3) -> str:
    """So many digits, without an exponent where an SI letter will do: 0.000231, 5.21, 1.2k; infinity as ∞."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return quantity(value) if abs(value) >= 99.5 else f"{value:.{digits}g}"


def estimate(told: Estimate | None, *, digits: int = 3) -> str:
    """A value with its interval: 5.21 [3.05, 9.87]; alone where a bound or a grid leaves it none."""
    if told is None:
        return UNKNOWN
    if told.low == told.high:
        return number(told.value, digits=digits)
    value, low, high = (number(each, digits=digits) for each in (told.value, told.low, told.high))
    return f"{value} [{low}, {high}]"


def percent(told: Estimate | None, *, sign: str = "", short: bool = False) -> str:
    """A share in percent with its interval, without the sign of percent: 31.2 [27.0, 36.1]; alone where a
    bound or a grid leaves it none. `short` leaves the tenths out from ten percent on."""
    if told is None:
        return UNKNOWN
    if told.low == told.high:
        return _percent(100.0 * told.value, sign, short)
    value, low, high = (_percent(100.0 * share, sign, short) for share in (told.value, told.low, told.high))
    return f"{value} [{low}, {high}]"


def _percent(value: float, sign: str, short: bool) -> str:
    """Hundredths within a point of 0 and of 100, where they matter."""
    if short:
        return f"{value:{sign}.{0 if abs(value) >= 9.95 or value == 0.0 else 1}f}"
    near = 0.0 < min(abs(value), abs(100.0 - value)) < 1.0
    return f"{value:{sign}.{2 if near and not sign else 1}f}"


def times(ratio: float) -> str:
    """176x."""
    return f"{number(ratio)}x"


def written(paths: Sequence[Path]) -> None:
    """Where pictures were put, a line each."""
    for path in paths:
        click.echo(clean(str(path)))
