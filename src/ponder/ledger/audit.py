"""Checking a ledger: that every row is as it was written, and that an earlier state is still in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Table, select

from ponder.errors import InputError, LedgerError
from ponder.ledger.chain import Entry, entry_hash, genesis, row_digest, row_key, text_hash
from ponder.ledger.database import locate
from ponder.ledger.erasing import Erasure, Order, orders
from ponder.ledger.read import head, tables
from ponder.ledger.rows import ERASED, load_text, store_text
from ponder.ledger.schema import ENTRIES
from ponder.ledger.store import reading

__all__ = ["Verdict", "checkpoint", "verify"]

_WINDOW = 4000  # entries a transaction: short enough that a writer hardly waits

_Rows = dict[int, list[tuple[Table, Mapping[str, Any]]]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check found. `entries` and `head` tell how far the chain holds; `first_bad` is one sentence
    that names the first row (table and key) that does not, None when all is well. `erasures` are the orders
    by which texts were taken out, of a ledger that is well."""

    ok: bool
    entries: int
    head: str
    first_bad: str | None
    erasures: tuple[Erasure, ...] = ()


def checkpoint(location: str | os.PathLike[str]) -> dict[str, Any]:
    """The ledger's present state in four values that can be kept elsewhere as JSON.

    `size` entries ending with the hash `head` (the genesis hash when there are none), `at` in seconds
    since the epoch, `ledger` the ledger's id. It does not check the rows: `verify` does.
    """
    with reading(locate(location)) as engine, engine.begin() as connection:
        now = head(connection)
        return {"size": now.size, "head": now.hash, "at": time.time(), "ledger": now.ledger_id}


def verify(location: str | os.PathLike[str], *, checkpoint: Mapping[str, Any] | None = None) -> Verdict:
    """Check every row against the chain, and the chain against a checkpoint.

    Found are a row that was changed, deleted, or put in beside the chain, an entry that was changed,
    moved or removed, and a text that does not fit its hash or is gone without an order. A tail that was cut
    off, or a chain that was made anew, needs a checkpoint to be found. Reads in short steps, so a writer may
    go on beside it.
    Raises LedgerError for a file that is no ledger, InputError for a checkpoint that is none.
    """
    size, wanted = (0, None) if checkpoint is None else _read_checkpoint(checkpoint)
    store = locate(location)
    with reading(store) as engine:
        with engine.begin() as connection:
            ledger_id = head(connection).ledger_id
            given = _Given(_orders(connection))
        seq, prev = 0, genesis(ledger_id)
        at_checkpoint = prev if size == 0 else None
        for entries, rows in _windows(engine):
            for place in sorted({*entries, *rows}):
                fault = _fault(place, seq, prev, entries.get(place), rows.get(place, []), given)
                if fault is not None:
                    return Verdict(False, seq, prev, fault)
                seq, prev = place, entries[place].hash
                if seq == size:
                    at_checkpoint = prev
        fault = None
        if checkpoint is not None:
            fault = _against(checkpoint["ledger"], ledger_id, size, wanted, seq, at_checkpoint)
        if fault is None:
            with engine.begin() as connection:
                damage = store.damage(connection)
            fault = damage and f"Every row is as written, but the file is damaged: {damage}."
    return Verdict(fault is None, seq, prev, fault, given.erasures() if fault is None else ())


def _orders(connection: Connection) -> list[Order]:
    """None where they cannot be read: their rows are then found to be changed."""
    try:
        return orders(connection)
    except (TypeError, ValueError, LedgerError):
        return []


class _Given:
    """What the orders on a ledger allow. They are rows like all others, and checked as such."""

    def __init__(self, given: Sequence[Order]) -> None:
        self._given, self._gone = given, [0] * len(given)
        self._texts: dict[int, int] = {}
        self._left: dict[int, set[str]] = {}
        for number, order in enumerate(given):
            try:
                self._texts.update(dict.fromkeys((int(p) for p in order.texts if p < order.seq), number))
                for place, left in order.rows.items():
                    self._left.setdefault(place, set()).add(left if place < order.seq else "")
            except (KeyError, TypeError, ValueError, AttributeError):
                continue

    def text_may_be_gone(self, place: int) -> bool:
        """It is counted as gone by the last order that names it."""
        if place not in self._texts:
            return False
        self._gone[self._texts[place]] += 1
        return True

    def may_be_left(self, place: int, digest: str) -> bool:
        return digest in self._left.get(place, ())

    def erasures(self) -> tuple[Erasure, ...]:
        return tuple(order.erasure(gone) for order, gone in zip(self._given, self._gone, strict=True))


def _windows(engine: Engine) -> Iterator[tuple[dict[int, Entry], _Rows]]:
    """The entries and the rows of all tables by their place in the chain, a window at a time."""
    last: int | None = None
    while True:
        entries: dict[int, Entry] = {}
        rows: _Rows = {}
        with engine.begin() as connection:
            query = select(ENTRIES).order_by(ENTRIES.c.seq).limit(_WINDOW)
            if last is not None:
                query = query.where(ENTRIES.c.seq > last)
            for found in connection.execute(query):
                entries[found.seq] = Entry(*found)
            full = len(entries) == _WINDOW
            for table in tables(connection).values():
                here = select(table)
                if last is not None:
                    here = here.where(table.c.seq > last)
                if full:
                    here = here.where(table.c.seq <= max(entries))
                names = table.columns.keys()
                for values in connection.execute(here):
                    stored = dict(zip(names, values, strict=True))
                    rows.setdefault(stored["seq"], []).append((table, stored))
        yield entries, rows
        if not full:
            return
        last = max(entries)


def _name(table: Table, stored: Mapping[str, Any]) -> str:
    try:
        return _printable(f"{table.name} {row_key(table, stored)}")
    except (TypeError, ValueError):
        return f"{table.name} {[stored[name] for name in table.info['key']]!r}"


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _fault(
    place: int,
    before: int,
    prev: str,
    entry: Entry | None,
    rows: Sequence[tuple[Table, Mapping[str, Any]]],
    given: _Given,
) -> str | None:
    """What is wrong at one place of the chain, in one sentence; None if nothing is."""
    if entry is not None and place == before + 1 and len(rows) == 1 and _linked(entry, prev):
        (row,) = rows
        if row[0].name == entry.kind and _as_written(entry, *row, given):
            return None
    return _describe(place, before, prev, entry, rows)


def _describe(
    place: int,
    before: int,
    prev: str,
    entry: Entry | None,
    rows: Sequence[tuple[Table, Mapping[str, Any]]],
) -> str:
    if entry is None:
        return f"{_name(*rows[0])} is not in the chain: it was put in beside it, or its entry was removed."
    stands_for = _printable(f"{entry.kind} {entry.key}")
    shown = _name(*rows[0]) if len(rows) == 1 else stands_for
    if place > before + 1:
        return f"Entry {before + 1} and its row are missing, before {shown}."
    if place <= before or not _linked(entry, prev):
        return f"Entry {place} of {shown} does not fit the chain: it was changed, moved or replaced."
    own = [row for row in rows if row[0].name == entry.kind]
    others = [row for row in rows if row[0].name != entry.kind]
    if not own:
        return f"{stands_for} is missing: its row was deleted or moved."
    if others:
        return f"{_name(*others[0])} is not in the chain: it was put in beside it, or moved."
    return f"{stands_for} was changed after it was written."


def _linked(entry: Entry, prev: str) -> bool:
    try:
        link = entry_hash(prev, entry.seq, entry.kind, entry.key, entry.digest)
    except (TypeError, ValueError):
        return False
    return entry.prev == prev and entry.hash == link


def _as_written(entry: Entry, table: Table, stored: Mapping[str, Any], given: _Given) -> bool:
    """Whether a row is as it was written, or as an order left it."""
    try:
        found = row_digest(table, stored)
        if row_key(table, stored) != entry.key:
            return False
        if found != entry.digest:
            return table.name != "texts" and given.may_be_left(entry.seq, found)
        if table.name != "texts":
            return True
        if stored["text"] == ERASED:
            return given.text_may_be_gone(entry.seq)
        text = load_text(stored["text"])
        return bool(text_hash(text) == stored["hash"] and store_text(text) == stored["text"])
    except (TypeError, ValueError, AttributeError):
        return False


def _read_checkpoint(checkpoint: Mapping[str, Any]) -> tuple[int, str]:
    size, wanted = checkpoint.get("size"), checkpoint.get("head")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InputError("checkpoint: size must be a number of entries; export the checkpoint again.")
    for field in ("head", "ledger"):
        if not isinstance(checkpoint.get(field), str):
            raise InputError(f"checkpoint: {field} must be a string; export the checkpoint again.")
    return size, str(wanted)


def _against(
    theirs: str, ours: str, size: int, wanted: str | None, seq: int, found: str | None
) -> str | None:
    if theirs != ours:
        return f"The checkpoint is of another ledger ({theirs}, this one is {ours})."
    if seq < size:
        return f"The ledger ends at entry {seq} but the checkpoint names {size}: its tail was cut off."
    if found != wanted:
        return f"Entry {size} has another hash than the checkpoint: what came before was rewritten."
    return None
