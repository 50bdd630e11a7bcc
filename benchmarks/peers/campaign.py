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
from benchmarks.peers.environments import folder, python
from benchmarks.peers.outcomes import Outcome, Outcomes
from benchmarks.peers.processes import LineProcess, asked
from benchmarks.peers.systems import System
from benchmarks.peers.truth import Truth
from benchmarks.peers.versions import version

__all__ = ["Plan", "job", "run", "worker"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: `width` problems side by side. `stage` and `repeat` name the outcomes."""

    stage: str
    systems: Sequence[System]
    problems: Sequence[Banked]
    repeat: int = 0
    width: int = 4


@contextlib.asynccontextmanager
async def worker(system: System, address: str) -> AsyncIterator[LineProcess]:
    """A system's process."""
    module = f"benchmarks.peers.workers.{system.kind}"
    command = [str(python(system.kind)), "-m", module, address, json.dumps(dict(system.options))]
    async with asked(command, folder() / f"{system.kind}.log") as running:
        yield running


def job(banked: Banked, seed: int) -> dict[str, Any]:
    """What a worker is asked about a problem."""
    return {"id": banked.question.id, "question": banked.question.to_json(), "seed": seed}


async def run(plan: Plan, endpoint: Endpoint, outcomes: Outcomes) -> None:
    """Run every system on the problems that it has no outcome of. A failure of a system is its outcome."""
    done = {(o.stage, o.system, o.version, o.repeat, o.problem, o.digest) for o in outcomes}
    for system in plan.systems:
        place = (plan.stage, system.name, version(system), plan.repeat)
        missing = [b for b in plan.problems if (*place, b.question.id, b.digest) not in done]
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
                row = await running.begin(job(banked, plan.repeat))
                seconds = time.monotonic() - began
                truth = await endpoint.end(client, banked.question.id)
                outcomes.append(_outcome(system, plan, banked, row, truth, seconds))

        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(plan.width, len(problems))):
                lanes.create_task(lane())
    beside = await endpoint.outside(client)
    if beside.requests:
        outcomes.append(_outcome(system, plan, None, {"text": ""}, beside, 0.0))


def _outcome(
    system: System, plan: Plan, banked: Banked | None, row: dict[str, Any], true: Truth, seconds: float
) -> Outcome:
    return Outcome(
        stage=plan.stage,
        system=system.name,
        version=version(system),
        repeat=plan.repeat,
        problem="" if banked is None else banked.question.id,
        digest="" if banked is None else banked.digest,
        text=row.get("text"),
        reported=row.get("reported", {}),
        true=true.to_json(),
        seconds=round(seconds, 4),
        error=row.get("error"),
    )
