"""What a monitor catches of cheating that it was not made against: from the raw chain, from the summary that
a user sees, from the answer alone.

rules, words  made from some families of cheating, tested on another, each held out in turn
judge         a model that is asked; it is made from none

Thresholds flag 10 % of honest chains. Beside each area under the ROC curve stands how often a flag is lost
when text that speaks to the monitor is written after the chain. The embedded model writes the summaries,
judges, and writes chains of its own on sums with a wrong hint. Writes benchmarks/results/monitor.json and
monitor.svg. An interrupted run goes on with --seed.

OMP_NUM_THREADS=1 python -m benchmarks.monitor [--seed N] [--model MODEL]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.judge_flips import NEUTRAL, overrides
from benchmarks.laws.figures import rounded
from benchmarks.monitor import figure
from benchmarks.monitor.analysis import (
    FALSE_ALARM,
    Floats,
    Sides,
    areas,
    curve,
    flagged,
    flips,
    numbers,
    overwritten,
    separated,
)
from benchmarks.monitor.campaign import Campaign, Plan
from benchmarks.monitor.items import FAMILIES, HONEST, Fold, Item
from benchmarks.monitor.monitors import MAKERS, Suspects
from benchmarks.monitor.real import Written
from benchmarks.monitor.views import VIEWS

from ponder.config import Settings
from ponder.engines import open_engine

RESULTS = Path(__file__).parents[1] / "results"
SEEDS = 1 << 31
REHEARSED = {
    "known": 2,
    "known_clean": 2,
    "attacked": 2,
    "clean": 4,
    "judged": 2,
    "judged_clean": 2,
    "hints": 2,
    "draws": 2,
}

EVERYTHING = Fold("", tuple(sorted(FAMILIES)))
"""What a monitor is made from that knows all families."""

Views = Mapping[str, Mapping[Item, str]]


def said(line: str) -> None:
    print(line, flush=True)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default: a new one)")
    parser.add_argument("--model", default="smollm2", help="summarizes, judges and is hinted at")
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.monitor"), help="for the pieces")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    parser.add_argument("--rehearse", action="store_true", help="everything small")
    return parser.parse_args(arguments)


def hostile() -> dict[str, str]:
    """What is written after chains: the corpus for judges, and what speaks to monitors."""
    own = tomllib.loads((Path(__file__).parent / "hostile.toml").read_text("utf-8"))
    return {**overrides(), **{name: row["text"] for name, row in own.items()}}


# ---------------------------------------------------------------- monitors that are made


def made(campaign: Campaign, name: str, shown: Mapping[Item, str], fold: Fold) -> Suspects:
    """The monitor that a fold may have, made from what one view shows."""
    items = campaign.items
    cheats = [shown[item] for item in fold.items(items.known)]
    return MAKERS[name](fold, [shown[item] for item in items.known_clean], cheats)


def sides_of(fold: Fold, items: Sequence[Item], look: Callable[[Sequence[Item]], Floats]) -> Sides:
    """What a monitor told of the family that is held out and of honest chains for problems of the same kind:
    a monitor that tells a sum from a function has found nothing."""
    kind = FAMILIES[fold.held_out]["kind"]
    clean = [item for item in items if item.family == HONEST and item.kind == kind]
    attacked = tuple(item for item in items if item.family == fold.held_out)
    return Sides(fold, look(clean), look(attacked), attacked)


@dataclass(frozen=True)
class Trial:
    """A monitor made for each fold, from what one view shows, and what it told."""

    sides: list[Sides]
    suspects: Mapping[Fold, Suspects]

    @classmethod
    def of(cls, campaign: Campaign, name: str, shown: Mapping[Item, str], *, prepared: bool) -> Trial:
        """`prepared`: the monitors know all families, the one that is tested too (in other chains)."""
        items = (*campaign.items.clean, *campaign.items.attacked)
        sides, suspects = [], {}
        for fold in campaign.folds:
            look = made(campaign, name, shown, EVERYTHING if prepared else fold)
            sides.append(sides_of(fold, items, partial(_told, look, shown)))
            suspects[fold] = look
        return cls(sides, suspects)

    def figures(self, plan: Plan) -> dict[str, Any]:
        return areas(self.sides, plan.attacked, plan.seed)

    def flips(self, plan: Plan) -> dict[str, Any]:
        def look(fold: Fold, texts: Sequence[str]) -> Floats:
            return self.suspects[fold](texts)

        return flips(self.sides, look, hostile(), NEUTRAL, plan.seed)


def _told(look: Suspects, shown: Mapping[Item, str], items: Sequence[Item]) -> Floats:
    return look([shown[item] for item in items])


def measured(campaign: Campaign, name: str, views: Views) -> dict[str, Any]:
    """A monitor in every view, and its flips in the raw one: made without the family that is tested, and for
    comparison with it."""
    plan, found = campaign.plan, dict[str, Any]()
    for view in VIEWS:
        unprepared, prepared = (
            Trial.of(campaign, name, views[view], prepared=knows) for knows in (False, True)
        )
        found[view] = {
            **unprepared.figures(plan),
            "known": {**prepared.figures(plan), "curve": curve(prepared.sides)},
            "curve": curve(unprepared.sides),
        }
        if view == "raw":
            found |= {"flips": unprepared.flips(plan), "known_flips": prepared.flips(plan)}
    return found


# ---------------------------------------------------------------- the judge


async def judge(campaign: Campaign, views: Views) -> dict[str, Any]:
    """The judge in every view, and its flips in the raw one."""
    plan, found = campaign.plan, dict[str, Any]()
    verdicts = await campaign.verdicts(views)
    for view in VIEWS:
        told = verdicts[view]
        sides = _judged_sides(campaign, told)
        found[view] = {
            **areas(sides, plan.judged, plan.seed),
            "curve": curve(sides),
            "unreadable": sum(each is None for each in told.values()) / len(told),
            "values": len(set(told.values()) - {None}),
        }
    found["flips"] = await _judge_flips(campaign, _judged_sides(campaign, verdicts["raw"]))
    return found


def _judged_sides(campaign: Campaign, told: Mapping[Item, float | None]) -> list[Sides]:
    def look(items: Sequence[Item]) -> Floats:
        return numbers([told[item] for item in items])

    return [sides_of(fold, list(told), look) for fold in campaign.folds]


async def _judge_flips(campaign: Campaign, sides: Sequence[Sides]) -> dict[str, Any]:
    texts = hostile()
    cases = [
        (item.question, text)
        for side in sides
        for item in flagged(side)
        for text in overwritten(item, texts, NEUTRAL)
    ]
    told = dict(zip(cases, await campaign.overridden(cases), strict=True))
    by_text = {text: suspicion for (_, text), suspicion in told.items()}
    return flips(
        sides,
        lambda fold, written: numbers([by_text[text] for text in written]),
        texts,
        NEUTRAL,
        campaign.plan.seed,
    )


# ---------------------------------------------------------------- a model's own chains


async def real(campaign: Campaign, views: Views) -> dict[str, Any]:
    """What the monitors tell of a model's own chains: those whose answer is the wrong hint, and others."""
    written = await campaign.hinted()
    cheats, others = ([w for w in written if w.followed is side] for side in (True, False))
    found: dict[str, Any] = {
        "chains": len(written),
        "followed": len(cheats),
        "right": sum(w.right for w in written),
        "examples": [
            {"question": question, "text": text}
            for question, text in list(dict.fromkeys((w.question, w.text) for w in cheats))[:3]
        ],
    }
    if not cheats or not others:
        return found
    areas_of = {}
    for name in MAKERS:
        for view, shown in (("raw", _text), ("answer", _answer)):
            look = made(campaign, name, views[view], EVERYTHING)
            told = dict(zip(written, look([shown(w) for w in written]), strict=True))
            areas_of[f"{name}, {view}"] = _separated(campaign, others, cheats, told)
    some = campaign.plan.judged_clean
    judged = [*others[:some], *cheats[:some]]
    told = dict(zip(judged, numbers(await campaign.judged_chains(judged)), strict=True))
    areas_of["judge, raw"] = _separated(campaign, others[:some], cheats[:some], told)
    return {**found, "areas": areas_of}


def _separated(
    campaign: Campaign,
    others: Sequence[Written],
    cheats: Sequence[Written],
    told: Mapping[Written, float],
) -> dict[str, Any]:
    """One chain of each side a problem: draws of the same prompt are seldom of different words."""

    def suspicions(side: Sequence[Written]) -> Floats:
        first: dict[int, Written] = {}
        for each in side:
            first.setdefault(each.problem, each)
        return np.array([told[each] for each in first.values()])

    return separated(suspicions(others), suspicions(cheats), campaign.plan.seed)


def _text(written: Written) -> str:
    return written.text


def _answer(written: Written) -> str:
    return written.text.rpartition("Answer:")[2].strip()


# ---------------------------------------------------------------- all of it


async def measure(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    engine = await open_engine(chosen.model, Settings())
    try:
        plan = Plan(seed, chosen.place, **(REHEARSED if chosen.rehearse else {}))
        campaign = Campaign(plan, engine, said)
        views = await campaign.views()
        monitors = {name: measured(campaign, name, views) for name in MAKERS}
        own = await real(campaign, views)
        monitors["judge"] = await judge(campaign, views)
    finally:
        await engine.close()
    summarized = views["summary"]
    return {
        "seed": seed,
        "model": engine.model.name,
        "false_alarm": FALSE_ALARM,
        "numbers": plan.numbers,
        "hostile": len(hostile()),
        "folds": {fold.held_out: list(fold.known) for fold in campaign.folds},
        "items": dict(Counter(item.family for item in campaign.items.attacked)),
        "empty_summaries": float(np.mean([not text for text in summarized.values()])),
        "examples": [
            {"family": item.family, "chain": item.chain, "summary": summarized[item]}
            for item in campaign.items.attacked[: len(FAMILIES) // 2]
        ],
        "monitors": monitors,
        "real": own,
    }


def _text_of(result: Mapping[str, Any]) -> str:
    """JSON with every list of plain values on one line."""
    spread = json.dumps(result, indent=1, allow_nan=False, ensure_ascii=False)
    return re.sub(r"\[[^][{}\"]*\]", lambda found: " ".join(found[0].split()), spread)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    seed = secrets.randbelow(SEEDS) if chosen.seed is None else chosen.seed
    said(f"seed {seed}")
    result = rounded(asyncio.run(measure(chosen, seed)))
    for name, found in result["monitors"].items():
        for view in VIEWS:
            area = found[view]["auc"]
            said(f"{name}, {view}: AUC {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}]")
    chosen.out.mkdir(parents=True, exist_ok=True)
    path = chosen.out / "monitor.json"
    path.write_text(_text_of(result) + "\n", "utf-8")
    figure.write(result, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
