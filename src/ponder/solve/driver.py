"""Drive one strategy on one question: engines, scorers, budget and recorder meet here and nowhere else.

Samples are told to the strategy in the order in which they were asked, as a gap-free prefix (with gaps once
a deadline has passed), never in the order in which they finish. What a recorder already holds is told first
and bought again never.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Context
from random import Random
from types import MappingProxyType
from typing import TypeVar

from ponder.core import (
    FINISHED,
    Answer,
    Budget,
    Draw,
    Engine,
    Growth,
    Question,
    Recorder,
    Reply,
    Request,
    Sample,
    Sampling,
    Score,
    Scorer,
    Spent,
    Usage,
    Wave,
    digest,
)
from ponder.core.checking import require_counts
from ponder.errors import BudgetError, CallFailed, CapabilityError, InputError, UnknownName
from ponder.solve.flight import Ask, Ending, Flight, Purse, cancel, gaps
from ponder.solve.meter import Charge, Meter, worst_case
from ponder.solve.probe import probe
from ponder.strategies import Plan
from ponder.tasks import extract

__all__ = ["Limits", "Solution", "Solver", "solve", "stream_of"]

T = TypeVar("T")

_ROUNDED_UP = Context(prec=4, rounding=ROUND_CEILING)
"""For an amount that a user is told to allow: what is said is enough."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How the driver samples: the run's seed and sampling, and a cap on generated tokens a sample."""

    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        require_counts(max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True)
class Solution:
    """An answer and what it took. `usage` may hold unknowns, `charged` never does. `stopped_by` names the
    budget's unit that ended the work early, None when the strategy ran to its end. `failure` is what a call
    failed of for which the budget had no second try."""

    question: Question
    answer: Answer
    usage: Usage
    charged: Charge
    samples: tuple[Sample, ...]
    seconds: float
    stopped_by: str | None = None
    failure: Exception | None = None

    def drawn(self) -> Solution:
        """This solution. Raises its failure where no sample was drawn: a model that failed is no model that
        had no answer."""
        if self.failure is not None and not self.samples:
            raise self.failure
        return self


def stream_of(question: Question, draw: Draw, limits: Limits) -> str:
    """The name of the stream that a draw takes its samples from: equal asks share one stream."""
    prompt = question.prompt if draw.prompt is None else draw.prompt
    sampling = _sampling(draw, limits)
    ask = {
        "prompt": prompt.to_json(),
        "prefix": draw.prefix,
        "stop": list(_stops(question, draw)),
        "max_tokens": _max_tokens(question, draw, limits),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "logprobs": draw.logprobs,
    }
    if (form := _response_format(question, draw)) is not None:
        ask["response_format"] = form
    return f"{draw.role}/{digest(ask)[:16]}"


def _sampling(draw: Draw, limits: Limits) -> Sampling:
    if draw.temperature is None:
        return limits.sampling
    return replace(limits.sampling, temperature=draw.temperature)


def _stops(question: Question, draw: Draw) -> tuple[str, ...]:
    """The question's stop strings belong to its own prompts: in another text they may be a part of it."""
    return (*(question.stop if _is_own(question, draw) else ()), *draw.stop)


def _response_format(question: Question, draw: Draw) -> str | None:
    """So does its format: a judge is asked for a verdict."""
    return question.response_format if _is_own(question, draw) else None


def _is_own(question: Question, draw: Draw) -> bool:
    return draw.prompt in (None, question.prompt, question.direct)


def _max_tokens(question: Question, draw: Draw, limits: Limits) -> int:
    """The ask's own cap within the user's; the question's where neither is stated."""
    stated = [n for n in (draw.max_tokens, limits.max_tokens) if n is not None]
    return min(stated, default=question.max_tokens)


def _number(*parts: object) -> int:
    """A 63-bit number from names: the seed of a stream or of a strategy."""
    word = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(word[:8], "big") >> 1


class Solver:
    """Everything a solve needs besides the question: engines by role, scorers by name, budget, recorder.
    `heard` is told what the solver's own model writes while it writes it, as in a `Request`."""

    def __init__(
        self,
        engines: Mapping[str, Engine],
        *,
        scorers: Mapping[str, Scorer] = MappingProxyType({}),
        limits: Limits | None = None,
        recorder: Recorder | None = None,
        heard: Callable[[Growth], None] | None = None,
    ) -> None:
        self.engines, self.scorers, self.recorder, self.heard = engines, scorers, recorder, heard
        self.limits = limits or Limits()
        self._able: set[tuple[str, Budget, bool]] = set()

    def engine(self, role: str, plan: Plan) -> Engine:
        """Who plays a role. The solver is its own judge where no other is named. Raises InputError."""
        engine = self.engines.get(role) or (self.engines.get("solver") if role == "judge" else None)
        if engine is None:
            raise InputError(
                f"strategy: {plan} needs a model for the role {role!r}; name it with --role {role}=MODEL, or "
                "under [roles] in the configuration."
            )
        return engine

    def scorer(self, by: str) -> Scorer:
        """The scorer of this name. Raises InputError."""
        if by not in self.scorers:
            known = ", ".join(sorted(self.scorers)) or "none"
            raise InputError(f"strategy: there is no scorer {by!r} here; known are {known}.")
        return self.scorers[by]

    async def run(self, plan: Plan, question: Question, meter: Meter) -> Solution:
        """Drive the strategy to its answer. Raises InputError before anything runs when the engine or
        the budget does not fit, EngineError when a call failed for good (everything is recorded)."""
        self.require(plan, question, meter.budget)
        return await _Drive(self, plan, question, meter).run()

    def require(self, plan: Plan, question: Question, budget: Budget) -> None:
        """Refuse, before anything is paid for, a plan that will ask for what is not there, and a budget that
        some engine cannot bound. Raises InputError."""
        if question.extract not in extract.RULES:
            raise UnknownName("extraction rule", question.extract, extract.RULES)
        known = (str(plan), budget, question.response_format is not None)
        if known in self._able:
            return
        needs = probe(plan, question, self.scorers)
        for by in sorted(needs.scorers):
            self.scorer(by)
        for role, wanted in needs.capabilities.items():
            engine = self.engine(role, plan)
            worst_case(engine, Request(question.prompt, max_tokens=question.max_tokens), budget)
            for name in sorted(wanted):
                if not getattr(engine.capabilities, name):
                    raise CapabilityError(
                        f"strategy: {plan} needs {_CAPABILITY[name]}, which {engine.model.name} "
                        f"does not offer here; {_REMEDY.get(name, _OTHER)}."
                    )
        self._able.add(known)


class _Drive:
    def __init__(self, solver: Solver, plan: Plan, question: Question, meter: Meter) -> None:
        self.solver, self.plan, self.question, self.meter = solver, plan, question, meter
        self.cursors: dict[str, int] = {}
        self.bought: dict[str, dict[int, Sample]] = {}
        self.samples: list[Sample] = []
        self.purse = Purse(question, meter, solver.recorder)
        self.stopped_by: str | None = None
        self.last_unit: str | None = None
        self.failure: Exception | None = None
        if solver.recorder is not None:
            self._charge_earlier(solver.recorder.spent(question))

    def _charge_earlier(self, attempts: Sequence[Spent]) -> None:
        """Charge what earlier starts spent, call by call: what is unknown at that call's worst case."""
        for spent in attempts:
            self.purse.usage += spent.usage
            worst = worst_case(self._engine(spent.role), spent.request, self.meter.budget)
            self.meter.settle(Charge(), spent.usage, spent.usage.samples, worst=worst)

    async def run(self) -> Solution:
        began = time.monotonic()
        rng = Random(
            _number("strategy", self.solver.limits.seed, self.question.task, self.question.id, self.plan)
        )
        # A strategy that shares out a sample's tokens must know the cap in force.
        cap = self.solver.limits.max_tokens or self.question.max_tokens
        strategy = self.plan.begin(replace(self.question, max_tokens=cap), rng)
        answer = await self._follow(strategy, self.samples)
        return Solution(
            self.question,
            answer,
            self.purse.usage,
            self.meter.spent,
            tuple(self.samples),
            time.monotonic() - began,
            self.stopped_by,
            self.failure,
        )

    async def _follow(self, asking: Generator[Wave, Reply, T], told: list[Sample] | None = None) -> T:
        """Serve a strategy or a scorer to its end; `told` gathers the samples."""
        try:
            wave = next(asking)
            while True:
                reply = await self._serve(wave)
                if told is not None:
                    told += [sample for drawn in reply.samples for sample in drawn]
                wave = asking.send(reply)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            asking.close()

    async def _serve(self, wave: Wave) -> Reply:
        asks = [self._ask(ask) if isinstance(ask, Draw) else None for ask in wave.asks]
        draws = [ask for ask in asks if ask is not None]
        self._recall(draws, wave)
        while any(ask.missing for ask in draws) and not self._until(wave, draws):
            flights, over = list[Flight](), Ending()
            try:
                self._launch(flights, draws, single=wave.until is not None)
            except Exception as error:  # those that were started are paid for
                over.error = error
            if not flights and over.error is None:
                self._require_room(draws)
                self.stopped_by = self.last_unit
                break
            await self._collect(flights, over, wave, draws)
            self._recall(draws, wave)
            if self.stopped_by is not None:
                break
            if not any(s.finish in FINISHED for flight in flights for s in flight.samples):
                raise CallFailed(
                    f"{flights[0].engine.model.name} returned no sample and no error; try again."
                )
        if self.stopped_by == "seconds" and not self._until(wave, draws):
            self._recall_behind_gaps(draws)
        else:
            for ask in draws:
                # What a budget or `until` left untold is the next ask's.
                self.cursors[ask.stream] -= ask.missing
        scores = [await self._score(ask) if isinstance(ask, Score) else () for ask in wave.asks]
        samples = [tuple(ask.told) if ask is not None else () for ask in asks]
        return Reply(tuple(samples), tuple(scores), final=self.stopped_by is not None)

    def _require_room(self, draws: Sequence[Ask]) -> None:
        """Refuse a budget that cannot pay for the very first sample."""
        unit = self.last_unit
        if unit in (None, "seconds", "overrun") or not self.meter.untouched:
            return
        ask = next(ask for ask in draws if ask.missing)
        worst = worst_case(
            self._engine(ask.draw.role), self._request(ask, ask.position, 1), self.meter.budget
        )
        limit, taken = Budget(**{unit: getattr(self.meter.budget, unit)}), getattr(worst, unit)
        amount = f"{taken:,}" if unit == "tokens" else f"{_ROUNDED_UP.create_decimal(taken):g}"
        raise BudgetError(
            f"budget: {limit} has no room for one sample, which may take {amount} {unit}; raise it to that, "
            "or lower max_tokens."
        )

    # ------------------------------------------------ draws

    def _engine(self, role: str) -> Engine:
        return self.solver.engine(role, self.plan)

    def _ask(self, draw: Draw) -> Ask:
        stream = stream_of(self.question, draw, self.solver.limits)
        first = self.cursors.get(stream, 0)
        self.cursors[stream] = first + draw.n
        return Ask(draw, stream, first)

    def _bought(self, ask: Ask) -> Mapping[int, Sample]:
        """The samples of a stream that are paid for: by an earlier start, or beyond an earlier wave's end."""
        recorder = self.solver.recorder
        own = self.bought.get(ask.stream, {})
        return own if recorder is None else {**recorder.finished(self.question, ask.stream), **own}

    def _recall(self, draws: Sequence[Ask], wave: Wave) -> None:
        """Tell what is bought, as far as it reaches without a gap."""
        waiting: set[str] = set()
        for ask in draws:
            bought = {} if ask.stream in waiting else self._bought(ask)
            while ask.missing and not self._until(wave, draws) and ask.position in bought:
                ask.told.append(bought[ask.position])
            if ask.missing:
                waiting.add(ask.stream)

    def _recall_behind_gaps(self, draws: Sequence[Ask]) -> None:
        """Tell all that is bought, in the order asked: after the deadline no gap will be filled."""
        for ask in draws:
            bought, places = self._bought(ask), range(ask.position, ask.first + ask.draw.n)
            ask.told += [bought[place] for place in places if place in bought]

    def _until(self, wave: Wave, draws: Sequence[Ask]) -> bool:
        """Whether the wave's own condition holds for the gap-free prefix of its samples."""
        if wave.until is None:
            return False
        told: list[Sample] = []
        for ask in draws:
            told += ask.told
            if ask.missing:
                break
        return wave.until(tuple(told))

    def _launch(self, flights: list[Flight], draws: Sequence[Ask], *, single: bool) -> None:
        """Start as many calls as the budget has room for, in the order asked."""
        room = self._engine(draws[0].draw.role).capabilities.parallel if single else math.inf
        for ask in draws:
            for first, length in gaps(ask, self._bought(ask)):
                position = first
                while position < first + length and len(flights) < room:
                    flight = self._reserve(ask, position, 1 if single else first + length - position)
                    if flight is None:
                        return
                    flights.append(flight)
                    position += flight.request.n

    def _reserve(self, ask: Ask, position: int, wanted: int) -> Flight | None:
        engine = self._engine(ask.draw.role)
        alone = ask.draw.logprobs and engine.capabilities.logprobs_alone
        n = 1 if alone else min(wanted, engine.capabilities.samples_per_call)
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
        flight = Flight(self.purse, engine, ask, self._request(ask, position, low), held)
        flight.start()
        return flight

    def _request(self, ask: Ask, position: int, n: int) -> Request:
        draw, question, limits = ask.draw, self.question, self.solver.limits
        return Request(
            prompt=question.prompt if draw.prompt is None else draw.prompt,
            n=n,
            max_tokens=_max_tokens(question, draw, limits),
            sampling=_sampling(draw, limits),
            prefix=draw.prefix,
            stop=_stops(question, draw),
            seed=_number("samples", limits.seed, question.task, question.id, ask.stream),
            offset=position,
            logprobs=draw.logprobs,
            halt=draw.halt,
            response_format=_response_format(question, draw),
            heard=self.solver.heard if draw.role == "solver" else None,
        )

    async def _collect(
        self, flights: Sequence[Flight], over: Ending, wave: Wave, draws: Sequence[Ask]
    ) -> None:
        """Wait for the calls in the order asked, until each is settled and recorded.

        When the wave is over, the deadline passes or we are cancelled, the calls still in flight are
        cancelled; a call that failed, or could not be started, leaves the others to end. Nothing that was
        paid for goes unrecorded.
        """
        for flight in flights:
            await self._outlast(flight, flights, over)
            failure = flight.failure()
            if failure is not None:
                over.error = over.error or failure
            kept = self.bought.setdefault(flight.ask.stream, {})
            kept.update((s.index, s) for s in flight.samples if s.finish in FINISHED)
            try:
                if not over.deadline:
                    self._recall(draws, wave)
                ended = self._until(wave, draws)
            except Exception as error:  # the strategy's own condition: the calls are put away all the same
                over.error, ended = over.error or error, True
            if ended:
                cancel(flights)
        if over.cancelled is not None:
            raise over.cancelled
        if over.error is not None:
            raise over.error
        refused = next((flight for flight in flights if flight.refused is not None), None)
        if refused is not None:
            self.failure = self.failure or refused.settled.result().error
        self.stopped_by = "seconds" if over.deadline else None if refused is None else refused.refused
        self.last_unit = self.stopped_by or self.last_unit

    async def _outlast(self, flight: Flight, flights: Sequence[Flight], over: Ending) -> None:
        """Wait for a call to be settled, through the deadline and through our own cancellation."""
        while not flight.settled.done():
            left = math.inf if over.deadline or over.cancelled else max(0.0, self.meter.seconds_left)
            try:
                await asyncio.wait({flight.settled}, timeout=None if math.isinf(left) else left)
            except asyncio.CancelledError as error:
                over.cancelled = error
            over.deadline = over.deadline or self.meter.seconds_left <= 0
            if over.cancelled or (over.deadline and not flight.settled.done()):
                cancel(flights)

    # ------------------------------------------------ scores

    async def _score(self, ask: Score) -> tuple[float | None, ...]:
        return await self._follow(self.solver.scorer(ask.by).score(self.question, ask.samples))


_CAPABILITY = {
    "prefix": "to continue a given text",
    "logprobs": "log-probabilities",
    "halt": "to stop a sample midway",
    "response_format": "to hold a reply to a format",
}
_REMEDY = {"response_format": "leave response_format out"}
_OTHER = "use the embedded model or another strategy"


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
