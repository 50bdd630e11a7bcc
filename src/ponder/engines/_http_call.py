"""One call to an endpoint: its HTTP requests, their tries, and what came of them in the order asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from ponder.core import Attempt, Generation, Output, Request, Usage
from ponder.engines import _http_wire as wire
from ponder.engines._http_errors import FAULTS, Failure, adapt, diagnose, failure_usage
from ponder.engines._http_format import about_format, teaches
from ponder.engines._http_growth import Teller
from ponder.engines._http_stream import Grown
from ponder.errors import CallFailed

if TYPE_CHECKING:
    from ponder.engines.http import HttpEngine

__all__ = ["HttpCall"]


@dataclass(slots=True)
class _Part:
    """One HTTP request of a call, with its tries: the samples first..first+n-1. `told`: something of them was
    told while it came."""

    first: int
    n: int
    outputs: list[Output] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    error: Exception | None = None
    told: bool = False


class HttpCall:
    """Started when made, in the running event loop."""

    def __init__(self, engine: HttpEngine, request: Request) -> None:
        self._engine, self._request = engine, request
        self._parts: list[_Part] = []
        self._trial: list[Attempt] = []
        self._children: set[asyncio.Task[None]] = set()
        self._cancelled = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def result(self) -> Generation:
        return await asyncio.shield(self.task)

    def cancel(self) -> None:
        """Break off its HTTP requests; what had finished is kept."""
        self._cancelled = True
        for child in self._children:
            child.cancel()

    async def _run(self) -> Generation:
        if self._engine.closed:
            return Generation((), (), CallFailed("The engine is closed; open it again."))
        request, learned = self._request, self._engine.learned
        if request.n > 1 and learned.most > 1 and learned.several == "untried":
            await self._side_by_side([self._try_out()])
        missing = [(0, request.n)]
        while missing and not self._cancelled:
            parts = self._divide(missing, held=not self._parts)
            self._parts += parts
            await self._side_by_side([self._fill(part) for part in parts])
            if any(part.error for part in parts):
                break
            missing = [
                (part.first + len(part.outputs), part.n - len(part.outputs))
                for part in parts
                if part.outputs and len(part.outputs) < part.n
            ]
        return self._generation()

    def _divide(self, missing: list[tuple[int, int]], *, held: bool) -> list[_Part]:
        """The HTTP requests for these ranges of (first, n): all of them where the caller's reservation is
        still `held` for them, else as many as the budget has room for."""
        most = self._most()
        parts: list[_Part] = []
        for first, n in missing:
            for done in range(0, n, most):
                if not held and not self._admitted():
                    return parts
                parts.append(_Part(first + done, min(most, n - done)))
        return parts

    def _most(self) -> int:
        """The choices to ask for in one request."""
        learned = self._engine.learned
        if self._request.logprobs and learned.logprobs_alone:
            return 1
        return learned.most if learned.several in ("together", "streamed") else 1

    async def _side_by_side(self, work: list[Coroutine[Any, Any, None]]) -> None:
        """Run all to their end; `cancel` ends them early."""
        if self._cancelled or not work:
            for coroutine in work:
                coroutine.close()
            return
        self._children = {asyncio.create_task(coroutine) for coroutine in work}
        try:
            await asyncio.wait(self._children)
        finally:
            for child in self._children:
                child.cancel()
        for child in self._children:
            if not child.cancelled() and child.exception() is not None:
                raise child.exception() or AssertionError
        self._children = set()

    def _generation(self) -> Generation:
        """Outputs in the order asked. A place before a later output that stayed empty is filled with an
        empty text that says so, since a place is known by its position alone."""
        parts = sorted(self._parts, key=lambda part: part.first)
        drawn = [i for i, part in enumerate(parts) if part.outputs]
        outputs: list[Output] = []
        attempts = list(self._trial)
        for i, part in enumerate(parts):
            until = parts[i + 1].first if i + 1 < len(parts) else self._request.n
            empty = until - part.first - len(part.outputs)
            if drawn and i < drawn[-1] and empty and part.attempts:
                gap = Output("", finish="cancelled" if part.error is None else "failed")
                part.outputs += [gap] * empty
                last = part.attempts[-1]
                count = len(part.outputs)
                usage = replace(last.usage, samples=count)
                part.attempts[-1] = replace(last, samples=count, usage=usage)
            outputs += part.outputs
            attempts += part.attempts
        # Room is made for what may cost something: the caller settles the first attempts against it.
        attempts.sort(key=lambda a: a.samples == 0 and a.usage.tokens == 0)
        error = None if self._cancelled else next((part.error for part in parts if part.error), None)
        return Generation(tuple(outputs), tuple(attempts), error)

    def _admitted(self) -> bool:
        """The caller has made room for all samples, however many requests they are first asked by; every
        further one, a trial or a failed one's repetition, asks for room of its own. A refusal that cost
        nothing leaves its room."""
        return self._request.admit is None or self._request.admit()

    # ------------------------------------------------ one HTTP request

    async def _fill(self, part: _Part) -> None:
        """Try until the part has samples, or its tries, its time or the budget are over."""
        engine, loop = self._engine, asyncio.get_running_loop()
        until: float | None = None
        failures = 0
        while True:
            async with engine.desk().turn(streamed=self._crowded(part)):
                until = until or loop.time() + engine.timeout
                failure, adapted = await self._attempt(part, until)
            if failure is None:
                return
            part.error = failure.error
            if not adapted:
                pause = engine.pause(failures, failure)
                failures += 1
                # What is left beside choices that have ended is another part, with time of its own.
                late = not part.outputs and loop.time() + pause >= until
                # Another try would say something else than what was told.
                if part.told or not failure.again or failures > engine.retries or late:
                    part.error = (await engine.explained(failure)).error
                    return
                await asyncio.sleep(pause)
            if part.outputs:  # the rest is asked for anew, as another part
                part.error = None
                return
            if failure.ran and not self._admitted():
                return

    def _crowded(self, part: _Part) -> bool:
        """Whether it is streamed for its choices' counts."""
        return self._engine.learned.several == "streamed" and min(part.n, self._most()) > 1

    def _teller(self, part: _Part) -> Teller | None:
        """Who tells of a single sample while it comes, where that is wanted and known to be safe."""
        request, engine = self._request, self._engine
        safe = engine.learned.live and engine.learned.apart and not request.logprobs
        if request.heard is None or not safe or min(part.n, self._most()) > 1:
            return None
        return Teller(request, engine.api, part.first)

    async def _attempt(self, part: _Part, until: float) -> tuple[Failure | None, bool]:
        """One try; whether its failure taught how to ask otherwise."""
        engine, learned = self._engine, self._engine.learned
        began, clock = time.time(), time.perf_counter()
        n = min(part.n, self._most())
        teller = self._teller(part)
        grown = Grown(engine.api, n, teller) if teller is not None or self._crowded(part) else None
        sent = wire.body(self._request, engine.model.name, engine.api, learned, first=part.first, n=n)
        try:
            async with asyncio.timeout_at(until):
                told = await self._answer(sent, self._request, n, grown)
        except asyncio.CancelledError:
            self._keep_rest(part, "cancelled", None, grown, began, time.perf_counter() - clock)
            raise
        except FAULTS as error:
            failure = about_format(diagnose(error, engine.where), error, sent)
            if grown is not None and grown.begun:
                failure = replace(failure, ran=True)
            adapted = teaches(sent) and adapt(error, sent, engine.api, learned, live=teller is not None)
            self._keep_rest(part, "failed", failure, grown, began, time.perf_counter() - clock)
            return failure, adapted
        if len(told.outputs) < n:
            learned.several = "alone"
        self._learn(told, live=teller is not None)
        self._keep(part, told, began, time.perf_counter() - clock)
        return None, False

    async def _answer(
        self, sent: dict[str, Any], request: Request, n: int, grown: Grown | None, *, proven: bool = False
    ) -> wire.Reading:
        """One HTTP request for `n` choices, streamed into `grown` where there is one."""
        engine = self._engine
        if grown is not None:
            await engine.stream(sent, grown)
            return grown.reading(request)
        proven = proven or engine.learned.several == "together"
        return wire.reading(await engine.post(sent), request, engine.api, n, proven=proven)

    def _learn(self, told: wire.Reading, *, live: bool) -> None:
        """From a reply that came whole: whether a stream is safe to be told of, and counts as a plain answer
        does."""
        learned = self._engine.learned
        if told.closes_alone is not None:
            learned.closings.append(told.closes_alone)
        counted = told.counts.completion is not None
        if live:
            learned.streams.ended(counted=counted or not learned.counts)
        else:
            learned.streams.answered_plainly()
            learned.counts = learned.counts or counted

    def _keep(self, part: _Part, told: wire.Reading, began: float, seconds: float) -> None:
        part.error = None
        part.outputs = told.outputs
        usage = _usage(told.counts, len(told.outputs), seconds)
        part.attempts.append(Attempt("ok", usage, began, len(told.outputs), asked=part.n))

    def _keep_rest(
        self,
        part: _Part,
        status: Literal["cancelled", "failed"],
        failure: Failure | None,
        grown: Grown | None,
        began: float,
        seconds: float,
    ) -> None:
        """Of a try that failed, or was cancelled: what had ended before."""
        usage = failure_usage(failure, seconds)
        part.told = part.told or (grown is not None and grown.told)
        if grown is not None and grown.begun:
            told = grown.kept(self._request, status)
            part.outputs = told.outputs
            usage = _usage(told.counts, len(told.outputs), seconds)
        error = None if failure is None else str(failure.error)
        part.attempts.append(Attempt(status, usage, began, len(part.outputs), error, part.n))

    # ------------------------------------------------ several choices a request?

    async def _try_out(self) -> None:
        """Ask for two samples of one token each, once an engine: a server that gives two choices and says
        that they took two tokens is asked for several at once from then on. One that gives two and
        counts otherwise is tried again, streamed; any other is asked for one at a time.
        """
        learned = self._engine.learned
        async with self._engine.desk().trial:
            if learned.several != "untried" or not self._admitted():
                return
            given, counted = await self._two_tokens(None)
            if counted:
                learned.several = "together"
            elif not given:
                learned.several = "alone"
            else:  # both tries together take less than the two samples that there is room for
                _, counted = await self._two_tokens(Grown(self._engine.api, wire.TRIED))
                learned.several = "streamed" if counted else "alone"

    async def _two_tokens(self, grown: Grown | None) -> tuple[bool, bool]:
        """Whether both were given, and whether both were counted."""
        engine, learned = self._engine, self._engine.learned
        asked = Request(self._request.prompt, max_tokens=1)
        while learned.most > 1:
            began, clock = time.time(), time.perf_counter()
            sent = wire.probe_body(engine.model.name, engine.api, learned)
            try:
                async with engine.desk().turns, asyncio.timeout(engine.timeout):
                    told = await self._answer(sent, asked, wire.TRIED, grown, proven=True)
            except asyncio.CancelledError:
                usage = failure_usage(None, time.perf_counter() - clock)
                self._trial.append(Attempt("cancelled", usage, began, asked=1))
                raise
            except FAULTS as error:
                failure = diagnose(error, engine.where)
                usage = failure_usage(failure, time.perf_counter() - clock)
                self._trial.append(Attempt("failed", usage, began, 0, str(failure.error), 1))
                if adapt(error, sent, engine.api, learned):
                    continue
                return False, False
            tokens = wire.tried_tokens(told)
            used = _usage(told.counts, 0, time.perf_counter() - clock)
            self._trial.append(Attempt("ok", replace(used, completion_tokens=tokens), began, asked=1))
            given = len(told.outputs) == wire.TRIED
            return given, given and tokens == told.counts.completion == wire.TRIED
        return False, False


def _usage(found: wire.Counts, samples: int, seconds: float) -> Usage:
    """Of one HTTP request."""
    return Usage(
        calls=1,
        samples=samples,
        prompt_tokens=found.prompt,
        cached_tokens=found.cached,
        completion_tokens=found.completion,
        reasoning_tokens=found.reasoning,
        flop=None,
        seconds=seconds,
        usd=None,
    )
