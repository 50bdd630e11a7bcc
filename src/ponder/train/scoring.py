"""Score a model folder on held-out problems, of several tasks too: what it was trained for, and what not.

An enhancement that lifts its own task alone is narrow; one that lifts others too is broad.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ponder import tasks
from ponder.core import Output
from ponder.errors import InputError
from ponder.measure.intervals import Estimate, resample
from ponder.tasks import Problem, ProblemSet, chars
from ponder.tasks.spec import parse
from ponder.train.drawing import Drawer
from ponder.train.held_out import LEVEL, Score, Verifier, estimates
from ponder.train.state import Work

__all__ = ["BROAD", "TaskScore", "broad_tasks", "mean_estimate", "score", "score_folder"]

BROAD = (
    "char_countdown:numbers=4",
    "char_countdown:numbers=3",
    "char_countdown:largest=50",
    "char_chain:operations=4",
    "char_chain:operations=8",
    "char_facts:given=true",
)
"""What a checkpoint is scored on beside the task that it was enhanced for."""

Drawn = Iterator[tuple[int, list[Output]]]


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
    return tuple(each for each in BROAD if _asked_for(each) != _asked_for(task))


def _asked_for(task: str) -> tuple[str, Mapping[str, Any]]:
    """A family and its parameters, those that are left out too."""
    spec = parse(task)
    return spec.name, {**chars.family(task).defaults, **spec.parameters}


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
            drawn = drawer.draw(asked.problems, draws, temperature=temperature, seed=seed)
            told = _telling(drawn, drawer, tell)
            with closing(Verifier(asked.grader)) as verifier:
                found[spec] = _scored(asked.name, asked.problems, draws, told, verifier)
        return found, drawer.work


def score_folder(
    folder: Path,
    problems: Sequence[Problem],
    verifier: Verifier,
    *,
    samples: int,
    temperature: float,
    max_tokens: int,
    seed: int,
    device: str = "auto",
) -> tuple[Score, Work]:
    """Draw `samples` replies to each problem from the model in `folder`, and grade them; what that took.

    The same seed draws with the same random numbers, so that two checkpoints are compared like with like.
    Raises what `Drawer` raises.
    """
    began = time.monotonic()
    with Drawer(folder, device=device, rough=True) as drawer:
        drawn = drawer.draw(problems, samples, temperature=temperature, seed=seed, max_tokens=max_tokens)
        found = _scored(problems[0].question.task, problems, samples, drawn, verifier)
        return found.score, replace(drawer.work, steps=1, seconds=time.monotonic() - began)


def _asked(spec: str, problems: int, seed: int, direct: bool) -> ProblemSet:
    found = tasks.load(spec, problems=problems, seed=seed)
    if not direct:
        return found
    return replace(found, problems=tuple(_direct(problem) for problem in found.problems))


def _direct(problem: Problem) -> Problem:
    question = problem.question
    return replace(problem, question=replace(question, prompt=question.direct or question.prompt))


def _telling(drawn: Drawn, drawer: Drawer, tell: Callable[[Work], None]) -> Drawn:
    for each in drawn:
        yield each
        tell(drawer.work)


def _scored(
    task: str, problems: Sequence[Problem], draws: int, drawn: Drawn, verifier: Verifier
) -> TaskScore:
    count = len(problems)
    right, solutions, ungraded = [0] * count, [0] * count, 0
    lengths, cut = Counter[int](), 0
    for at, outputs in drawn:
        marks = _marks(verifier, problems[at], outputs)
        right[at] = sum(mark is True for _, mark in marks)
        ungraded += sum(mark is None for _, mark in marks)
        solutions[at] = len({choice for choice, mark in marks if mark is True})
        lengths.update(output.tokens or 0 for output in outputs)
        cut += sum(output.finish == "length" for output in outputs)
    replies = count * draws
    length = sum(tokens * number for tokens, number in lengths.items()) / replies
    got = Score(tuple(right), draws, length, cut / replies, ungraded)
    return TaskScore(task, got, dict(lengths), tuple(solutions))


def _marks(
    verifier: Verifier, problem: Problem, outputs: Sequence[Output]
) -> list[tuple[str | None, bool | None]]:
    choices = [verifier.choice(problem, output.text) for output in outputs]
    return [(choice, verifier.right(problem, choice)) for choice in choices]
