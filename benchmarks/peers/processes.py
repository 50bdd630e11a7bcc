"""A process that is asked side by side: a JSON object a line in, and one a line out when it is done, with the
same `id`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import ROOT, environment

__all__ = ["LineProcess", "asked"]

LINE_BYTES = 1 << 20


class LineProcess:
    """A running process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[str | int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        try:
            async for line in self._process.stdout:
                row = json.loads(line)
                self._settle(self._waiting.pop(row["id"]), row)
        finally:  # also after a line that is no answer: who waits would wait for ever
            for waiting in self._waiting.values():
                self._settle(waiting, None)

    def _settle(self, waiting: asyncio.Future[dict[str, Any]], row: dict[str, Any] | None) -> None:
        if waiting.done():
            return  # who asked has gone
        if row is None:
            waiting.set_exception(RuntimeError("the process has ended"))
        else:
            waiting.set_result(row)

    def tell(self, row: Mapping[str, Any]) -> None:
        """Send what is not answered."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(row).encode() + b"\n")

    def begin(self, row: Mapping[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Send what is answered; the answer. Raises RuntimeError when the process has ended, also later."""
        if self._reading.done():
            raise RuntimeError("the process has ended")
        waiting = self._waiting[row["id"]] = asyncio.get_running_loop().create_future()
        self.tell(row)
        return waiting

    async def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), 30)
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await self._reading


@contextlib.asynccontextmanager
async def asked(command: Sequence[str], log: Path) -> AsyncIterator[LineProcess]:
    """A process, started and ended. What it writes to its standard error is added to `log`."""
    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            env=environment(),
            limit=LINE_BYTES,
        )
    running = LineProcess(process)
    try:
        yield running
    finally:
        await running.close()
