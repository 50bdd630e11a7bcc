"""Samples on disk between their files and the ledger, so that memory holds one problem at a time.

Files have samples in the order in which they ended, and a bank needs them by problem. They are sorted in a
private database without a name, which the operating system removes however the process ends.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from ponder.bank.foreign import Asked, Foreign, Tokens
from ponder.core import canonical_json
from ponder.errors import InputError

__all__ = ["Part", "Problems", "Spool"]

_TABLES = (
    "CREATE TABLE samples (part INTEGER, length INTEGER, id BLOB, source INTEGER, epoch INTEGER, body TEXT)",
    "CREATE TABLE uids (uid BLOB PRIMARY KEY) WITHOUT ROWID",
)
_ORDER = "CREATE INDEX by_problem ON samples (part, length, id, source, epoch)"
_NO_NUMBER = 1 << 30
_FIELDS = tuple(field.name for field in fields(Foreign))


@dataclass(frozen=True, slots=True)
class Part:
    """One way of sampling of one model on one task; `settings` as canonical JSON."""

    model: str | None
    task: str
    settings: str


class Spool:
    """Samples of several files, told apart by the files' places. Add all, then `sort`, then read `problems`.

    Raises InputError where the folder of temporary files has no room for them.
    """

    def __init__(self) -> None:
        self._parts: dict[Part, int] = {}
        self._sources: dict[str | None, set[int]] = {}
        with _room():
            self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            # Nobody reads it after a crash, so nothing is written twice or waited for.
            for setting in ("PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF", *_TABLES, "BEGIN"):
                self._file.execute(setting)

    def add(self, source: int, sample: Foreign) -> bool:
        """Keep a sample of the file at this place; False for one that another log has too."""
        with _room():
            if sample.uid is not None and not self._is_new(sample.uid):
                return False
            part = Part(sample.model, sample.asked.task, canonical_json(dict(sample.settings)))
            number = self._parts.setdefault(part, len(self._parts))
            self._sources.setdefault(sample.model, set()).add(source)
            row = (number, *_place(sample.asked.id), source, sample.epoch, _packed(sample))
            self._file.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?)", row)
        return True

    def sort(self) -> None:
        """Put the samples in order, once all are there."""
        with _room():
            self._file.execute(_ORDER)
            self._file.execute("COMMIT")

    @property
    def models(self) -> Sequence[str | None]:
        """In the order in which they came."""
        return tuple(self._sources)

    def sources(self, model: str | None) -> set[int]:
        """The places of the files that have samples of this model."""
        return self._sources[model]

    def parts(self, model: str | None) -> list[Part]:
        """By task, and then by settings."""
        own = [part for part in self._parts if part.model == model]
        return sorted(own, key=lambda part: (part.task, part.settings))

    def problems(self, part: Part, task: str) -> Problems:
        """Those of a part under the task's name on the ledger."""
        return Problems(self._file, self._parts[part], task, json.loads(part.settings))

    def _is_new(self, uid: str) -> bool:
        return self._file.execute("INSERT OR IGNORE INTO uids VALUES (?)", (_bytes(uid),)).rowcount == 1


class Problems(Mapping[str, Sequence[Foreign]]):
    """A part's samples by the question's id, in the order of ids and of draws; read when asked for."""

    def __init__(self, file: sqlite3.Connection, part: int, task: str, settings: Mapping[str, Any]) -> None:
        self._file, self._part, self._task, self._settings = file, part, task, settings

    def __iter__(self) -> Iterator[str]:
        query = "SELECT DISTINCT length, id FROM samples WHERE part = ? ORDER BY length, id"
        for _, identity in self._file.execute(query, (self._part,)):
            yield identity.decode("utf-8", "surrogatepass")

    def __len__(self) -> int:
        query = "SELECT count(*) FROM (SELECT DISTINCT length, id FROM samples WHERE part = ?)"
        count: int = self._file.execute(query, (self._part,)).fetchone()[0]
        return count

    def __getitem__(self, identity: str) -> Sequence[Foreign]:
        found = self._read(identity, "")
        if not found:
            raise KeyError(identity)
        return found

    def asked(self, identity: str) -> Asked:
        """The question of this id, as its first sample has it."""
        return self._read(identity, " LIMIT 1")[0].asked

    def _read(self, identity: str, limit: str) -> list[Foreign]:
        query = (
            "SELECT body FROM samples WHERE part = ? AND length = ? AND id = ? ORDER BY source, epoch, rowid"
        )
        rows = self._file.execute(query + limit, (self._part, *_place(identity)))
        return [_unpacked(body, self._task, self._settings) for (body,) in rows]


def _place(identity: str) -> tuple[int, bytes]:
    """Numbers as numbers: shorter ones first."""
    return len(identity) if identity.isdecimal() else _NO_NUMBER, _bytes(identity)


def _bytes(text: str) -> bytes:
    """In the order of the characters, with those that no UTF-8 text has."""
    return text.encode("utf-8", "surrogatepass")


def _values(row: Asked | Tokens) -> list[Any]:
    return [getattr(row, field.name) for field in fields(row)]


def _packed(sample: Foreign) -> str:
    """As JSON, without the settings: they are the part's."""
    packed = {
        "asked": _values(sample.asked),
        "tokens": _values(sample.tokens),
        "judges": {name: _values(tokens) for name, tokens in sample.judges.items()},
        "settings": None,
    }
    return json.dumps({name: getattr(sample, name) for name in _FIELDS} | packed)


def _unpacked(body: str, task: str, settings: Mapping[str, Any]) -> Foreign:
    packed = json.loads(body)
    _, identity, text, key, options = packed["asked"]
    read = {
        "asked": Asked(task, identity, text, key, tuple(options)),
        "tokens": Tokens(*packed["tokens"]),
        "judges": {name: Tokens(*tokens) for name, tokens in packed["judges"].items()},
        "settings": settings,
    }
    return Foreign(**packed | read)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise InputError(
            f"files: their samples could not be sorted in the folder of temporary files ({error}); name one "
            "with more room in TMPDIR."
        ) from None
