"""SIGKILL a measurement at random, again and again: what was finished stays, and is never bought again."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ponder.ledger import Ledger, verify

SCRIPT = Path(__file__).parent / "scripted_measure.py"
Rows = list[tuple[Any, ...]]


def finished_rows(ledger: Path, table: str = "samples") -> Rows:
    """The rows of the samples that were finished, as they lie in the file."""
    if not ledger.exists():
        return []
    connection = sqlite3.connect(ledger)
    try:
        return connection.execute(
            f"SELECT * FROM {table} WHERE finish IN ('stop', 'length') ORDER BY seq"
        ).fetchall()
    except sqlite3.OperationalError:  # killed before the tables were made
        return []
    finally:
        connection.close()


def kill_while_drawing(command: Sequence[str], ledger: Path, chance: random.Random) -> bool:
    """Start a command and kill it some time after it has finished a sample; whether it still ran."""
    had = len(finished_rows(ledger))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(finished_rows(ledger)) == had:
        time.sleep(0.01)
    time.sleep(0.3 * chance.random())
    running = process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    return running


def places(ledger: Path) -> list[tuple[str, str, int]]:
    connection = sqlite3.connect(ledger)
    try:
        return connection.execute(
            "SELECT problem_id, stream, position FROM samples WHERE finish IN ('stop', 'length')"
        ).fetchall()
    finally:
        connection.close()


def test_a_killed_measurement_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    chance = random.Random(7)
    ledger = tmp_path / "killed.sqlite"
    kills = 0
    for _ in range(8):
        kept = finished_rows(ledger)
        killed = kill_while_drawing([sys.executable, str(SCRIPT), str(ledger), "4"], ledger, chance)
        after = finished_rows(ledger)
        assert after[: len(kept)] == kept
        assert verify(ledger).ok
        if not killed:
            break
        kills += 1
    assert kills >= 2
    kept = finished_rows(ledger)
    results = []
    for path in (ledger, tmp_path / "whole.sqlite"):
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, check=True
        )
        results.append(json.loads(done.stdout.removeprefix("done ")))
    assert results[0] == results[1]
    assert finished_rows(ledger)[: len(kept)] == kept
    drawn = places(ledger)
    assert len(drawn) == len(set(drawn)) == 10 * 8 * 2
    assert verify(ledger).ok


@pytest.mark.timeout(900)  # three times the model from nothing, on a machine that may be busy
def test_a_killed_measurement_of_the_real_model_continues(tmp_path: Path, weights: Path) -> None:
    """Two tasks, whose longest answers end at different times: some samples are kept before others."""
    ledger = tmp_path / "real.sqlite"
    command = [
        *(sys.executable, "-m", "ponder", "measure", "--task", "chain_sum", "--task", "countdown"),
        *("--problems", "6", "--samples", "16", "--strategy", "best", "--json", "--no-report"),
    ]
    environment = os.environ | {"PONDER_LEDGER": str(ledger)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    while process.poll() is None and not finished_rows(ledger):
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = finished_rows(ledger)
    assert 0 < len(kept) < 12 * 16
    first = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert finished_rows(ledger)[: len(kept)] == kept
    drawn = places(ledger)
    assert len(drawn) == len(set(drawn)) == 12 * 16
    second = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    one, two = json.loads(first.stdout), json.loads(second.stdout)
    assert one["tasks"] == two["tasks"]
    assert two["new_usage"]["calls"] == 0
    with Ledger.open(ledger, write=False) as store:
        assert store.usage(one["run"]).samples == 12 * 16
    assert verify(ledger).ok


def test_an_interrupted_measurement_says_so_and_keeps_all_it_paid_for(tmp_path: Path) -> None:
    """Ctrl-C with many calls in flight: every one of them is on the ledger, finished or cancelled."""
    ledger = tmp_path / "interrupted.sqlite"
    for number in range(1, 4):
        had = len(finished_rows(ledger))
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), str(ledger), "8"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and len(finished_rows(ledger)) < had + 3 * number:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.wait(30)
    with Ledger.open(ledger, write=False) as store:
        kinds = [event.kind for event in store.events("killed")]
        calls = store.calls("killed")
    assert "interrupted" in kinds
    statuses = [call.status for call in calls]
    assert "cancelled" in statuses
    # 24 calls were in flight each time, and none of them may be missing
    assert statuses.count("cancelled") >= 8 * kinds.count("interrupted")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(ledger)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("done ")
    drawn = places(ledger)
    assert len(drawn) == len(set(drawn)) == 10 * 8 * 2
    assert verify(ledger).ok
