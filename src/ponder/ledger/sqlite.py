"""Everything that is particular to SQLite: connections, the writer's lock, and what its errors mean.

Why a write-ahead log, and one writer: docs/design/ledger.md.
"""

from __future__ import annotations

import errno
import os
import secrets
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from ponder.errors import (
    LedgerCorrupt,
    LedgerError,
    LedgerFull,
    LedgerLocked,
    LedgerReadOnly,
)

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["Lock", "SqliteLedger"]

_READER_WAIT_SECONDS = 30.0
# A writer that gives up poisons the ledger, so it outwaits any reader's short transaction by far.
_WRITER_WAIT_SECONDS = 300.0
# A writer that ends leaves the log to the readers that are there rather than wait for them.
_REST_WAIT_SECONDS = 1.0
_LOG_BYTES = 4 << 20
_MARK = secrets.token_hex(8)


class Lock:
    """An exclusive lock on a file, held by this process until `release` or its death."""

    def __init__(self, path: Path, ledger: str) -> None:
        """Raises LedgerLocked when another holder has it, OSError when the file cannot be opened."""
        self._holder = os.getpid()
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(self._file)
        except (BlockingIOError, PermissionError) as error:
            os.lseek(self._file, 0, os.SEEK_SET)
            holder = os.read(self._file, 64).decode("ascii", "replace").strip()
            self._close()
            raise LedgerLocked(_taken(ledger, holder)) from error
        except OSError:
            self._close()
            raise
        self._note(f"{_whoami()}\n")

    def _note(self, text: str) -> None:
        # Only a courtesy to whoever is refused: a full disk must not get in the way of the lock.
        try:
            assert self._file is not None
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, text.encode("ascii"))
        except OSError:
            return

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def release(self) -> None:
        """Let go. The file stays: removing it would let two writers lock two different files. A forked child
        has the file open too: it neither keeps the lock from being let go of nor lets go of it."""
        if self._file is not None and self._holder == os.getpid():
            self._note("")
            _unlock(self._file)
        self._close()


def _whoami() -> str:
    """Containers that share a folder may have processes of one number."""
    return f"{os.getpid()} {_MARK}"


def _taken(ledger: str, holder: str) -> str:
    number = holder.partition(" ")[0]
    if holder == _whoami():
        return (
            f"The ledger {ledger} is being written by this very process ({number}): "
            "close the one that is open, or use another ledger file."
        )
    who = f"process {number}" if number.isdigit() else "another process"
    return f"The ledger {ledger} is being written by {who}: wait until it ends, or use another ledger file."


if sys.platform == "win32":

    def _lock(file: int) -> None:
        os.lseek(file, 1 << 20, os.SEEK_SET)  # far behind the pid, which stays readable
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)

    def _unlock(file: int) -> None:
        os.lseek(file, 1 << 20, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)


class SqliteLedger:
    """A ledger in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.name = str(path)

    def exists(self) -> bool:
        """Whether there is a file at this place."""
        return self.path.exists()

    def lock(self) -> Lock:
        """Make the folder and take the writer's lock. Raises LedgerLocked, LedgerReadOnly, LedgerFull."""
        if self.path.is_dir():
            raise LedgerError(f"The ledger {self.name} is a folder: give the path of a file.")
        beside = self.path.with_name(self.path.name + ".lock")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not os.access(self.path, os.W_OK):
                raise PermissionError
            return Lock(beside, self.name)
        except (PermissionError, NotADirectoryError, FileExistsError) as error:
            raise self._read_only() from error
        except OSError as error:
            raise self._from_os(error) from error

    def _from_os(self, error: OSError) -> LedgerError:
        if error.errno == errno.EROFS:
            return self._read_only()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return self._full()
        return LedgerError(f"The ledger {self.name} cannot be opened ({error.strerror}): check its path.")

    def engine(self, *, mode: Literal["write", "read", "inspect"]) -> Engine:
        """`read` cannot write; `inspect` can also fetch text that is not UTF-8. Transactions are explicit."""
        if mode != "write":
            self._require()
        pool = StaticPool if mode == "write" else NullPool
        engine = create_engine("sqlite://", creator=lambda: self._connect(mode), poolclass=pool)
        begin = "BEGIN IMMEDIATE" if mode == "write" else "BEGIN"
        if mode == "write":
            event.listen(engine, "close", _lay_to_rest)

        @event.listens_for(engine, "begin")
        def _begin(connection: Connection) -> None:
            connection.exec_driver_sql(begin)

        return engine

    def _require(self) -> None:
        if self.path.is_dir():
            raise LedgerError(f"The ledger {self.name} is a folder: give the path of a file.")
        try:
            size = self.path.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            size = 0
        except OSError as error:
            raise self._from_os(error) from error
        if size and not os.access(self.path, os.R_OK):
            raise LedgerError(f"The ledger {self.name} cannot be read: change its permissions.")
        if not size:
            raise LedgerError(f"There is no ledger at {self.name}: a run writes one, or give another path.")

    def _connect(self, mode: str) -> sqlite3.Connection:
        # Readers open the file for writing too, so that the first one after a crash can roll an
        # unfinished transaction back; `query_only` then keeps them from writing anything.
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode={'rwc' if mode == 'write' else 'rw'}",
            uri=True,
            timeout=_WRITER_WAIT_SECONDS if mode == "write" else _READER_WAIT_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if mode == "write":
                connection.execute("PRAGMA foreign_keys = ON")
                connection.execute("PRAGMA synchronous = FULL")
                # What is taken out leaves no copy in the file.
                connection.execute("PRAGMA secure_delete = ON")
                self._keep_log(connection)
            else:
                connection.execute("PRAGMA query_only = ON")
            if mode == "inspect":
                connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep_log(self, connection: sqlite3.Connection) -> None:
        """Commit by a write-ahead log; by a rollback journal where the file's place has no shared memory."""
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            return
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        # What an older ponder left: pages as they were, which no erasure would reach.
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)

    def damage(self, connection: Connection) -> str | None:
        """What SQLite's own check finds wrong with the file's structure, if anything."""
        found = connection.execute(text("PRAGMA integrity_check(1)")).scalar_one()
        return None if found == "ok" else str(found)

    def emptied(self, connection: Connection) -> bool:
        """By `secure_delete` what is erased is overwritten in the file. The log, which has what pages were
        before, is emptied here, unless a reader still reads them."""
        driver: Any = connection.connection.driver_connection
        try:
            _patience(driver, 0)
            (busy, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise self.translate(DBAPIError(None, None, error)) from error
        finally:
            _patience(driver, _WRITER_WAIT_SECONDS)
        return not busy

    def sweep(self) -> None:
        """Nothing is left to do."""

    def translate(self, error: DBAPIError) -> LedgerError:
        """The LedgerError that says what a database error means and what helps."""
        original: Any = error.orig
        code = (getattr(original, "sqlite_errorcode", None) or 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
            return self._full(str(original))
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            return self._read_only()
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return LedgerLocked(f"The ledger {self.name} stayed busy for too long: end its other users.")
        return LedgerCorrupt(
            f"The ledger {self.name} is not a readable ledger ({original}): restore it from a copy, "
            "or use another file."
        )

    def _full(self, detail: str = "no space left") -> LedgerFull:
        return LedgerFull(
            f"The ledger {self.name} could not be written ({detail}): free some disk space and start again; "
            "everything acknowledged before is kept."
        )

    def _read_only(self) -> LedgerReadOnly:
        return LedgerReadOnly(
            f"The ledger {self.name} cannot be written: make the file and its folder writable, "
            "or use another path."
        )


def _lay_to_rest(connection: Any, _: object) -> None:
    """Make the ledger one file again, which can be read in a folder that nobody may write to. Where a reader
    is in the way the log stays: whoever closes the ledger last empties it."""
    with suppress(sqlite3.Error):
        _patience(connection, _REST_WAIT_SECONDS)
        connection.execute("PRAGMA journal_mode = DELETE")


def _patience(connection: Any, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {seconds * 1000:.0f}")
