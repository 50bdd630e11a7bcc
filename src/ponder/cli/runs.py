"""`ponder runs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import cells, console, emit, json_option, ledger_option, quantity, settings_from

if TYPE_CHECKING:
    from ponder.ledger import Ledger, RunSummary, RunUse, Served

_SERVE = "serve"
_ERASURES = "erasures"
"""The orders to erase: no work, so listed only when asked for; `ponder ledger verify` tells them."""
_PAGE = 500
_TASKS_WIDTH, _WIDEST = 60, 1000
_COLUMNS = ("run", "kind", "created", "state", "samples", "tokens", "tasks")
_OF_REQUESTS = ("run", "created", "key", "effort", "state", "samples", "tokens", "flop")
_AMOUNTS = ("tokens", "flop")


@click.command()
@click.option("--kind", metavar="KIND", help="Only these: measure, ask, solve, train, bank, serve.")
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@ledger_option
@json_option
def runs(kind: str | None, last: int | None, ledger: str | None, as_json: bool) -> None:
    """List the runs on the ledger, oldest first.

    Requests that `ponder serve` answered are told together in one line; --kind serve lists them.
    """
    from ponder.ledger import Ledger

    settings = settings_from(ledger=ledger)
    with Ledger.open(settings.ledger, write=False) as store:
        if kind == _SERVE:
            rows = [_request(use) for use in _requests(store, last)]
        else:
            found = [each for each in store.runs(requests=False) if each.kind != _SERVE]
            wanted = [e for e in found if e.kind == kind or (kind is None and e.kind != _ERASURES)]
            rows = [_run(each) for each in wanted][-(last or 0) :]
        served = store.served() if kind is None else None
    if as_json:
        emit([*rows, *([] if served is None else [_together(served)])])
        return
    if rows or served is None:
        _table(_OF_REQUESTS if kind == _SERVE else _COLUMNS, rows)
    if served is not None:
        click.echo(_sentence(served))


def _requests(store: Ledger, last: int | None) -> list[RunUse]:
    """The served requests, or the last of them, oldest first."""
    from ponder.ledger import SERVED

    found: list[RunUse] = []
    first, end = SERVED
    while last is None or len(found) < last:
        page = store.uses_between(first, end, limit=_PAGE if last is None else min(_PAGE, last - len(found)))
        if not page:
            break
        found += page
        end = page[-1].run.id
    return found[::-1]


def _run(run: RunSummary) -> dict[str, Any]:
    return {
        "run": run.id,
        "kind": run.kind,
        "created": _told(run.created),
        "tasks": list(run.tasks),
        "finished": run.finished,
        "samples": run.samples,
        "tokens": run.tokens,
    }


def _request(use: RunUse) -> dict[str, Any]:
    from ponder.ledger import request_usage

    config, spent = use.run.config, request_usage(use.usage, use.last)
    return {
        "run": use.run.id,
        "kind": _SERVE,
        "created": _told(use.run.created),
        "key": (config.get("key") or {}).get("name"),
        "effort": config.get("effort"),
        "state": use.last,
        "finished": use.last == "finished",
        "samples": spent.samples,
        "tokens": spent.tokens,
        "flop": spent.flop,
    }


def _together(served: Served) -> dict[str, Any]:
    """All requests as one run of the list."""
    return {
        "run": None,
        "kind": _SERVE,
        "created": _told(served.first),
        "tasks": [],
        "finished": None,
        "samples": None,
        "tokens": None,
        "requests": served.requests,
        "last": _told(served.last),
    }


def _sentence(served: Served) -> str:
    first, last = _local(_told(served.first)), _local(_told(served.last))
    count = f"{served.requests:,} served request{'' if served.requests == 1 else 's'}"
    return (
        f"{count}, {first} to {last}: `ponder runs --kind serve --last 20` lists the latest, "
        "`ponder serve report` adds all up."
    )


def _told(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _local(told: str) -> str:
    return datetime.fromisoformat(told).astimezone().strftime("%Y-%m-%d %H:%M")


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """At its full width: a narrower terminal wraps the lines, where a figure cut short would be another."""
    from rich.measure import Measurement
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        wraps = name == "tasks"
        width = _TASKS_WIDTH if wraps else None
        table.add_column("FLOP" if name == "flop" else name, no_wrap=not wraps, max_width=width)
    for row in rows:
        table.add_row(*cells(*(_cell(row, name) for name in columns)))
    shown = console()
    wanted = Measurement.get(shown, shown.options.update(max_width=_WIDEST), table).maximum
    shown.width = max(shown.width, wanted)
    shown.print(table)


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name == "created":
        return _local(row[name])
    if name == "state":
        return row.get(name) or ("finished" if row["finished"] else "unfinished")
    if name == "samples":
        return f"{row[name]:,}"
    if name in _AMOUNTS:
        return quantity(row[name])
    return ", ".join(row[name]) or "–" if name == "tasks" else row[name] or "–"
