"""Does a search's guidance pay? Each search against itself with shuffled scores, live on SmolLM2.

The task is Countdown in steps, the process score its exact check (`checks`). In the shuffled arm every score
is replaced by one drawn from those told so far on the same problem, of paths at the same stage (unfinished
or finished): the distribution of scores stays, what they say of a path is gone. `accuracy` is that of the
answer, which the scores choose too; `found` says that a right path was among the finished ones, so that it
tells the guidance apart from the choice at the end. Best-of-N with the same check and voting are shown for
comparison. An interrupted run goes on where it stopped. Writes benchmarks/results/search_ablation.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from ponder.config import Settings, model_card
from ponder.core import Budget, Engine, Question, Sample, Scorer, Scoring
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import locate_with_hash
from ponder.measure.intervals import resample_differences
from ponder.solve import Limits, Meter, Solution, Solver
from ponder.strategies import plan
from ponder.tasks import Problem, load
from ponder.verifiers import grader, scorer

TASK, PROBLEMS, SEED = "countdown:steps=true", 64, 2000
SEARCHES = (
    "beam:depth=3,n=16,step=;,width=8",
    "diverse_beam:depth=3,n=16,step=;,width=8",
    "particles:depth=3,n=16,step=;",
    "tree:depth=3,n=16,step=;,width=8",
    "adaptive_tree:depth=3,n=32,step=;,wave=8",
    "adaptive_tree:depth=3,n=96,step=;,wave=8",
)
REFERENCES = ("best:by=checks,n=16", "vote:n=16")
TOGETHER = 16
RESULT = Path(__file__).parent / "results" / "search_ablation.json"

Row = dict[str, Any]


class Shuffled:
    """Another scorer's scores, each exchanged for one of those told so far of paths at the same stage."""

    def __init__(self, inner: Scorer, rng: Random) -> None:
        self.name, self._inner, self._rng = inner.name, inner, rng
        self._told: dict[bool, list[float | None]] = {True: [], False: []}

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Scoring:
        scores = yield from self._inner.score(question, samples)
        stages = [sample.finish == "step" for sample in samples]
        for stage, score in zip(stages, scores, strict=True):
            self._told[stage].append(score)
        return tuple(self._rng.choice(self._told[stage]) for stage in stages)


async def one(engine: Engine, strategy: str, arm: str, problem: Problem) -> Row:
    """One problem under one strategy: what came of it and what it took."""
    checks = scorer("checks")
    by = checks if arm == "guided" else Shuffled(checks, Random(f"{strategy}/{problem.question.id}"))
    solver = Solver({"solver": engine}, scorers={"checks": by}, limits=Limits(seed=SEED))
    solution = await solver.run(plan(strategy), problem.question, Meter(Budget()))
    return {
        "right": _right(problem, solution.answer.choice),
        "found": _found(problem, solution),
        "prompt_tokens": solution.usage.prompt_tokens,
        "completion_tokens": solution.usage.completion_tokens,
        "samples": solution.usage.samples,
    }


def _right(problem: Problem, choice: str | None) -> bool:
    own = grader("own")
    return choice is not None and bool(own.grade(problem.question, problem.key, choice))


def _found(problem: Problem, solution: Solution) -> bool:
    return any(_right(problem, s.choice) for s in solution.samples if s.finish != "step")


async def draw(engine: Engine, rows: dict[str, dict[str, Row]], save: Any) -> None:
    """Fill in what is missing."""
    problems = load(TASK, problems=PROBLEMS, seed=SEED).problems
    arms = [(s, arm) for s in SEARCHES for arm in ("guided", "shuffled")] + [
        (s, "guided") for s in REFERENCES
    ]
    for strategy, arm in arms:
        mine = rows.setdefault(f"{strategy} {arm}", {})
        missing = [p for p in problems if p.question.id not in mine]
        for first in range(0, len(missing), TOGETHER):
            batch = missing[first : first + TOGETHER]
            done = await asyncio.gather(*(one(engine, strategy, arm, p) for p in batch))
            mine |= {p.question.id: row for p, row in zip(batch, done, strict=True)}
            save()
        print(
            f"{strategy} {arm}: {_mean(mine, 'right'):.3f} right, {_mean(mine, 'found'):.3f} found",
            flush=True,
        )


def _mean(rows: dict[str, Row], name: str) -> float:
    return float(np.mean([row[name] for row in rows.values()]))


def summary(rows: dict[str, dict[str, Row]]) -> list[dict[str, Any]]:
    """One entry a strategy: both arms, and their paired difference with a 90 % interval over problems."""
    told = []
    for strategy in (*SEARCHES, *REFERENCES):
        arms = {
            arm: rows[f"{strategy} {arm}"] for arm in ("guided", "shuffled") if f"{strategy} {arm}" in rows
        }
        entry: dict[str, Any] = {"strategy": strategy}
        for arm, mine in arms.items():
            names = ("right", "found", "prompt_tokens", "completion_tokens", "samples")
            entry[arm] = {name: round(_mean(mine, name), 4) for name in names}
        if len(arms) == 2:
            entry["guided_minus_shuffled"] = {
                name: _difference(arms["guided"], arms["shuffled"], name) for name in ("right", "found")
            }
        told.append(entry)
    return told


def _difference(a: dict[str, Row], b: dict[str, Row], name: str) -> dict[str, float]:
    differences = np.array([float(a[i][name]) - float(b[i][name]) for i in sorted(a)])
    low, high = resample_differences(differences[:, None], rng=np.random.default_rng(SEED))
    return {
        "difference": round(float(differences.mean()), 4),
        "low": round(float(low[0]), 4),
        "high": round(float(high[0]), 4),
    }


async def main(result: Path) -> None:
    path, fingerprint = locate_with_hash("smollm2", Settings())
    engine = EmbeddedEngine(path, model_card("smollm2", fingerprint))
    facts = dict(engine.facts)
    setting = {"task": TASK, "problems": PROBLEMS, "seed": SEED, "temperature": Limits().sampling.temperature}
    rows: dict[str, dict[str, Row]] = {}
    if result.exists():
        earlier = json.loads(result.read_text("utf-8"))
        if (earlier["setting"], earlier["facts"]) != (setting, facts):
            raise SystemExit(f"{result} is of another setting; move it away to start afresh.")
        rows = earlier["rows"]

    def save(told: list[dict[str, Any]] | None = None) -> None:
        written = {"what": __doc__, "setting": setting, "facts": facts, "summary": told, "rows": rows}
        result.parent.mkdir(exist_ok=True)
        partial = result.with_suffix(".part")
        partial.write_text(json.dumps(written, indent=1) + "\n", "utf-8")
        partial.replace(result)

    await draw(engine, rows, save)
    await engine.close()
    told = summary(rows)
    save(told)
    for entry in told:
        _show(entry)


def _show(entry: dict[str, Any]) -> None:
    guided = entry["guided"]
    print(f"{entry['strategy']}: {guided['right']:.3f} right, {guided['completion_tokens']:.0f} tokens")
    for name, d in entry.get("guided_minus_shuffled", {}).items():
        interval = f"{d['difference']:+.3f} [{d['low']:+.3f}, {d['high']:+.3f}]"
        print(f"  {name}: shuffled {entry['shuffled'][name]:.3f}, difference {interval}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--result", type=Path, default=RESULT, help="where to write, and to go on from")
    asyncio.run(main(parser.parse_args().result))
