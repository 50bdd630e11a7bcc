"""What is no ledger, or none for us, is refused in one sentence."""

from __future__ import annotations

import gc
import os
import sqlite3
import warnings
from contextlib import closing, suppress
from pathlib import Path

import pytest

from ponder.errors import LedgerCorrupt, LedgerError, LedgerLocked, LedgerVersion
from ponder.ledger import Ledger, checkpoint, verify
from ponder.ledger.sqlite import Lock
from tests.ledger.places import Location


def each_refuses(path: Path | str, error: type[LedgerError], match: str) -> None:
    for use in (
        lambda: Ledger.open(path, write=True),
        lambda: Ledger.open(path, write=False),
        lambda: verify(path),
        lambda: checkpoint(path),
    ):
        with pytest.raises(error, match=match) as refused:
            use()
        assert type(refused.value) is error
        assert "\n" not in str(refused.value)


def test_a_newer_ledger(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path, write=True).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("UPDATE meta SET value = '3' WHERE key = 'schema_version'")
    each_refuses(path, LedgerVersion, "has schema 3 and this ponder knows up to 2: upgrade ponder")


@pytest.mark.parametrize(
    "statement", ["UPDATE meta SET value = 'x' WHERE key = 'schema_version'", "DELETE FROM meta"]
)
def test_a_ledger_without_its_facts(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "l.db"
    Ledger.open(path, write=True).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute(statement)
    each_refuses(path, LedgerCorrupt, "lacks its id or its schema version")
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("DROP TABLE grades")
    each_refuses(path, LedgerCorrupt, "lacks the table grades")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"not a database " * 1000)
    each_refuses(path, LedgerCorrupt, "not a readable ledger")
    assert path.read_bytes() == b"not a database " * 1000


def test_a_database_that_is_no_ledger(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE mine (x)")
    each_refuses(path, LedgerCorrupt, "a database but not a ledger")


def test_a_torn_file(full_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    content = full_file.read_bytes()
    path.write_bytes(content[:8192] + b"\xa5" * 40960 + content[49152:])
    with pytest.raises(LedgerCorrupt):
        verify(path)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    each_refuses(tmp_path, LedgerError, "is a folder: give the path of a file")
    for nothing in (tmp_path / "none.db", tmp_path / "no" / "folder" / "l.db"):
        with pytest.raises(LedgerError, match="There is no ledger at"):
            Ledger.open(nothing, write=False)
        assert not nothing.exists()


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/db", "sqlite://", "sqlite:///:memory:", "nonsense://", "://x"]
)
def test_other_urls(url: str) -> None:
    with pytest.raises(LedgerError) as refused:
        Ledger.open(url, write=True)
    assert "secret" not in str(refused.value)


def test_one_writer_in_a_process_too(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, write=True):
        with pytest.raises(LedgerLocked, match=rf"written by this very process \({os.getpid()}\): close"):
            Ledger.open(path, write=True)
        with Ledger.open(path, write=False) as reader:
            assert reader.runs() == []
    Ledger.open(path, write=True).close()


def test_a_lock_that_is_let_go_of_is_free_though_a_forked_child_has_its_file(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "l.lock", "l")
    assert lock._file is not None
    childs = os.dup(lock._file)  # as a fork makes it
    with pytest.raises(LedgerLocked):
        Lock(tmp_path / "l.lock", "l")
    lock.release()
    Lock(tmp_path / "l.lock", "l").release()
    os.close(childs)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_does_not_let_go_of_its_parents_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "l.lock", "l")
    if (child := os.fork()) == 0:
        lock.release()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with pytest.raises(LedgerLocked, match="by this very process"):
        Lock(tmp_path / "l.lock", "l")
    lock.release()


def test_a_failed_opening_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(LedgerCorrupt):
        Ledger.open(path, write=True)
    path.unlink()
    Ledger.open(path, write=True).close()


def test_paths_with_odd_characters(tmp_path: Path) -> None:
    path = tmp_path / "a b?c#d%20é.db"
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", {}, [])
    assert path.exists()
    assert verify(path).entries == 2


def test_the_file_is_written_as_safely_as_promised(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        connection = ledger._writer._connection
        with connection.begin():
            facts = {
                name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
    assert facts == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_readers_cannot_write(full: Location) -> None:
    with (
        Ledger.open(full, write=False) as ledger,
        pytest.raises(LedgerError),
        ledger._reading() as connection,
    ):
        connection.exec_driver_sql("DELETE FROM events")
    assert verify(full).ok


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to list open files")
def test_nothing_is_left_open(tmp_path: Path) -> None:
    def files() -> list[str]:
        found = []
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                found.append(str(link.readlink()))
        return [name for name in found if str(tmp_path) in name]

    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with Ledger.open(tmp_path / "l.db", write=True) as ledger:
            ledger.run("r", {}, [])
            ledger.runs()
        verify(tmp_path / "l.db")
        gc.collect()
    assert files() == []
