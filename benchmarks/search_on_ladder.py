"""Does a process reward model pay? Searches on a checkpoint of the ladder, beside voting at equal FLOP.

Each search is guided by the reward model that `ponder train reward` made of the checkpoint, and once more
with shuffled scores (see search_ablation.py). Its FLOP are the solver's and the reward model's together.
Voting is read from the checkpoint's recording (`ponder train record`) of the same problems, at the number of
samples that costs, in the mean, as much as the search did: between two whole numbers one or the other, in
proportion. With --large a cascade to another checkpoint is shown too. `force` and `mixture` are left out:
they write words that these models have no letters for. An interrupted run goes on where it stopped.

python -m benchmarks.search_on_ladder --checkpoint FOLDER --reward FOLDER --recording FILE
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from benchmarks.search_ablation import Shuffled

from ponder.config import Settings
from ponder.core import Budget, Engine, Sampling
from ponder.engines import open_engine
from ponder.measure.intervals import resample
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan
from ponder.tasks import Problem, load
from ponder.train.record import load as load_recording
from ponder.train.recorded import Recorded
from ponder.verifiers import grader, scorer

SEARCHES = tuple(
    f"{name}:by=process,{rest}"
    for n in (8, 32)
    for name, rest in (
        ("beam", f"n={n},width=4"),
        ("diverse_beam", f"n={n},width=4"),
        ("particles", f"n={n}"),
        ("tree", f"n={n},width=4"),
        ("adaptive_tree", f"n={n},wave=4"),
        ("best", f"n={n}"),
    )
)
CASCADE = "cascade:n=8"
TOGETHER = 32
RESULT = Path(__file__).parent / "results" / "search_on_ladder.json"

Row = dict[str, Any]


async def one(engines: dict[str, Engine], strategy: str, arm: str, problem: Problem, limits: Limits) -> Row:
    """One problem under one strategy: whether it was right, and what it took."""
    process = scorer("process")
    by = process if arm == "guided" else Shuffled(process, Random(f"{strategy}/{problem.question.id}"))
    solver = Solver(engines, scorers={"process": by}, limits=limits)
    solution = await solver.run(plan(strategy), problem.question, Meter(Budget()))
    choice, usage = solution.answer.choice, solution.usage
    right = choice is not None and bool(grader("own").grade(problem.question, problem.key, choice))
    return {"right": right, "flop": usage.flop, "tokens": usage.tokens, "samples": usage.samples}


def vote_at(recorded: Recorded, cost: float) -> tuple[np.ndarray[Any, Any], float]:
    """Each problem's chance to be right by a vote that costs so much in the mean, and its samples."""
    one, two = recorded.flop([1, 2]).mean(axis=0)
    samples = min(max(1.0, 1 + (cost - one) / (two - one)), float(recorded.draws))
    low = min(int(samples), recorded.draws - 1) if recorded.draws > 1 else 1
    values = recorded.vote([low, low + 1] if recorded.draws > 1 else [1, 1])
    share = samples - low
    return (1 - share) * values[:, 0] + share * values[:, 1], samples


def difference(values: np.ndarray[Any, Any]) -> dict[str, float]:
    """The mean of paired differences, with its 90 % interval from resampling problems."""
    low, high = resample((values[:, None] + 1) / 2, rng=np.random.default_rng(0))
    told = {"difference": values.mean(), "low": 2 * low[0] - 1, "high": 2 * high[0] - 1}
    return {name: round(float(value), 4) for name, value in told.items()}


def summary(rows: dict[str, dict[str, Row]], names: list[str], recorded: Recorded) -> list[dict[str, Any]]:
    """One entry a strategy: its accuracy and FLOP, against voting at the same FLOP and against itself with
    shuffled scores."""
    told = []
    for strategy in dict.fromkeys(key.rpartition(" ")[0] for key in rows):
        guided = [rows[f"{strategy} guided"][name] for name in names]
        right, cost = (
            np.array([float(row["right"]) for row in guided]),
            float(np.mean([r["flop"] for r in guided])),
        )
        voted, samples = vote_at(recorded, cost)
        entry = {
            "strategy": strategy,
            "accuracy": round(float(right.mean()), 4),
            "flop": cost,
            "vote_samples": round(samples, 2),
            "vote": round(float(voted.mean()), 4),
            "over_vote": difference(right - voted),
        }
        shuffled = rows.get(f"{strategy} shuffled")
        if shuffled is not None:
            other = np.array([float(shuffled[name]["right"]) for name in names])
            entry |= {"shuffled": round(float(other.mean()), 4), "over_shuffled": difference(right - other)}
        told.append(entry)
    return told


async def draw(
    engines: dict[str, Engine],
    problems: list[Problem],
    rows: dict[str, dict[str, Row]],
    limits: Limits,
    save: Any,
) -> None:
    """Fill in what is missing."""
    arms = [(strategy, arm) for strategy in SEARCHES for arm in ("guided", "shuffled")]
    arms += [(CASCADE, "guided")] if "large" in engines else []
    for strategy, arm in arms:
        mine = rows.setdefault(f"{strategy} {arm}", {})
        missing = [p for p in problems if p.question.id not in mine]
        for first in range(0, len(missing), TOGETHER):
            batch = missing[first : first + TOGETHER]
            done = await asyncio.gather(*(one(engines, strategy, arm, p, limits) for p in batch))
            mine |= {p.question.id: row for p, row in zip(batch, done, strict=True)}
            save(None)
        print(f"{strategy} {arm}: {np.mean([row['right'] for row in mine.values()]):.3f} right", flush=True)


async def main(options: argparse.Namespace) -> None:
    recorded = load_recording(options.recording)
    about = recorded.about
    found = load(recorded.task, problems=about["problems"], seed=about["seed"]).problems
    problems = list(found[: options.problems])
    kept = Recorded(about, recorded.tallies[: len(problems)])
    folders = {"solver": options.checkpoint, "reward": options.reward, "large": options.large}
    engines = {role: await open_engine(str(path), Settings()) for role, path in folders.items() if path}
    weights = {role: engine.model.fingerprint for role, engine in engines.items()}
    if weights["solver"] != about["weights"]:
        raise SystemExit("recording: it is of another checkpoint than --checkpoint; record this one.")
    setting = {
        "recording": recorded.name,
        "task": recorded.task,
        "problems": len(problems),
        "weights": weights,
    }
    rows: dict[str, dict[str, Row]] = {}
    if options.result.exists():
        earlier = json.loads(options.result.read_text("utf-8"))
        if earlier["setting"] != setting:
            raise SystemExit(f"{options.result} is of another setting; move it away to start afresh.")
        rows = earlier["rows"]

    def save(told: list[dict[str, Any]] | None) -> None:
        written = {"what": __doc__, "setting": setting, "summary": told, "rows": rows}
        partial = options.result.with_suffix(".part")
        partial.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
        partial.replace(options.result)

    limits = Limits(seed=about["seed"], sampling=Sampling(about["temperature"]))
    await draw(engines, problems, rows, limits, save)
    for engine in engines.values():
        await engine.close()
    told = summary(rows, [p.question.id for p in problems], kept)
    save(told)
    for entry in told:
        over = entry["over_vote"]
        print(
            f"{entry['strategy']}: {entry['accuracy']:.3f} at {entry['flop']:.3g} FLOP; a vote of "
            f"{entry['vote_samples']} {entry['vote']:.3f}, difference {over['difference']:+.3f} "
            f"[{over['low']:+.3f}, {over['high']:+.3f}]; shuffled {entry.get('shuffled', float('nan')):.3f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="the solver's folder")
    parser.add_argument("--reward", type=Path, required=True, help="the reward model's folder")
    parser.add_argument("--recording", type=Path, required=True, help="the solver's recording")
    parser.add_argument("--large", type=Path, help="a larger checkpoint, for the cascade")
    parser.add_argument("--problems", type=int, default=200, help="of the recording's, the first so many")
    parser.add_argument("--result", type=Path, default=RESULT, help="where to write, and to go on from")
    asyncio.run(main(parser.parse_args()))
