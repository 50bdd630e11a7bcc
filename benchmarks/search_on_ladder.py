"""Searches on checkpoints of the ladder, beside voting at equal FLOP. Three parts, one result.

search    Does a process reward model pay? Each search is guided by the model that `ponder train reward` made
          of the checkpoint, and once more with shuffled scores (see search_ablation.py). Its FLOP are the
          solver's and the reward model's together, and each of its calls reads the path so far again; so it
          is also set beside a vote of as many generated tokens, as if reading and rewards were free.
force     Does one longer chain pay? Budget forcing on a checkpoint that learnt search traces: where its
          search would end, it takes its last step back and goes on. Beside it are the same chains without
          the waits, and plain ones that are cut off at the same number of generated tokens.
cascade   A small checkpoint first, a large one where the small one's samples disagree; beside a vote of the
          small one, and of the large one.

Voting is read from the checkpoint's recording (`ponder train record`) of the same problems, at the number of
samples that costs, in the mean, as much as the strategy did: between two whole numbers one or the other, in
proportion. `mixture` is left out: its aggregator must read proposals, and these models read one form of
question. An interrupted run goes on where it stopped.

python -m benchmarks.search_on_ladder search --solver FOLDER --recording FILE --reward FOLDER
python -m benchmarks.search_on_ladder force --solver FOLDER --recording FILE
python -m benchmarks.search_on_ladder cascade --solver FOLDER --recording FILE --large FOLDER --beside FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np
from benchmarks.search_ablation import Shuffled
from numpy.typing import NDArray

from ponder.config import Settings
from ponder.core import Budget, Engine, Sampling
from ponder.engines import open_engine
from ponder.measure.intervals import resample_differences
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan
from ponder.tasks import Problem, load
from ponder.train.record import load as load_recording
from ponder.train.recorded import Recorded, estimated
from ponder.verifiers import grader, scorer

Floats = NDArray[np.float64]
Rows = dict[str, dict[str, list[list[float]]]]
"""An arm's runs on each problem: right (0 or 1), FLOP, generated tokens, its first sample right (0 or 1)."""

SEARCHES = tuple(
    f"{name}:by=process,{rest}"
    for n in (8, 32)
    for name, rest in (
        ("best", f"n={n}"),
        ("beam", f"n={n},width=4"),
        ("diverse_beam", f"n={n},width=4"),
        ("particles", f"n={n}"),
        ("tree", f"n={n},width=4"),
        ("adaptive_tree", f"n={4 * n},wave=4"),  # n counts single steps here, four to a solution
    )
)
FORCED = tuple(f"force:limit={limit},waits={waits}" for limit in (200, 400, 800) for waits in (1, 2, 4))
CASCADES = ("cascade:n=4", "cascade:n=8", "cascade:large=4,n=8", "cascade:large=16,n=16")
CUTS = (50, 100, 150, 200, 300, 400)
VOTES = (1, 2, 4, 8, 16, 32, 64)
TOGETHER = 100
_FULL = 200
RESULT = Path(__file__).parent / "results" / "search_on_ladder.json"


@dataclass(frozen=True)
class Part:
    """What is run: strategies, how often on each problem, and whether with shuffled scores too."""

    strategies: tuple[str, ...]
    repeats: int = 1
    shuffled: bool = False

    @property
    def arms(self) -> list[tuple[str, str]]:
        arms = ("guided", "shuffled") if self.shuffled else ("plain",)
        return [(strategy, arm) for strategy in self.strategies for arm in arms]


PARTS = {
    "search": Part(SEARCHES, shuffled=True),
    "force": Part(FORCED, repeats=4),
    "cascade": Part(CASCADES, repeats=4),
}


# ------------------------------------------------ running


async def one(
    engines: Mapping[str, Engine], strategy: str, arm: str, problem: Problem, limits: Limits
) -> list[float]:
    """One problem under one strategy."""
    process = scorer("process")
    by = Shuffled(process, Random(f"{strategy}/{problem.question.id}")) if arm == "shuffled" else process
    solver = Solver(engines, scorers={"process": by}, limits=limits)
    solution = await solver.run(plan(strategy), problem.question, Meter(Budget()))
    choices, usage = (solution.answer.choice, solution.samples[0].choice), solution.usage
    right, first = (
        choice is not None and bool(grader("own").grade(problem.question, problem.key, choice))
        for choice in choices
    )
    if usage.flop is None or usage.completion_tokens is None:
        raise SystemExit("flop: a model's shape is unknown; take checkpoints of the ladder.")
    return [float(right), usage.flop, float(usage.completion_tokens), float(first)]


async def draw(
    part: Part,
    engines: Mapping[str, Engine],
    problems: list[Problem],
    recorded: Recorded,
    rows: Rows,
    save: Callable[[], None],
) -> float:
    """Fill in what is missing. Returns the seconds that a problem took of this process's threads, over all
    arms; what sampling processes beside it worked is not in it."""
    sampling, seconds = Sampling(recorded.about["temperature"]), 0.0
    for strategy, arm in part.arms:
        mine = rows.setdefault(f"{strategy} {arm}", {})
        missing = [p for p in problems if p.question.id not in mine]
        began = time.perf_counter(), time.process_time()
        for first in range(0, len(missing), TOGETHER):
            batch = missing[first : first + TOGETHER]
            runs = [
                one(engines, strategy, arm, p, Limits(recorded.about["seed"] + repeat, sampling))
                for p in batch
                for repeat in range(part.repeats)
            ]
            done = await asyncio.gather(*runs)
            for at, p in enumerate(batch):
                mine[p.question.id] = list(done[at * part.repeats : (at + 1) * part.repeats])
            save()
        wall, worked = time.perf_counter() - began[0], time.process_time() - began[1]
        seconds += worked / max(1, len(missing))
        right = np.mean([run[0] for runs in mine.values() for run in runs])
        print(f"{strategy} {arm}: {right:.3f} right; {wall:.1f} s, {worked:.1f} of this process", flush=True)
    return seconds


# ------------------------------------------------ what it came to


@dataclass(frozen=True)
class Arm:
    """An arm's mean over its repeats, [P] each."""

    right: Floats
    flop: Floats
    tokens: Floats
    first: Floats

    @classmethod
    def of(cls, runs: Mapping[str, list[list[float]]], names: list[str]) -> Arm:
        means = np.array([np.mean(runs[name], axis=0) for name in names])
        return cls(*means.T)


Rival = tuple[Floats, dict[str, float]]
"""Each problem's chance to be right, and at what that was."""


def vote_at(recorded: Recorded, arm: Arm, unit: Literal["flop", "tokens"] = "flop") -> Rival:
    """A vote that costs as much FLOP, or as many generated tokens, in the mean: of one sample to all that are
    recorded."""
    if recorded.draws < 2:
        raise SystemExit("recording: it has one draw a problem; record more with --draws.")
    if unit == "flop":
        wanted, (single, double) = arm.flop.mean(), recorded.flop([1, 2]).mean(axis=0)
    else:
        wanted, single, double = arm.tokens.mean(), recorded.tokens.mean(), 2 * recorded.tokens.mean()
    samples = float(np.clip(1 + (wanted - single) / (double - single), 1, recorded.draws))
    low = min(int(samples), recorded.draws - 1)
    values, share = recorded.vote([low, low + 1]), samples - low
    cost = single + (samples - 1) * (double - single)
    return (1 - share) * values[:, 0] + share * values[:, 1], {"samples": samples, unit: cost}


def cut_at(recorded: Recorded, arm: Arm) -> Rival:
    """Plain chains, cut off where their mean tokens are the arm's; whole where they are shorter."""
    limits = list(range(1, recorded.about["max_tokens"] + 1))
    tokens = recorded.chain_tokens(limits).mean(axis=0)
    place = min(int(np.searchsorted(tokens, arm.tokens.mean())), len(limits) - 1)
    at = {"limit": float(limits[place]), "tokens": tokens[place]}
    return recorded.cut_at([limits[place]])[:, 0], at


def compared(right: Floats, rival: Rival) -> dict[str, float]:
    """The rival's accuracy, and the mean of the paired differences to it with its 90 % interval from
    resampling problems."""
    values, at = rival
    differences = right - values
    low, high = resample_differences(differences[:, None], rng=np.random.default_rng(0))
    told = {"accuracy": values.mean(), "difference": differences.mean()}
    told |= {"low": low[0], "high": high[0]}
    return {name: _short(value) for name, value in (at | told).items()}


def summary(
    part: str, rows: Rows, names: list[str], recorded: Recorded, beside: Recorded | None
) -> Iterator[dict[str, Any]]:
    """One entry a strategy: what it reached and took, and its rivals."""
    for strategy in PARTS[part].strategies:
        first, *others = (f"{strategy} {arm}" for s, arm in PARTS[part].arms if s == strategy)
        arm = Arm.of(rows[first], names)
        rivals = {"vote": vote_at(recorded, arm)}
        if part == "search":
            rivals["vote_by_tokens"] = vote_at(recorded, arm, "tokens")
        if part == "force":
            rivals["unforced"] = arm.first, {}
            rivals["cut"] = cut_at(recorded, arm)
        if beside is not None:
            rivals["large_vote"] = vote_at(beside, arm)
        for other in others:
            shuffled = Arm.of(rows[other], names)
            rivals["shuffled"] = shuffled.right, {"flop": float(shuffled.flop.mean())}
        yield {
            "strategy": strategy,
            "accuracy": _estimates(arm.right[:, None])[0],
            "flop": _short(arm.flop.mean()),
            "tokens": _short(arm.tokens.mean()),
            "rivals": {name: compared(arm.right, rival) for name, rival in rivals.items()},
        }


def reference(recorded: Recorded) -> dict[str, Any]:
    """Votes of whole chains, and single chains that are cut off."""
    votes = [k for k in VOTES if k <= recorded.draws]
    cuts = [limit for limit in CUTS if limit <= recorded.about["max_tokens"]]
    voted, chains = _estimates(recorded.vote(votes)), _estimates(recorded.cut_at(cuts))
    vote_flop, chain_flop = recorded.flop(votes).mean(axis=0), recorded.chain_flop(cuts).mean(axis=0)
    tokens = recorded.chain_tokens(cuts).mean(axis=0)
    return {
        "votes": [
            {"samples": k, "flop": _short(flop), "accuracy": value}
            for k, flop, value in zip(votes, vote_flop, voted, strict=True)
        ],
        "cuts": [
            {"limit": limit, "tokens": _short(n), "flop": _short(flop), "accuracy": value}
            for limit, n, flop, value in zip(cuts, tokens, chain_flop, chains, strict=True)
        ],
    }


def _estimates(values: Floats) -> list[dict[str, float]]:
    return [{name: _short(v) for name, v in asdict(e).items()} for e in estimated(values)]


def _short(value: float) -> float:
    return float(f"{value:.4g}")


# ------------------------------------------------ the whole


def first_of(path: Path, problems: int) -> Recorded:
    """A recording's first so many problems."""
    recorded = load_recording(path)
    return Recorded(recorded.about, recorded.tallies[:problems])


def setting_of(
    recorded: Recorded, beside: Recorded | None, engines: Mapping[str, Engine], repeats: int
) -> dict[str, Any]:
    """What a continued run must share with its beginning. Exits where parts do not fit together."""
    weights = {role: engine.model.fingerprint for role, engine in engines.items()}
    for role, each in (("solver", recorded), ("large", beside)):
        if each is not None and weights.get(role) != each.about["weights"]:
            raise SystemExit(f"recording: {each.name} is not what --{role} names; record that one.")
    asked = ("task", "seed", "temperature", "problems")
    if beside is not None and any(beside.about[name] != recorded.about[name] for name in asked):
        raise SystemExit("beside: it is a recording of other problems; record both with the same options.")
    return {
        "recording": recorded.name,
        "beside": None if beside is None else beside.name,
        "task": recorded.task,
        "problems": len(recorded.tallies),
        "repeats": repeats,
        "draws": recorded.draws,
        "weights": weights,
    }


def kept(options: argparse.Namespace, setting: dict[str, Any]) -> dict[str, Any]:
    """The parts of the result that is there, this one among them. Exits where it is of another setting."""
    path = options.result
    parts: dict[str, Any] = json.loads(path.read_text("utf-8"))["parts"] if path.exists() else {}
    mine = parts.setdefault(options.part, {"setting": setting, "summary": [], "reference": {}, "rows": {}})
    if mine["setting"] != setting:
        raise SystemExit(f"{path}: {options.part} is of another setting; move it away to start afresh.")
    return parts


async def main(options: argparse.Namespace) -> None:
    part = PARTS[options.part]
    recorded = first_of(options.recording, options.problems)
    beside = first_of(options.beside, options.problems) if options.beside else None
    about = recorded.about
    found = load(recorded.task, problems=about["problems"], seed=about["seed"]).problems
    problems = list(found[: len(recorded.tallies)])
    folders = {"solver": options.solver, "reward": options.reward, "large": options.large}
    engines = {role: await open_engine(str(path), Settings()) for role, path in folders.items() if path}
    setting = setting_of(recorded, beside, engines, part.repeats)
    parts = kept(options, setting)
    mine = parts[options.part]

    def save() -> None:
        partial = options.result.with_suffix(".part")
        text = json.dumps({"what": __doc__, "parts": parts}, separators=(",", ":"))
        partial.write_text(text + "\n", "utf-8")
        partial.replace(options.result)

    seconds = await draw(part, engines, problems, recorded, mine["rows"], save)
    print(f"{_FULL} problems of this part: about {seconds * _FULL / 60:.0f} min of one thread at this pace.")
    for engine in engines.values():
        await engine.close()
    names = [p.question.id for p in problems]
    mine["summary"] = list(summary(options.part, mine["rows"], names, recorded, beside))
    mine["reference"] = reference(recorded)
    save()
    for entry in mine["summary"]:
        show(entry)


def show(entry: Mapping[str, Any]) -> None:
    """One strategy in a few lines."""
    accuracy = entry["accuracy"]
    interval = f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]"
    print(f"{entry['strategy']}: {interval}, {entry['tokens']:.0f} tokens, {entry['flop']:.3g} FLOP")
    for name, rival in entry["rivals"].items():
        difference = f"{rival['difference']:+.3f} [{rival['low']:+.3f}, {rival['high']:+.3f}]"
        at = ", ".join(
            f"{rival[unit]:.4g} {unit}" for unit in ("samples", "limit", "tokens", "flop") if unit in rival
        )
        print(f"  {name} at {at}: {rival['accuracy']:.3f}, difference {difference}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--solver", type=Path, required=True, help="the checkpoint's folder")
    parser.add_argument("--recording", type=Path, required=True, help="the checkpoint's recording")
    parser.add_argument("--reward", type=Path, help="search: the reward model's folder")
    parser.add_argument("--large", type=Path, help="cascade: the larger checkpoint's folder")
    parser.add_argument("--beside", type=Path, help="cascade: the larger checkpoint's recording")
    parser.add_argument("--problems", type=int, default=_FULL, help="of the recording's, the first so many")
    parser.add_argument("--result", type=Path, default=RESULT, help="where to write, and to go on from")
    asyncio.run(main(parser.parse_args()))
