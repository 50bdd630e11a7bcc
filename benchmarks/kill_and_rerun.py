"""Kill `ponder measure` on the real model at random moments, many times, and check every rerun.

Each round measures with its own ledger, is killed once or several times at random, and is then run to its
end: every finished row must still be there byte for byte, none bought twice, the chain whole, and a further
rerun must buy nothing and print the same numbers. Writes benchmarks/results/kill_and_rerun.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ponder.ledger import verify

RESULT = Path(__file__).parent / "results" / "kill_and_rerun.json"
COMMAND = [
    *(sys.executable, "-m", "ponder", "measure", "--task", "countdown", "--problems", "16"),
    *("--samples", "64", "--strategy", "best", "--no-report", "--json"),
]
SAMPLES = 16 * 64


def finished_rows(ledger: Path) -> list[tuple[Any, ...]]:
    if not ledger.exists():
        return []
    connection = sqlite3.connect(ledger)
    try:
        query = "SELECT * FROM samples WHERE finish IN ('stop', 'length') ORDER BY seq"
        return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        connection.close()


def killed(environment: dict[str, str], ledger: Path, rows: int, seconds: float) -> bool:
    """Start a measurement and kill it some time after its ledger holds so many finished samples."""
    process = subprocess.Popen(COMMAND, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and len(finished_rows(ledger)) < rows:
        time.sleep(0.05)
    time.sleep(seconds)
    running = process.poll() is None
    process.kill()
    process.wait()
    return running


def whole(environment: dict[str, str]) -> Any:
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def one_round(folder: Path, chance: random.Random) -> dict[str, int]:
    ledger = folder / "ledger.sqlite"
    environment = os.environ | {"PONDER_LEDGER": str(ledger)}
    kills = kept_samples = 0
    for _ in range(chance.randint(1, 3)):
        before = finished_rows(ledger)
        if len(before) == SAMPLES:
            break
        wanted = chance.randrange(len(before), SAMPLES)
        if not killed(environment, ledger, wanted, 0.5 * chance.random()):
            break
        kills += 1
        after = finished_rows(ledger)
        assert after[: len(before)] == before, "a finished row changed"
        kept_samples = len(after)
    before = finished_rows(ledger)
    first = whole(environment)
    rows = finished_rows(ledger)
    assert rows[: len(before)] == before, "a finished row changed"
    assert len(rows) == SAMPLES, f"{len(rows)} samples instead of {SAMPLES}: some were bought twice"
    second = whole(environment)
    assert second["new_usage"]["calls"] == 0, "a rerun bought samples"
    assert second["tasks"] == first["tasks"], "a rerun said something else"
    assert verify(ledger).ok, "the ledger is not whole"
    return {"kills": kills, "kept": kept_samples}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(one_round(Path(folder), chance))
        print(f"round {number + 1}: {rounds[-1]}", flush=True)
    result = {
        "rounds": len(rounds),
        "kills": sum(r["kills"] for r in rounds),
        "kills_between_first_and_last_sample": sum(0 < r["kept"] < SAMPLES for r in rounds),
        "rows_lost_or_changed": 0,
        "samples_bought_twice": 0,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(result)


if __name__ == "__main__":
    main()
