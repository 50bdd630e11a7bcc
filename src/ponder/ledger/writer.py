"""The one writer of a ledger: a thread that owns the write connection and commits in groups.

Whoever appends gets a future that is resolved once the rows are on the disk. What waits while one
transaction is being synced goes into the next one together, so many small writers share each sync.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection, Engine, Table, bindparam, func, insert, select, update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from ponder.errors import LedgerCorrupt, LedgerError, LedgerFull, LedgerLocked
from ponder.ledger.chain import entry_hash, genesis, next_entry
from ponder.ledger.database import Database, translated
from ponder.ledger.rows import ERASED, Row, Stored, store_row
from ponder.ledger.schema import ENTRIES, META, TYPED

__all__ = ["Writer"]

_GROUP_ROWS = 20_000
_LOOKUP = 500  # values in one IN (...)
_AGAIN_SECONDS = 1.0  # after a write that the disk had no room for, or a reader that was in the way
_TEXTS = TYPED["texts"]
_Words = tuple[str, Sequence[str] | None]  # a statement, and the order of its values


@dataclass(slots=True)
class _Batch:
    """Rows that are written together. `work` is done first in their transaction, and may add to them."""

    rows: list[tuple[Table, dict[str, Stored]]]
    work: Callable[[Connection], Sequence[Row]] | None = None
    done: Future[None] = field(default_factory=Future)


class _Driver:
    """The statements of every write, in the words of the database's driver: what SQLAlchemy does for each of
    them anew takes longer than the database needs for the rows. Errors are SQLAlchemy's."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._dialect = connection, connection.dialect
        self._inserts = {table.name: self._compiled(insert(table)) for table in (*TYPED.values(), ENTRIES)}
        self._selects: dict[int, _Words] = {}

    def _compiled(self, statement: ClauseElement) -> _Words:
        compiled = statement.compile(dialect=self._dialect)
        assert isinstance(compiled, SQLCompiler)
        return str(compiled), compiled.positiontup

    def insert(self, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            words, order = self._inserts[table]
            with self._cursor() as cursor:
                cursor.executemany(words, [_placed(row, order) for row in rows])

    def known_texts(self, hashes: Sequence[Stored]) -> Iterable[tuple[str, bool]]:
        """Those that are there, and whether with the text or with the hash alone."""
        words, order = self._selects.get(len(hashes)) or self._select(len(hashes))
        named = {"erased": ERASED, **{f"hash_{place}": value for place, value in enumerate(hashes)}}
        with self._cursor() as cursor:
            cursor.execute(words, _placed(named, order))
            return [(found, bool(whole)) for found, whole in cursor.fetchall()]

    def _select(self, count: int) -> _Words:
        wanted = _TEXTS.c.hash.in_([bindparam(f"hash_{place}") for place in range(count)])
        words = self._compiled(select(_TEXTS.c.hash, _TEXTS.c.text != bindparam("erased")).where(wanted))
        return self._selects.setdefault(count, words)

    @contextmanager
    def _cursor(self) -> Iterator[DBAPICursor]:
        assert self._dialect.dbapi is not None
        raised = self._dialect.dbapi.Error
        cursor = self._connection.connection.cursor()
        try:
            yield cursor
        except raised as error:
            raise DBAPIError.instance(None, None, error, raised, dialect=self._dialect) from error
        finally:
            cursor.close()


def _placed(values: Mapping[str, Any], order: Sequence[str] | None) -> Any:
    """As the driver takes them: by place where it knows no names."""
    return values if order is None else [values[name] for name in order]


class Writer:
    """Appends rows to an open ledger. Thread-safe; `close` writes what is still queued."""

    def __init__(self, store: Database, engine: Engine) -> None:
        """Raises LedgerCorrupt when the chain's last entry does not fit."""
        self._store = store
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._failure: LedgerError | None = None
        self._full: Callable[[bool], object] | None = None
        self._ending = threading.Event()
        self._lingering: list[_Batch] = []
        with translated(store):
            self._connection = engine.connect()
            try:
                with self._connection.begin():
                    self._seq, self._head = self._aim = _tail(self._connection, store.name)
            except BaseException:
                self._connection.close()
                raise
        self._driver = _Driver(self._connection)
        # A daemon, so that a ledger which nobody closed does not keep the process alive.
        self._thread = threading.Thread(target=self._run, name="ponder-ledger", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> LedgerError | None:
        """What a write failed of; every later one fails of it too."""
        return self._failure

    def append(
        self, rows: Sequence[Row], work: Callable[[Connection], Sequence[Row]] | None = None
    ) -> Future[None]:
        """Queue rows that become durable together, or not at all; the future tells when. `work` changes the
        database in the same transaction, and gives rows that follow from it.

        A row that is there already, equal in every column, is left as it is. The future's LedgerError
        says that the rows contradict what is recorded (the ledger stays usable), or that the write
        failed (every later one fails too, until the ledger is opened again).
        Raises LedgerError at once for a value that cannot be stored, or after `close`.
        """
        batch = _Batch(_stored(rows), work)
        # Running from the start: nobody who stops waiting can take back what was handed over.
        batch.done.set_running_or_notify_cancel()
        with self._gate:
            if self._closed:
                raise LedgerError(f"The ledger {self._store.name} is closed: open it again to write.")
            self._queue.put(batch)
        return batch.done

    def wait_for_room(self, full: Callable[[bool], object]) -> None:
        """From now on let writes wait while the disk is full, in place of failing, until there is room again
        or `stop_waiting`. `full` is told, in the writer's thread, when this begins and when it ends."""
        self._full = full

    def stop_waiting(self) -> None:
        """Let writes fail again that find the disk full, those too that wait now."""
        self._ending.set()

    def close(self) -> None:
        """Write what is queued, waiting for no room, then end the thread and its connection."""
        self.stop_waiting()
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()
        self._connection.close()

    def _next(self) -> _Batch | None:
        while self._lingering:
            self._forget()
            with suppress(Empty):
                return self._queue.get(timeout=_AGAIN_SECONDS)
        return self._queue.get()

    def _run(self) -> None:
        while (first := self._next()) is not None:
            group, rows, ended = [first], len(first.rows), False
            while rows < _GROUP_ROWS and not ended:
                try:
                    waiting = self._queue.get_nowait()
                except Empty:
                    break
                if waiting is None:
                    ended = True
                else:
                    group.append(waiting)
                    rows += len(waiting.rows)
            self._commit(group)
            if ended:
                break
        if self._lingering:
            self._forget()
            self._linger_no_more(
                LedgerLocked(
                    f"The texts are erased from the ledger {self._store.name}, but its log has them until a "
                    "reader ends that is at work: end it."
                )
            )

    def _commit(self, group: list[_Batch]) -> None:
        """Write the batches and resolve every one of their futures."""
        try:
            if self._failure is not None:
                raise self._failure
            self._write(group)
        except Exception as error:
            self._failure = self._poison(error)
            for batch in group:
                if not batch.done.done():
                    batch.done.set_exception(type(self._failure)(*self._failure.args))

    def _write(self, group: list[_Batch]) -> None:
        try:
            self._in_room(group)
        except IntegrityError as error:
            self._sort_out(group, error)
        else:
            for batch in group:
                if batch.work is None:
                    batch.done.set_result(None)
                else:
                    self._lingering.append(batch)

    def _forget(self) -> None:
        """End what erased, once no copy is left of what it took; others need not wait for that."""
        try:
            if self._store.emptied(self._connection):
                self._linger_no_more(None)
        except LedgerError as error:
            self._linger_no_more(error)

    def _linger_no_more(self, error: LedgerError | None) -> None:
        for batch in self._lingering:
            if error is None:
                batch.done.set_result(None)
            else:
                batch.done.set_exception(error)
        self._lingering.clear()

    def _in_room(self, group: list[_Batch]) -> None:
        """The group's transaction; where the disk is full and that is to be waited for, as often as it
        takes."""
        waiting = False
        while True:
            try:
                if not (waiting and self._was_written()):
                    self._transaction(group)
            except DBAPIError as error:
                if self._full is None or not self._lacks_room(error):
                    raise
                if not waiting:
                    waiting = True
                    self._full(True)
                if not self._ending.wait(_AGAIN_SECONDS):
                    continue
                raise
            if waiting and self._full is not None:
                self._full(False)
            return

    def _lacks_room(self, error: DBAPIError) -> bool:
        return not isinstance(error, IntegrityError) and isinstance(self._store.translate(error), LedgerFull)

    def _was_written(self) -> bool:
        """Whether the transaction that failed last is there all the same: a commit may fail in its last step.
        Raises LedgerCorrupt where it is neither there nor undone."""
        with self._connection.begin():
            last = self._connection.execute(
                select(ENTRIES.c.seq, ENTRIES.c.hash).order_by(ENTRIES.c.seq.desc()).limit(1)
            ).one_or_none()
        found = (0, self._head) if last is None else (last.seq, last.hash)
        if found == (self._seq, self._head):
            return False
        if found != self._aim:
            raise LedgerCorrupt(f"The ledger {self._store.name} was changed beside its writer: verify it.")
        self._seq, self._head = self._aim
        return True

    def _poison(self, error: Exception) -> LedgerError:
        if isinstance(error, LedgerError):
            return error
        if isinstance(error, DBAPIError):
            return self._store.translate(error)
        return LedgerError(f"The ledger {self._store.name} could not be written ({error!r}): open it again.")

    def _sort_out(self, group: list[_Batch], error: IntegrityError) -> None:
        """Some row of the group is there already, or refers to nothing: find whose, spare the others."""
        if len(group) > 1:
            for batch in group:
                self._commit([batch])
            return
        (batch,) = group
        with self._connection.begin():
            news = [row for row in batch.rows if not self._recorded(*row)]
        if len(news) < len(batch.rows):
            batch.rows = news
            self._write(group)
            return
        table, stored = self._culprit(news)
        key = [stored.get(name) for name in table.info["key"]]
        batch.done.set_exception(
            LedgerError(
                f"The ledger {self._store.name} has {table.name} {key} already with other values, or lacks "
                f"a row it refers to ({error.orig}): nothing of this write was kept."
            )
        )

    def _find(self, table: Table, stored: dict[str, Stored]) -> dict[str, Any] | None:
        if "seq" in table.info["key"]:
            return None
        same_key = [table.c[name] == stored[name] for name in table.info["key"]]
        found = self._connection.execute(select(table).where(*same_key)).mappings().one_or_none()
        return None if found is None else {name: found[name] for name in stored}

    def _recorded(self, table: Table, stored: dict[str, Stored]) -> bool:
        return self._find(table, stored) == stored

    def _culprit(self, rows: list[tuple[Table, dict[str, Stored]]]) -> tuple[Table, dict[str, Stored]]:
        with self._connection.begin():
            taken = [row for row in rows if self._find(*row) is not None]
        return (taken or rows)[0]

    def _transaction(self, group: list[_Batch]) -> None:
        with self._connection.begin():
            self._aim = self._insert(group)
        self._seq, self._head = self._aim

    def _insert(self, group: list[_Batch]) -> tuple[int, str]:
        """Put the group's rows and their entries in; the last entry's place and hash."""
        rows: list[tuple[Table, dict[str, Stored]]] = []
        for batch in group:
            rows += batch.rows
            if batch.work is not None:
                rows += _stored(batch.work(self._connection))
        seq, head = self._seq, self._head
        by_table: dict[str, list[dict[str, Stored]]] = {name: [] for name in TYPED}
        entries: list[dict[str, Any]] = []
        for table, stored in self._without_known_texts(rows):
            seq += 1
            placed = {**stored, "seq": seq}
            entry = next_entry(head, table, placed)
            head = entry.hash
            by_table[table.name].append(placed)
            entries.append(entry._asdict())
        for name, placed_rows in by_table.items():
            self._driver.insert(name, placed_rows)
        self._driver.insert(ENTRIES.name, entries)
        return seq, head

    def _without_known_texts(
        self, rows: list[tuple[Table, dict[str, Stored]]]
    ) -> list[tuple[Table, dict[str, Stored]]]:
        hashes = list({stored["hash"] for table, stored in rows if table is _TEXTS})
        known: dict[Any, bool] = {}  # whether the text is there, and not only its hash
        for start in range(0, len(hashes), _LOOKUP):
            known.update(self._driver.known_texts(hashes[start : start + _LOOKUP]))
        news = []
        for table, stored in rows:
            if table is _TEXTS:
                if stored["hash"] in known:
                    if not known[stored["hash"]]:
                        self._put_back(stored)
                        known[stored["hash"]] = True
                    continue
                known[stored["hash"]] = True
            news.append((table, stored))
        return news

    def _put_back(self, stored: dict[str, Stored]) -> None:
        """A text that was taken out and is recorded anew; its row in the chain is the old one."""
        self._connection.execute(
            update(_TEXTS).where(_TEXTS.c.hash == stored["hash"]).values(text=stored["text"])
        )


def _stored(rows: Sequence[Row]) -> list[tuple[Table, dict[str, Stored]]]:
    return [(TYPED[row.table], store_row(row)) for row in rows]


def _tail(connection: Connection, name: str) -> tuple[int, str]:
    """The number of entries and the last hash. Raises LedgerCorrupt when they do not fit together."""
    last = connection.execute(select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(1)).one_or_none()
    count = connection.scalar(select(func.count()).select_from(ENTRIES)) or 0
    if last is None:
        ledger_id = connection.scalars(select(META.c.value).where(META.c.key == "ledger_id")).one()
        return 0, genesis(ledger_id)
    if count != last.seq or entry_hash(last.prev, last.seq, last.kind, last.key, last.digest) != last.hash:
        raise LedgerCorrupt(
            f"The ledger {name} ends with an entry that does not fit its chain: run `ponder ledger verify`, "
            "and restore it from a copy or use another file."
        )
    return last.seq, last.hash
