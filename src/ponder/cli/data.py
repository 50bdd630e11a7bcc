"""`ponder data`: what the tables of outside facts hold, whether they are complete, and how to add to them."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import StatedPath, cells, clean, console, emit, json_option


@click.group()
def data() -> None:
    """Show, check and extend the tables of outside facts: chips, models, rules, rates."""


@data.command("list")
@click.argument("table", required=False)
@json_option
def list_rows(table: str | None, as_json: bool) -> None:
    """List the tables, or the rows of TABLE with their figures."""
    from ponder.data.check import figures
    from ponder.data.rows import rows, tables
    from ponder.errors import UnknownName

    if table is None:
        found = {name: len(rows(name)) for name in tables()}
        if as_json:
            emit(found)
        else:
            for name, count in found.items():
                click.echo(f"{name}: {count} rows")
        return
    if table not in tables():
        raise UnknownName("table", table, tables())
    shown = rows(table)
    if as_json:
        emit(shown)
        return
    from rich.table import Table

    grid = Table(box=None, pad_edge=False)
    for name in ("row", "figures"):
        grid.add_column(name, overflow="fold")
    for key, row in shown.items():
        said = ", ".join(
            f"{path.removeprefix('.') or 'value'} {each['value']} {each.get('unit', '')}".strip()
            for path, each in figures(row)
        )
        grid.add_row(*cells(key, said))
    console().print(grid)


@data.command()
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Say whether every figure has value, interval, unit, source, date and confidence."""
    from ponder.data.check import check_all
    from ponder.data.rows import tables

    defects = check_all()
    if as_json:
        emit({"tables": tables(), "defects": defects})
    else:
        for each in defects:
            click.echo(clean(each))
        click.echo(f"{len(tables())} tables, {len(defects)} defects." if defects else
                   f"{len(tables())} tables are complete.")  # fmt: skip
    context.exit(2 if defects else 0)


@data.group("import")
def import_group() -> None:
    """Add rows from other people's tables to your own."""


@import_group.command()
@click.argument("file", type=StatedPath())
@json_option
def epoch(file: Path, as_json: bool) -> None:
    """Read FILE, a CSV of Epoch AI's: models, machine learning hardware, or companies' spending.

    A figure that contradicts the rest of its row is flagged and left out.
    """
    from ponder.data.epoch import import_epoch

    found = import_epoch(file)
    if as_json:
        emit({"table": found.table, "rows": len(found.rows), "file": str(found.path), "flags": found.flags})
        return
    for each in found.flags:
        click.echo(f"flag: {clean(each)}")
    click.echo(f"{len(found.rows)} rows of {found.table}, {len(found.flags)} flags: {clean(str(found.path))}")
