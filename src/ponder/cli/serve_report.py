"""`ponder serve report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from ponder.cli._output import StatedFile, cells, console, emit, json_option, ledger_option, settings_from
from ponder.report.words import percent

if TYPE_CHECKING:
    from ponder.serve.metering import Report, Use


capacity_option = click.option(
    "--capacity",
    metavar="FLEET",
    help="The fleet's capacity: 10000xH100 or 4e18 FLOP/s. Reports tell shares of it.",
)


@click.command("report")
@click.option("--since", metavar="TIME", help="Requests from then on, for example 2026-11-01. UTC.")
@click.option("--until", metavar="TIME", help="Requests before then.")
@capacity_option
@click.option("--out", type=StatedFile(), metavar="PAGE.html", help="Write the page.")
@ledger_option
@json_option
@click.pass_context
def report(
    ctx: click.Context,
    since: str | None,
    until: str | None,
    capacity: str | None,
    out: Path | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Say who used how much of the server's inference, at which effort, from its ledger.

    It reads the ledger beside a server that runs. What is not known whole is said to be "at least" what is.
    """
    from ponder.ledger import Ledger
    from ponder.serve.capacity import read_capacity
    from ponder.serve.metering import parse_moment
    from ponder.serve.metering import report as made

    above = ctx.parent.params if ctx.parent is not None else {}
    settings = settings_from(ledger=ledger or above.get("ledger"))
    first, end = (
        None if stated is None else parse_moment(name, stated)
        for name, stated in (("since", since), ("until", until))
    )
    stated = capacity or above.get("capacity")
    fleet = None if stated is None else read_capacity(stated)
    with Ledger.open(settings.ledger, write=False) as opened:
        told = made(opened, settings.ledger, first, end, fleet)
    if out is not None:
        from ponder.serve.metering_page import write_metering_page

        write_metering_page(told, out)
    if as_json or above.get("as_json"):
        emit(told.to_json())
        return
    _show(told)
    if out is not None:
        click.echo(f"Written: {out}")


def _show(report: Report) -> None:
    from ponder.serve.metering_page import finding, fleet, period

    click.echo(f"{period(report)}. {finding(report)}")
    click.echo(fleet(report))
    if report.keys:
        _table(report, "key", report.keys)
        _table(report, "effort", report.efforts)


def _table(report: Report, title: str, rows: Sequence[Use]) -> None:
    from rich.table import Table

    from ponder.serve.metering_page import amount, of_fleet, ranked_by

    unit, shown = ranked_by(report)
    table = Table(box=None, header_style="bold", pad_edge=False)
    of_all = () if report.capacity is None else ("of the fleet",)
    for column in (title, "requests", "samples", "tokens", "FLOP", f"share of {shown}", *of_all):
        # An interval may stand in a line of its own; no figure may lose its end.
        wrapped = column in (title, *of_all)
        justify: Literal["left", "right"] = "left" if column == title else "right"
        table.add_column(column, justify=justify, no_wrap=not wrapped, overflow="fold")
    for use in rows:
        tally = use.tally
        named = use.name or ("no key" if title == "key" else "a strategy's name")
        told = (amount(tally, "tokens"), amount(tally, "flop"), percent(use.known[unit]))
        of_whole = [of_fleet(report, tally) for _ in of_all]
        table.add_row(*cells(named, f"{tally.requests:,}", f"{tally.samples:,}", *told, *of_whole))
    console().print(table)
