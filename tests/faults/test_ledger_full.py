"""When the disk is full nothing acknowledged is lost, and writing goes on once there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ponder.errors import LedgerFull
from ponder.ledger import EventRow, Ledger, verify

# Writes until the disk is full, and says what is durable; then looks at what is left of the ledger.
WRITER = """
import os, resource, sys
from ponder.errors import LedgerFull
from ponder.ledger import EventRow, Ledger

path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
with Ledger.open(path, write=True) as ledger:
    ledger.run("r", {}, [])
    count = 0
    try:
        while True:
            futures = [ledger.append([EventRow("r", float(count + i), "k" * 3000, {})]) for i in range(5)]
            for future in futures:
                future.result(60)
                print(f"done {count}", flush=True)
                count += 1
    except LedgerFull as error:
        print("full", error, flush=True)
    refused = ledger.append([EventRow("r", 0.5, "small", {})])
    print("later", type(refused.exception(60)).__name__, flush=True)
    kept = [event.at for event in ledger.events("r") if event.kind.startswith("k")]
    print("kept", kept[:count] == [float(i) for i in range(count)], flush=True)
"""


def write_until_full(path: Path, limit: int) -> list[str]:
    command = [sys.executable, "-c", WRITER, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def check(path: Path, lines: list[str]) -> None:
    acknowledged = [float(line.split()[1]) for line in lines if line.startswith("done")]
    assert len(acknowledged) > 20
    (full,) = [line for line in lines if line.startswith("full")]
    assert "free some disk space and start again; everything acknowledged before is kept." in full
    assert lines[-2:] == ["later LedgerFull", "kept True"]
    with Ledger.open(path, write=False) as ledger:
        kept = [event.at for event in ledger.events("r")[1:]]
    assert kept[: len(acknowledged)] == acknowledged
    verdict = verify(path)
    assert verdict.ok, verdict.first_bad


def write_on(path: Path) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.append([EventRow("r", 1e6, "on", {})]).result(60)
        assert ledger.events("r")[-1].kind == "on"
    assert verify(path).ok


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "l.db"
    check(path, write_until_full(path, 0))
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    write_on(path)


def test_a_disk_too_full_to_begin(small_disk: Path) -> None:
    (small_disk / "other").write_bytes(b"x" * (1 << 20))
    with pytest.raises(LedgerFull, match="free some disk space"):
        Ledger.open(small_disk / "l.db", write=True)
    (small_disk / "other").unlink()
    Ledger.open(small_disk / "l.db", write=True).close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    check(path, write_until_full(path, 700_000))
    write_on(path)
