"""Everything that is particular to PostgreSQL: sessions, the writer's lock, and what its errors mean.

The lock is an advisory one of the very session that writes: a writer that lost its lock has lost its
connection too, and can write nothing beside the next one. Why so: docs/design/ledger.md.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, cast

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from ponder.errors import (
    LedgerCorrupt,
    LedgerError,
    LedgerFull,
    LedgerLocked,
    LedgerReadOnly,
    MissingExtra,
)
from ponder.ledger.schema import META, METADATA, TYPED

if TYPE_CHECKING:
    import psycopg

__all__ = ["PostgresLedger"]

_DIALECT = "postgresql+psycopg://"
# Advisory locks of ponder: this in the upper half of the key, the schema's oid in the lower one.
_LOCKS = 0x706F6E64
# A session whose client was killed is seen to be dead only once its last statement ends.
_LOCK_WAIT = "3s"
_OLDEST = 120000  # PostgreSQL 12: the first that writes doubles so that they come back exactly
_SHOWN_CHARACTERS = 200
_NAME_CHARACTERS = 63  # of an application's name, by the server

_CONNECTING: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
# The server's side of the keepalives frees the lock of a client whose machine is gone. Limits on time would
# end a writer that is idle or waits, and poison the ledger.
_SESSION = {
    "client_min_messages": "warning",
    "extra_float_digits": "3",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "lock_timeout": "0",
    "statement_timeout": "0",
    "tcp_keepalives_count": "3",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "transaction_timeout": "0",
}
_SET = (
    "SELECT set_config(name, v.value, false) "
    "FROM unnest(%s::text[], %s::text[]) AS v (name, value) JOIN pg_settings USING (name)"
)
_FACTS = """
SELECT n.oid, getdatabaseencoding(), current_setting('transaction_read_only'), current_user,
       CASE WHEN to_regclass('entries') IS NULL THEN has_schema_privilege(n.oid, 'CREATE')
            ELSE has_table_privilege(to_regclass('entries'), 'INSERT') END
FROM pg_namespace n WHERE n.nspname = current_schema()
"""
_HOLDER = """
SELECT a.pid, a.application_name FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.classid = %s::bigint::oid AND l.objid = %s::bigint::oid
"""
_AMCHECK = """
SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'amcheck'
  AND has_function_privilege(to_regprocedure(format('%I.bt_index_check(regclass)', n.nspname)), 'EXECUTE')
"""
_OUR_INDEXES = """
FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
WHERE t.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
  AND t.relname = ANY(:tables)
"""
# What libpq says of a session that it did not get has no code. Some of its words, and what helps then.
_REMEDIES = {
    "password": "check the user, and the password in PGPASSWORD, in a pgpass file or in the URL",
    "no pg_hba.conf entry": "let the server's pg_hba.conf admit this user from here",
    "role ": "make the user with `createuser`, or name another",
    "database ": "make it with `createdb`, or name another",
    "the database system is": "wait until the server is ready, and start again",
    "too many ": "end other sessions, or raise the server's max_connections",
    "connection slots": "end other sessions, or raise the server's max_connections",
    "connection option": "take it out of the URL",
}
_LOST = ("08", "57P")
_BUSY = ("40001", "40P01", "55P03", "57014")


class PostgresLedger:
    """A ledger in the first schema on the search path of a PostgreSQL database."""

    def __init__(self, url: URL) -> None:
        """Raises LedgerError for a URL without a database, or with a password where it would be shown."""
        port = "" if url.port is None else f":{url.port}"
        host = f"[{url.host}]" if ":" in (url.host or "") else url.host or ""
        user = "" if url.username is None else f"{url.username}@"
        if "@" in host:
            raise LedgerError(
                "The ledger's URL has an @ in its password: write it as %40, or use PGPASSWORD."
            )
        if {"password", "sslpassword"} & {name.lower() for name in url.query}:
            raise LedgerError("The ledger's URL has a password among its options: use PGPASSWORD instead.")
        self.name = f"postgresql://{user}{host}{port}/{url.database or ''}"
        if not url.database and "service" not in url.query:
            raise LedgerError(f"The ledger {self.name} names no database: write it behind the host and a /.")
        self._url = url.set(drivername=_DIALECT.removesuffix("://"))
        self._writer: psycopg.Connection[Any] | None = None

    # ---------------------------------------------------------------- sessions

    def exists(self) -> bool:
        """Whether a ledger is in the schema. Raises LedgerError where nothing answers."""
        with self._session("reader") as session:
            found = session.execute("SELECT to_regclass(%s) IS NOT NULL", (META.name,)).fetchone()
        return found == (True,)

    def lock(self) -> _Held:
        """Take the writer's lock. Raises LedgerLocked that names its holder, LedgerReadOnly, LedgerError."""
        session = self._connect("writer", {"synchronous_commit": "on"})
        try:
            self._take(session, self._schema(session))
            session.autocommit = False
        except BaseException as error:
            session.close()
            if isinstance(error, _driver().Error):
                raise self._told(error) from error
            raise
        self._writer = session
        return _Held(session)

    def _schema(self, session: psycopg.Connection[Any]) -> int:
        """The oid of the schema, where a writer can do its work."""
        facts = session.execute(_FACTS).fetchone()
        if facts is None:
            why = "has no schema on its search path"
            raise LedgerError(
                f"The ledger {self.name} {why}: create one, or name another in the URL's options."
            )
        oid, encoding, read_only, user, may_write = facts
        if read_only == "on":
            raise self._read_only("the server is a standby, or its sessions are read-only")
        if not may_write:
            raise self._read_only(f"the role {user} may not")
        if encoding != "UTF8":
            raise LedgerError(
                f"The ledger {self.name} is in a database with the encoding {encoding}: "
                "make one with `createdb --encoding UTF8 --template template0`."
            )
        return int(oid)

    def _take(self, session: psycopg.Connection[Any], schema: int) -> None:
        session.execute("SELECT set_config('lock_timeout', %s, false)", (_LOCK_WAIT,))
        try:
            session.execute("SELECT pg_advisory_lock(%s::bigint)", (_LOCKS << 32 | schema,))
        except _driver().errors.LockNotAvailable as error:
            holder = session.execute(_HOLDER, (_LOCKS, schema)).fetchone()
            raise LedgerLocked(self._taken(holder)) from error
        session.execute("SELECT set_config('lock_timeout', '0', false)")

    def _taken(self, holder: Sequence[Any] | None) -> str:
        who, what = "another process", "wait until it ends"
        if holder is not None:
            who = f'"{holder[1]}" (server process {holder[0]})'
            if holder[1] == _session_name("writer")[:_NAME_CHARACTERS]:
                who, what = f"this very process, {who}", "close the one that is open"
        return f"The ledger {self.name} is being written by {who}: {what}, or use another ledger."

    def engine(self, *, mode: Literal["write", "read", "inspect"]) -> Engine:
        """`write` is the one session that has the lock; the others are read-only. Transactions are explicit,
        and a reader's sees one state of the ledger."""
        _driver()
        if mode == "write":
            return create_engine(
                _DIALECT, creator=self._writing, poolclass=StaticPool, use_native_hstore=False
            )
        # As many sessions as there are threads that read at once; few of them stay.
        return create_engine(
            _DIALECT,
            creator=self._reading,
            pool_size=4,
            max_overflow=-1,
            pool_pre_ping=True,
            use_native_hstore=False,
        )

    def _writing(self) -> psycopg.Connection[Any]:
        if self._writer is None or self._writer.closed:
            raise self._lost("the session that held the writer's lock is over")
        return self._writer

    def _reading(self) -> psycopg.Connection[Any]:
        session = self._connect("reader")
        session.isolation_level = _driver().IsolationLevel.REPEATABLE_READ
        session.read_only = True
        session.autocommit = False
        return session

    @contextmanager
    def _session(self, use: str) -> Iterator[psycopg.Connection[Any]]:
        """A session of single statements for a short while."""
        session = self._connect(use)
        try:
            yield session
        except _driver().Error as error:
            raise self._told(error) from error
        finally:
            session.close()

    def _connect(
        self, use: str, settings: Mapping[str, str] = MappingProxyType({})
    ) -> psycopg.Connection[Any]:
        driver = _driver()
        asked = self._url.get_dialect()().create_connect_args(self._url)[1]
        named = {"application_name": _session_name(use)}
        try:
            session = driver.connect(
                **{**_CONNECTING, **named, **asked}, client_encoding="utf8", autocommit=True
            )
        except (driver.Error, TypeError, ValueError) as error:
            raise self._unreachable(error) from error
        try:
            wanted = {**_SESSION, **settings}
            session.execute(_SET, (list(wanted), list(wanted.values())))
            if session.info.server_version < _OLDEST:
                raise LedgerError(f"The ledger {self.name} needs PostgreSQL 12 or later: upgrade the server.")
        except BaseException as error:
            session.close()
            raise self._told(error) if isinstance(error, driver.Error) else error from error
        return cast("psycopg.Connection[Any]", session)

    # ---------------------------------------------------------------- checks

    def damage(self, connection: Connection) -> str | None:
        """What the server can tell: pages with wrong checksums, keys that are gone, broken indexes (where
        the extension amcheck is there)."""
        return _wrong_pages(connection) or _lost_keys(connection) or _broken_index(connection)

    def emptied(self, connection: Connection) -> bool:
        """It keeps nothing: `sweep` does what there is to do."""
        return True

    def sweep(self) -> None:
        """Vacuum, so that no version of an erased row stays behind in its table."""
        with self._session("sweeper") as session:
            session.execute(f"VACUUM {', '.join(TYPED)}".encode())

    # ---------------------------------------------------------------- errors

    def translate(self, error: DBAPIError) -> LedgerError:
        """The LedgerError that says what a database error means and what helps."""
        return self._told(error.orig)

    def _told(self, error: BaseException | None) -> LedgerError:
        code, words = getattr(error, "sqlstate", None) or "", _words(error)
        driver = _driver()
        if code in ("53100", "58030"):
            return LedgerFull(
                f"The ledger {self.name} could not be written ({words}): free some disk space on the server "
                "and start again; everything acknowledged before is kept."
            )
        if code in ("25006", "42501"):
            return self._read_only(words)
        if code in _BUSY:
            return LedgerLocked(f"The ledger {self.name} stayed busy for too long ({words}): try again.")
        if code == "54000":
            return LedgerError(
                f"The ledger {self.name} cannot hold so long a name ({words}): "
                "give the run and its problems shorter ones."
            )
        if code.startswith(_LOST) or (
            not code and isinstance(error, driver.OperationalError | driver.InterfaceError)
        ):
            return self._lost(words)
        return LedgerCorrupt(
            f"The ledger {self.name} is not a readable ledger ({words}): restore it from a copy, "
            "or use another one."
        )

    def _lost(self, words: str) -> LedgerError:
        return LedgerError(
            f"The ledger {self.name} lost its connection ({words}): start again once the server answers; "
            "everything acknowledged before is kept."
        )

    def _unreachable(self, error: BaseException) -> LedgerError:
        words = _words(error)
        found = (remedy for part, remedy in _REMEDIES.items() if part in words)
        remedy = next(found, "start the server, or correct its host and port")
        return LedgerError(f"The ledger {self.name} cannot be reached ({words}): {remedy}.")

    def _read_only(self, words: str) -> LedgerReadOnly:
        return LedgerReadOnly(
            f"The ledger {self.name} cannot be written ({words}): use the primary server and a role that "
            "owns the schema, or use another ledger."
        )


class _Held:
    """The session that has the lock, and with it the lock."""

    def __init__(self, session: psycopg.Connection[Any]) -> None:
        self._session = session

    def release(self) -> None:
        self._session.close()


def _session_name(use: str) -> str:
    return f"ponder {use} {os.getpid()} on {socket.gethostname()}"


def _driver() -> ModuleType:
    """psycopg 3. Raises MissingExtra."""
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("A ledger on PostgreSQL", "postgres") from None
    return psycopg


def _words(error: BaseException | None) -> str:
    """The gist of an error in one line: what the server said, without its address and its grade."""
    said = getattr(getattr(error, "diag", None), "message_primary", None) or str(error)
    line = next((line.strip() for line in said.splitlines() if line.strip()), "no reason given")
    for before in ("connection failed: ", "consuming input failed: ", "FATAL:  "):
        line = line.rpartition(before)[2]
    if line.startswith("connection to server") and " failed: " in line:
        line = line.partition(" failed: ")[2]
    return line.removeprefix("FATAL:").strip().rstrip(".:")[:_SHOWN_CHARACTERS]


# ---------------------------------------------------------------- what lies beneath the rows


def _wrong_pages(connection: Connection) -> str | None:
    """None too where the server computes no checksums."""
    counted = "SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database()"
    failures = connection.execute(text(counted)).scalar_one_or_none()
    told = f"wrong checksums of pages in this database, by the server's count since it was reset: {failures}"
    return told if failures else None


def _lost_keys(connection: Connection) -> str | None:
    found = inspect(connection)
    there = set(found.get_table_names())
    unique, foreign = found.get_multi_unique_constraints(), found.get_multi_foreign_keys()
    for table in METADATA.sorted_tables:
        if table.name not in there:
            continue
        has = {tuple(each["column_names"]) for each in unique[None, table.name]}
        has |= {tuple(each["constrained_columns"]) for each in foreign[None, table.name]}
        wanted = [table.info["key"]] if "key" in table.info else []
        wanted += [tuple(each.column_keys) for each in table.foreign_key_constraints]
        for columns in wanted:
            if columns not in has:
                return f"the table {table.name} lost a constraint on {', '.join(columns)}"
    return None


def _broken_index(connection: Connection) -> str | None:
    ours = {"tables": [table.name for table in METADATA.sorted_tables]}
    invalid = connection.scalars(
        text(f"SELECT c.relname {_OUR_INDEXES} AND NOT (i.indisvalid AND i.indisready)"), ours
    ).first()
    if invalid is not None:
        return f"the index {invalid} is not valid"
    schema = connection.execute(text(_AMCHECK)).scalar_one_or_none()
    if schema is None:
        return None
    try:
        connection.execute(text(f"SELECT {schema}.bt_index_check(c.oid) {_OUR_INDEXES}"), ours)
    except DBAPIError as error:
        if (getattr(error.orig, "sqlstate", None) or "").startswith("XX"):
            return _words(error.orig)
        raise
    return None
