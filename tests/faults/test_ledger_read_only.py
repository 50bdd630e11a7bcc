"""A ledger that cannot be written is refused to a writer and read by a reader."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.ledger import Ledger

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")

# Root may write everything, so as root it becomes nobody first.
CHILD = """
import os, sys
import sqlalchemy.dialects.sqlite
from ponder.errors import LedgerError
from ponder.ledger import Ledger, verify

if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for write in (True, False):
    try:
        with Ledger.open(sys.argv[1], write=write) as ledger:
            print("open", len(ledger.runs()), verify(sys.argv[1]).ok)
    except LedgerError as error:
        print(type(error).__name__, error)
"""


def try_both(path: Path) -> list[str]:
    command = [sys.executable, "-c", CHILD, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        with Ledger.open(path / "l.db", write=True) as ledger:
            ledger.run("r", {}, [])
        yield path
        path.chmod(0o755)


def test_a_read_only_file(folder: Path) -> None:
    (folder / "l.db").chmod(0o444)
    folder.chmod(0o777)
    (folder / "l.db.lock").chmod(0o666)
    written, read = try_both(folder / "l.db")
    assert written.startswith("LedgerReadOnly The ledger")
    assert written.endswith("make the file and its folder writable, or use another path.")
    assert read == "open 1 True"


def test_a_read_only_folder(folder: Path) -> None:
    (folder / "l.db").chmod(0o666)
    (folder / "l.db.lock").unlink()
    folder.chmod(0o555)
    written, read = try_both(folder / "l.db")
    assert written.startswith("LedgerReadOnly")
    assert read == "open 1 True"
    written, read = try_both(folder / "new" / "l.db")
    assert written.startswith("LedgerReadOnly")
    assert read.startswith("LedgerError There is no ledger at")


def test_a_half_written_transaction_in_a_read_only_folder(folder: Path) -> None:
    (folder / "l.db").chmod(0o444)
    # A journal with its header and no page: enough for SQLite to want to roll back.
    (folder / "l.db-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + b"\x00" * 504)
    (folder / "l.db-journal").chmod(0o444)
    folder.chmod(0o555)
    assert [line.split()[0] for line in try_both(folder / "l.db")] == ["LedgerReadOnly", "LedgerReadOnly"]


def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "l.db").chmod(0o000)
    written, read = try_both(folder / "l.db")
    assert written.startswith("LedgerReadOnly")
    assert read.startswith("LedgerError")
    assert read.endswith("cannot be read: change its permissions.")
    assert (folder / "l.db").stat().st_size > 0
