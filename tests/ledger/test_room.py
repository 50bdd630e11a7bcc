"""A ledger that waits for room on its disk."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from ponder.errors import LedgerFull
from ponder.ledger import EventRow, Ledger, verify
from ponder.ledger.writer import Writer


def paid(at: float) -> EventRow:
    return EventRow("r", at, "paid", {})


def full() -> OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return OperationalError("COMMIT", None, error)


@pytest.mark.parametrize("written", [True, False])
def test_a_write_that_failed_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    """A commit may fail in its last step, when all of it is on the disk."""
    whole, failures, told = Writer._transaction, list[bool](), list[bool]()

    def transaction(writer: Writer, group: Any) -> None:
        before = writer._seq, writer._head
        if not failures or written:
            whole(writer, group)
        if failures:
            failures.pop()
            writer._seq, writer._head = before
            raise full()

    monkeypatch.setattr(Writer, "_transaction", transaction)
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        ledger.run("r", {"kind": "serve"})
        ledger.wait_for_room(told.append)
        failures.append(True)
        for at in (1.0, 2.0):
            ledger.append([paid(at)]).result(10)
        assert [event.at for event in ledger.events("r") if event.kind == "paid"] == [1.0, 2.0]
    assert told == [True, False]
    assert verify(tmp_path / "ledger.sqlite").ok


def test_nobody_waits_any_more_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        ledger.run("r", {"kind": "serve"})
        ledger.wait_for_room(lambda _: waits.set())

        def transaction(*_: object) -> None:
            raise full()

        monkeypatch.setattr(Writer, "_transaction", transaction)
        writing = ledger.append([paid(1.0)])
        assert waits.wait(10)
        assert not writing.done()
        ledger.stop_waiting()
        with pytest.raises(LedgerFull, match="free some disk space"):
            writing.result(10)
