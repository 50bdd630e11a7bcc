"""`ponder report`."""

from __future__ import annotations

import re
from pathlib import Path

import click

from ponder.cli._output import StatedPath, clean, console, emit, json_option, ledger_option, settings_from


@click.command()
@click.argument("run")
@click.option("--to", "folder", type=StatedPath(), help="Folder to write to.")
@ledger_option
@json_option
def report(run: str, folder: Path | None, ledger: str | None, as_json: bool) -> None:
    """Write the report of RUN again ("latest" for the last finished measurement)."""
    from ponder.ledger import Ledger
    from ponder.measure import finished, run_id
    from ponder.report import render, write_report

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        run = run_id(store, run)
        measurement = finished(store, run)
    written = write_report(measurement, folder or settings.reports / _folder_name(run))
    if as_json:
        emit({"run": run, "html": str(written.html), "png": str(written.png), "svg": str(written.svg)})
        return
    console().print(render(measurement))
    click.echo(f"report: {clean(str(written.html))}")


def _folder_name(run: str) -> str:
    """A folder's name from a run's, which another program may have named "../x" on this ledger."""
    from ponder.core import digest
    from ponder.errors import InputError
    from ponder.measure.spec import check_run_name

    try:
        return check_run_name(run)
    except InputError:
        return f"run-{re.sub('[^A-Za-z0-9_-]+', '-', run)[:60]}-{digest(run)[:8]}"
