"""What the server's parts share, from its start to its end, and the life of one request in it."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ponder._version import __version__
from ponder.config import Settings
from ponder.core import Budget, Engine, Prompt, Question, Sampling, Scorer
from ponder.errors import LedgerError
from ponder.ledger import AnswerRow, EventRow, Ledger, Row, RunRecorder
from ponder.ledger.recorder import begin_rows
from ponder.serve.alerting import Alerts
from ponder.serve.asking import MODEL, Asked
from ponder.serve.capacity import Capacity
from ponder.serve.failing import ApiError, outside, word
from ponder.serve.hearing import Live
from ponder.serve.keys import Key, Keyring
from ponder.serve.metrics import Ended, Metrics
from ponder.serve.planning import Planned, Planner, most_of, questions
from ponder.serve.purse import Purse, Ticket, run_of
from ponder.serve.recording import Tape
from ponder.serve.room import Room
from ponder.serve.summarizing import most_of_a_summary, summary_budget
from ponder.serve.telling import Told
from ponder.serve.thinking import Thinker, Thought
from ponder.serve.tracing import spanned, tell
from ponder.serve.watching import Watch
from ponder.serve.writing import Writing

if TYPE_CHECKING:
    from ponder.laws import Counts
    from ponder.serve.otel import Traces

__all__ = ["House", "Job", "Options", "run_of"]

T = TypeVar("T")

_LONG_PROMPT = 20_000
SETTLING_SECONDS = 6.0
_PREFIXES = {"chat": "chatcmpl-", "responses": "resp_", "page": ""}


@dataclass(frozen=True, slots=True)
class Options:
    """How the server serves. `usual`: the effort of a request that states none. `ceiling`: what no request's
    budget may pass, and must bound samples. `max_tokens`: generated tokens a sample, unless stated.
    `monitor`: a file of rules, "judge" or "judge=MODEL"; None: nothing looks at the thoughts. `law`: the run
    or recording that tells what more effort would buy; None: the last measurement of the model. `alerts`:
    lines beside those of the data's rules, such as "1e18flop/day". `keep_days`: after so many the texts of
    requests are erased; None: never. `sign`: the private key that signs the auditor's checkpoints. `traces`:
    where OpenTelemetry's spans are sent (OTLP over HTTP); None: nowhere. `capacity`: of the whole fleet, of
    which the provider's report tells shares. `whole_answers`: no part of an answer goes out before all of
    it is on the ledger."""

    usual: str = "medium"
    ceiling: Budget = field(default_factory=lambda: Budget(samples=2048, tokens=10_000_000, seconds=600.0))
    max_tokens: int = 512
    concurrency: int = 64
    monitor: str | None = None
    law: str | None = None
    alerts: tuple[str, ...] = ()
    keep_days: float | None = None
    sign: Path | None = None
    traces: str | None = None
    capacity: Capacity | None = None
    whole_answers: bool = False


@dataclass(slots=True, eq=False)
class Job:
    """A request that is being thought about. `live`: its answers while they are written."""

    id: str
    created: float
    asked: Asked
    tape: Tape
    task: asyncio.Task[Told]
    key: Key | None
    planned: Planned
    live: Live | None = None

    def cancel(self) -> None:
        """End it: its calls are cancelled and settled, and its record is closed."""
        self.task.cancel()


@dataclass(slots=True)
class House:
    """Everything that is open while the server runs. `law_counts`: what was read of `options.law`."""

    settings: Settings
    options: Options
    engines: Mapping[str, Engine]
    scorers: Mapping[str, Scorer]
    ledger: Ledger
    purse: Purse
    planner: Planner
    alerts: Alerts
    metrics: Metrics
    keyring: Keyring | None = None
    watch: Watch | None = None
    traces: Traces | None = None
    law_counts: tuple[Counts, ...] = ()
    jobs: set[Job] = field(default_factory=set)
    closing: bool = False
    room: Room = field(default_factory=Room)

    @property
    def engine(self) -> Engine:
        return self.engines["solver"]

    async def begin(self, asked: Asked, key: Key | None) -> Job:
        """Plan it, reserve what it may take, write that down, and think. Raises ApiError, InputError and
        LedgerError before anything is spent."""
        plan = self.planner.plan(asked)
        asks = questions(asked, plan, max_tokens=asked.max_tokens or self.options.max_tokens)
        await self._require_room(asks[0])
        units = sorted({"samples"} | {limit.unit for limit in (key.parsed if key else ())})
        budget = most_of(self.engine, asks[0], plan, units)
        summary = most_of_a_summary(self.engine, units) if asked.summary and not plan.direct else {}
        watched = {} if self.watch is None else self.watch.most(units)
        writing = None
        if asked.format is not None and not plan.direct:
            writing = Writing.of(self.engine, asked.messages, asks[0].max_tokens, units)
        beside = [summary, watched, {} if writing is None else writing.most]
        held = {
            u: len(asks) * ((getattr(budget, u, None) or 0) + sum(each.get(u, 0) for each in beside))
            for u in units
        }
        # From here to the task's start nothing waits, so that a server that closes misses no request.
        identity = f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
        with self.metrics.refusals():
            if self.closing:
                raise ApiError(503, "The server is closing; try again.", code="closing", retry_after=5)
            self.room.check()
            ticket = self.purse.reserve(identity, key, {**held, "requests": 1})
        thinker = self._thinker(
            asked, replace(plan, budget=budget), identity, summary_budget(summary), writing, units
        )
        request = _Request(self, _PREFIXES[asked.api] + identity, key, ticket, thinker, asks)
        task = asyncio.get_running_loop().create_task(request.run())
        job = Job(request.id, request.created, asked, thinker.tape, task, key, plan, thinker.live)
        self.jobs.add(job)
        task.add_done_callback(lambda _: self._ended(job))
        try:
            await self.room.begun(request.begun)
        except BaseException:
            job.cancel()
            raise
        return job

    def _ended(self, job: Job) -> None:
        self.jobs.discard(job)
        if not job.task.cancelled():
            job.task.exception()  # whoever still waits for it is told; nobody has to

    def _thinker(
        self,
        asked: Asked,
        plan: Planned,
        identity: str,
        summary: Budget,
        writing: Writing | None,
        units: Sequence[str],
    ) -> Thinker:
        models = {role: engine.model for role, engine in self.engines.items()}
        settings = self.settings
        return Thinker(
            self.engines,
            self.scorers,
            asked,
            plan,
            Tape(RunRecorder(self.ledger, run_of(identity), models), self.ledger),
            secrets.randbits(62) if asked.seed is None else asked.seed,
            Sampling(
                settings.temperature if asked.temperature is None else asked.temperature,
                settings.top_p if asked.top_p is None else asked.top_p,
            ),
            summary,
            writing,
            self.watch,
            units,
            self._live(asked, plan),
        )

    def _live(self, asked: Asked, plan: Planned) -> Live | None:
        """Where the answers go out while they are written: such as are the only sample that a model is asked
        for, where nothing is to be known of the whole before."""
        whole = self.options.whole_answers or self.watch is not None or asked.format is not None
        if whole or not (asked.stream and plan.direct and plan.plan.scale is None):
            return None
        if not self.engine.capabilities.streams:
            return None
        return Live(asked.n, [m.content for m in asked.messages])

    async def _require_room(self, question: Question) -> None:
        """Refuse a prompt that the model's context cannot hold, where that is known. Raises ApiError."""
        engine, context = self.engine, self.engine.model.context
        if context is None or not engine.capabilities.exact_prompt:
            return
        prompts = {question.prompt, question.direct}
        if sum(len(m.content) for m in question.prompt.messages) > _LONG_PROMPT:
            lengths = [await asyncio.to_thread(engine.prompt_tokens_bound, prompt) for prompt in prompts]
        else:
            lengths = [engine.prompt_tokens_bound(prompt) for prompt in prompts]
        longest = max((n for n in lengths if n is not None), default=0)
        if longest >= context:
            raise ApiError(
                400,
                f"messages: they take {longest} tokens or more, and the model holds {context}; shorten them.",
                code="context_length_exceeded",
                param="messages",
            )

    async def drain(self, grace: float) -> None:
        """Take no more requests, give those in flight a moment, then end them and wait for their records."""
        self.closing = True
        if self.jobs:
            await asyncio.wait({job.task for job in self.jobs}, timeout=grace)
        self.ledger.stop_waiting()  # for room: there is no later write for which that would be worth it
        for job in list(self.jobs):
            job.cancel()
        if self.jobs:
            await asyncio.wait({job.task for job in self.jobs}, timeout=SETTLING_SECONDS)


@dataclass(slots=True)
class _Request:
    """One request's life: begun on the ledger, thought about, told, settled. `begun` ends once it is durable
    that it began; nothing is asked of a model before."""

    house: House
    id: str
    key: Key | None
    ticket: Ticket
    thinker: Thinker
    questions: Sequence[Question]
    created: float = field(default_factory=time.time)
    begun: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @spanned(f"invoke_agent {MODEL}")
    async def run(self) -> Told:
        try:
            await _through(self.house.ledger.write(self._first_rows()))
        except asyncio.CancelledError as error:
            self._refuse(outside(error))
            await _through(
                self._close([self._event("interrupted"), self.house.purse.settle(self.ticket, {})])
            )
            raise
        except BaseException as error:
            self.house.purse.settle(self.ticket, {})
            self._refuse(error)
            raise
        if not self.begun.done():
            self.begun.set_result(None)
        began = time.monotonic()
        try:
            thoughts = await self.thinker.think(self.questions)
            told, last = self._told(thoughts, time.monotonic() - began), self._last_rows(thoughts)
        except BaseException as error:
            await self._fail(error, time.monotonic() - began)
            raise
        self._count(told.seconds, told, thoughts)
        await _through(self._close([*last, *self._settlement()]))
        return told

    def _refuse(self, error: BaseException) -> None:
        if not self.begun.done():
            self.begun.set_exception(error)
        self.begun.exception()  # the one who waits may have left

    async def _close(self, rows: Sequence[Row]) -> None:
        """Write the last rows, behind all that the tape has. Returns once everything is durable."""
        await self.thinker.tape.close(rows)

    async def _fail(self, error: BaseException, seconds: float) -> None:
        self._count(seconds, error=error)
        kind = "interrupted" if isinstance(error, asyncio.CancelledError) else "failed"
        detail = {"error": type(error).__name__, "message": str(error)}
        told = [self._event("told", each) for each in self._told_before(kind)]
        with contextlib.suppress(LedgerError):  # the ledger may be what failed
            await _through(self._close([*told, self._event(kind, detail), *self._settlement()]))

    def _told_before(self, finish: str) -> list[dict[str, Any]]:
        """What went out of each answer before the request came to this end."""
        live = self.thinker.live
        pairs = zip(self.questions, [] if live is None else live.end(), strict=False)
        return [
            {
                "problem": question.id,
                "content": went["content"],
                "summary": None,
                "finish": finish,
                "cuts": {"content": went["cuts"], "summary": 0},
            }
            for question, went in pairs
            if went["content"]
        ]

    def _count(
        self,
        seconds: float,
        told: Told | None = None,
        thoughts: Sequence[Thought] = (),
        error: BaseException | None = None,
    ) -> None:
        """For the metrics and the trace."""
        ended = Ended(
            key="" if self.key is None else self.key.name,
            effort=self.thinker.planned.effort,
            usage=self.thinker.tape.usage,
            hidden_tokens=None if told is None else told.reasoning_tokens,
            seconds=seconds,
            error=None if error is None else word(error),
            finishes=[thought.choice.finish for thought in thoughts],
            found=[thought.finding.event for thought in thoughts if thought.finding is not None],
            cuts=sum(sum(thought.cuts) for thought in thoughts),
        )
        self.house.metrics.ended(ended)
        tell(self.id, ended)

    def _settlement(self) -> list[Row]:
        """The row of what the request is charged, and those of the alerts that this raises."""
        charged, used, limited = self.thinker.charged, self.thinker.tape.usage, self.ticket.held
        amounts: dict[str, float] = {"requests": 1, "samples": charged.samples, "tokens": charged.tokens}
        for unit in ("flop", "usd"):
            known = getattr(charged, unit) if unit in limited else getattr(used, unit)
            if known is not None:
                amounts[unit] = known
        settled = self.house.purse.settle(self.ticket, amounts)
        raised = self.house.alerts.settled(self.ticket.owner, self.key, amounts, self.ticket.at)
        for alert in raised:
            self.house.metrics.alerted(alert.detail["rule"])
        return [settled, *raised]

    def _event(self, kind: str, detail: Mapping[str, Any] | None = None) -> EventRow:
        return EventRow(run_of(self.id), time.time(), kind, detail or {})

    def _first_rows(self) -> list[Row]:
        thinker, asked = self.thinker, self.thinker.asked
        config = {
            "kind": "serve",
            "version": __version__,
            "request": self.id,
            "api": asked.api,
            "key": None if self.key is None else {"id": self.key.id, "name": self.key.name},
            "effort": thinker.planned.effort,
            "strategy": str(thinker.planned.plan),
            "budget": thinker.planned.budget.to_json(),
            "model": self.house.engine.model.name,
            "engine": dict(self.house.engine.facts),
            "seed": thinker.seed,
            "temperature": thinker.sampling.temperature,
            "top_p": thinker.sampling.top_p,
            "max_tokens": asked.max_tokens,
            "monitor": None if self.house.watch is None else self.house.watch.monitor.name,
            "body": asked.body,
        }
        rows = begin_rows(run_of(self.id), config, [(q, None) for q in self.questions], self.created)
        return [*rows, self._event("started"), self.ticket.row()]

    def _last_rows(self, thoughts: Sequence[Thought]) -> list[Row]:
        rows: list[Row] = [self._event("scored", scored) for scored in self.thinker.tape.scores]
        strategy = str(self.thinker.planned.plan)
        for thought in thoughts:
            s = thought.solution
            rows.append(AnswerRow(run_of(self.id), s.question.id, strategy, s.answer, s.stopped_by, s.usage))
            shown = {
                "problem": s.question.id,
                "content": thought.choice.content,
                "summary": thought.choice.summary,
                "finish": thought.choice.finish,
                "cuts": {"content": thought.cuts[0], "summary": thought.cuts[1]},
            }
            if thought.finding is not None:
                found = {"problem": s.question.id, **thought.finding.to_json()}
                rows.append(self._event(thought.finding.event, found))
            rows.append(self._event("told", shown))
        return [*rows, self._event("finished")]

    def _told(self, thoughts: Sequence[Thought], seconds: float) -> Told:
        return Told(
            self.id,
            self.created,
            self.thinker.planned,
            tuple(thought.choice for thought in thoughts),
            self.thinker.tape.usage,
            self._hidden_tokens(thoughts),
            seconds,
        )

    def _hidden_tokens(self, thoughts: Sequence[Thought]) -> int | None:
        """The generated tokens that are not of an answer; unknown where nobody can count the answer's."""
        used, engine = self.thinker.tape.usage, self.house.engine
        if self.thinker.planned.direct and used.samples == len(thoughts):
            return used.reasoning_tokens
        if used.completion_tokens is None or not engine.capabilities.exact_prompt:
            return None
        shown = [
            engine.prompt_tokens_bound(Prompt((), t.choice.content)) for t in thoughts if t.choice.content
        ]
        known = [count for count in shown if count is not None]
        return max(0, used.completion_tokens - sum(known)) if len(known) == len(shown) else None


async def _through(work: Awaitable[T]) -> T:
    """Wait for it to the end, through our own cancellation, which is then raised."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    result = task.result()
    if cancelled is not None:
        raise cancelled
    return result
