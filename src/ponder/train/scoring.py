"""Score a checkpoint on several tasks' held-out problems: what it was trained for, and what it was not.

An enhancement that lifts its own task alone is narrow; one that lifts others too is broad.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ponder import tasks
from ponder.core import Output
from ponder.errors import InputError
from ponder.measure.intervals import resample
from ponder.tasks import Problem, ProblemSet, chars
from ponder.train.drawing import Drawer
from ponder.train.held_out import LEVEL, Estimate, Score, Verifier, estimates
from ponder.train.state import Work

__all__ = ["BROAD", "TaskScore", "broad_tasks", "mean_estimate", "score"]

BROAD = (
    "char_countdown:numbers=3",
    "char_countdown:largest=50",
    "char_chain:operations=4",
    "char_chain:operations=8",
    "char_facts:given=true",
)
"""What a checkpoint is scored on beside the task that it was enhanced for."""


@dataclass(frozen=True, slots=True)
class TaskScore:
    """A checkpoint's replies to the held-out problems of one task.

    `lengths` counts them by their tokens. `solutions` holds for each problem how many different right
    answers its replies gave.
    """

    task: str
    score: Score
    lengths: Mapping[int, int]
    solutions: tuple[int, ...]

    @property
    def problems(self) -> int:
        return len(self.score.right)

    def to_json(self) -> dict[str, Any]:
        """With pass@k and the mean number of different right answers as estimates with 90 % intervals."""
        passed = estimates(self.score, seed=0)
        return {
            "task": self.task,
            "score": self.score.to_json(),
            "lengths": {str(tokens): count for tokens, count in sorted(self.lengths.items())},
            "solutions": list(self.solutions),
            "passed": {str(k): _told(each) for k, each in passed.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> TaskScore:
        lengths = {int(tokens): int(count) for tokens, count in value["lengths"].items()}
        return cls(value["task"], Score.from_json(value["score"]), lengths, tuple(value["solutions"]))


def _told(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def mean_estimate(values: Sequence[float], *, most: float, seed: int) -> Estimate:
    """The mean over problems of values from 0 to `most`, with its 90 % interval from resampling problems."""
    shares = np.array(values, dtype=np.float64)[:, None] / most
    low, high = resample(shares, level=LEVEL, rng=np.random.default_rng(seed))
    return Estimate(float(shares.mean()) * most, float(low[0]) * most, float(high[0]) * most)


def broad_tasks(task: str) -> tuple[str, ...]:
    """The tasks of `BROAD` that differ from the one that was trained on."""
    trained = chars.family(task).name
    return tuple(each for each in BROAD if chars.family(each).name != trained)


def score(
    folder: Path,
    specs: Sequence[str],
    *,
    problems: int,
    draws: int,
    seed: int,
    temperature: float = 1.0,
    direct: bool = False,
    processes: int = 1,
    device: str = "auto",
    tell: Callable[[Work], None] = lambda work: None,
) -> tuple[dict[str, TaskScore], Work]:
    """Draw `draws` replies to each of at most `problems` held-out problems of each task, and grade them.

    `direct` asks for the answer alone where a task has such a form. The same seed gives the same problems
    and random numbers, so that two checkpoints are compared on like terms. `tell` is told of the work now
    and then. Raises InputError and what `Drawer` raises.
    """
    if not specs:
        raise InputError("tasks: name at least one to score on.")
    found: dict[str, TaskScore] = {}
    with Drawer(folder, processes=processes, device=device) as drawer:
        for spec in specs:
            asked = _asked(spec, problems, seed, direct)
            found[spec] = _scored(drawer, asked, draws, seed, temperature, tell)
        return found, drawer.work


def _asked(spec: str, problems: int, seed: int, direct: bool) -> ProblemSet:
    found = tasks.load(spec, problems=problems, seed=seed)
    if not direct:
        return found
    return replace(found, problems=tuple(_direct(problem) for problem in found.problems))


def _direct(problem: Problem) -> Problem:
    question = problem.question
    return replace(problem, question=replace(question, prompt=question.direct or question.prompt))


def _scored(
    drawer: Drawer,
    asked: ProblemSet,
    draws: int,
    seed: int,
    temperature: float,
    tell: Callable[[Work], None],
) -> TaskScore:
    count = len(asked.problems)
    right, solutions, ungraded = [0] * count, [0] * count, 0
    lengths, cut = Counter[int](), 0
    verifier = Verifier(asked.grader)
    try:
        for at, outputs in drawer.draw(asked.problems, draws, temperature=temperature, seed=seed):
            marks = _marks(verifier, asked.problems[at], outputs)
            right[at] = sum(mark is True for _, mark in marks)
            ungraded += sum(mark is None for _, mark in marks)
            solutions[at] = len({choice for choice, mark in marks if mark is True})
            lengths.update(output.tokens or 0 for output in outputs)
            cut += sum(output.finish == "length" for output in outputs)
            tell(drawer.work)
    finally:
        verifier.close()
    replies = count * draws
    length = sum(tokens * number for tokens, number in lengths.items()) / replies
    got = Score(tuple(right), draws, length, cut / replies, ungraded)
    return TaskScore(asked.name, got, dict(lengths), tuple(solutions))


def _marks(
    verifier: Verifier, problem: Problem, outputs: Sequence[Output]
) -> list[tuple[str | None, bool | None]]:
    choices = [verifier.choice(problem, output.text) for output in outputs]
    return [(choice, verifier.right(problem, choice)) for choice in choices]
