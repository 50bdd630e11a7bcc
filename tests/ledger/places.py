"""The places a ledger may lie at, and what is done to them behind its back."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from ponder.ledger import Ledger
from ponder.ledger.schema import METADATA

Location = Path | str
RAW_ERRORS = (sqlite3.Error, psycopg.Error)
_TABLES = [table.name for table in METADATA.sorted_tables]


class Raw:
    """A connection that checks nothing. SQL has ? for values in both databases."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.postgres = not isinstance(connection, sqlite3.Connection)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> Any:
        if self.postgres:
            sql = sql.replace("char(1)", "chr(1)").replace("?", "%s")
        return self.connection.execute(sql, values or None) if self.postgres else self._sqlite(sql, values)

    def _sqlite(self, sql: str, values: Sequence[Any]) -> Any:
        return self.connection.execute(sql, values)

    def dicts(self, table: str) -> list[dict[str, Any]]:
        """All rows of a table, by column."""
        cursor = self.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]

    def shown(self, table: str) -> list[str]:
        """All rows of a table as they can be compared, whatever is in them."""
        if not self.postgres:
            self.connection.text_factory = bytes
        try:
            return sorted(map(repr, self.execute(f"SELECT * FROM {table}").fetchall()))
        finally:
            if not self.postgres:
                self.connection.text_factory = str


@contextmanager
def raw(location: Location) -> Iterator[Raw]:
    if isinstance(location, Path):
        with closing(sqlite3.connect(location, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            yield Raw(connection)
        return
    with session(location) as connection:
        connection.execute("SET session_replication_role = replica")  # no foreign key is looked at
        yield Raw(connection)


@contextmanager
def session(location: str, **options: Any) -> Iterator[psycopg.Connection[Any]]:
    """A session beside ponder's."""
    asked = make_url(location).set(drivername="postgresql+psycopg")
    asked_for = asked.get_dialect()().create_connect_args(asked)[1] | options
    with closing(psycopg.connect(**asked_for, autocommit=True)) as connection:
        yield connection


@contextmanager
def copied(location: Location) -> Iterator[Location]:
    """A copy that may be changed."""
    if isinstance(location, Path):
        with tempfile.TemporaryDirectory() as folder:
            yield Path(shutil.copy(location, folder))
        return
    with session(location) as connection:
        (source,) = connection.execute("SELECT current_schema()").fetchone() or ("",)
        copy = f"{source}_copy"
        place = location.replace(f"%3D{source}", f"%3D{copy}")
        if connection.execute("SELECT to_regnamespace(%s)", (copy,)).fetchone() == (None,):
            connection.execute(f"CREATE SCHEMA {copy}")
            Ledger.open(place, write=True).close()
        connection.execute("SET session_replication_role = replica")
        for name in _TABLES:
            connection.execute(
                f"DELETE FROM {copy}.{name}; INSERT INTO {copy}.{name} SELECT * FROM {source}.{name}"
            )
    yield place
