"""A server in a process of its own, and the means to start, ask and kill it.

`python -m benchmarks.serve.child FOLDER` serves; it prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serve.barest import BarestRecord
from tests.serve.serving import thinker

from ponder.config import Settings
from ponder.ledger import Ledger
from ponder.serve.house import Options
from ponder.serve.keys import Keyring
from ponder.serve.server import serve

__all__ = ["Child", "started"]


@dataclass(frozen=True)
class Child:
    """A process that serves at an address."""

    process: subprocess.Popen[str]
    address: str

    @property
    def resident_mib(self) -> float:
        """Of Linux alone."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def kill(self) -> None:
        """At once, as a power loss would."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def started(*arguments: str, module: str = "benchmarks.serve.child") -> Iterator[Child]:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            if not address:
                raise RuntimeError(f"{' '.join(command)} did not start")
            yield Child(process, address)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def _recorded_nowhere(self: Ledger, rows: Any) -> Future[None]:
    """In place of `Ledger.append`: every row is durable at once, because it is not kept."""
    done: Future[None] = Future()
    done.set_result(None)
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", help="An address; else a made-up model thinks.")
    parser.add_argument("--seconds", type=float, default=0.0, help="Of a made-up sample.")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument(
        "--record", choices=("ledger", "barest", "none"), default="ledger", help="Of requests."
    )
    stated = parser.parse_args()
    keys = stated.folder / "keys.toml"
    settings = {} if stated.model is None else {"model": stated.model}

    def ready(address: str, server: object) -> None:
        if stated.record == "none":
            Ledger.append = _recorded_nowhere  # type: ignore[assignment]
        elif stated.record == "barest":
            barest = BarestRecord(stated.folder / "barest.jsonl")
            Ledger.append = lambda _, rows: barest.append(rows)  # type: ignore[method-assign]
        print(address, flush=True)

    asyncio.run(
        serve(
            Settings(ledger=str(stated.folder / "ledger.sqlite"), **settings),
            Options(concurrency=stated.concurrency),
            port=0,
            engine=None if stated.model else thinker(seconds=stated.seconds),
            keyring=Keyring(keys) if keys.exists() else None,
            ready=ready,
        )
    )


if __name__ == "__main__":
    main()
