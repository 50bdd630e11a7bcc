"""`python -m benchmarks.peers`: everything that is missing is made, then the table is printed and written.

Draws the bank, installs the peers, runs every system from the bank, then a hundred problems live, then the
speeds. It may be interrupted at any time; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from benchmarks.peers import bank, table
from benchmarks.peers.bank import Banked
from benchmarks.peers.campaign import Plan, run
from benchmarks.peers.endpoint import AT_ONCE, LIVE, Endpoint, Replay
from benchmarks.peers.environments import folder
from benchmarks.peers.outcomes import Outcomes
from benchmarks.peers.systems import System, named
from benchmarks.peers.versions import version

STAGES = ("replay", "live", "speed", "table")
LIVE_PROBLEMS = 100


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=STAGES, action="append", help="run these stages alone")
    parser.add_argument("--system", action="append", default=[], help="by name or family; default all")
    parser.add_argument("--problems", type=int, help="so many problems in all, an equal share a task")
    parser.add_argument("--repeats", type=int, default=1, help="orders of the samples to run in")
    parser.add_argument("--width", type=int, default=4, help="problems side by side")
    parser.add_argument("--bank", type=Path, help="the ledger with the samples")
    parser.add_argument("--result", type=Path, default=table.RESULT, help="where the figures are written")
    return parser.parse_args()


def some(problems: Sequence[Banked], n: int | None) -> list[Banked]:
    """The first n problems, taking one of each task in turn; all in their order without n."""
    if n is None:
        return list(problems)
    by_task: dict[str, list[Banked]] = defaultdict(list)
    for banked in problems:
        by_task[banked.question.task].append(banked)
    in_turn = [banked for row in zip_longest(*by_task.values()) for banked in row if banked is not None]
    return in_turn[:n]


async def replay(
    systems: Sequence[System], problems: Sequence[Banked], outcomes: Outcomes, *, repeats: int, width: int
) -> None:
    """Every system that a bank can serve, in each order of the samples."""
    for repeat in range(repeats):
        # What a client has not yet given up it pays for, so one that cancels must not wait for a processor.
        for cancels, pace, lanes in ((False, AT_ONCE, width), (True, LIVE, min(width, 2))):
            own = [s for s in systems if not s.judged and s.cancels == cancels]
            async with Endpoint(Replay(problems, pace, repeat=repeat), problems) as endpoint:
                await run(Plan("replay", own, problems, repeat, lanes), endpoint, outcomes)


async def main() -> None:
    options = _arguments()
    stages = options.only or STAGES
    place = folder()
    ledger = options.bank or place / "bank.sqlite"
    if options.bank is None:
        bank.draw(ledger)
    problems = some(bank.load(ledger), options.problems)
    systems = named(tuple(options.system))
    outcomes = Outcomes(place / "outcomes.jsonl")
    try:
        if "replay" in stages:
            await replay(systems, problems, outcomes, repeats=options.repeats, width=options.width)
        if "live" in stages:
            from benchmarks.peers.live import live

            await live(systems, some(problems, LIVE_PROBLEMS), outcomes)
        if "speed" in stages:
            from benchmarks.peers.speed import speed

            await speed(some(problems, LIVE_PROBLEMS), place / "speed.json")
        if "table" in stages:
            now = {system.name: version(system) for system in systems}
            current = [o for o in outcomes if now.get(o.system) == o.version]
            table.write(current, problems, systems, place, options.result)
    finally:
        outcomes.close()


if __name__ == "__main__":
    asyncio.run(main())
