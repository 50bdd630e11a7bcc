"""The ledger's other runs: what was measured, solved and trained, beside the requests that were served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ponder.core import Usage
from ponder.ledger import SERVED, Ledger, RunRow
from ponder.ledger.read import task_names

__all__ = ["Listed", "listed", "measured_run", "other_runs"]

_ENDS = ("", "\U0010ffff")
_AT_ONCE = 500
_BOOKS = ("serve", "erasures")
"""Kinds of runs in which nothing was asked: the server's own account, and orders to erase."""
_STATES = ("finished", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class Listed:
    """A run in the list. `report`: its report can be shown."""

    id: str
    kind: str
    created: float
    model: str | None
    tasks: tuple[str, ...]
    state: str
    usage: Usage
    report: bool


def other_runs(ledger: Ledger) -> list[RunRow]:
    """Newest first."""
    rows = [*_between(ledger, _ENDS[0], SERVED[0]), *_between(ledger, SERVED[1], _ENDS[1])]
    work = (row for row in rows if _kind(row) not in _BOOKS)
    return sorted(work, key=lambda row: row.created, reverse=True)


def _between(ledger: Ledger, first: str, end: str) -> Iterator[RunRow]:
    """All of them: names are in no order of time."""
    while rows := ledger.runs_between(first, end, limit=_AT_ONCE):
        yield from rows
        end = rows[-1].id


def listed(ledger: Ledger, rows: list[RunRow]) -> list[Listed]:
    """What the list says of each."""
    return [_listed(ledger, row) for row in rows]


def _listed(ledger: Ledger, row: RunRow) -> Listed:
    state, kind, model = _state(ledger, row.id), _kind(row), row.config.get("model")
    return Listed(
        row.id,
        kind,
        row.created,
        model if isinstance(model, str) else None,
        task_names(row.config),
        state,
        ledger.usage(row.id),
        kind == "measure" and state == "finished",
    )


def measured_run(ledger: Ledger, model: str) -> str | None:
    """The last finished measurement of this model."""
    measured = (r for r in other_runs(ledger) if _kind(r) == "measure" and r.config.get("model") == model)
    return next((row.id for row in measured if _state(ledger, row.id) == "finished"), None)


def _kind(row: RunRow) -> str:
    return str(row.config.get("kind", "measure"))


def _state(ledger: Ledger, run: str) -> str:
    states = [event.kind for event in ledger.events(run) if event.kind in _STATES]
    return states[-1] if states else "unfinished"
