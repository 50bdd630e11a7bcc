"""A call in flight: its reservation, its settling, its record."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ponder.core import (
    Attempt,
    Call,
    Draw,
    Engine,
    Finish,
    Generation,
    Output,
    Question,
    Recorder,
    Request,
    Sample,
    Usage,
    share,
)
from ponder.flop import price_usage
from ponder.solve.meter import Charge, Meter, worst_case
from ponder.tasks import extract

__all__ = ["Ask", "Ending", "Flight", "Purse", "cancel", "gaps"]


@dataclass(slots=True)
class Purse:
    """What the calls of one solve share: whose question it is, what pays, what it came to, who writes."""

    question: Question
    meter: Meter
    recorder: Recorder | None
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class Ask:
    """One draw of a wave on its way: `told` are its samples so far, gap-free unless a deadline has cut the
    wave short, after which `position` says nothing."""

    draw: Draw
    stream: str
    first: int
    told: list[Sample] = field(default_factory=list)

    @property
    def missing(self) -> int:
        return self.draw.n - len(self.told)

    @property
    def position(self) -> int:
        return self.first + len(self.told)


def gaps(ask: Ask, bought: Mapping[int, Sample]) -> list[tuple[int, int]]:
    """(first position, length) of each stretch that is still to be bought."""
    gaps: list[tuple[int, int]] = []
    for position in range(ask.position, ask.first + ask.draw.n):
        if position in bought:
            continue
        if gaps and sum(gaps[-1]) == position:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + 1)
        else:
            gaps.append((position, 1))
    return gaps


@dataclass(slots=True)
class Ending:
    """Why a wave is to end before all its samples are there."""

    deadline: bool = False
    cancelled: asyncio.CancelledError | None = None
    error: BaseException | None = None


def cancel(flights: Sequence[Flight]) -> None:
    for flight in flights:
        flight.call.cancel()


class Flight:
    """One call in flight, with its reservation. `refused`: the budget's unit that had no room for a
    further attempt."""

    def __init__(self, purse: Purse, engine: Engine, ask: Ask, request: Request, held: Charge) -> None:
        self.purse, self.engine, self.ask, self.held = purse, engine, ask, held
        self.retries: list[Charge] = []
        self.request = replace(request, admit=self._admit)
        self.samples: tuple[Sample, ...] = ()
        self.refused: str | None = None
        self.call: Call
        self.settled: asyncio.Task[Generation]

    def start(self) -> None:
        """Begin the call, or give its reservation back where the engine will not."""
        try:
            self.call = self.engine.start(self.request)
        except BaseException:
            self.purse.meter.settle(self.held, Usage(), 0)
            raise
        self.settled = asyncio.ensure_future(self._settle())

    def _admit(self) -> bool:
        """Another attempt may cost as much again: reserve that too, or give up. It draws none but the samples
        that the call has room for."""
        further = replace(self.held, samples=0)
        if self.purse.meter.reserve(further):
            self.retries.append(further)
            return True
        self.refused = self.purse.meter.stopped_by(further)
        return False

    def _worst(self, attempt: Attempt) -> Charge:
        """The most that an attempt can have cost."""
        if attempt.asked is None:
            return self.held
        return worst_case(self.engine, replace(self.request, n=attempt.asked), self.purse.meter.budget)

    def failure(self) -> BaseException | None:
        """What the settled call failed of: its own error, or the recorder's. None for a lack of budget."""
        error = self.settled.exception()
        if error is not None:
            return error
        return None if self.refused is not None else self.settled.result().error

    async def _settle(self) -> Generation:
        """Wait for the call, then charge and record it. Samples that the ask's `read` breaks on stand as
        failed."""
        generation = await self.call.result()
        question = self.purse.question
        drawn = [self._sample(output, self.request.offset + i) for i, output in enumerate(generation.outputs)]
        read = self.ask.draw.read or self._answer
        unread: Exception | None = None
        try:
            self.samples = tuple(replace(sample, choice=read(sample)) for sample in drawn)
        except Exception as error:
            unread, self.samples = error, tuple(replace(sample, finish="failed") for sample in drawn)
        attempts = self._charge(generation)
        if self.purse.recorder is not None:
            await self.purse.recorder.record(
                question, self.ask.stream, self.ask.draw.role, self.request, attempts, self.samples
            )
        if unread is not None:
            raise unread
        return generation

    def _sample(self, output: Output, index: int) -> Sample:
        """Not read yet: without a choice."""
        return Sample(
            text=output.text,
            index=index,
            reasoning=output.reasoning,
            tokens=output.tokens,
            logprob=None if output.logprobs is None else math.fsum(output.logprobs),
            logprobs=output.logprobs,
            finish=self._finish(output),
        )

    def _answer(self, sample: Sample) -> str | None:
        return extract.choice(self.purse.question, self.request.prefix + sample.text)

    def _finish(self, output: Output) -> Finish:
        """Tell the end of a step from the end of the whole.

        Where the engine does not say what stopped it, any text that stopped is a step: at its true end the
        next one will be empty.
        """
        own = self.ask.draw.stop
        if output.finish != "stop" or not own:
            return output.finish
        told = self.engine.capabilities.tells_stop or output.stopped_by is not None
        ended = output.stopped_by in own if told else bool(output.text.strip())
        return "step" if ended else "stop"

    def _charge(self, generation: Generation) -> list[Attempt]:
        """Price every attempt and settle each against one reservation."""
        attempts = [
            replace(a, usage=price_usage(self.engine.model, a.usage, [o.tokens for o in outputs]))
            for a, outputs in zip(
                generation.attempts, share(generation.attempts, generation.outputs), strict=True
            )
        ]
        holds = [self.held, *self.retries]
        for attempt, hold in zip(attempts, holds, strict=False):
            self.purse.meter.settle(hold, attempt.usage, attempt.samples, worst=self._worst(attempt))
        for attempt in attempts[len(holds) :]:
            # A part of a call that was divided, for which the call's own reservation stands; or one that was
            # not admitted, which is charged all the same.
            self.purse.meter.settle(Charge(), attempt.usage, attempt.samples, worst=self._worst(attempt))
        for hold in holds[len(attempts) :]:
            self.purse.meter.settle(hold, Usage(), 0)
        for attempt in attempts:
            self.purse.usage += attempt.usage
        return attempts
