"""A whole batch of questions inside one budget: spend the next sample where it is expected to pay.

Every question gets its first sample before any gets more. Then, wave by wave, those samples are drawn whose
expected rise of the vote's worth per cost is highest (`ponder.solve.posterior`), until nothing is worth
drawing or nothing fits the budget. Adaptive allocation of best-of-k: Damani et al. 2024 (arXiv 2410.04707),
which learns the worth from prompts; here it comes from the votes themselves.

How far a question is drawn in one step follows from the questions, the budget and samples alone: its own,
and for its first step those of a few pilot questions. What is in flight, or bought already, decides only the
order. So a rerun over what a recorder holds takes every question to the same place and buys nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from math import inf
from random import Random
from types import MappingProxyType
from typing import Literal

from ponder.core import (
    Answer,
    Budget,
    Draw,
    Engine,
    Question,
    Recorder,
    Request,
    Sample,
    Scorer,
    Strategy,
    Usage,
)
from ponder.core.checking import require_counts
from ponder.errors import HOPELESS, BudgetError, EngineError, InputError
from ponder.solve.driver import Limits, Solution, Solver, stream_of
from ponder.solve.meter import Charge, worst_case
from ponder.solve.posterior import first_step, next_step
from ponder.solve.shared import Account, Pool, Purses
from ponder.solve.together import SIDE_BY_SIDE, side_by_side
from ponder.strategies import Plan
from ponder.strategies._steps import draw, majority, votes

__all__ = ["MOST_SAMPLES", "Batch", "BatchEnding", "solve_many"]

BatchEnding = Literal["settled", "given up", "complete", "budget", "failed"]

MOST_SAMPLES = 64
"""The samples of a question at most, unless stated."""

PATIENCE = 3
"""How often in a row a question may ask for nothing (its calls fail, cost nothing and find no room to try
again beside the others') before it is left."""

PILOTS = 8
"""The questions, a fifth of the batch at most, that show how long samples are."""

_COSTS = ("tokens", "flop", "usd")
_UNITS = (*_COSTS, "samples")
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

    @property
    def final(self) -> bool:
        """Whether the same call again gives the same answers: no question failed, and no deadline cut one
        short, which begins anew with each start."""
        return not self.errors and all(solution.stopped_by != "seconds" for solution in self.solutions)


async def solve_many(
    questions: Sequence[Question],
    *,
    engines: Mapping[str, Engine],
    budget: Budget,
    n: int = MOST_SAMPLES,
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
    require_counts(n=n)
    if len({question.id for question in questions}) < len(questions):
        raise InputError("questions: two have the same id; give each its own.")
    began = time.monotonic()
    own, pool = Purses(recorder), Pool(budget)
    solver = Solver(engines, scorers=scorers, limits=limits, recorder=own)
    work = _Work(solver, pool, [_Problem(q, Account(pool)) for q in questions], own, watch)
    work.charge_earlier(plan or _voting(n))
    if plan is None:
        await _Allocation(work, n).run()
    else:
        await work.run_each(plan)
    return work.batch(time.monotonic() - began)


# ---------------------------------------------------------------- the batch


@dataclass(slots=True)
class _Problem:
    """One question on its way. `target`: to how many samples it is to be drawn; `index`: how much that is
    worth per cost, infinite until its first step is done; `least`: the most that its first sample can still
    cost; `ending` None: it is open."""

    question: Question
    account: Account
    target: int = 1
    least: Charge = field(default_factory=Charge)
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
    pool: Pool
    problems: list[_Problem]
    purses: Purses
    watch: Callable[[int, Usage], None]

    def charge_earlier(self, plan: Plan) -> None:
        """Charge all that earlier starts spent before anything is bought, so that no order can overspend."""
        for problem in self.problems:
            for spent in self.purses.earlier(problem.question):
                worst = worst_case(self.solver.engine(spent.role, plan), spent.request, self.pool.budget)
                problem.account.settle(Charge(), spent.usage, spent.usage.samples, worst=worst)
                self.purses.add(problem.question, spent.usage)

    async def drive(self, plan: Plan, problem: _Problem) -> None:
        """Run a plan on a problem. A call that failed for good, or a budget without room, is its own."""
        began = time.monotonic()
        try:
            problem.solution = await self.solver.run(plan, problem.question, problem.account)
        except HOPELESS:
            raise
        except EngineError as error:
            problem.error, problem.ending = error, "failed"
            await self._answer_from_what_it_has(plan, problem)
        except BudgetError as error:
            problem.refusal = error
        problem.seconds += time.monotonic() - began

    async def _answer_from_what_it_has(self, plan: Plan, problem: _Problem) -> None:
        """The samples of the failed wave's other calls are paid for: recall them, and buy nothing more."""
        problem.account.closed = True
        with suppress(BudgetError):  # the call that failed was to a role whose cost has no bound
            problem.solution = await self.solver.run(plan, problem.question, problem.account)

    async def run_each(self, plan: Plan) -> None:
        ends = count(1)

        async def work(problem: _Problem) -> None:
            await self._drive_to_the_end(plan, problem)
            stopped = problem.refusal is not None or problem.stopped_by is not None
            problem.ending = problem.ending or ("budget" if stopped else "complete")
            self.watch(next(ends), self.purses.total)

        await side_by_side(work, self.problems, width=min(SIDE_BY_SIDE, len(self.problems)))

    async def _drive_to_the_end(self, plan: Plan, problem: _Problem) -> None:
        """Drive a problem until it, or the budget, has come to its end.

        Calls hold their worst case and give back what they did not use. So a problem that finds no room while
        calls are out is not at the budget's end: it is driven again, which recalls what it has, until it has
        no room for any call while nobody else's is out.
        """
        account, in_vain = problem.account, 0
        while in_vain < PATIENCE:
            others, asked = self.pool.back - account.back, account.asked
            before = len(problem.told), account.spent
            await self.drive(plan, problem)
            others = self.pool.back - account.back - others
            over = problem.ending is not None or problem.refusal is not None
            if over or problem.stopped_by not in _UNITS:
                return
            if account.asked > asked:
                in_vain = in_vain + 1 if (len(problem.told), account.spent) == before else 0
            elif others == 0 and self.pool.out == 0:
                return
            elif others == 0:
                await self.pool.until_returned()

    def batch(self, seconds: float) -> Batch:
        """Raises the budget's refusal when it had no room for a single sample of any question."""
        refusal = next((p.refusal for p in self.problems if p.refusal is not None), None)
        if refusal is not None and self.pool.untouched:
            raise refusal
        limits = [p.stopped_by for p in self.problems if p.ending == "budget"]
        return Batch(
            solutions=tuple(self._solution(problem) for problem in self.problems),
            endings=tuple(problem.ending or "complete" for problem in self.problems),
            errors={p.question.id: p.error for p in self.problems if p.error is not None},
            usage=self.purses.total,
            charged=self.pool.spent,
            seconds=seconds,
            stopped_by=next((unit for unit in limits if unit is not None), None),
        )

    def _solution(self, problem: _Problem) -> Solution:
        last = problem.solution
        return Solution(
            problem.question,
            Answer(None) if last is None else last.answer,
            self.purses.usage.get(problem.question.id, Usage()),
            problem.account.spent,
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
        # Who has no sample yet, and the most that one sample of each can cost.
        self.fresh: list[_Problem] = []
        self.kept = Charge()
        self._stream = partial(stream_of, draw=Draw(), limits=work.solver.limits)

    async def run(self) -> None:
        self._begin()
        # A wave is as wide as keeps the engine busy while its last samples end.
        width = 2 * self.work.solver.engine("solver", _voting(1)).capabilities.parallel
        while chosen := self._first_steps(width) or self._next_steps(width):
            before = self._state()
            await side_by_side(self._draw, chosen, width=len(chosen))
            moved = self._state() != before
            for problem, _ in chosen:
                if problem.ending is None and len(problem.told) >= problem.target:
                    self._plan_next(problem)
                elif problem.ending is None and not moved:
                    # Refused with nothing drawn and nothing spent: asked again, it would be again.
                    problem.ending = "budget"
            done = sum(problem.ending is not None for problem in self.problems)
            self.work.watch(done, self.work.purses.total)

    async def _draw(self, step: tuple[_Problem, int]) -> None:
        problem, n = step
        await self.work.drive(_voting(n), problem)

    def _state(self) -> tuple[int, list[float]]:
        """What a wave may change: the samples told, and what is spent of the budget (a failed call's too)."""
        pool = self.work.pool
        limited = [unit for unit in _UNITS if getattr(pool.budget, unit) is not None]
        told = sum(len(problem.told) for problem in self.problems)
        return told, [getattr(pool.spent, unit) for unit in limited]

    # ------------------------------------------------ first steps

    def _begin(self) -> None:
        """The first steps' sizes. The first few questions show how long samples are: theirs is sized by the
        longest that a sample may be, and `_size` does the others'."""
        self.pilots = self.problems[: min(PILOTS, -(-len(self.problems) // 5))]
        for problem in self.pilots:
            problem.target = self._first_target(problem, ())
        for problem in self.problems:
            problem.least = self._whole(problem, 1)
        # As if nothing were bought, so that a rerun decides alike.
        needed = [self._whole(p, p.target) for p in self.pilots]
        needed += [p.least for p in self.problems[len(self.pilots) :]]
        if _exceeds(needed, self.work.pool.budget):
            for problem in self.pilots:
                problem.target = 1
            self.pilots = []
        for problem in self.problems[len(self.pilots) :]:
            # Until its first step is sized, no number of samples is its end.
            problem.target = self.n if self.pilots else 1
        for problem in self.problems:
            if self._reach(problem):
                problem.least = Charge()
        self.fresh = list(self.problems)
        self.kept = sum((problem.least for problem in self.fresh), Charge())

    def _first_target(self, problem: _Problem, seen: Sequence[Sample]) -> int:
        """How far a first step goes when samples are as long as those seen."""
        limit = getattr(self.work.pool.budget, self._unit)
        even = inf if limit is None else limit / len(self.problems)
        read, each = self._costs(problem, seen)
        return min(self.n, self._most, first_step(even, read=read, each=each))

    @property
    def _most(self) -> int:
        """How far a step goes at most. What readings cost a budget in samples does not feel, so there half of
        a question's even part is left to go where it pays."""
        samples = self.work.pool.budget.samples
        return self.n if samples is None else max(1, samples // (2 * len(self.problems)))

    def _size(self) -> None:
        """Size the first steps of all but the pilots, by the length of the pilots' samples: those of their
        own first steps, since nobody takes a second one before all have begun."""
        seen = [sample for problem in self.pilots for sample in problem.told]
        for problem in self.problems[len(self.pilots) :]:
            problem.target = self._first_target(problem, seen)
        self.pilots = []

    def _first_steps(self, width: int) -> list[tuple[_Problem, int]]:
        """A wave of first steps, and to how many samples each is drawn; empty once all have been begun.

        What is kept free always has room for one sample of each question that has none.
        """
        waiting = [p for p in self.pilots if p.ending is None and p.index == inf]
        if self.pilots and not waiting:
            self._size()
        begun = [p for p in self.fresh if p.ending is not None or p.told]
        if begun:
            self.kept -= sum((problem.least for problem in begun), Charge())
            self.fresh = [p for p in self.fresh if p.ending is None and not p.told]
        kept, chosen, room = self.kept, list[tuple[_Problem, int]](), width
        for problem in waiting or self.fresh:
            first = Charge() if problem.told else problem.least
            needed = kept - first + self._worst(problem, problem.target)
            if room <= 0 or self.work.pool.stopped_by(needed) is not None:
                break
            kept, room = needed, room - problem.target
            chosen.append((problem, problem.target))
        one_each = [(problem, 1) for problem in self.fresh[:width]]
        return chosen or one_each or [(problem, problem.target) for problem in waiting]

    def _worst(self, problem: _Problem, n: int) -> Charge:
        """The most that drawing to n samples can cost, with what is bought already for nothing."""
        missing = n - self._reach(problem)
        return self._whole(problem, missing) if missing > 0 else Charge()

    def _reach(self, problem: _Problem) -> int:
        """How many of its samples are bought, up to the first gap."""
        bought = self.work.purses.finished(problem.question, self._stream(problem.question))
        return next(i for i in count() if i not in bought)

    def _whole(self, problem: _Problem, n: int) -> Charge:
        """The most that n new samples can cost."""
        return worst_case(self._engine, replace(self._ask(problem, ()), n=n), self.work.pool.budget)

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
        more = min(step.more, self._most)
        problem.target, problem.index, problem.ending = len(told) + more, step.index, step.ending

    @property
    def _unit(self) -> str:
        """The unit in which costs are compared: the budget's own, and tokens where it is in samples alone:
        readings cost the user all the same."""
        budget = self.work.pool.budget
        return next((unit for unit in _COSTS if getattr(budget, unit) is not None), "tokens")

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
        """What reading the prompt costs, and a sample as long as those seen, in `_unit`."""
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
