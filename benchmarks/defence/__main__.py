"""Whether compute buys detection: a detector built on a checkpoint of the ladder must spot the wrong solution
among right ones.

read   one pass of a model: how likely it finds the solution; models of rising size
solve  a model's own solutions, 1 to 64 of them, against the values that the solution states

Thresholds flag 5 % of right solutions. Attackers are rules, each a family of errors, held out in turn in an
order drawn from the seed, and models that write wrong solutions, the first or the one that looks rightest of
16 drafts. How a detector sums up what it sees is chosen by other families than the one that is held out.
Writes benchmarks/results/defence.json and defence.svg. An interrupted run goes on with --seed.

OMP_NUM_THREADS=1 python -m benchmarks.defence [--seed N] [--only read|solve]
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.defence import figure
from benchmarks.defence.analysis import FALSE_ALARM, Analysis, Series
from benchmarks.defence.campaign import ATTACKERS, LOOKS, READERS, SOLVERS, Campaign, Plan
from benchmarks.defence.errors import chain_of, worked_off, written
from benchmarks.defence.items import TASK, Items, attackers_in
from benchmarks.laws.figures import rounded

RESULTS = Path(__file__).parents[1] / "results"
PARTS = ("solve", "read")
SEEDS = 1 << 31
REHEARSED = {"clean": 24, "known": 10, "attacked": 16, "draws": 8, "drafts": 4, "held_out": 2}


def said(line: str) -> None:
    print(line, flush=True)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default: a new one)")
    parser.add_argument("--only", action="append", choices=PARTS, help="a part; may be given again")
    parser.add_argument("--ladder", type=Path, default=RESULTS / "ladder" / "checkpoints")
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.defence"), help="for the pieces")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--rehearse", action="store_true", help="everything small")
    return parser.parse_args(arguments)


def series_of(campaign: Campaign, parts: Sequence[str]) -> Iterator[Series]:
    if "solve" in parts:
        yield from (campaign.solving(name) for name in SOLVERS)
    if "read" in parts:
        yield from (campaign.reading(name) for name in READERS)


def recomputed(items: Items) -> dict[str, float]:
    """What a calculator catches that works every problem off and compares the texts."""

    def flagged(prompt: str, steps: tuple[str, ...]) -> bool:
        chain = chain_of(prompt[:-1])
        return steps != written(worked_off(chain.first, chain.operations))

    shares = {}
    for name, some in (("caught", items.wrong), ("false_alarms", items.right)):
        shares[name] = sum(flagged(*each.sight) for each in some) / len(some)
    return shares


def _text(result: dict[str, Any]) -> str:
    """JSON with every list of plain values on one line."""
    spread = json.dumps(result, indent=1, allow_nan=False)
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), spread)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    seed = secrets.randbelow(SEEDS) if chosen.seed is None else chosen.seed
    plan = Plan(seed, chosen.ladder, chosen.place, **(REHEARSED if chosen.rehearse else {}))
    said(f"seed {seed}")
    campaign = Campaign(plan, said)
    items = campaign.items
    analysis, found, laws = Analysis(items, campaign.folds, seed), list[dict[str, Any]](), []
    for series in series_of(campaign, chosen.only or PARTS):
        told, fitted = analysis.result(series)
        found.append(told)
        laws += [each.to_json() for each in fitted]
        last = told["held_out"]["points"][-1]
        said(f"{series.name}: catches {last['value']:.3f} [{last['low']:.3f}, {last['high']:.3f}]")
    numbers = {k: v for k, v in asdict(plan).items() if isinstance(v, int) and k != "seed"}
    result = {
        "seed": seed,
        "task": TASK,
        "false_alarm": FALSE_ALARM,
        "held_out": [fold.held_out for fold in campaign.folds],
        "numbers": numbers,
        "items": {name: len(some) for name, some in vars(items).items()},
        "attacks": {name: sum(each.kind == name for each in items.wrong) for name in attackers_in(items)},
        "attackers": ATTACKERS,
        "looks_right_to": LOOKS,
        "calculator": recomputed(items),
        "detectors": found,
        "laws": laws,
        "flop": campaign.work,
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "defence.json"
    path.write_text(_text(rounded(result)) + "\n", "utf-8")
    figure.write(result, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
