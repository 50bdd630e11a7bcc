"""Which database a ledger lies in, and all that the rest of this room asks of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from ponder.errors import LedgerError
from ponder.ledger.postgres import PostgresLedger
from ponder.ledger.sqlite import SqliteLedger

__all__ = ["Database", "Held", "locate", "shown", "translated"]


class Held(Protocol):
    """The writer's lock, held until `release` or the death of this process."""

    def release(self) -> None: ...


class Database(Protocol):
    """One place for a ledger. `name` is what messages call it, without a password."""

    name: str

    def exists(self) -> bool:
        """Whether there is a ledger. Raises LedgerError where that cannot be told."""

    def lock(self) -> Held:
        """Take the writer's lock before anything is written. Raises LedgerLocked, LedgerReadOnly,
        LedgerFull."""

    def engine(self, *, mode: Literal["write", "read", "inspect"]) -> Engine:
        """`write` asks for the lock; `read` and `inspect` cannot write, see one state for a transaction, and
        `inspect` fetches whatever is in the rows."""

    def damage(self, connection: Connection) -> str | None:
        """What is wrong with the database beneath the rows, if anything that it can tell."""

    def emptied(self, connection: Connection) -> bool:
        """Whether the writer keeps no copy of what its transactions erased. Where it does a reader is in the
        way: ask again later. Raises LedgerError."""

    def sweep(self) -> None:
        """Let go of what rows held before they were erased."""

    def translate(self, error: DBAPIError) -> LedgerError:
        """The LedgerError that says what a database's error means and what helps."""


@contextmanager
def translated(store: Database) -> Iterator[None]:
    """Turn the database's errors into LedgerErrors."""
    try:
        yield
    except DBAPIError as error:
        raise store.translate(error) from error


def locate(location: str | os.PathLike[str]) -> Database:
    """The place of a ledger: a file's path, `sqlite:///path` or `postgresql://user@host/database`.

    Nothing is opened. Raises LedgerError for any other URL, without the password that it may hold.
    """
    name = os.fspath(location)
    if "://" not in name:
        try:
            return SqliteLedger(Path(name).expanduser())
        except RuntimeError:
            why = f"The ledger {name!r} is in the folder of no user here"
            raise LedgerError(f"{why}; give a full path.") from None
    remedy = "give a path, sqlite:///path or postgresql://USER@HOST/DATABASE."
    kind = name.partition("://")[0]
    try:
        url = make_url(name)
    except (ArgumentError, ValueError):
        raise LedgerError(f"The ledger's URL {kind}://... cannot be read; {remedy}") from None
    if url.get_backend_name() in ("postgresql", "postgres"):
        return PostgresLedger(url)
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        raise LedgerError(f"The ledger's URL {kind}://... is of no file and no PostgreSQL; {remedy}")
    return SqliteLedger(Path(url.database))


def shown(location: str) -> str:
    """A location as it may be printed: of a URL neither password nor options."""
    return locate(location).name if "://" in location else location
