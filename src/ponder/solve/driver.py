"""Drive one strategy on one question: engines, scorers, budget and recorder meet here and nowhere else.

Samples are told to the strategy in the order in which they were asked, as a gap-free prefix, never in
the order in which they finish. What a recorder already holds is told first and bought again never.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import MappingProxyType

from ponder.core import (
    Answer,
    Attempt,
    Budget,
    Call,
    Draw,
    Engine,
    Generation,
    Question,
    Recorder,
    Reply,
    Request,
    Sample,
    Sampling,
    Score,
    Scorer,
    Usage,
    Wave,
    digest,
    share,
)
from ponder.errors import CallFailed, CapabilityError, InputError
from ponder.flop import price_usage
from ponder.solve.meter import Charge, Meter, worst_case
from ponder.strategies import Plan
from ponder.tasks import extract

__all__ = ["Limits", "Solution", "Solver", "solve", "stream_of"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How the driver samples: the run's seed and sampling, and a cap on generated tokens a sample."""

    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.max_tokens is not None and self.max_tokens < 1:
            raise InputError(f"max_tokens: it must be at least 1, not {self.max_tokens}.")


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer and what it took. `usage` may hold unknowns, `charged` never does. `stopped_by` names the
    budget's unit that ended the work early, None when the strategy ran to its end."""

    question: Question
    answer: Answer
    usage: Usage
    charged: Charge
    samples: tuple[Sample, ...]
    seconds: float
    stopped_by: str | None = None


def stream_of(question: Question, draw: Draw, limits: Limits) -> str:
    """The name of the stream that a draw takes its samples from: equal asks share one stream."""
    prompt = question.prompt if draw.prompt is None else draw.prompt
    sampling = _sampling(draw, limits)
    ask = {
        "prompt": prompt.to_json(),
        "prefix": draw.prefix,
        "stop": list(question.stop + draw.stop),
        "max_tokens": _max_tokens(question, draw, limits),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "logprobs": draw.logprobs,
    }
    return f"{draw.role}/{digest(ask)[:16]}"


def _sampling(draw: Draw, limits: Limits) -> Sampling:
    if draw.temperature is None:
        return limits.sampling
    return replace(limits.sampling, temperature=draw.temperature)


def _max_tokens(question: Question, draw: Draw, limits: Limits) -> int:
    stated = (draw.max_tokens, limits.max_tokens, question.max_tokens)
    return next(n for n in stated if n is not None)


def _number(*parts: object) -> int:
    """A 63-bit number from names: the seed of a stream or of a strategy."""
    word = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(word[:8], "big") >> 1


@dataclass(slots=True)
class _Ask:
    """One draw of a wave on its way: `told` are its samples so far, gap-free."""

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


class Solver:
    """Everything a solve needs besides the question: engines by role, scorers by name, budget, recorder."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        scorers: Mapping[str, Scorer] = MappingProxyType({}),
        limits: Limits | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.engines, self.scorers, self.recorder = engines, scorers, recorder
        self.limits = limits or Limits()

    async def run(self, plan: Plan, question: Question, meter: Meter) -> Solution:
        """Drive the strategy to its answer. Raises InputError before anything runs when the engine or
        the budget does not fit, EngineError when a call failed for good (everything is recorded)."""
        return await _Drive(self, plan, question, meter).run()


class _Drive:
    def __init__(self, solver: Solver, plan: Plan, question: Question, meter: Meter) -> None:
        self.solver, self.plan, self.question, self.meter = solver, plan, question, meter
        self.cursors: dict[str, int] = {}
        self.bought: dict[str, dict[int, Sample]] = {}
        self.samples: list[Sample] = []
        self.usage = Usage()
        self.stopped_by: str | None = None
        self.last_unit: str | None = None
        if solver.recorder is not None:
            self._charge_earlier(solver.recorder.spent(question))

    def _charge_earlier(self, calls: Sequence[tuple[int, Usage]]) -> None:
        """Charge what earlier starts spent, call by call: what is unknown at that call's worst case."""
        for requested, usage in calls:
            self.usage += usage
            draw = Draw(n=requested)
            ask = _Ask(draw, "", 0)
            worst = worst_case(self._engine("solver"), self._request(ask, 0, requested), self.meter.budget)
            self.meter.settle(Charge(), usage, usage.samples, worst=worst)

    async def run(self) -> Solution:
        began = time.monotonic()
        rng = Random(
            _number("strategy", self.solver.limits.seed, self.question.task, self.question.id, self.plan)
        )
        strategy = self.plan.begin(self.question, rng)
        try:
            wave = next(strategy)
            while True:
                wave = strategy.send(await self._serve(wave))
        except StopIteration as end:
            answer: Answer = end.value
        finally:
            strategy.close()
        return Solution(
            self.question,
            answer,
            self.usage,
            self.meter.spent,
            tuple(self.samples),
            time.monotonic() - began,
            self.stopped_by,
        )

    async def _serve(self, wave: Wave) -> Reply:
        asks = [self._ask(ask) if isinstance(ask, Draw) else None for ask in wave.asks]
        draws = [ask for ask in asks if ask is not None]
        self._recall(draws, wave)
        while any(ask.missing for ask in draws) and not self._until(wave, draws):
            flights = self._launch(draws, single=wave.until is not None)
            if not flights:
                self.stopped_by = self.last_unit
                break
            told = sum(len(ask.told) for ask in draws)
            await self._collect(flights, wave, draws)
            self._recall(draws, wave)
            if self.stopped_by is not None:
                break
            if sum(len(ask.told) for ask in draws) == told:
                raise CallFailed(
                    f"{flights[0].engine.model.name} returned no sample and no error; try again."
                )
        for ask in draws:
            # What a budget or `until` left untold is the next ask's.
            self.cursors[ask.stream] -= ask.missing
            self.samples += ask.told
        scores = [await self._score(ask) if isinstance(ask, Score) else () for ask in wave.asks]
        samples = [tuple(ask.told) if ask is not None else () for ask in asks]
        return Reply(tuple(samples), tuple(scores), final=self.stopped_by is not None)

    # ------------------------------------------------ draws

    def _engine(self, role: str) -> Engine:
        try:
            return self.solver.engines[role]
        except KeyError:
            raise InputError(
                f"strategy: {self.plan.name} needs a model for the role {role!r}; none is given."
            ) from None

    def _ask(self, draw: Draw) -> _Ask:
        engine = self._engine(draw.role)
        able = engine.capabilities
        needs = {"prefix": bool(draw.prefix), "logprobs": draw.logprobs, "halt": draw.halt is not None}
        for name, needed in needs.items():
            if needed and not getattr(able, name):
                raise CapabilityError(
                    f"strategy: {self.plan} needs {_CAPABILITY[name]}, which {engine.model.name} "
                    "does not offer here; use the embedded model or another strategy."
                )
        stream = stream_of(self.question, draw, self.solver.limits)
        first = self.cursors.get(stream, 0)
        self.cursors[stream] = first + draw.n
        return _Ask(draw, stream, first)

    def _bought(self, ask: _Ask) -> Mapping[int, Sample]:
        """The samples of a stream that are paid for: by an earlier start, or beyond an earlier wave's end."""
        recorder = self.solver.recorder
        own = self.bought.get(ask.stream, {})
        return own if recorder is None else {**recorder.finished(self.question, ask.stream), **own}

    def _recall(self, draws: Sequence[_Ask], wave: Wave) -> None:
        """Tell what is bought, as far as it reaches without a gap."""
        waiting: set[str] = set()
        for ask in draws:
            bought = {} if ask.stream in waiting else self._bought(ask)
            while ask.missing and not self._until(wave, draws) and ask.position in bought:
                ask.told.append(bought[ask.position])
            if ask.missing:
                waiting.add(ask.stream)

    def _until(self, wave: Wave, draws: Sequence[_Ask]) -> bool:
        """Whether the wave's own condition holds for the gap-free prefix of its samples."""
        if wave.until is None:
            return False
        told: list[Sample] = []
        for ask in draws:
            told += ask.told
            if ask.missing:
                break
        return wave.until(tuple(told))

    def _launch(self, draws: Sequence[_Ask], *, single: bool) -> list[_Flight]:
        """Start as many calls as the budget has room for, in the order asked."""
        flights: list[_Flight] = []
        room = self._engine(draws[0].draw.role).capabilities.parallel if single else math.inf
        for ask in draws:
            for first, length in _gaps(ask, self._bought(ask)):
                position = first
                while position < first + length and len(flights) < room:
                    flight = self._reserve(ask, position, 1 if single else first + length - position)
                    if flight is None:
                        return flights
                    flights.append(flight)
                    position += flight.request.n
        return flights

    def _reserve(self, ask: _Ask, position: int, wanted: int) -> _Flight | None:
        engine = self._engine(ask.draw.role)
        n = min(wanted, engine.capabilities.samples_per_call)
        low, high, held, middle = 0, n, Charge(), n
        while low < high:
            worst = worst_case(engine, self._request(ask, position, middle), self.meter.budget)
            unit = self.meter.stopped_by(worst)
            if unit is None:
                low, held = middle, worst
            else:
                high, self.last_unit = middle - 1, unit
            middle = (low + high + 1) // 2
        if low == 0 or not self.meter.reserve(held):
            return None
        flight = _Flight(self, engine, ask, self._request(ask, position, low), held)
        flight.start()
        return flight

    def _request(self, ask: _Ask, position: int, n: int) -> Request:
        draw, question, limits = ask.draw, self.question, self.solver.limits
        return Request(
            prompt=question.prompt if draw.prompt is None else draw.prompt,
            n=n,
            max_tokens=_max_tokens(question, draw, limits),
            sampling=_sampling(draw, limits),
            prefix=draw.prefix,
            stop=question.stop + draw.stop,
            seed=_number("samples", limits.seed, question.task, question.id, ask.stream),
            offset=position,
            logprobs=draw.logprobs,
            halt=draw.halt,
        )

    async def _collect(self, flights: Sequence[_Flight], wave: Wave, draws: Sequence[_Ask]) -> None:
        """Wait for the calls in the order asked, until each is settled and recorded.

        When the wave is over, the deadline passes or we are cancelled, the calls still in flight are
        cancelled; a failed call leaves the others to end. Nothing that was paid for goes unrecorded.
        """
        over = _Ending()
        for flight in flights:
            await self._outlast(flight, flights, over)
            failure = flight.failure()
            if failure is not None:
                over.error = over.error or failure
            kept = self.bought.setdefault(flight.ask.stream, {})
            kept.update((s.index, s) for s in flight.samples if s.finish in ("stop", "length"))
            if not over.deadline:
                self._recall(draws, wave)
            if self._until(wave, draws):
                _cancel(flights)
        if over.cancelled is not None:
            raise over.cancelled
        if over.error is not None:
            raise over.error
        refused = next((flight.refused for flight in flights if flight.refused is not None), None)
        self.stopped_by = "seconds" if over.deadline else refused
        self.last_unit = self.stopped_by or self.last_unit

    async def _outlast(self, flight: _Flight, flights: Sequence[_Flight], over: _Ending) -> None:
        """Wait for a call to be settled, through the deadline and through our own cancellation."""
        while not flight.settled.done():
            left = math.inf if over.deadline or over.cancelled else max(0.0, self.meter.seconds_left)
            try:
                await asyncio.wait({flight.settled}, timeout=None if math.isinf(left) else left)
            except asyncio.CancelledError as error:
                over.cancelled = error
            over.deadline = over.deadline or self.meter.seconds_left <= 0
            if over.cancelled or (over.deadline and not flight.settled.done()):
                _cancel(flights)

    # ------------------------------------------------ scores

    async def _score(self, ask: Score) -> tuple[float | None, ...]:
        try:
            scorer = self.solver.scorers[ask.by]
        except KeyError:
            known = ", ".join(sorted(self.solver.scorers)) or "none"
            raise InputError(f"strategy: there is no scorer {ask.by!r} here; known are {known}.") from None
        return await scorer.score(self.question, ask.samples)


def _gaps(ask: _Ask, bought: Mapping[int, Sample]) -> list[tuple[int, int]]:
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


_CAPABILITY = {
    "prefix": "to continue a given text",
    "logprobs": "log-probabilities",
    "halt": "to stop a sample midway",
}


@dataclass(slots=True)
class _Ending:
    """Why a wave is to end before all its samples are there."""

    deadline: bool = False
    cancelled: asyncio.CancelledError | None = None
    error: BaseException | None = None


def _cancel(flights: Sequence[_Flight]) -> None:
    for flight in flights:
        flight.call.cancel()


class _Flight:
    """One call in flight, with its reservation. `refused`: the budget's unit that had no room for a
    further attempt."""

    def __init__(self, drive: _Drive, engine: Engine, ask: _Ask, request: Request, held: Charge) -> None:
        self.drive, self.engine, self.ask, self.held = drive, engine, ask, held
        self.retries: list[Charge] = []
        self.request = replace(request, admit=self._admit)
        self.samples: tuple[Sample, ...] = ()
        self.refused: str | None = None
        self.call: Call
        self.settled: asyncio.Task[Generation]

    def start(self) -> None:
        self.call = self.engine.start(self.request)
        self.settled = asyncio.ensure_future(self._settle())

    def _admit(self) -> bool:
        """Another attempt may cost as much again: reserve that too, or give up."""
        if self.drive.meter.reserve(self.held):
            self.retries.append(self.held)
            return True
        self.refused = self.drive.meter.stopped_by(self.held)
        return False

    def failure(self) -> BaseException | None:
        """What the settled call failed of: its own error, or the recorder's. None for a lack of budget."""
        error = self.settled.exception()
        if error is not None:
            return error
        return None if self.refused is not None else self.settled.result().error

    async def _settle(self) -> Generation:
        """Wait for the call, then charge and record it."""
        generation = await self.call.result()
        question = self.drive.question
        self.samples = tuple(
            Sample(
                text=output.text,
                choice=extract.choice(question, output.text),
                index=self.request.offset + i,
                reasoning=output.reasoning,
                tokens=output.tokens,
                logprob=None if output.logprobs is None else math.fsum(output.logprobs),
                logprobs=output.logprobs,
                finish=output.finish,
            )
            for i, output in enumerate(generation.outputs)
        )
        attempts = self._charge(generation)
        if self.drive.solver.recorder is not None:
            await self.drive.solver.recorder.record(
                question, self.ask.stream, self.ask.draw.role, self.request, attempts, self.samples
            )
        return generation

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
            self.drive.meter.settle(hold, attempt.usage, attempt.samples)
        for attempt in attempts[len(holds) :]:
            # Not admitted, so nothing is held for it; it is charged all the same.
            self.drive.meter.settle(Charge(), attempt.usage, attempt.samples, worst=self.held)
        for hold in holds[len(attempts) :]:
            self.drive.meter.settle(hold, Usage(), 0)
        for attempt in attempts:
            self.drive.usage += attempt.usage
        return attempts


async def solve(
    question: Question,
    plan: Plan,
    *,
    engines: Mapping[str, Engine],
    scorers: Mapping[str, Scorer] = MappingProxyType({}),
    budget: Budget | None = None,
    limits: Limits | None = None,
    recorder: Recorder | None = None,
) -> Solution:
    """Run one strategy on one question inside one budget."""
    solver = Solver(engines, scorers=scorers, limits=limits, recorder=recorder)
    return await solver.run(plan, question, Meter(budget or Budget()))
