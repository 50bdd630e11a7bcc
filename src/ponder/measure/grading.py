"""Grade a bank's samples: each distinct choice of a problem once, and nothing that has its grade already.

A grader may wait for a child process, so all of it runs in a thread; a stop flag is looked at between
gradings, so that an interrupt waits for one of them at most.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TypeVar

from ponder.core import Grader, Sample
from ponder.tasks import Problem

__all__ = ["Marks", "constant_guess", "grade", "stoppable"]

MOST_CONSTANTS = 200
MOST_GRADINGS = 4096

Marks = Mapping[int, bool]
T = TypeVar("T")


async def stoppable(work: Callable[[Event], T]) -> T:
    """Run `work` in a thread. When we are cancelled its flag is set, and its thread has ended on return."""
    stop = Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait({running})
        raise


@dataclass(frozen=True, slots=True)
class _Judge:
    """A grader on one problem, with what is decided of its choices."""

    grader: Grader
    problem: Problem
    decided: dict[str, bool | None]

    def __call__(self, choice: str) -> bool | None:
        if choice not in self.decided:
            problem = self.problem
            self.decided[choice] = self.grader.grade(problem.question, problem.key, choice, problem.handle)
        return self.decided[choice]


def grade(
    problems: Sequence[Problem],
    samples: Sequence[Sequence[Sample]],
    grader: Grader,
    recorded: Sequence[Marks],
    stop: Event,
) -> list[list[bool | None]]:
    """The grader's word on every sample, [P][n]; None where it could not tell.

    `recorded` are each problem's grades of earlier starts, by sample index: they stand, for their choice
    too. Ends early, with fewer problems, once `stop` is set.
    """
    words: list[list[bool | None]] = []
    for problem, drawn, marks in zip(problems, samples, recorded, strict=True):
        graded = [(s.choice, marks[s.index]) for s in drawn if s.index in marks]
        judge = _Judge(grader, problem, {choice: mark for choice, mark in graded if choice is not None})
        row: list[bool | None] = []
        for sample in drawn:
            if stop.is_set():
                return words
            row.append(False if sample.choice is None else judge(sample.choice))
        words.append(row)
    return words


def constant_guess(problems: Sequence[Problem], grader: Grader, stop: Event) -> tuple[float, str] | None:
    """The best answer that is the same for every problem, among the keys, and its score.

    None when no key answers even its own problem in that form. The most common keys are tried, at most 200
    and no more than make 4,096 gradings (but one), so rare ones are passed over on a large set. Being the
    best in hindsight it is a little optimistic, as a bar to beat should be. Ends early once `stop` is set.
    """
    most = min(MOST_CONSTANTS, max(1, MOST_GRADINGS // len(problems)))
    best = (0.0, "")
    for guess, _ in Counter(problem.key for problem in problems).most_common(most):
        right = 0
        for problem in problems:
            if stop.is_set():
                return None
            right += grader.grade(problem.question, problem.key, guess, problem.handle) is True
        best = max(best, (right / len(problems), guess), key=lambda pair: pair[0])
    return best if best[0] > 0 else None
