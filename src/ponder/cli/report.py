"""`ponder report`."""

from __future__ import annotations

from pathlib import Path

import click

from ponder.cli._output import console, emit, json_option, ledger_option, settings_from


@click.command()
@click.argument("run")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder to write to.")
@ledger_option
@json_option
def report(run: str, folder: Path | None, ledger: str | None, as_json: bool) -> None:
    """Write the report of RUN again ("latest" for the last finished measurement)."""
    from ponder.errors import UnknownName
    from ponder.ledger import Ledger
    from ponder.measure import finished
    from ponder.report import render, write_report

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        if run == "latest":
            done = [r.id for r in store.runs() if r.finished and not r.id.startswith("ask-")]
            if not done:
                raise UnknownName("run", run, [], "Measure something first with `ponder measure`.")
            run = done[-1]
        measurement = finished(store, run)
    written = write_report(measurement, folder or settings.reports / run)
    if as_json:
        emit({"run": run, "html": str(written.html), "png": str(written.png), "svg": str(written.svg)})
        return
    console().print(render(measurement))
    click.echo(f"report: {written.html}")
