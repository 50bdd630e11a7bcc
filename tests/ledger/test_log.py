"""The write-ahead log of a ledger in a file: readers beside the writer, one file at rest, torn ends."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import LedgerError
from ponder.ledger import EventRow, Ledger, read, verify

_ROLLBACK = b"\x01\x01"  # the file's own statement of its format: a log would be 2, 2


def beside(path: Path) -> set[str]:
    return {each.name.removeprefix(path.name) for each in path.parent.glob(f"{path.name}?*")}


def note(number: int) -> EventRow:
    return EventRow("r", float(number), "noted", {"number": number, "words": "x" * 3000})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        ledger.run("r", {}, [])
    return tmp_path / "l.db"


def test_a_reader_in_the_middle_holds_up_no_writer_and_sees_one_state(path: Path) -> None:
    with Ledger.open(path, write=True) as ledger, Ledger.open(path, write=False) as other:
        with other._reading() as connection:
            before = read.head(connection)
            for number in range(20):
                ledger.append([note(number)]).result(10)
            assert read.head(connection) == before
        assert len(other.events("r")) == 21


def test_a_ledger_at_rest_is_one_file_in_the_format_that_any_folder_can_be_read_from(path: Path) -> None:
    assert beside(path) == {".lock"}
    assert path.read_bytes()[18:20] == _ROLLBACK
    with Ledger.open(path, write=True) as ledger:
        ledger.append([note(1)]).result()
        assert "-wal" in beside(path)
    assert beside(path) == {".lock"}
    assert path.read_bytes()[18:20] == _ROLLBACK


def test_a_reader_that_outlasts_the_writer_leaves_a_whole_ledger(path: Path) -> None:
    ledger = Ledger.open(path, write=True)
    with Ledger.open(path, write=False) as other, other._reading() as connection:
        assert read.find_run(connection, "r")
        ledger.append([note(1)]).result(10)
        ledger.close()
        assert "-wal" in beside(path)
    assert verify(path).ok
    with Ledger.open(path, write=True) as ledger:
        assert len(ledger.events("r")) == 2
    assert beside(path) == {".lock"}


def test_a_place_without_shared_memory_is_written_by_a_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A SQLite that holds the file alone has no need of shared memory, and cannot change to a log.
    connect = sqlite3.connect

    def without(*arguments: Any, **options: Any) -> sqlite3.Connection:
        place, *rest = arguments
        return connect(f"{place}&vfs=unix-none", *rest, **options)

    monkeypatch.setattr(sqlite3, "connect", without)
    with Ledger.open(path, write=True) as ledger:
        ledger.append([note(1)]).result()
        assert beside(path) == {".lock", "-journal"}
    assert beside(path) == {".lock"}
    assert verify(path).ok


def test_a_log_that_cannot_be_emptied_leaves_the_writer_its_patience(path: Path) -> None:
    with Ledger.open(path, write=True) as ledger:
        assert ledger._writer is not None
        connection = ledger._writer._connection
        with connection.begin():
            with pytest.raises(LedgerError):  # within a transaction no log is emptied
                ledger._store.emptied(connection)
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 300_000


def test_the_journal_of_an_older_ponder_goes(path: Path) -> None:
    journal = path.with_name("l.db-journal")
    journal.write_bytes(bytes(512) + b"a page as it was")
    with Ledger.open(path, write=True) as ledger:
        assert len(ledger.events("r")) == 1
    assert not journal.exists()


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.5, 0.7, 0.95])
def test_of_a_torn_log_the_whole_transactions_count(path: Path, kept: float) -> None:
    """As a power loss leaves it that fell into a write."""
    copy = path.with_name("copy.db")
    with Ledger.open(path, write=True) as ledger:
        for number in range(40):
            ledger.append([note(number)]).result()
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{copy}{end}")
    log = copy.with_name("copy.db-wal")
    whole = log.read_bytes()
    log.write_bytes(whole[: int(len(whole) * kept)])
    with Ledger.open(copy, write=True) as ledger:
        numbers = [event.detail["number"] for event in ledger.events("r") if event.kind == "noted"]
        assert numbers == list(range(len(numbers)))
        assert (len(numbers) > 0) == (kept > 0)
        assert len(numbers) < 40
        ledger.append([note(len(numbers))]).result()
    assert verify(copy).ok
