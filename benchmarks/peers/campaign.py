"""Run systems over problems: each in its own process and environment, all against one endpoint.

What has its outcome already, by the same code, is not run again: an interrupted campaign is continued by the
same command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.bank import Banked
from benchmarks.peers.endpoint import Endpoint
from benchmarks.peers.environments import ROOT, environment, folder, python
from benchmarks.peers.outcomes import Outcome, Outcomes
from benchmarks.peers.systems import System
from benchmarks.peers.versions import version

__all__ = ["Plan", "run", "worker"]

LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: `width` problems side by side. `stage` and `repeat` name the outcomes."""

    stage: str
    systems: Sequence[System]
    problems: Sequence[Banked]
    repeat: int = 0
    width: int = 4


class _Worker:
    """A system's process, asked about problems side by side."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            row = json.loads(line)
            self._waiting.pop(row["id"]).set_result(row)
        for waiting in self._waiting.values():
            waiting.set_exception(RuntimeError("the worker has ended"))

    async def ask(self, banked: Banked, seed: int) -> dict[str, Any]:
        """What the worker says of a problem. Raises RuntimeError when it has ended."""
        assert self._process.stdin is not None
        if self._reading.done():
            raise RuntimeError("the worker has ended")
        identity = banked.question.id
        waiting = self._waiting[identity] = asyncio.get_running_loop().create_future()
        job = {"id": identity, "question": banked.question.to_json(), "seed": seed}
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        await self._process.stdin.drain()
        row: dict[str, Any] = await waiting
        return row

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
async def worker(system: System, address: str) -> AsyncIterator[_Worker]:
    """A system's process, started and ended. What it writes to its standard error is kept in a log."""
    command = [str(python(system.kind)), "-m", f"benchmarks.peers.workers.{system.kind}"]
    with (folder() / f"{system.kind}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            address,
            json.dumps(dict(system.options)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=environment(),
            limit=LINE_BYTES,
        )
    running = _Worker(process)
    try:
        yield running
    finally:
        await running.close()


async def run(plan: Plan, endpoint: Endpoint, outcomes: Outcomes) -> None:
    """Run every system on the problems that it has no outcome of. A failure of a system is its outcome."""
    done = {(o.stage, o.system, o.version, o.repeat, o.problem) for o in outcomes}
    for system in plan.systems:
        place = (plan.stage, system.name, version(system), plan.repeat)
        missing = [banked for banked in plan.problems if (*place, banked.question.id) not in done]
        if not missing:
            continue
        began = time.monotonic()
        await _run(system, missing, plan, endpoint, outcomes)
        seconds = time.monotonic() - began
        print(
            f"{plan.stage} {plan.repeat}: {system.name}, {len(missing)} problems, {seconds:.0f} s", flush=True
        )


async def _run(
    system: System, problems: Sequence[Banked], plan: Plan, endpoint: Endpoint, outcomes: Outcomes
) -> None:
    client = f"{plan.stage}-{plan.repeat}-{system.name}".replace(" ", "_").replace("/", "_")
    waiting = iter(problems)
    async with worker(system, endpoint.address(client)) as running:

        async def lane() -> None:
            for banked in waiting:
                endpoint.begin(client, banked.question.id)
                began = time.monotonic()
                row = await running.ask(banked, plan.repeat)
                seconds = time.monotonic() - began
                truth = await endpoint.end(client, banked.question.id)
                outcomes.append(_outcome(system, plan, banked.question.id, row, truth.to_json(), seconds))

        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(plan.width, len(problems))):
                lanes.create_task(lane())
    beside = await endpoint.outside(client)
    if beside.requests:
        outcomes.append(_outcome(system, plan, "", {"text": ""}, beside.to_json(), 0.0))


def _outcome(
    system: System, plan: Plan, problem: str, row: dict[str, Any], true: dict[str, int], seconds: float
) -> Outcome:
    return Outcome(
        stage=plan.stage,
        system=system.name,
        version=version(system),
        repeat=plan.repeat,
        problem=problem,
        text=row.get("text"),
        reported=row.get("reported", {}),
        true=true,
        seconds=round(seconds, 4),
        error=row.get("error"),
    )
