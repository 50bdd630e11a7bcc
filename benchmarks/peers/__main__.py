"""`python -m benchmarks.peers`: everything that is missing is made, then the table is printed and written.

Installs the peers, runs every system from the bank that is committed, then a hundred problems live, the same
hundred behind a server that counts one choice only, and the speeds. It may be interrupted at any time; the
same command goes on from there.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from benchmarks.peers import bank, drawing, table
from benchmarks.peers.bank import Banked
from benchmarks.peers.campaign import Plan, run
from benchmarks.peers.endpoint import AT_ONCE, LIVE, Endpoint, Replay
from benchmarks.peers.environments import folder
from benchmarks.peers.live import FIRST_CHOICE, live
from benchmarks.peers.outcomes import Outcome, Outcomes
from benchmarks.peers.speed import speed
from benchmarks.peers.systems import System, named
from benchmarks.peers.versions import version

STAGES = ("replay", "live", "first choice", "speed", "table")
LIVE_PROBLEMS = 100
JUDGED_PROBLEMS = 20  # a judged system takes a live model for its usage, too


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.peers", description=__doc__)
    parser.add_argument("--only", choices=STAGES, action="append", help="run these stages alone")
    parser.add_argument("--system", action="append", default=[], help="by name or family; default all")
    parser.add_argument("--problems", type=int, help="so many problems in all, an equal share a task")
    parser.add_argument("--repeats", type=int, default=1, help="orders of the samples to run in")
    parser.add_argument("--width", type=int, default=4, help="problems side by side")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--bank", type=Path, default=bank.COMMITTED, help="a bank's file, or its ledger")
    source.add_argument("--draw", action="store_true", help="draw a bank anew instead; takes hours")
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


def banked(source: Path, place: Path, *, anew: bool) -> list[Banked]:
    """The problems of a bank's file; of a ledger by way of such a file in `place`."""
    if anew:
        source = place / "bank.sqlite"
        drawing.draw(source)
    if source.suffix == ".xz":
        return bank.load(source)
    written = place / "bank.jsonl.xz"
    bank.save(drawing.recorded(source), written)
    return bank.load(written)


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


async def first_choice(
    systems: Sequence[System], problems: Sequence[Banked], outcomes: Outcomes, *, width: int
) -> None:
    """The systems that are checked live, behind a server whose usage states the first choice only."""
    own = [system for system in systems if system.live]
    for cancels, pace, lanes in ((False, AT_ONCE, width), (True, LIVE, 1)):
        chosen = [s for s in own if not s.judged and s.cancels == cancels]
        async with Endpoint(Replay(problems, pace, counts_all=False), problems) as endpoint:
            await run(Plan(FIRST_CHOICE, chosen, problems, width=lanes), endpoint, outcomes)
    judged = [system for system in own if system.judged]
    await live(judged, problems[:JUDGED_PROBLEMS], outcomes, width=width, counts_all=False)


def current(
    outcomes: Iterable[Outcome], problems: Sequence[Banked], systems: Sequence[System]
) -> list[Outcome]:
    """The outcomes of today's code and of these problems' samples. Of what was asked beside the problems they
    bear their share among all that were run."""
    versions = {system.name: version(system) for system in systems}
    digests = {each.question.id: each.digest for each in problems}
    own = [o for o in outcomes if versions.get(o.system) == o.version]
    kept = [o for o in own if o.problem and digests.get(o.problem) == o.digest]
    run, here = (Counter((o.stage, o.system) for o in each if o.problem) for each in (own, kept))
    for beside in (o for o in own if not o.problem):
        place = beside.stage, beside.system
        if here[place] == run[place]:
            kept.append(beside)
        elif here[place]:
            true = {name: n * here[place] / run[place] for name, n in beside.true.items()}
            kept.append(replace(beside, true=true))
    return kept


async def main() -> None:
    options = _arguments()
    stages = options.only or STAGES
    place = folder()
    problems = some(banked(options.bank, place, anew=options.draw), options.problems)
    systems = named(tuple(options.system))
    outcomes = Outcomes(place / "outcomes.jsonl")
    try:
        if "replay" in stages:
            await replay(systems, problems, outcomes, repeats=options.repeats, width=options.width)
        few = some(problems, LIVE_PROBLEMS)
        if "live" in stages:
            await live(systems, few, outcomes, width=options.width)
        if "first choice" in stages:
            await first_choice(systems, few, outcomes, width=options.width)
        if "speed" in stages:
            await speed(few, place / "speed.json")
        if "table" in stages:
            table.write(current(outcomes, problems, systems), problems, systems, place, options.result)
    finally:
        outcomes.close()


if __name__ == "__main__":
    asyncio.run(main())
