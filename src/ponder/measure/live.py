"""Run a strategy on every problem of a task, at several scales: for those whose path no bank can tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponder.core import Answer, Attempt, Budget, Question, Recorder, Request, Sample, Spent, Usage
from ponder.errors import HOPELESS, EngineError
from ponder.measure.policies import doubling
from ponder.measure.replay import Spend
from ponder.solve import Meter, Solver
from ponder.solve.together import SIDE_BY_SIDE, side_by_side
from ponder.strategies import Plan

__all__ = ["APART", "Apart", "Outcome", "run_live", "scales", "spend_of"]

APART = "live:"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a strategy answered to one question, and what that took."""

    answer: Answer
    usage: Usage


class Apart:
    """A recorder that keeps one strategy's samples apart from every other's, so that each pays for its own.

    The driver still seeds by the ask alone: two strategies that ask alike draw alike, which pairs them.
    `earlier` tells the attempts of earlier starts.
    """

    def __init__(self, inner: Recorder, name: str, earlier: Callable[[Question], Sequence[Spent]]) -> None:
        self._inner, self._mark, self._earlier = inner, f"{APART}{name}/", earlier
        self._cost: dict[str, Usage] = {}

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        return self._inner.finished(question, self._mark + stream)

    def spent(self, question: Question) -> Sequence[Spent]:
        return [each for each in self._earlier(question) if each.stream.startswith(self._mark)]

    def cost(self, question: Question) -> Usage:
        """What the strategy itself cost: its calls that succeeded or brought some samples before they broke,
        and those that it gave up. What failed and was tried again is on the ledger, but says something of the
        engine and nothing of the strategy."""
        before = [each.usage for each in self.spent(question) if each.ok or each.usage.samples]
        return sum(before, self._cost.get(question.id, Usage()))

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        await self._inner.record(question, self._mark + stream, role, request, attempts, samples)
        for attempt in attempts:
            if attempt.status != "failed" or attempt.samples:
                self._cost[question.id] = self._cost.get(question.id, Usage()) + attempt.usage


def scales(plan: Plan) -> tuple[int, ...]:
    """The scales at which a plan is run: doubling up to its own; one run where it has none."""
    return doubling(int(plan.parameter(plan.scale))) if plan.scale is not None else (1,)


async def run_live(
    plan: Plan,
    questions: Sequence[Question],
    solver: Solver,
    recorder: Apart,
    known: Mapping[str, Outcome],
    record: Callable[[Question, Outcome, str | None], Awaitable[None]],
) -> dict[str, Outcome | EngineError]:
    """The outcome of each question, by its id; `known` are those that stand already.

    A question whose call failed for good has its error. Raises EngineError at once when none can succeed.
    """
    found: dict[str, Outcome | EngineError] = dict(known)

    async def one(question: Question) -> None:
        try:
            solution = await solver.run(plan, question, Meter(Budget()))
        except HOPELESS:
            raise
        except EngineError as error:
            found[question.id] = error
            return
        outcome = found[question.id] = Outcome(solution.answer, recorder.cost(question))
        await record(question, outcome, solution.stopped_by)

    await side_by_side(one, [q for q in questions if q.id not in known], width=SIDE_BY_SIDE)
    return found


def spend_of(usages: Sequence[Sequence[Usage]]) -> Spend:
    """Mean cost of one problem at each scale, from usages [P][K]; None where a count is unknown."""

    def mean(read: Callable[[Usage], float | None]) -> NDArray[np.float64] | None:
        rows = [[read(usage) for usage in row] for row in usages]
        if any(value is None for row in rows for value in row):
            return None
        means: NDArray[np.float64] = np.asarray(rows, dtype=np.float64).mean(axis=0)
        return means

    samples = mean(lambda u: u.samples)
    assert samples is not None
    return Spend(samples, mean(lambda u: u.tokens), mean(lambda u: u.flop))
