"""python -m benchmarks.laws [--only PART] [--ladder FOLDER] [--out FOLDER] [--draws N]"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.laws import chains, draws, family, forms, gains, guessing, pictures, verified
from benchmarks.laws.figures import Result, rounded
from benchmarks.laws.sources import LADDER, MODEL, STEPS, TASKS, Source, embedded, of_ladder

from ponder.laws.ladder import Ladder, read
from ponder.laws.study import ExchangeStudy, WorthStudy

OUT = Path(__file__).parent
PARTS = ("recorded", "coverage", "votes", "guessing", "verified", "family", "forms", "gains", "chains")
_OF_DRAWS = 10  # times fewer refits of each of the many laws of draws


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Apply the laws to the ladder and to the embedded model.")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given again")
    parser.add_argument("--ladder", type=Path, default=LADDER)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--draws", type=int, default=1000, help="refits for the intervals")
    stated = parser.parse_args(arguments)
    ladder = read(stated.ladder)
    stated.out.mkdir(parents=True, exist_ok=True)
    for name in PARTS:
        if stated.only is None or name in stated.only:
            began = time.process_time()
            result, charts = _PART[name](ladder, stated.draws)
            text = json.dumps(rounded(result), indent=1, allow_nan=False)
            (stated.out / f"{name}.json").write_text(text + "\n", "utf-8")
            for of, draw in charts.items():
                pictures.save(draw(), stated.out / f"{of}.svg")
            print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)


Charts = dict[str, Callable[[], Any]]
"""Pictures by name, drawn after the result is written."""


def _recorded(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    """What was there to be fitted to, and which tasks were not recorded."""
    rows = []
    for task in TASKS:
        own = [each for each in ladder.recordings if each.task == task]
        numbers = sorted({each.draws for each in own})
        rows.append(
            {
                "task": task,
                "asks_for": TASKS[task],
                "checkpoints": len(own),
                "sizes": len({str(each.shape) for each in own}),
                "problems": len(own[0].tallies) if own else None,
                "draws": {str(n): sum(each.draws == n for each in own) for n in numbers},
            }
        )
    bank = [each.counts for each in embedded()]
    beside = {
        "model": MODEL,
        "problems": sum(len(counts.ids) for counts in bank),
        "draws": min((counts.least for counts in bank), default=None),
    }
    refits = {"laws": count, "laws of draws": count // _OF_DRAWS}
    return {"tasks": rows, "left_out": list(ladder.left_out), "embedded": beside, "refits": refits}, {}


def _sources(ladder: Ladder) -> list[Source]:
    return [*of_ladder(ladder.recordings), *embedded()]


def _coverage(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    sources = _sources(ladder)
    own = [each.counts for each in sources if each.counts.task == STEPS]
    charts: Charts = {}
    if own:
        # The checkpoint with most draws; of several the most trained.
        shown = max(reversed(own), key=lambda counts: counts.least)
        charts["coverage"] = partial(pictures.coverage_picture, shown, draws=count)
    return draws.coverage(sources, draws=count // _OF_DRAWS), charts


def _votes(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    return draws.votes(_sources(ladder), draws=count // _OF_DRAWS), {}


def _guessing(ladder: Ladder, _: int) -> tuple[Result, Charts]:
    return guessing.guessing(ladder), {}


def _verified(_: Ladder, count: int) -> tuple[Result, Charts]:
    return verified.verified(draws=count), {}


def _family(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    found = family.studies(ladder, draws=count)
    drawn = [study for (task, _), study in found.items() if task == STEPS]
    known = [study for study in drawn if isinstance(study, ExchangeStudy)]
    charts: Charts = {"exchange": partial(pictures.exchange_picture, known)} if known else {}
    return family.family(found), charts


def _forms(ladder: Ladder, _: int) -> tuple[Result, Charts]:
    return forms.forms(ladder), {}


def _gains(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    found = gains.studies(ladder, draws=count)
    drawn = {name: found.get((STEPS, name)) for name in ("vote", "curated")}
    known = {name: study for name, study in drawn.items() if isinstance(study, WorthStudy)}
    charts: Charts = {"worth": partial(pictures.worth_picture, known)} if known else {}
    pairs = [row for task in TASKS for row in gains.curated(ladder, task)]
    return gains.gains(found, pairs, gains.campaigns(ladder, found, gains.RESULTS)), charts


def _chains(ladder: Ladder, count: int) -> tuple[Result, Charts]:
    spent = chains.ways(ladder, draws=count)
    charts: Charts = {} if spent is None else {"chains": partial(pictures.ways_picture, spent[1])}
    return chains.chains(ladder, spent), charts


_PART = {
    "recorded": _recorded,
    "coverage": _coverage,
    "votes": _votes,
    "guessing": _guessing,
    "verified": _verified,
    "family": _family,
    "forms": _forms,
    "gains": _gains,
    "chains": _chains,
}

if __name__ == "__main__":
    main()
