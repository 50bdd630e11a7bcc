"""A process that answers nonsense ends the wait of who asked it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from benchmarks.peers.processes import asked

NONSENSE = "import sys; sys.stdin.readline(); print('no JSON', flush=True); sys.stdin.readline()"


async def test_nobody_waits_for_a_process_that_answers_nonsense(tmp_path: Path) -> None:
    async def ask() -> None:
        async with asked([sys.executable, "-c", NONSENSE], tmp_path / "log") as process:
            await asyncio.wait_for(process.begin({"id": "a"}), 20)

    with pytest.raises((ValueError, RuntimeError), match=r"Expecting value|the process has ended"):
        await ask()
