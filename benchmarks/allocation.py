"""Allocation across problems and the choice by difficulty, replayed on the committed bank, and a live check.

python -m benchmarks.allocation [--orders N] [--live PROBLEMS]

The allocation's prior and bar were tuned on TUNED alone. The size of first steps, which matters where prompts
are read again, was changed once after a look at all tasks: HELD_OUT is held out of prior and bar alone.
Writes benchmarks/results/allocation.json.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.peers.bank import HELD_OUT, SAMPLES, Banked, by_task, load
from benchmarks.peers.table import grading
from numpy.typing import NDArray

from ponder import solve_many, tasks
from ponder.config import Settings
from ponder.measure.allocation import Comparison, Prompts, compare
from ponder.measure.choose import choose
from ponder.measure.stored import StoredBank
from ponder.solve.many import Batch
from ponder.solve.posterior import FLOOR, STRENGTH, UNSEEN
from ponder.verifiers import grader

TUNED = ("chain_sum", "chain_sum3", "lcm", "addition2")
RESULT = Path(__file__).parent / "results" / "allocation.json"
ACCOUNTS: tuple[Prompts, ...] = ("cached", "read")
_SHARES = (0.0, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0)
LIVE_TASK, LIVE_VOTES, LIVE_SEED = "products", 8, 5


def stored(problems: Sequence[Banked]) -> list[StoredBank]:
    """The committed samples as a measured run's banks, one a task; each prompt is read once for all."""
    right = grading()
    return [
        StoredBank.of(
            task,
            [each.question for each in own],
            [each.samples for each in own],
            [[right(each, sample.text) for sample in each.samples] for each in own],
            [each.prompt_tokens for each in own],
            SAMPLES,
        )
        for task, own in by_task(problems).items()
    ]


def trusted(banks: Sequence[StoredBank]) -> list[dict[str, float | None]]:
    """How often a vote of all samples is right, by the share of the samples that it has: what allocation
    takes for the chance that it is right."""
    votes = [_vote(*row) for bank in banks for row in zip(bank.choice, bank.correct, strict=True)]
    share, right = np.array([each for each in votes if each is not None]).T
    found = []
    for low, high in pairwise(_SHARES):
        inside = (share > low) & (share <= high)
        mean = float(right[inside].mean()) if inside.any() else None
        found.append({"above": low, "up_to": high, "problems": int(inside.sum()), "right": mean})
    return found


def _vote(choice: NDArray[np.int64], correct: NDArray[np.bool_]) -> tuple[float, float] | None:
    """The winner's share of all samples, and whether it is right; None without an answer."""
    given = np.bincount(choice[choice >= 0])
    if not given.size:
        return None
    return float(given.max() / len(choice)), float(correct[choice == given.argmax()].all())


def shown(found: Comparison) -> str:
    lines = ["  tokens  uniform  adaptive  gain with 90 % interval   informed  hindsight"]
    for point in found.points[::4]:
        mean, low, high = point.gain
        lines.append(
            f"{point.tokens:8.0f}  {point.uniform[0]:7.1%}  {point.adaptive[0]:8.1%}  "
            f"{mean:+.1%} [{low:+.1%}, {high:+.1%}]    {point.informed:8.1%}  {point.hindsight:9.1%}"
        )
    match = "never" if found.tokens_to_match is None else f"{found.tokens_to_match:.0f}"
    lines.append(
        f"within a point of uniform at {found.uniform_tokens:.0f} tokens a problem: adaptive at {match}, "
        f"uniform at {found.uniform_to_match:.0f} (first crossings of mean curves, without an interval)"
    )
    return "\n".join(lines)


def replayed(banks: list[StoredBank], label: str, orders: int) -> dict[str, Any]:
    out: dict[str, Any] = {"tasks": [bank.task for bank in banks]}
    for prompts in ACCOUNTS:
        compared = compare(banks, prompts=prompts, orders=orders, rng=np.random.default_rng(0))
        print(f"\n{label}, prompts {prompts}, {compared.problems} problems\n{shown(compared)}")
        chosen = choose(banks, prompts=prompts, rng=np.random.default_rng(0))
        best = max(chosen.points, key=lambda point: point.gain[0])
        gain, low, high = best.gain
        print(
            f"choice by difficulty: at most {gain:+.1%} [{low:+.1%}, {high:+.1%}] over the best fixed policy"
        )
        out[prompts] = {"allocation": compared.to_json(), "choice": chosen.to_json()}
    return out


def live(problems: int) -> dict[str, Any]:
    """The same questions by an equal vote and by allocation, at the tokens that the vote took."""
    found = tasks.load(LIVE_TASK, problems=problems, seed=LIVE_SEED)
    questions = [problem.question for problem in found.problems]
    with tempfile.TemporaryDirectory() as folder, closing(grader(found.grader)) as judge:
        settings = Settings(ledger=str(Path(folder) / "ledger.sqlite"))
        even = solve_many(questions, budget="100Mtok", strategy=f"vote:n={LIVE_VOTES}", settings=settings)
        assert even.usage.tokens is not None
        spent = solve_many(questions, budget=f"{even.usage.tokens}tok", settings=settings)

        def row(batch: Batch) -> dict[str, Any]:
            right = [
                judge.grade(p.question, p.key, s.answer.choice, p.handle) is True
                for p, s in zip(found.problems, batch.solutions, strict=True)
                if s.answer.choice is not None
            ]
            return {
                "accuracy": sum(right) / len(questions),
                "tokens": batch.usage.tokens,
                "samples": batch.usage.samples,
                "least_samples": min(len(s.samples) for s in batch.solutions),
                "most_samples": max(len(s.samples) for s in batch.solutions),
                "seconds": batch.seconds,
                "stopped_by": batch.stopped_by,
            }

        result = {"task": LIVE_TASK, "problems": problems, "uniform": row(even), "adaptive": row(spent)}
    print("\nlive", json.dumps(result, indent=1))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--orders", type=int, default=16)
    parser.add_argument("--live", type=int, default=40)
    stated = parser.parse_args()
    banks = stored(load())
    groups = {"tuned": TUNED, "held out": HELD_OUT}
    result: dict[str, Any] = {"parameters": {"strength": STRENGTH, "unseen": UNSEEN, "floor": FLOOR}}
    for label, names in groups.items():
        result[label] = replayed([bank for bank in banks if bank.task in names], label, stated.orders)
    result["tuned"]["votes"] = trusted([bank for bank in banks if bank.task in TUNED])
    result["live"] = live(stated.live) if stated.live else None
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
