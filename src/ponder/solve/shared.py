"""What the questions of a batch share: a meter, in which each has an account of its own, and a recorder."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from ponder.core import FINISHED, Attempt, Budget, Question, Recorder, Request, Sample, Spent, Usage
from ponder.solve.meter import Charge, Meter

__all__ = ["Account", "Pool", "Purses"]


class Pool(Meter):
    """The meter of a batch. `out` counts the calls that hold a reservation, `back` those that gave theirs
    back."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.out = self.back = 0
        self._returned = asyncio.Event()

    def reserve(self, worst: Charge) -> bool:
        fits = super().reserve(worst)
        self.out += fits
        return fits

    def settle(self, held: Charge, usage: Usage, samples: int, *, worst: Charge | None = None) -> None:
        super().settle(held, usage, samples, worst=worst)
        if held == Charge():
            return  # it never held anything: an earlier start's call, or an attempt that was not admitted
        self.out, self.back = self.out - 1, self.back + 1
        self._returned.set()
        self._returned = asyncio.Event()

    async def until_returned(self) -> None:
        """Wait until the next call gives back what it held; who waits longest goes on first."""
        await self._returned.wait()


class Account(Meter):
    """One question's account in the pool: the pool limits it, and it keeps the question's own sums.

    `asked` counts the question's calls, `back` those that gave their reservation back. Once it is closed it
    has no room for anything.
    """

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool.budget)
        self.pool, self.closed = pool, False
        self.asked = self.back = 0

    @property
    def untouched(self) -> bool:
        return not self.closed and self.pool.untouched

    @property
    def seconds_left(self) -> float:
        return self.pool.seconds_left

    def stopped_by(self, worst: Charge) -> str | None:
        return "closed" if self.closed else self.pool.stopped_by(worst)

    def reserve(self, worst: Charge) -> bool:
        if self.closed or not self.pool.reserve(worst):
            return False
        self._held += worst
        self.asked += 1
        return True

    def settle(self, held: Charge, usage: Usage, samples: int, *, worst: Charge | None = None) -> None:
        super().settle(held, usage, samples, worst=worst)
        self.back += held != Charge()
        self.pool.settle(held, usage, samples, worst=worst)


class Purses:
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
        done = {s.index: s for s in samples if s.finish in FINISHED}
        self._kept.setdefault((question.id, stream), {}).update(done)
