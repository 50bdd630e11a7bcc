"""Texts taken out of a ledger by order, so that the chain stays whole and tells who gave the order.

A text's row keeps its hash, and what a run's other rows say in words is blanked. The order is an event of
the run `ledger-erasures`: who, when, why, of which runs, and of every row that changed its place and the
digest of what is left of it. `verify` takes such a row as it was left, and no other change of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table, select, update

from ponder.core import canonical_json
from ponder.ledger.chain import row_digest
from ponder.ledger.rows import ERASED, EventRow, Row, load_text, store_text
from ponder.ledger.schema import TYPED

__all__ = ["RUN", "Erasure", "Order", "erase", "erased_runs", "old_requests", "orders"]

RUN = "ledger-erasures"
"""The run whose events are the orders."""

_SOME = 400  # values in one IN (...)
_TEXTS_OF = (
    ("problems", "question_hash"),
    ("problems", "key_hash"),
    ("samples", "text_hash"),
    ("samples", "reasoning_hash"),
    ("calls", "prompt_hash"),
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """An order: by whom and why, at which time, for which runs, and how many texts are gone by it now."""

    at: float
    by: str
    reason: str
    runs: tuple[str, ...]
    texts: int


@dataclass(frozen=True, slots=True)
class Order:
    """An erasure as the ledger has it: the places of texts, and of other rows the digest of what is left."""

    seq: int
    event: EventRow

    @property
    def texts(self) -> Sequence[int]:
        places: list[int] = self.event.detail["texts"]
        return places

    @property
    def rows(self) -> Mapping[int, str]:
        return {int(place): digest for place, digest in self.event.detail["rows"].items()}

    def erasure(self, gone: int) -> Erasure:
        detail = self.event.detail
        return Erasure(self.event.at, detail["by"], detail["reason"], tuple(detail["runs"]), gone)


def orders(connection: Connection) -> list[Order]:
    """All of them, oldest first."""
    table = TYPED["events"]
    query = select(table).where(table.c.run_id == RUN, table.c.kind == "erased").order_by(table.c.seq)
    return [
        Order(row["seq"], EventRow(RUN, row["at"], row["kind"], json.loads(load_text(row["detail"]))))
        for row in connection.execute(query).mappings()
    ]


def erased_runs(connection: Connection) -> set[str]:
    return {run for order in orders(connection) for run in order.event.detail["runs"]}


def old_requests(connection: Connection, before: float) -> list[str]:
    """The server's requests that began before this time and have their texts, oldest first."""
    runs, gone = TYPED["runs"], erased_runs(connection)
    query = select(runs.c.id, runs.c.config).where(runs.c.created < before).order_by(runs.c.seq)
    found = []
    for stored, config in connection.execute(query):
        known = json.loads(load_text(config))
        name = load_text(stored)
        if known.get("kind") == "serve" and "request" in known and name not in gone:
            found.append(name)
    return found


def erase(connection: Connection, runs: Iterable[str], *, by: str, reason: str, now: float) -> list[Row]:
    """Take the texts out, within the connection's transaction; the order, to be written in the same one."""
    before = erased_runs(connection)
    named = [run for run in dict.fromkeys(runs) if run not in before]
    rows: dict[str, str] = {}
    for table, left in _BLANKS.items():
        rows |= _blank(connection, TYPED[table], left, named)
    places = _without_texts_of(connection, named, before)
    detail = {"by": by, "reason": reason, "runs": named, "texts": places, "rows": rows}
    return [EventRow(RUN, now, "erased", detail)] if named else []


def _chunks(values: Sequence[str]) -> Iterable[Sequence[str]]:
    return (values[start : start + _SOME] for start in range(0, len(values), _SOME))


def _blank(connection: Connection, table: Table, left: Any, runs: Sequence[str]) -> dict[str, str]:
    """Blank the runs' rows of a table; the digests of what is left, by place."""
    owner = table.c["id" if table.name == "runs" else "run_id"]
    digests: dict[str, str] = {}
    for some in _chunks([store_text(run) for run in runs]):
        for row in connection.execute(select(table).where(owner.in_(some))).mappings().all():
            stored = dict(row)
            changed = {name: value for name, value in left(stored).items() if value != stored[name]}
            if changed:
                connection.execute(update(table).where(table.c.seq == stored["seq"]).values(**changed))
                digests[str(stored["seq"])] = row_digest(table, stored | changed)
    return digests


def _without_texts_of(connection: Connection, runs: Sequence[str], before: set[str]) -> list[int]:
    """Take out the texts that no other run refers to; their places."""
    gone = {store_text(run) for run in (*runs, *before)}
    texts, places = TYPED["texts"], list[int]()
    mine = _hashes(connection, runs)
    for some in _chunks(sorted(mine)):
        kept: set[str] = set()
        for name, column in _TEXTS_OF:
            table = TYPED[name]
            query = select(table.c[column], table.c.run_id).where(table.c[column].in_(some)).distinct()
            kept |= {found for found, run in connection.execute(query) if run not in gone}
        out = texts.c.hash.in_([each for each in some if each not in kept]), texts.c.text != ERASED
        places += connection.scalars(select(texts.c.seq).where(*out).order_by(texts.c.seq)).all()
        connection.execute(update(texts).where(*out).values(text=ERASED))
    return sorted(places)


def _hashes(connection: Connection, runs: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in _chunks([store_text(run) for run in runs]):
        for name, column in _TEXTS_OF:
            table = TYPED[name]
            query = select(table.c[column]).where(table.c.run_id.in_(some), table.c[column].is_not(None))
            found.update(connection.scalars(query.distinct()))
    return found


# ---------------------------------------------------------------- what is left of a row


def _wordless(value: Any) -> Any:
    """A JSON value with null in place of every string."""
    if isinstance(value, dict):
        return {name: _wordless(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_wordless(each) for each in value]
    return None if isinstance(value, str) else value


def _json(stored: str) -> Any:
    return json.loads(load_text(stored))


def _left_of_run(stored: Mapping[str, Any]) -> dict[str, Any]:
    config = {name: value for name, value in _json(stored["config"]).items() if name != "body"}
    return {"config": store_text(canonical_json({**config, "erased": True}))}


def _left_of_event(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {"detail": store_text(canonical_json(_wordless(_json(stored["detail"]))))}


def _left_of_answer(stored: Mapping[str, Any]) -> dict[str, Any]:
    answer = {**_json(stored["answer"]), "choice": None, "text": ""}
    return {"answer": store_text(canonical_json(answer))}


def _left_of_call(stored: Mapping[str, Any]) -> dict[str, Any]:
    request = _wordless(_json(stored["request"]))
    return {"request": store_text(canonical_json(request)), "error": None}


def _left_of_sample(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {"choice": None}


_BLANKS = {
    "runs": _left_of_run,
    "events": _left_of_event,
    "answers": _left_of_answer,
    "calls": _left_of_call,
    "samples": _left_of_sample,
}
