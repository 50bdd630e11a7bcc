"""`ponder runs`."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from ponder.cli._output import cells, console, emit, json_option, ledger_option, quantity, settings_from


@click.command()
@ledger_option
@json_option
def runs(ledger: str | None, as_json: bool) -> None:
    """List the runs on the ledger, oldest first."""
    from rich.table import Table

    from ponder.ledger import Ledger

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        found = store.runs()
    if as_json:
        emit(
            [
                {
                    "run": run.id,
                    "kind": run.kind,
                    "created": datetime.fromtimestamp(run.created, UTC).isoformat(),
                    "tasks": list(run.tasks),
                    "finished": run.finished,
                    "samples": run.samples,
                    "tokens": run.tokens,
                }
                for run in found
            ]
        )
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("run", "kind", "created", "state", "samples", "tokens", "tasks"):
        table.add_column(name, no_wrap=name != "tasks", overflow="fold")
    for run in found:
        created = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M")
        tasks = ", ".join(run.tasks) or "–"
        state = "finished" if run.finished else "unfinished"
        counts = f"{run.samples:,}", quantity(run.tokens)
        table.add_row(*cells(run.id, run.kind, created, state, *counts, tasks))
    console().print(table)
