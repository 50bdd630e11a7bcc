"""A writer that is killed loses nothing that it had acknowledged."""

from __future__ import annotations

import random
import selectors
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ponder.core import Message, Prompt, Question
from ponder.errors import LedgerLocked
from ponder.ledger import EventRow, Ledger, verify

KILLS = 15
WORKERS = 6

# Records samples for ever and says which ones are durable, one line each. A sample's text follows from
# its place, so that the parent can tell whether what it finds is what was written.
WRITER = """
import asyncio, os, sys, time
from ponder.core import Attempt, Message, Prompt, Question, Request, Sample, Usage
from ponder.ledger import Ledger

def text(worker, index):
    return f"{worker}/{index} " * (1 + index * 37 % 900)

async def work(recorder, question, worker):
    stream = f"w{worker}"
    index = len(recorder.finished(question, stream))
    while True:
        attempt = Attempt("ok", Usage(1, 2, 10, 0, 6), time.time(), 2)
        samples = [Sample(text(worker, i), str(i), i, tokens=3) for i in (index, index + 1)]
        await recorder.record(question, stream, "solver", Request(question.prompt, n=2), [attempt], samples)
        os.write(1, f"{worker} {index}\\n{worker} {index + 1}\\n".encode())
        index += 2

async def main(path, workers):
    prompt = Prompt((Message("user", "?"),))
    question = Question("q", "?", prompt, prompt)
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"n": 1}, [(question, "1")])
        os.write(1, b"open\\n")
        await asyncio.gather(*(work(recorder, question, worker) for worker in range(workers)))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


def start(path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", WRITER, str(path), str(WORKERS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_output(child: subprocess.Popen[bytes]) -> None:
    with selectors.DefaultSelector() as selector:
        assert child.stdout is not None
        selector.register(child.stdout, selectors.EVENT_READ)
        assert selector.select(60)


def kill(child: subprocess.Popen[bytes]) -> list[str]:
    """What it had acknowledged when it died."""
    child.kill()
    out, err = child.communicate(timeout=30)
    assert child.returncode == -signal.SIGKILL, err.decode()
    whole = out[: out.rfind(b"\n") + 1]
    return [line for line in whole.decode().splitlines() if line != "open"]


def expected(worker: int, index: int) -> str:
    return f"{worker}/{index} " * (1 + index * 37 % 900)


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    path, chance = tmp_path / "l.db", random.Random(20)
    acknowledged: list[str] = []
    rows_before: list[tuple[object, ...]] = []
    for _ in range(KILLS):
        child = start(path)
        wait_for_output(child)
        time.sleep(chance.random() * 0.4)
        acknowledged += kill(child)
        with Ledger.open(path, write=False) as ledger:
            found = {(s.stream, s.sample.index): s.sample for s in ledger.samples("r")}
        for line in acknowledged:
            worker, index = map(int, line.split())
            assert found[f"w{worker}", index].text == expected(worker, index)
        verdict = verify(path)
        assert verdict.ok, verdict.first_bad
        with closing(sqlite3.connect(path)) as raw:
            rows = raw.execute("SELECT * FROM samples ORDER BY seq").fetchall()
        assert rows[: len(rows_before)] == rows_before  # every finished row kept, value for value
        rows_before = rows
    assert len(acknowledged) == len(set(acknowledged)) > KILLS  # and none was drawn twice


def test_a_killed_writer_leaves_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    child = start(path)
    try:
        wait_for_output(child)
        with pytest.raises(LedgerLocked, match=f"written by process {child.pid}: wait until it ends"):
            Ledger.open(path, write=True)
        with Ledger.open(path, write=False) as reader:
            counts = []
            deadline = time.monotonic() + 30
            while len(set(counts)) < 3 and time.monotonic() < deadline:
                counts.append(len(reader.samples("r")))
                assert verify(path).ok
        assert counts == sorted(counts)
        assert len(set(counts)) == 3  # it read on while the other wrote on
    finally:
        kill(child)
    with Ledger.open(path, write=True) as ledger:
        prompt = Prompt((Message("user", "?"),))
        ledger.run("r", {"n": 1}, [(Question("q", "?", prompt, prompt), "1")])


def interrupted(path: Path, copy: Path) -> None:
    """Copy a ledger and its journal in the middle of a transaction, as a power loss would leave them."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = TRUNCATE")
        raw.execute("PRAGMA cache_size = 1")  # changed pages go to the file before the commit
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("UPDATE events SET kind = 'half-written'")
        for name in ("", "-journal"):
            shutil.copy(f"{path}{name}", f"{copy}{name}")
        raw.execute("ROLLBACK")


@pytest.mark.parametrize("write", [False, True])
def test_a_half_written_transaction_is_rolled_back(tmp_path: Path, write: bool) -> None:
    path, copy = tmp_path / "l.db", tmp_path / "copy.db"
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", {}, [])
        ledger.append([EventRow("r", float(i), "x" * 2000, {}) for i in range(200)]).result(30)
    interrupted(path, copy)
    assert b"half-written" in copy.read_bytes()
    assert Path(f"{copy}-journal").stat().st_size > 0
    with Ledger.open(copy, write=write) as ledger:
        assert [event.kind for event in ledger.events("r")] == ["started"] + ["x" * 2000] * 200
    assert verify(copy) == verify(path)
