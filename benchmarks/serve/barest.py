"""The barest record that is durable: what any record takes at least, beside which the ledger's cost is shown.

The same rows as JSON, one after the other in a file that has its length already, one sync for all that wait.
It has no chain, keeps no text once only, and nothing can be looked up in it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue

from ponder.ledger import Row
from ponder.ledger.rows import store_row

__all__ = ["BarestRecord"]

_BYTES = 64 << 20
_Batch = tuple[bytes, Future[None]]


class BarestRecord:
    """Appends rows to a file, from its start again when it is full."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(self._file, bytes(_BYTES), 0)
        os.fsync(self._file)
        self._end = 0
        self._queue: SimpleQueue[_Batch] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def append(self, rows: Iterable[Row]) -> Future[None]:
        """As `Ledger.append`."""
        done: Future[None] = Future()
        self._queue.put((json.dumps([(row.table, store_row(row)) for row in rows]).encode(), done))
        return done

    def _run(self) -> None:
        while True:
            group = [self._queue.get()]
            try:
                while True:
                    group.append(self._queue.get_nowait())
            except Empty:
                self._write(group)

    def _write(self, group: list[_Batch]) -> None:
        lines = b"\n".join(line for line, _ in group)
        self._end = 0 if self._end + len(lines) > _BYTES else self._end
        self._end += os.pwrite(self._file, lines, self._end)
        os.fdatasync(self._file)
        for _, done in group:
            done.set_result(None)
