"""A ledger, open for reading or for writing."""

from __future__ import annotations

import asyncio
import functools
import itertools
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Engine, func, insert, inspect, select, update

from ponder.core import Model, Question, Spent, Usage
from ponder.errors import InputError, LedgerCorrupt, LedgerError, LedgerLocked, LedgerReadOnly, LedgerVersion
from ponder.ledger import banks, erasing, read
from ponder.ledger.database import Database, locate, translated
from ponder.ledger.erasing import Erasure
from ponder.ledger.recorder import RunRecorder, begin_rows, refuse_change
from ponder.ledger.rows import (
    AnswerRow,
    CallRow,
    EventRow,
    GradeRow,
    ProblemRow,
    Row,
    RunRow,
    StageRow,
    StoredSample,
)
from ponder.ledger.schema import ENTRIES, META, METADATA, SCHEMA_VERSION, TYPED, typed_tables
from ponder.ledger.writer import Writer

__all__ = ["Ledger", "reading"]

R = TypeVar("R", bound=Row)


class Ledger:
    """The store of runs: calls, samples, grades, answers, events and training stages, hash-chained.

    Open it with `Ledger.open`, as a context manager. Reading is safe from any thread and beside a
    writer in another process; there is one writer at a time.
    """

    def __init__(
        self,
        store: Database,
        engine: Engine,
        writer: Writer | None,
        call_ids: Iterator[int],
        closing: ExitStack,
    ) -> None:
        self._store = store
        self._engine = engine
        self._writer = writer
        self._call_ids = call_ids
        self._closing = closing
        self._ordering = threading.Lock()
        self._writing = threading.Lock()
        self._written: set[str] = set()

    @classmethod
    def open(cls, location: str | os.PathLike[str], *, write: bool) -> Self:
        """Open the ledger at a path or a URL (see `locate`); a writer makes what is missing.

        A ledger with an older schema is read as it is, and brought up to date for a writer.

        Raises LedgerError when there is none to read or nothing answers, LedgerLocked beside another writer,
        LedgerVersion for a newer ponder's, LedgerReadOnly, LedgerFull, LedgerCorrupt, and MissingExtra.
        """
        store = locate(location)
        with ExitStack() as opening:
            writer, call_ids = None, itertools.count(1)
            if write:
                opening.callback(store.lock().release)
                engine = store.engine(mode="write")
                opening.callback(engine.dispose)
                with translated(store), engine.begin() as connection:
                    _prepare(connection, store.name)
                    last = connection.scalar(select(func.max(TYPED["calls"].c.id)))
                    call_ids = itertools.count((last or 0) + 1)
                writer = Writer(store, engine)
                opening.callback(writer.close)
            reader = store.engine(mode="read")
            opening.callback(reader.dispose)
            with translated(store), reader.begin() as connection:
                _check(connection, store.name)
            return cls(store, reader, writer, call_ids, opening.pop_all())

    @staticmethod
    def exists(location: str | os.PathLike[str]) -> bool:
        """Whether there is a ledger at this place. Raises LedgerError where that cannot be told."""
        return locate(location).exists()

    def close(self) -> None:
        """Write what is queued and let go of the file. Closing twice is fine."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- write

    def append(self, rows: Iterable[Row]) -> Future[None]:
        """Queue rows that are written together; the future ends once they are durable (see `Writer`)."""
        return self._append(list(rows), None)

    def _append(self, rows: list[Row], work: Callable[[Connection], Sequence[Row]] | None) -> Future[None]:
        if self._writer is None:
            raise LedgerReadOnly(
                f"The ledger {self._store.name} is open for reading: open it with write=True."
            )
        return self._writer.append(rows, work)

    async def write(self, rows: Iterable[Row]) -> None:
        """Write rows together. Returns once they are durable; giving up waiting does not take them back."""
        await asyncio.wrap_future(self.append(rows))

    @property
    def failure(self) -> LedgerError | None:
        """What a write failed of, after which this ledger writes no more; None: it writes."""
        return None if self._writer is None else self._writer.failure

    def wait_for_room(self, full: Callable[[bool], object]) -> None:
        """Let a writing ledger's writes wait while the disk is full (see `Writer.wait_for_room`)."""
        assert self._writer is not None
        self._writer.wait_for_room(full)

    def stop_waiting(self) -> None:
        """Let writes fail again that find the disk full, those too that wait now."""
        assert self._writer is not None
        self._writer.stop_waiting()

    def erase(self, run_ids: Iterable[str], *, by: str, reason: str) -> Erasure | None:
        """Take the texts of runs out by order of `by`: questions, samples, thoughts, answers, and what their
        events say. Hashes, figures and the chain stay. A text that another run has too stays with it.

        None where all of them were erased before. Raises UnknownName, InputError for what has no questions,
        LedgerError as `append` does.
        """
        named = list(run_ids)
        for name, value in (("by", by), ("reason", reason)):
            if not value.strip():
                raise InputError(f"{name}: it is empty; the order stands on the ledger, so say it.")
        if not named:
            return None
        with self._ordering:
            return self._order(named, by, reason)

    def _order(self, named: Sequence[str], by: str, reason: str) -> Erasure | None:
        """One at a time: it tells what it found and what it left."""
        with self._reading() as connection:
            for run_id in named:
                if not read.rows_of(connection, ProblemRow, run_id):
                    raise InputError(f"run: {run_id} has no questions, so there is nothing to erase.")
            begun = read.find_run(connection, erasing.RUN) is not None
            before = len(erasing.orders(connection))
        first = [] if begun else begin_rows(erasing.RUN, {"kind": "erasures"}, [], time.time())
        order = functools.partial(erasing.erase, runs=named, by=by, reason=reason, now=time.time())
        self._append(first, order).result()
        self._store.sweep()
        with self._reading() as connection:
            given = erasing.orders(connection)
        return given[-1].erasure(len(given[-1].texts)) if len(given) > before else None

    def erasures(self) -> list[Erasure]:
        """The orders by which texts were taken out, oldest first; `texts` are those that each took."""
        with self._reading() as connection:
            return [order.erasure(len(order.texts)) for order in erasing.orders(connection)]

    def old_requests(self, before: float) -> list[str]:
        """The runs of a server's requests that began before this time (seconds since the epoch) and have
        their texts."""
        with self._reading() as connection:
            return erasing.old_requests(connection, before)

    def new_call_id(self) -> int:
        """An id that no call has yet."""
        return next(self._call_ids)

    def run(
        self,
        run_id: str,
        config: Mapping[str, Any],
        problems: Sequence[tuple[Question, str | None]] = (),
        models: Mapping[str, Model] | None = None,
    ) -> RunRecorder:
        """Begin a run, or continue it when configuration and problems are the same.

        A training run has no problems of its own, and `"kind": "train"` in its configuration.
        `models` tells by role what FLOP and dollars a call costs. Raises RunChanged with the remedy.
        """
        with self._reading() as connection:
            existing = read.find_run(connection, run_id)
            before = [] if existing is None else read.rows_of(connection, ProblemRow, run_id)
        rows = begin_rows(run_id, config, problems, time.time())
        if existing is None:
            self.append(rows).result()
        else:
            refuse_change(existing, before, rows)
        recorder = RunRecorder(self, run_id, models or {})
        recorder.event("started" if existing is None else "resumed")
        return recorder

    @contextmanager
    def writing(self, run_id: str) -> Iterator[None]:
        """Keep a run to one writer at a time, where several share this ledger. Raises LedgerLocked."""
        with self._writing:
            if run_id in self._written:
                raise LedgerLocked(
                    f"run: {run_id} is written to by another call in this process: wait until that ends, or "
                    "name another run."
                )
            self._written.add(run_id)
        try:
            yield
        finally:
            self._written.discard(run_id)

    # ---------------------------------------------------------------- read

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(self._store), self._engine.begin() as connection:
            yield connection

    def _rows(self, kind: type[R], run_id: str) -> list[R]:
        with self._reading() as connection:
            return read.rows_of(connection, kind, run_id)

    def runs(self, *, requests: bool = True) -> list[read.RunSummary]:
        """All runs in the order of their making; without `requests` those of served ones are left out."""
        with self._reading() as connection:
            return read.runs(connection, requests=requests)

    def served(self) -> read.Served | None:
        """The served requests together; None without any."""
        with self._reading() as connection:
            return read.served(connection)

    def config(self, run_id: str) -> dict[str, Any]:
        """The configuration of a run. Raises UnknownName."""
        with self._reading() as connection:
            return dict(read.get_run(connection, run_id).config)

    def created(self, run_id: str) -> float:
        """When a run was made, in seconds since the epoch. Raises UnknownName."""
        with self._reading() as connection:
            return read.get_run(connection, run_id).created

    def head(self) -> str:
        """The hash of the last entry, which stands for everything written so far."""
        with self._reading() as connection:
            return read.head(connection).hash

    def problems(self, run_id: str) -> list[tuple[Question, str | None]]:
        """The run's questions with their keys, in their order. Raises UnknownName."""
        with self._reading() as connection:
            return read.problems(connection, run_id)

    def samples(self, run_id: str) -> list[StoredSample]:
        """Every finished draw of a run, by problem, stream and position. Raises UnknownName."""
        with self._reading() as connection:
            return read.samples(connection, run_id)

    def draws(self, run_id: str) -> list[StoredSample]:
        """Every draw of a run, unfinished ones and repetitions too. Raises UnknownName."""
        with self._reading() as connection:
            return read.draws(connection, run_id)

    def sizes(self, run_id: str) -> dict[tuple[str, str], int]:
        """How many finished draws a run has, by problem id and stream. Raises UnknownName."""
        with self._reading() as connection:
            return banks.sizes(connection, run_id)

    def priced_samples(self, run_id: str, problems: Sequence[str]) -> list[banks.PricedSample]:
        """The finished draws at these problems with their calls' costs, those of each by stream and position.
        Raises UnknownName."""
        with self._reading() as connection:
            return banks.priced_samples(connection, run_id, problems)

    def called(self, run_id: str) -> set[str]:
        """The ids of the problems of a run that have a call. Raises UnknownName."""
        with self._reading() as connection:
            return banks.called(connection, run_id)

    def runs_between(
        self, first: str, end: str, *, limit: int, holding: str | None = None, event: str | None = None
    ) -> list[RunRow]:
        """The runs with an id from `first` on and before `end`, last id first; `holding`: only those with
        this text in a question, a sample or its reasoning; `event`: only those with an event of this kind."""
        with self._reading() as connection:
            return read.runs_between(connection, first, end, limit=limit, holding=holding, event=event)

    def uses_between(self, first: str, end: str, *, limit: int) -> list[read.RunUse]:
        """What the runs with an id from `first` on and before `end` used, call by call; last id first."""
        with self._reading() as connection:
            return read.uses_between(connection, first, end, limit=limit)

    def uses_of(self, run_ids: Sequence[str]) -> list[read.RunUse]:
        """What those of these runs that there are used, call by call, in the order given."""
        with self._reading() as connection:
            return read.uses_of(connection, run_ids)

    def usage(self, run_id: str) -> Usage:
        """What all attempts of a run used, failed and cancelled ones too. Raises UnknownName."""
        with self._reading() as connection:
            return read.usage(connection, run_id)

    def spent(self, run_id: str, *, before: int) -> dict[str, list[Spent]]:
        """What the calls with an id below `before` used, by problem id. Raises UnknownName."""
        with self._reading() as connection:
            return read.spent(connection, run_id, before)

    def calls(self, run_id: str) -> list[CallRow]:
        """Every attempt of every call of a run, in the order written. Raises UnknownName."""
        return self._rows(CallRow, run_id)

    def grades(self, run_id: str, problems: Sequence[str] | None = None) -> list[GradeRow]:
        """Every grade given in a run, or those at these problems. Raises UnknownName."""
        if problems is None:
            return self._rows(GradeRow, run_id)
        with self._reading() as connection:
            return banks.grades(connection, run_id, problems)

    def answers(self, run_id: str) -> list[AnswerRow]:
        """Every answer that a strategy gave in a run. Raises UnknownName."""
        return self._rows(AnswerRow, run_id)

    def stages(self, run_id: str) -> list[StageRow]:
        """The training stages of a run, by position. Raises UnknownName."""
        with self._reading() as connection:
            return read.stages(connection, run_id)

    def events(self, run_id: str) -> list[EventRow]:
        """What happened to a run, in order. Raises UnknownName."""
        return self._rows(EventRow, run_id)

    def events_since(self, run_id: str, kind: str) -> list[EventRow]:
        """What happened to a run from its last event of this kind on, in order. Raises UnknownName."""
        with self._reading() as connection:
            return read.events_since(connection, run_id, kind)

    def events_before(
        self, run_id: str, kind: str, *, holding: str, before: str | None, limit: int
    ) -> list[EventRow]:
        """The last events of this kind of a run that have this text in their detail's canonical JSON, last
        first. `before`: only those written before the run of this name was begun."""
        with self._reading() as connection:
            return read.events_before(connection, run_id, kind, holding=holding, before=before, limit=limit)


@contextmanager
def reading(store: Database) -> Iterator[Engine]:
    """An engine to inspect a ledger with, whatever is in its rows. Raises as `Ledger.open` does."""
    engine = store.engine(mode="inspect")
    try:
        with translated(store):
            with engine.begin() as connection:
                _check(connection, store.name)
            yield engine
    finally:
        engine.dispose()


def _prepare(connection: Connection, name: str) -> None:
    if inspect(connection).get_table_names():
        _upgrade(connection, _check(connection, name))
        return
    METADATA.create_all(connection)
    facts = {"schema_version": str(SCHEMA_VERSION), "ledger_id": str(uuid.uuid4())}
    connection.execute(insert(META), [{"key": key, "value": value} for key, value in facts.items()])


def _upgrade(connection: Connection, version: int) -> None:
    """Add what newer schemas brought. Tables are only ever added, so the chain stays as it is."""
    older = typed_tables(version)
    for name, table in TYPED.items():
        if name not in older:
            table.create(connection, checkfirst=False)
    if version < SCHEMA_VERSION:
        now = update(META).where(META.c.key == "schema_version").values(value=str(SCHEMA_VERSION))
        connection.execute(now)


def _check(connection: Connection, name: str) -> int:
    """The ledger's schema version. Raises LedgerVersion, LedgerCorrupt."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        raise LedgerError(f"There is no ledger at {name}: a run writes one, or give another path.")
    if META.name not in tables:
        raise LedgerCorrupt(f"{name} is a database but not a ledger: give another path.")
    facts = dict(connection.execute(select(META.c.key, META.c.value)).all())
    version = facts.get("schema_version", "")
    if version.isdecimal() and int(version) > SCHEMA_VERSION:
        raise LedgerVersion(
            f"The ledger {name} has schema {version} and this ponder knows up to {SCHEMA_VERSION}: "
            "upgrade ponder, or use another ledger file."
        )
    known = version.isdecimal() and int(version) >= 1
    wanted = {META.name, ENTRIES.name, *typed_tables(int(version) if known else SCHEMA_VERSION)}
    missing = sorted(wanted - tables)
    if not known or "ledger_id" not in facts or missing:
        what = f"lacks the table {missing[0]}" if missing else "lacks its id or its schema version"
        raise LedgerCorrupt(f"The ledger {name} {what}: restore it from a copy, or use another file.")
    return int(version)
