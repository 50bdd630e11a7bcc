"""One request, from its questions to what may be shown of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from ponder.core import Budget, Engine, Question, Sample, Sampling, Scorer
from ponder.errors import FormatRefused
from ponder.serve.asking import Asked
from ponder.serve.formatting import Format, redact_json
from ponder.serve.hearing import Hearing, Live
from ponder.serve.hiding import SPAN_CHARACTERS, Redaction, part, redact
from ponder.serve.monitoring import Case, Finding
from ponder.serve.planning import Planned
from ponder.serve.recording import HeardScorer, Tape
from ponder.serve.summarizing import SUMMARY_TOKENS, summarize, summary_sampling
from ponder.serve.telling import Choice
from ponder.serve.tracing import spanned
from ponder.serve.watching import Watch
from ponder.serve.writing import Writing, write_down
from ponder.solve import Charge, Limits, Meter, Solution, Solver

__all__ = ["Thinker", "Thought"]

_LONG = 20_000


@dataclass(frozen=True, slots=True)
class Thought:
    """What one question came to. `cuts`: the spans that were cut from the content and from the summary.
    `finding`: what the monitor made of it, None without one; nothing of it may be shown."""

    solution: Solution
    choice: Choice
    cuts: tuple[int, int]
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class _Reply:
    """An answer, and what of it may be shown."""

    said: str
    content: Redaction
    finish: Literal["stop", "length"]


@dataclass(slots=True)
class Thinker:
    """Thinks about one request, which is limited in `units`. `meters` are all that it spent from. `live`:
    where its answers are heard while they are written; None: nowhere."""

    engines: Mapping[str, Engine]
    scorers: Mapping[str, Scorer]
    asked: Asked
    planned: Planned
    tape: Tape
    seed: int
    sampling: Sampling
    summary: Budget
    writing: Writing | None = None
    watch: Watch | None = None
    units: Sequence[str] = ()
    live: Live | None = None
    meters: list[Meter] = field(default_factory=list)

    @property
    def charged(self) -> Charge:
        """What was spent so far; never unknown."""
        return sum((meter.spent for meter in self.meters), Charge())

    def _solver(self, sampling: Sampling, max_tokens: int | None, hearing: Hearing | None = None) -> Solver:
        scorers = {name: HeardScorer(scorer, self.tape) for name, scorer in self.scorers.items()}
        limits, heard = Limits(self.seed, sampling, max_tokens), None if hearing is None else hearing.hear
        return Solver(self.engines, scorers=scorers, limits=limits, recorder=self.tape, heard=heard)

    def meter(self, budget: Budget) -> Meter:
        """A new one, which counts among what was charged."""
        self.meters.append(Meter(budget))
        return self.meters[-1]

    async def think(self, questions: Sequence[Question]) -> list[Thought]:
        """All questions side by side; the first failure ends the others. Raises as `Solver.run` does, and
        ApiError for a format that was refused or not kept to."""
        hearings = [None] * len(questions) if self.live is None else self.live.hearings
        try:
            async with asyncio.TaskGroup() as group:
                pairs = zip(questions, hearings, strict=True)
                tasks = [group.create_task(self._think(*pair)) for pair in pairs]
        except BaseExceptionGroup as failed:
            raise self._outside(failed.exceptions[0]) from None
        return [task.result() for task in tasks]

    def _outside(self, error: BaseException) -> BaseException:
        """An upstream's words about a format stay on the ledger."""
        form = self.asked.format
        return form.refused() if form is not None and isinstance(error, FormatRefused) else error

    @spanned("think")
    async def _think(self, question: Question, hearing: Hearing | None) -> Thought:
        solver = self._solver(self.sampling, self.asked.max_tokens, hearing)
        solved = await solver.run(self.planned.plan, question, self.meter(self.planned.budget))
        solution = solved.drawn()
        shown = self._shown(solution)
        parted = part(shown, direct=self.planned.direct)
        if hearing is None:
            reply = await self._reply(question, shown, parted.answer, solution)
        else:
            reply = await self._heard(hearing, question, shown, parted.answer, solution)
        finding = await self._inspected(question, shown, reply.said)
        summary = Redaction("", 0)
        if self.asked.summary and not self.planned.direct and parted.thought.strip():
            summary = await self._summary(question, parted.thought, reply.content.text)
        choice = Choice(
            reply.content.text,
            summary.text or None,
            reply.finish,
            len(solution.samples),
            solution.answer.agreement,
            solution.stopped_by,
        )
        return Thought(solution, choice, (reply.content.cuts, summary.cuts), finding)

    async def _reply(self, question: Question, shown: Sample, answer: str, solution: Solution) -> _Reply:
        hidden, allowed = self._thoughts(question), [*self._own, *_declared(shown)]
        form = self.asked.format
        said = _cut(answer, self.asked.stop) if form is None else answer
        plain = _Reply(said, await _redacted(said, hidden, allowed), self._finish(shown, said, solution))
        return plain if form is None else await self._formed(form, question, plain, hidden, allowed)

    async def _heard(
        self, hearing: Hearing, question: Question, shown: Sample, answer: str, solution: Solution
    ) -> _Reply:
        """The answer of which a part went out already; it stands, even where time ran out before its end."""
        hearing.end()
        if hearing.shown and not solution.samples:
            return _Reply(hearing.shown, Redaction(hearing.shown, hearing.cuts), "length")
        said, allowed = _cut(answer, self.asked.stop), [*self._own, *_declared(shown)]
        content = await _redacted(said, self._thoughts(question), allowed, hearing.redact)
        return _Reply(said, content, self._finish(shown, said, solution))

    async def _formed(
        self, form: Format, question: Question, plain: _Reply, hidden: list[str], allowed: list[str]
    ) -> _Reply:
        """The answer in the form, which where it was thought about is still to be written down. One that was
        cut short is not shown: what it says is open until its end."""
        text, finish = plain.said, plain.finish
        if not self.planned.direct and text.strip():
            assert self.writing is not None, "it was reserved with the request"
            asked, meter = replace(question, stop=self.asked.stop), self.meter(self.writing.budget)
            solver = self._solver(summary_sampling(self.sampling), None)
            written = await write_down(solver, asked, self.asked.messages, text, form, meter)
            hidden, allowed = [*hidden, written.reasoning or ""], [*allowed, plain.content.text]
            text, finish = written.text, "length" if written.finish == "length" else finish
        if not form.keeps(text):
            if finish == "stop":
                raise form.not_kept()
            return _Reply("", Redaction("", 0), finish)
        how = partial(redact_json, own=form.words)
        return _Reply(text, await _redacted(text, hidden, allowed, how), finish)

    async def _inspected(self, question: Question, shown: Sample, answer: str) -> Finding | None:
        if self.watch is None:
            return None
        drawn = [sample for _, sample in self.tape.samples.get(question.id, ())]
        chains = [f"{s.reasoning}\n{s.text}" if s.reasoning else s.text for s in (shown, *drawn)]
        case = Case(question.text, tuple(filter(None, dict.fromkeys(chains))), answer)
        return await self.watch.look(question, case, self, self.units)

    async def _summary(self, question: Question, thought: str, content: str) -> Redaction:
        hidden = [text for _, s in self.tape.samples[question.id] for text in (s.text, s.reasoning or "")]
        solver = self._solver(summary_sampling(self.sampling), SUMMARY_TOKENS)
        told = await summarize(solver, question, thought, self.meter(self.summary))
        if told is None:
            return Redaction("", 0)
        return await _redacted(told.text, [*hidden, told.reasoning or ""], [*self._own, content])

    @property
    def _own(self) -> list[str]:
        """What the caller sent himself."""
        return [message.content for message in self.asked.messages]

    def _shown(self, solution: Solution) -> Sample:
        """The sample whose answer is shown: one with the strategy's choice; where it made none, the first
        that has an answer at all."""
        answer, samples = solution.answer, solution.samples
        if answer.choice is not None:
            same = (s for s in samples if s.text == answer.text and s.choice == answer.choice)
            return next(same, Sample(answer.text, answer.choice))
        spoken = (s for s in samples if part(s, direct=self.planned.direct).answer)
        return next(spoken, replace(samples[0], text="", choice=None) if samples else Sample(""))

    def _finish(self, shown: Sample, content: str, solution: Solution) -> Literal["stop", "length"]:
        if shown.finish == "length":
            return "length"
        # Nothing to show is no whole answer where a length or the budget ended what was thought.
        ended = solution.stopped_by is not None or any(s.finish == "length" for s in solution.samples)
        return "length" if ended and not content else "stop"

    def _thoughts(self, question: Question) -> list[str]:
        """What was thought about a question: of the solver's samples their thought, of others' all."""
        return [
            part(sample, direct=self.planned.direct).thought
            if role == "solver"
            else f"{sample.reasoning or ''}\n{sample.text}"
            for role, sample in self.tape.samples.get(question.id, ())
        ]


async def _redacted(
    text: str,
    hidden: Sequence[str],
    allowed: Sequence[str],
    how: Callable[[str, Sequence[str], Sequence[str]], Redaction] = redact,
) -> Redaction:
    if sum(map(len, [text, *hidden, *allowed])) < _LONG:
        return how(text, hidden, allowed)
    return await asyncio.to_thread(how, text, hidden, allowed)


def _declared(shown: Sample) -> list[str]:
    """The answer that was read from a sample, if it is short: it stands in every thought that comes to it."""
    return [shown.choice] if shown.choice is not None and len(shown.choice) <= SPAN_CHARACTERS else []


def _cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    ends = [at for at in (text.find(stop) for stop in stops) if at >= 0]
    return text[: min(ends)] if ends else text
