"""The hash chain over all rows: what is hashed, and in which form. Pure.

An entry's hash covers the entry before it, so nothing before an entry can change without changing its
hash. The first one links to a constant made of the ledger's random id.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Table

from ponder.core import canonical_json, digest

__all__ = ["Entry", "entry_hash", "genesis", "next_entry", "row_digest", "row_key", "text_hash"]


class Entry(NamedTuple):
    """One link: the row it stands for (table and key), the row's digest, the hash before and its own."""

    seq: int
    kind: str
    key: str
    digest: str
    prev: str
    hash: str


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8 (lone surrogates passed through), in hex."""
    return _sha256(text)


def genesis(ledger_id: str) -> str:
    """What the first entry links to."""
    return _sha256(f"ponder ledger {ledger_id}")


def row_key(table: Table, stored: Mapping[str, Any]) -> str:
    """The row's key as canonical JSON, a list in the order of the table's key columns."""
    return canonical_json([stored[name] for name in table.info["key"]])


def row_digest(table: Table, stored: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of a row's stored columns, `seq` among them.

    Of a text only the hash counts: the text can be blanked one day without breaking the chain.
    Raises TypeError or ValueError for a value that no writer stores.
    """
    return digest({name: stored[name] for name in _digested(table)})


@functools.cache
def _digested(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if (table.name, column.name) != ("texts", "text"))


def entry_hash(prev: str, seq: int, kind: str, key: str, row: str) -> str:
    """SHA-256 of the previous hash followed by the canonical JSON of [seq, kind, key, row digest]."""
    return _sha256(prev + canonical_json([seq, kind, key, row]))


def next_entry(prev: str, table: Table, stored: Mapping[str, Any]) -> Entry:
    """The entry of a row whose `seq` is set."""
    seq, key, row = stored["seq"], row_key(table, stored), row_digest(table, stored)
    return Entry(seq, table.name, key, row, prev, entry_hash(prev, seq, table.name, key, row))
