"""A process that answers nonsense ends the wait of who asked it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from benchmarks.peers.processes import asked

NONSENSE = "import sys; sys.stdin.readline(); print('no JSON', flush=True); sys.stdin.readline()"


async def test_nobody_waits_for_a_process_that_answers_nonsense(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        async with asked([sys.executable, "-c", NONSENSE], tmp_path / "log") as process:
            with pytest.raises(RuntimeError, match="the process has ended"):
                await asyncio.wait_for(process.begin({"id": "a"}), 20)
