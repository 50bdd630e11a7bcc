"""A whole batch of questions inside one budget: spend the next sample where it is expected to pay.

Every question gets its first sample before any gets more. Then, wave by wave, those samples are drawn whose
expected rise of the vote's worth per cost is highest (`ponder.solve.posterior`), until nothing is worth
drawing or nothing fits the budget. Adaptive allocation of best-of-k: Damani et al. 2024 (arXiv 2410.04707),
which learns the worth from prompts; here it comes from the votes themselves.

How far a question is drawn in one step depends on its own samples alone, and the rest of the batch decides
only the order. So a rerun over what a recorder holds takes every question to the same place and buys nothing
twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import inf
from random import Random
from types import MappingProxyType
from typing import Any, Literal

from ponder.core import (
    Answer,
    Attempt,
    Budget,
    Draw,
    Engine,
    Question,
    Recorder,
    Request,
    Sample,
    Scorer,
    Spent,
    Strategy,
    Usage,
)
from ponder.errors import HOPELESS, BudgetError, EngineError, InputError
from ponder.solve.driver import Limits, Solution, Solver, stream_of
from ponder.solve.meter import Charge, Meter, worst_case
from ponder.solve.posterior import first_step, next_step
from ponder.strategies import Plan
from ponder.strategies._steps import draw, majority, votes

__all__ = ["Batch", "BatchEnding", "solve_many"]

BatchEnding = Literal["settled", "given up", "complete", "budget", "failed"]

SIDE_BY_SIDE = 16
"""Questions that a stated strategy is run on at once."""

PILOTS = 8
"""The questions, a fifth of the batch at most, that show how long samples are."""

_UNITS = ("tokens", "flop", "usd", "samples")
_PLENTY = 1 << 60


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of a batch: a solution a question, in the order given, and what all of it took.

    `endings` says why each question was left: "settled" (more samples would hardly change its answer), "given
    up" (its answers are spread too thin to be worth more), "complete" (all n samples, or the strategy's end),
    "budget", or "failed" (its error is in `errors`, by question id; its answer is from what it had, or None).
    `stopped_by` names the budget's unit that ended the work early, None when nothing more was worth drawing.
    `run` is the ledger's run that holds it, where there is one.
    """

    solutions: tuple[Solution, ...]
    endings: tuple[BatchEnding, ...]
    errors: Mapping[str, EngineError]
    usage: Usage
    charged: Charge
    seconds: float
    stopped_by: str | None = None
    run: str | None = None


async def solve_many(
    questions: Sequence[Question],
    *,
    engines: Mapping[str, Engine],
    budget: Budget,
    n: int = 64,
    plan: Plan | None = None,
    scorers: Mapping[str, Scorer] = MappingProxyType({}),
    limits: Limits | None = None,
    recorder: Recorder | None = None,
    watch: Callable[[int, Usage], None] = lambda done, usage: None,
) -> Batch:
    """Answer every question by a plurality vote of up to `n` samples of its worked prompt, all inside one
    budget; with a `plan`, run that on each instead, side by side in the order given.

    When the budget has not even room for one sample each, the first questions get theirs. `watch` is told how
    many questions are done and what was used. Raises InputError for no question, one that is given twice or
    n < 1, BudgetError for a budget without room for a single sample, EngineError when no call can succeed; a
    call that fails for one question alone is in the batch's `errors`.
    """
    if not questions:
        raise InputError("questions: give at least one.")
    if n < 1:
        raise InputError(f"n: it must be at least 1, not {n}.")
    if len({question.id for question in questions}) < len(questions):
        raise InputError("questions: two have the same id; give each its own.")
    began = time.monotonic()
    own = _Purses(recorder)
    solver = Solver(engines, scorers=scorers, limits=limits, recorder=own)
    shared = Meter(budget)
    work = _Work(solver, shared, [_Problem(q, _Part(shared)) for q in questions], own, watch)
    work.charge_earlier(plan or _voting(n))
    if plan is None:
        await _Allocation(work, n).run()
    else:
        await work.run_each(plan)
    return work.batch(time.monotonic() - began)


# ---------------------------------------------------------------- what the questions share


class _Part(Meter):
    """One question's view of the shared meter: it limits as that one does, and keeps its own sum."""

    def __init__(self, shared: Meter) -> None:
        self.budget, self.shared, self.spent = shared.budget, shared, Charge()

    @property
    def untouched(self) -> bool:
        return self.shared.untouched

    @property
    def seconds_left(self) -> float:
        return self.shared.seconds_left

    def stopped_by(self, worst: Charge) -> str | None:
        return self.shared.stopped_by(worst)

    def reserve(self, worst: Charge) -> bool:
        return self.shared.reserve(worst)

    def settle(self, held: Charge, usage: Usage, samples: int, *, worst: Charge | None = None) -> None:
        before = self.shared.spent
        self.shared.settle(held, usage, samples, worst=worst)
        self.spent += self.shared.spent - before


class _Purses:
    """A recorder for a question that is driven many times in one start.

    It remembers samples where no recorder does, sums each question's usage, and hands out what earlier starts
    spent once: to `earlier`, before anything is bought, instead of to every drive again.
    """

    def __init__(self, inner: Recorder | None) -> None:
        self._inner = inner
        self._kept: dict[tuple[str, str], dict[int, Sample]] = {}
        self.usage: dict[str, Usage] = {}
        self.total = Usage()

    def earlier(self, question: Question) -> Sequence[Spent]:
        return () if self._inner is None else self._inner.spent(question)

    def add(self, question: Question, usage: Usage) -> None:
        self.usage[question.id] = self.usage.get(question.id, Usage()) + usage
        self.total += usage

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        if self._inner is not None:
            return self._inner.finished(question, stream)
        return self._kept.get((question.id, stream), {})

    def spent(self, question: Question) -> Sequence[Spent]:
        return ()

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        for attempt in attempts:
            self.add(question, attempt.usage)
        if self._inner is not None:
            await self._inner.record(question, stream, role, request, attempts, samples)
            return
        done = {s.index: s for s in samples if s.finish not in ("cancelled", "failed")}
        self._kept.setdefault((question.id, stream), {}).update(done)


@dataclass(slots=True)
class _Problem:
    """One question on its way. `target`: to how many samples it is to be drawn; `index`: how much that is
    worth per cost, infinite until its first step is done; `ending` None: it is open."""

    question: Question
    meter: Meter
    target: int = 1
    index: float = inf
    ending: BatchEnding | None = None
    solution: Solution | None = None
    error: EngineError | None = None
    refusal: BudgetError | None = None
    seconds: float = 0.0

    @property
    def told(self) -> tuple[Sample, ...]:
        return () if self.solution is None else self.solution.samples

    @property
    def stopped_by(self) -> str | None:
        return None if self.solution is None else self.solution.stopped_by


@dataclass
class _Work:
    """The batch as a whole: drives its problems and gathers what came of them."""

    solver: Solver
    shared: Meter
    problems: list[_Problem]
    purses: _Purses
    watch: Callable[[int, Usage], None]

    def charge_earlier(self, plan: Plan) -> None:
        """Charge all that earlier starts spent before anything is bought, so that no order can overspend."""
        for problem in self.problems:
            for spent in self.purses.earlier(problem.question):
                worst = worst_case(self.solver.engine(spent.role, plan), spent.request, self.shared.budget)
                problem.meter.settle(Charge(), spent.usage, spent.usage.samples, worst=worst)
                self.purses.add(problem.question, spent.usage)

    async def drive(self, plan: Plan, problem: _Problem) -> None:
        """Run a plan on a problem. A call that failed for good, or a budget without room, is its own."""
        began = time.monotonic()
        try:
            problem.solution = await self.solver.run(plan, problem.question, problem.meter)
        except HOPELESS:
            raise
        except EngineError as error:
            problem.error, problem.ending = error, "failed"
        except BudgetError as error:
            problem.refusal = error
        problem.seconds += time.monotonic() - began

    async def run_each(self, plan: Plan) -> None:
        waiting, ends = iter(self.problems), count(1)

        async def worker() -> None:
            for problem in waiting:
                await self.drive(plan, problem)
                stopped = problem.refusal is not None or problem.stopped_by is not None
                problem.ending = problem.ending or ("budget" if stopped else "complete")
                self.watch(next(ends), self.purses.total)

        await _together(worker() for _ in range(min(SIDE_BY_SIDE, len(self.problems))))

    def batch(self, seconds: float) -> Batch:
        """Raises the budget's refusal when it had no room for a single sample of any question."""
        refusal = next((p.refusal for p in self.problems if p.refusal is not None), None)
        if refusal is not None and self.shared.untouched:
            raise refusal
        limits = [p.stopped_by for p in self.problems if p.ending == "budget"]
        return Batch(
            solutions=tuple(self._solution(problem) for problem in self.problems),
            endings=tuple(problem.ending or "complete" for problem in self.problems),
            errors={p.question.id: p.error for p in self.problems if p.error is not None},
            usage=self.purses.total,
            charged=self.shared.spent,
            seconds=seconds,
            stopped_by=next((unit for unit in limits if unit is not None), None),
        )

    def _solution(self, problem: _Problem) -> Solution:
        last = problem.solution
        return Solution(
            problem.question,
            Answer(None) if last is None else last.answer,
            self.purses.usage.get(problem.question.id, Usage()),
            problem.meter.spent,
            problem.told,
            problem.seconds,
            problem.stopped_by if problem.ending == "budget" else None,
        )


# ---------------------------------------------------------------- allocation


def _voting(n: int) -> Plan:
    """Draw n samples, those that are bought already among them, and vote.

    Its text has no n: ties are broken alike however far a question is drawn.
    """

    def allocated_vote(question: Question, rng: Random) -> Strategy:
        drawn = yield from draw(n)
        return majority(drawn, rng)

    return Plan("allocated_vote", allocated_vote)


class _Allocation:
    """Waves of draws, those worth most first."""

    def __init__(self, work: _Work, n: int) -> None:
        self.work, self.n, self.problems = work, n, work.problems
        self.pilots: list[_Problem] = []
        self._stream = partial(stream_of, draw=Draw(), limits=work.solver.limits)

    async def run(self) -> None:
        self._begin()
        # A wave is as wide as keeps the engine busy while its last samples end.
        width = 2 * self.work.solver.engine("solver", _voting(1)).capabilities.parallel
        while chosen := self._first_steps(width) or self._next_steps(width):
            before = self._state()
            await _together(self.work.drive(_voting(n), problem) for problem, n in chosen)
            moved = self._state() != before
            for problem, _ in chosen:
                if problem.ending is None and len(problem.told) >= problem.target:
                    self._plan_next(problem)
                elif problem.ending is None and not moved:
                    # Refused with nothing drawn and nothing spent: asked again, it would be again.
                    problem.ending = "budget"
            done = sum(problem.ending is not None for problem in self.problems)
            self.work.watch(done, self.work.purses.total)

    def _state(self) -> tuple[int, list[float]]:
        """What a wave may change: the samples told, and what is spent of the budget (a failed call's too)."""
        shared = self.work.shared
        limited = [unit for unit in _UNITS if getattr(shared.budget, unit) is not None]
        told = sum(len(problem.told) for problem in self.problems)
        return told, [getattr(shared.spent, unit) for unit in limited]

    # ------------------------------------------------ first steps

    def _begin(self) -> None:
        """The first steps' sizes. The first few questions show how long samples are: theirs is sized by the
        longest that a sample may be, and `_size` does the others'."""
        self.pilots = self.problems[: min(PILOTS, -(-len(self.problems) // 5))]
        for problem in self.pilots:
            read, each = self._costs(problem, ())
            problem.target = min(self.n, first_step(self._even, read=read, each=each))
        needed = [self._worst(p, p.target if p in self.pilots else 1) for p in self.problems]
        if _exceeds(needed, self.work.shared.budget):
            for problem in self.pilots:
                problem.target = 1
            self.pilots = []

    @property
    def _even(self) -> float:
        """A question's even part of the budget."""
        limit = getattr(self.work.shared.budget, self._unit)
        return inf if limit is None else limit / len(self.problems)

    def _size(self) -> None:
        """Size the first steps of all but the pilots, by the length of the pilots' samples: those of their
        own first steps, since nobody takes a second one before all have begun."""
        seen = [sample for problem in self.pilots for sample in problem.told]
        for problem in self.problems[len(self.pilots) :]:
            read, each = self._costs(problem, seen)
            problem.target = min(self.n, first_step(self._even, read=read, each=each))
        self.pilots = []

    def _first_steps(self, width: int) -> list[tuple[_Problem, int]]:
        """A wave of first steps, and to how many samples each is drawn; empty once all have been begun.

        What is kept free always has room for one sample of each question that has none.
        """
        waiting = [p for p in self.pilots if p.ending is None and p.index == inf]
        if self.pilots and not waiting:
            self._size()
        fresh = [p for p in self.problems if p.ending is None and not p.told]
        waiting = waiting or fresh
        kept = sum((self._worst(p, 1) for p in fresh), Charge())
        chosen, room = list[tuple[_Problem, int]](), width
        for problem in waiting:
            first = Charge() if problem.told else self._worst(problem, 1)
            needed = kept - first + self._worst(problem, problem.target)
            if room <= 0 or self.work.shared.stopped_by(needed) is not None:
                break
            kept, room = needed, room - problem.target
            chosen.append((problem, problem.target))
        if not chosen:
            self.pilots = []
        return chosen or [(problem, 1) for problem in fresh[:width]]

    def _worst(self, problem: _Problem, n: int) -> Charge:
        """The most that drawing to n samples can cost, with what is bought already for nothing."""
        bought = self.work.purses.finished(problem.question, self._stream(problem.question))
        missing = n - next(i for i in count() if i not in bought)
        if missing <= 0:
            return Charge()
        ask = replace(self._ask(problem, ()), n=missing)
        return worst_case(self._engine, ask, self.work.shared.budget)

    # ------------------------------------------------ next steps

    def _next_steps(self, width: int) -> list[tuple[_Problem, int]]:
        """The next wave, in the order of worth; equals in the order given."""
        chosen, room = list[tuple[_Problem, int]](), width
        for problem in sorted((p for p in self.problems if p.ending is None), key=lambda p: -p.index):
            if room <= 0:
                break
            chosen.append((problem, problem.target))
            room -= problem.target - len(problem.told)
        return chosen

    def _plan_next(self, problem: _Problem) -> None:
        told = problem.told
        if len(told) >= self.n:
            problem.ending = "complete"
            return
        cast = votes(told)
        read, each = self._costs(problem, told)
        step = next_step(
            list(cast.values()), self.n - len(told), read=read, each=each, abstained=len(told) - cast.total()
        )
        problem.target, problem.index, problem.ending = len(told) + step.more, step.index, step.ending

    @property
    def _unit(self) -> str:
        """The unit in which costs are compared: the budget's own."""
        budget = self.work.shared.budget
        return next((unit for unit in _UNITS if getattr(budget, unit) is not None), "tokens")

    @property
    def _engine(self) -> Engine:
        return self.work.solver.engine("solver", _voting(1))

    def _ask(self, problem: _Problem, seen: Sequence[Sample]) -> Request:
        """One sample of a question, as long as those seen, or as long as may be."""
        limits, question = self.work.solver.limits, problem.question
        lengths = [sample.tokens for sample in seen if sample.tokens is not None]
        longest = limits.max_tokens or question.max_tokens
        expected = max(1, round(sum(lengths) / len(lengths))) if lengths else longest
        return Request(question.prompt, max_tokens=expected, sampling=limits.sampling)

    def _costs(self, problem: _Problem, seen: Sequence[Sample]) -> tuple[float, float]:
        """What reading the prompt costs, and a sample as long as those seen, in the budget's unit."""
        ask, unit = self._ask(problem, seen), self._unit
        if unit == "tokens" and self._engine.prompt_tokens_bound(ask.prompt) is None:
            return 0.0, 1.0
        limit = Budget(**{unit: _PLENTY})
        one, two = (getattr(worst_case(self._engine, replace(ask, n=n), limit), unit) for n in (1, 2))
        return float(max(0.0, 2 * one - two)), float(two - one)


def _exceeds(needed: Sequence[Charge], budget: Budget) -> bool:
    """Whether charges together are more than a budget allows."""
    whole = sum(needed, Charge())
    limits = [(unit, getattr(budget, unit)) for unit in _UNITS]
    return any(limit is not None and getattr(whole, unit) > limit for unit, limit in limits)


async def _together(work: Any) -> None:
    """Run coroutines side by side, begun in their order; the first error stops them all and is raised."""
    coroutines: list[Coroutine[Any, Any, None]] = list(work)
    try:
        async with asyncio.TaskGroup() as group:
            for each in coroutines:
                group.create_task(each)
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
