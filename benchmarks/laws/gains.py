"""What each enhancement is worth in training compute.

Strategies and curated texts are told by `ponder.laws.study`, curated texts also beside the plain ones of the
same size, seed and tokens. Search traces are another task's recordings of
the same problems. Checkpoints that were distilled or reinforced are known by their scores alone: their gain
is read off the plain frontier's law, and its interval joins both ends of both intervals, so it is wider than
90 %.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.laws.figures import Result, difference, share
from benchmarks.laws.sources import NOT_RECORDED, SEARCH, STEPS, TASKS, renamed
from numpy.typing import NDArray

from ponder import flop
from ponder.errors import LawUndefined
from ponder.laws.ladder import Ladder, grid_of
from ponder.laws.study import ENHANCEMENTS, Enhancement, WorthStudy, study_worth
from ponder.laws.worth import Frontier, worth
from ponder.train.recorded import Recorded

__all__ = ["RESULTS", "Studied", "campaigns", "curated", "gains", "search_study", "studies"]

Floats = NDArray[np.float64]
Studied = dict[tuple[str, str], WorthStudy | str]

RESULTS = Path(__file__).parents[1] / "results"
SEARCH_TRACES = "search traces"


def studies(ladder: Ladder, *, draws: int) -> Studied:
    """Every enhancement on every task, or why there is none."""
    found: Studied = {}
    plain_tasks = [task for task in TASKS if task != SEARCH]
    for task in plain_tasks:
        for enhancement in ENHANCEMENTS:
            there = _recorded(ladder, task, enhancement)
            found[task, enhancement] = _tried(there, _study(ladder, task, enhancement, draws))
    there = {STEPS, SEARCH} <= set(ladder.tasks)
    found[STEPS, SEARCH_TRACES] = _tried(there, lambda: search_study(ladder, draws=draws))
    return found


def _recorded(ladder: Ladder, task: str, enhancement: Enhancement) -> bool:
    """Whether some checkpoint of the task has the enhancement; a strategy is had of plain ones."""
    if task not in ladder.tasks:
        return False
    if enhancement == "further":
        return bool(ladder.trained_further(task))
    recipes = {
        (each.about.get("training") or {}).get("recipe") for each in ladder.recordings if each.task == task
    }
    return enhancement != "curated" or "curated" in recipes


def _study(ladder: Ladder, task: str, enhancement: Enhancement, draws: int) -> Callable[[], WorthStudy]:
    return lambda: study_worth(ladder, task, enhancement, draws=draws)


def _tried(there: bool, study: Callable[[], WorthStudy]) -> WorthStudy | str:
    if not there:
        return NOT_RECORDED
    try:
        return study()
    except LawUndefined as error:
        return str(error)


def search_study(ladder: Ladder, *, draws: int) -> WorthStudy:
    """One chain of a checkpoint that learnt search traces, against plain checkpoints on the same problems.

    Raises LawUndefined where they do not bear a gain.
    """
    plain = ladder.pretrained(STEPS)
    others = [renamed(each, STEPS) for each in ladder.pretrained(SEARCH)]
    grid = grid_of([*plain, *others], "pass", most=1)
    of_plain = np.arange(len(grid.models)) < len(plain)
    rows, frontier = worth(grid, plain=of_plain, enhanced=~of_plain, draws=draws)
    plainly = {size: grid.inference_flop[of_plain & (grid.size == size), 0].mean() for size in grid.size}
    rows = tuple(replace(row, inference_ratio=float(row.inference_flop / plainly[row.size])) for row in rows)
    return WorthStudy(
        task=STEPS,
        enhancement="curated",
        amount=1,
        problems=len(grid.values),
        rows=rows,
        breadth=(None,) * len(rows),
        frontier=frontier,
    )


def gains(found: Studied, pairs: Sequence[Result], trained: Sequence[Result]) -> Result:
    """The studies as plain values, the pairs of `curated`, and the checkpoints that were trained further."""
    rows = []
    for (task, enhancement), study in found.items():
        told: Result = {"undefined": study} if isinstance(study, str) else _told(study)
        rows.append(told | {"task": task, "enhancement": enhancement})
    return {"studies": rows, "curated": list(pairs), "trained_further": list(trained)}


def _told(study: WorthStudy) -> Result:
    """With the most that the frontier's law misses of the frontier; None where there is no law."""
    told, frontier = study.to_json(), study.frontier
    told["law_misses"] = None
    if frontier.curve is not None:
        says = np.interp(np.log(frontier.compute), np.log(frontier.places), frontier.curve)
        told["law_misses"] = float(np.abs(says - frontier.scores).max())
    return told


# ---------------------------------------------------------------- curated texts beside plain ones


def curated(ladder: Ladder, task: str) -> list[Result]:
    """Each checkpoint that learnt curated texts beside the one of the same size, seed and rung that learnt
    plain ones, smallest size and fewest tokens first: one sample right, and any of as many as all pairs have.
    """
    pairs = _pairs(ladder, task)
    most = min((each.draws for pair in pairs for each in pair), default=1)
    return [_pair(task, *pair, most) for pair in pairs]


def _pairs(ladder: Ladder, task: str) -> list[tuple[Recorded, Recorded]]:
    if not _recorded(ladder, task, "curated"):
        return []
    plain = {each.name: each for each in ladder.pretrained(task)}
    named = [
        (each, each.name.replace("-curated-", "-random-"))
        for each in ladder.pretrained(task, recipe="curated")
    ]
    found = [(each, plain[name]) for each, name in named if name in plain]
    return sorted(found, key=lambda pair: (flop.parameters(pair[0].shape), pair[0].training_tokens or 0))


def _pair(task: str, chosen: Recorded, plain: Recorded, most: int) -> Result:
    row: Result = {
        "task": task,
        "model": chosen.name,
        "plain": plain.name,
        "size": float(flop.parameters(chosen.shape)),
        "tokens": chosen.training_tokens,
        "samples": most,
    }
    for name, amount in (("one", 1), ("any", most)):
        one, other = (each.passed([amount])[:, 0] for each in (chosen, plain))
        row[name] = {"curated": share(one), "plain": share(other), "more": difference(one, other)}
    return row


# ---------------------------------------------------------------- checkpoints known by their scores


@dataclass(frozen=True, slots=True)
class _Trained:
    """A checkpoint that a campaign made: its score on a task, and the FLOP since the one it began with."""

    campaign: str
    name: str
    began_with: str
    flop: float
    task: str
    breadth: str
    score: Result


def campaigns(ladder: Ladder, found: Studied, results: Path) -> list[Result]:
    """What distillation and reinforcement learning were worth, on the task trained for and on 4 numbers."""
    took = {each.name: each.training_flop for each in ladder.recordings}
    rows = []
    for each in _trained(ladder, results):
        study = found.get((each.task, "vote"))
        # A name without a rung is a size: training began with nothing learnt.
        began = took.get(each.began_with) if "/" in each.began_with else 0.0
        row: Result = asdict(each) | {"training_flop": None, "gain": None, "at_least": None, "at_most": None}
        if isinstance(study, WorthStudy) and began is not None:
            compute = began + each.flop
            row |= {"training_flop": compute, "gain": _gain(study.frontier, compute, each.score)}
            row |= _bounds(study.frontier, compute, each.score["value"])
        rows.append(row)
    return rows


def _trained(ladder: Ladder, results: Path) -> Iterator[_Trained]:
    rl, distill = (_read(results / f"{name}.json") for name in ("rl", "distill"))
    if rl is not None:
        for name, arm in rl["arms"].items():
            end = arm["points"][-1]
            head = ("RL", name, rl["began_with"], end["flop"])
            yield _Trained(*head, rl["task"], "narrow", end["passed"]["1"])
            yield from _broad(ladder, head, next(g for g in rl["gains"] if g["name"] == name))
    for name, arm in (distill or {}).items():
        if "stopped" in arm:
            continue
        last = [point for point in arm["points"] if point["kind"] == "rationales"][-1]
        head = ("distillation", f"{name}, {last['name']}", arm["began_with"], last["total_flop"])
        yield _Trained(*head, arm["task"], "narrow", last["passed"]["1"])
        yield from _broad(ladder, head, next(g for g in arm["gains"] if g["name"] == last["name"]))


def _broad(ladder: Ladder, head: tuple[str, str, str, float], gain: dict[str, Any]) -> Iterator[_Trained]:
    """On 4 numbers: what the checkpoint that it began with scored there, and the change since."""
    start = [each for each in ladder.recordings if (each.name, each.task) == (head[2], STEPS)]
    if start and STEPS in gain["tasks"]:
        before = float(start[0].passed([1]).mean())
        score = {name: before + value for name, value in gain["tasks"][STEPS].items()}
        yield _Trained(*head, STEPS, "broad", score)


def _read(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _gain(frontier: Frontier, compute: float, score: Result) -> Result | None:
    """Compute at which the frontier's law reaches a score, over the compute that was taken. An end that lies
    outside of where the law is told is None; None where the score itself does."""
    if frontier.curve is None or frontier.low is None or frontier.high is None:
        return None
    value = _reached(frontier.places, frontier.curve, score["value"])
    if value is None:
        return None
    low = _reached(frontier.places, frontier.high, score["low"])
    high = _reached(frontier.places, frontier.low, score["high"])
    told = {"value": value, "low": low, "high": high}
    return {name: None if each is None else each / compute for name, each in told.items()}


def _bounds(frontier: Frontier, compute: float, score: float) -> Result:
    """Of the gain, without a law: the last frontier model that the score beats, and the first as good."""
    beaten, match = (frontier.compute[at] for at in (frontier.scores < score, frontier.scores >= score))
    return {
        "at_least": float(beaten[-1] / compute) if beaten.size else None,
        "at_most": float(match[0] / compute) if match.size else None,
    }


def _reached(places: Floats, curve: Floats, wanted: float) -> float | None:
    if not curve[0] <= wanted <= curve[-1]:
        return None
    return float(np.exp(np.interp(wanted, curve, np.log(places))))
