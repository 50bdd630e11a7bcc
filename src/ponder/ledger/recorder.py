"""Where the driver of a run writes its calls and samples, and finds those of an earlier start."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ponder.core import (
    Answer,
    Attempt,
    Model,
    Question,
    Request,
    Sample,
    Spent,
    Usage,
    canonical_json,
    digest,
    share,
)
from ponder.errors import InputError, LedgerError, RunChanged
from ponder.flop import method
from ponder.ledger.chain import text_hash
from ponder.ledger.read import UNFINISHED
from ponder.ledger.rows import (
    AnswerRow,
    CallRow,
    EventRow,
    GradeRow,
    ProblemRow,
    Row,
    RunRow,
    SampleRow,
    Stage,
    StageRow,
    TextRow,
)

if TYPE_CHECKING:
    from ponder.ledger.store import Ledger

__all__ = ["RunRecorder", "begin_rows", "refuse_change"]

_SHOWN_CHANGES = 3
_SHOWN_CHARACTERS = 40


class RunRecorder:
    """A `ponder.core.Recorder` for one run. Made by `Ledger.run`."""

    def __init__(self, ledger: Ledger, run_id: str, models: Mapping[str, Model]) -> None:
        self.run_id = run_id
        self._ledger = ledger
        self._models = dict(models)
        self._first_call = ledger.new_call_id()
        self._spent: Mapping[str, Sequence[Spent]] | None = None
        self._known: dict[tuple[str, str], dict[int, Sample]] | None = None
        self._stages = threading.Lock()
        self._next_stage: int | None = None

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        """Every finished sample of a stream by its index, those behind a gap too."""
        if self._known is None:
            self._known = {}
            for stored in self._ledger.samples(self.run_id):
                self._place(stored.problem_id, stored.stream, stored.sample)
        return self._known.get((question.id, stream), {})

    def _place(self, problem_id: str, stream: str, sample: Sample) -> None:
        if self._known is not None and sample.finish not in UNFINISHED:
            self._known.setdefault((problem_id, stream), {})[sample.index] = sample

    def spent(self, question: Question) -> Sequence[Spent]:
        """The attempts of earlier starts of the run on this question."""
        if self._spent is None:
            self._spent = self._ledger.spent(self.run_id, before=self._first_call)
        return self._spent.get(question.id, [])

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        """Write one call (see `rows`). Durable on return. Raises LedgerError."""
        await self._ledger.write(self.rows(question, stream, role, request, attempts, samples))
        for sample in samples:
            self._place(question.id, stream, _without_infinities(sample))

    def rows(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> list[Row]:
        """Those of one call: one for each attempt, priced already, and each sample.

        Log-probabilities that are not finite are recorded as unknown. Raises LedgerError.
        """
        if samples and not attempts:
            raise LedgerError("A call with samples must have an attempt: the engine reports what it tried.")
        prompt = TextRow.of(canonical_json(request.prompt.to_json()))
        rows: list[Row] = [prompt]
        shares = share(attempts, [_without_infinities(sample) for sample in samples])
        for number, (attempt, drawn) in enumerate(zip(attempts, shares, strict=True), 1):
            call = self._call(question, stream, role, request, attempt, drawn)
            call = replace(call, attempt=number, prompt_hash=prompt.hash)
            rows.append(call)
            for sample in drawn:
                rows.extend(_sample_rows(call, sample))
        return rows

    def _call(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempt: Attempt,
        drawn: Sequence[Sample],
    ) -> CallRow:
        model, usage = self._models.get(role), attempt.usage
        return CallRow(
            id=self._ledger.new_call_id(),
            run_id=self.run_id,
            problem_id=question.id,
            stream=stream,
            role=role,
            model=model.name if model else None,
            status=attempt.status,
            attempt=0,
            requested=request.n,
            samples=len(drawn),
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            flop=usage.flop,
            flop_method=method(model) if model else None,
            usd=usage.usd,
            seconds=usage.seconds,
            started=attempt.started,
            error=attempt.error,
            request=_request_json(request),
            prompt_hash="",
        )

    async def grade(self, grader: str, marks: Iterable[tuple[str, str, int, bool]]) -> None:
        """Write grades: (problem id, stream, position, correct) each. Returns once they are durable.

        What is recorded already is not written again. Raises LedgerError when a grade contradicts it.
        """
        known = set(self._ledger.grades(self.run_id))
        rows = [GradeRow(self.run_id, *mark[:3], grader, mark[3]) for mark in marks]
        await self._ledger.write(row for row in rows if row not in known)

    async def answer(
        self, question: Question, strategy: str, answer: Answer, usage: Usage, stopped_by: str | None = None
    ) -> None:
        """Write what a strategy answered. Raises LedgerError when it answered differently before."""
        await self._ledger.write([AnswerRow(self.run_id, question.id, strategy, answer, stopped_by, usage)])

    def event(self, kind: str, detail: Mapping[str, Any] | None = None) -> None:
        """Write that something happened to the run now. Waits until it is durable.

        `started`, `resumed`, `interrupted` and `finished` set the run's state.
        """
        self._ledger.append([EventRow(self.run_id, time.time(), kind, detail or {})]).result()

    def stage(
        self,
        stage: Stage,
        *,
        model: str,
        seconds: float | None,
        device: str | None,
        started: float | None,
        part: str | None = None,
        samples: int | None = None,
        tokens: int | None = None,
        padded_tokens: int | None = None,
        flop: float | None = None,
        flop_method: str | None = None,
        flop_counted: float | None = None,
        detail: Mapping[str, Any] = MappingProxyType({}),
        position: int | None = None,
    ) -> StageRow:
        """Write a piece of training work as the run's next one. Durable on return.

        Where a kill may fall between the work and its booking, keep the row's values with the work's own
        state and book them again with their `position`: an equal row that is there already stays one row.
        Raises LedgerError for other values at a position that is taken.
        """
        with self._stages:
            if self._next_stage is None:
                before = self._ledger.stages(self.run_id)
                self._next_stage = before[-1].position + 1 if before else 0
            place = self._next_stage if position is None else position
            row = StageRow(
                run_id=self.run_id,
                position=place,
                stage=stage,
                part=part,
                model=model,
                samples=samples,
                tokens=tokens,
                padded_tokens=padded_tokens,
                flop=flop,
                flop_method=flop_method,
                flop_counted=flop_counted,
                seconds=seconds,
                device=device,
                started=started,
                detail=dict(detail),
            )
            self._ledger.append([row]).result()
            self._next_stage = max(self._next_stage, place + 1)
        return row


# ---------------------------------------------------------------- rows


def _request_json(request: Request) -> dict[str, Any]:
    """Of a format its hash alone: it is its asker's text, which stands with the question and goes with it
    when that is erased."""
    form = request.response_format
    return {
        "max_tokens": request.max_tokens,
        "sampling": {"temperature": request.sampling.temperature, "top_p": request.sampling.top_p},
        "stop": list(request.stop),
        "seed": request.seed,
        "offset": request.offset,
        "prefix": request.prefix,
        **({} if form is None else {"response_format": text_hash(form)}),
    }


def _without_infinities(sample: Sample) -> Sample:
    if sample.logprob is not None and not math.isfinite(sample.logprob):
        sample = replace(sample, logprob=None)
    if sample.logprobs is not None and not all(map(math.isfinite, sample.logprobs)):
        sample = replace(sample, logprobs=None)
    return sample


def _sample_rows(call: CallRow, sample: Sample) -> list[Row]:
    text = TextRow.of(sample.text)
    reasoning = None if sample.reasoning is None else TextRow.of(sample.reasoning)
    row = SampleRow(
        call_id=call.id,
        run_id=call.run_id,
        problem_id=call.problem_id,
        stream=call.stream,
        position=sample.index,
        text_hash=text.hash,
        reasoning_hash=None if reasoning is None else reasoning.hash,
        choice=sample.choice,
        tokens=sample.tokens,
        logprob=sample.logprob,
        logprobs=sample.logprobs,
        finish=sample.finish,
    )
    return [text, row] if reasoning is None else [text, reasoning, row]


def begin_rows(
    run_id: str, config: Mapping[str, Any], problems: Sequence[tuple[Question, str | None]], now: float
) -> list[Row]:
    """The rows that a new run starts with. Raises InputError for a problem id that occurs twice."""
    plain = dict(config)
    rows: list[Row] = [RunRow(run_id, now, plain, digest(plain))]
    seen: set[str] = set()
    for position, (question, key) in enumerate(problems):
        if question.id in seen:
            raise InputError(f"problem {question.id!r} is given twice in one run: give each its own id.")
        seen.add(question.id)
        asked = TextRow.of(canonical_json(question.to_json()))
        answer = None if key is None else TextRow.of(key)
        rows.append(asked)
        if answer is not None:
            rows.append(answer)
        rows.append(ProblemRow(run_id, question.id, position, asked.hash, answer.hash if answer else None))
    return rows


# ---------------------------------------------------------------- continuing a run


def refuse_change(existing: RunRow, before: Sequence[ProblemRow], rows: Sequence[Row]) -> None:
    """Raise RunChanged, naming what differs, unless `rows` would begin the same run."""
    run = next(row for row in rows if isinstance(row, RunRow))
    remedy = "choose another name with --run, or repeat the old settings."
    if run.config_hash != existing.config_hash:
        new = json.loads(canonical_json(run.config))
        changes = _changes("", existing.config, new)
        shown = "; ".join(f"{path}: {_short(a)} → {_short(b)}" for path, a, b in changes[:_SHOWN_CHANGES])
        more = f"; and {len(changes) - _SHOWN_CHANGES} more" if len(changes) > _SHOWN_CHANGES else ""
        raise RunChanged(f"Run {run.id!r} exists with another configuration ({shown}{more}): {remedy}")
    problems = [row for row in rows if isinstance(row, ProblemRow)]
    if len(problems) != len(before):
        counts = f"{len(before)} → {len(problems)}"
        raise RunChanged(f"Run {run.id!r} exists with another number of problems ({counts}): {remedy}")
    for old, now in zip(before, problems, strict=True):
        if old != now:
            what = "key" if old.question_hash == now.question_hash else "question"
            name = f"problem {old.position} ({old.problem_id!r})"
            raise RunChanged(f"Run {run.id!r} exists with another {what} of {name}: {remedy}")


_ABSENT = object()


def _changes(path: str, old: Any, new: Any) -> list[tuple[str, Any, Any]]:
    pairs: list[tuple[str, Any, Any]]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        pairs = [(name, old.get(name, _ABSENT), new.get(name, _ABSENT)) for name in sorted({*old, *new})]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = [(str(place), a, b) for place, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        same = old is new or (_ABSENT not in (old, new) and canonical_json(old) == canonical_json(new))
        return [] if same else [(path or "config", old, new)]
    return [change for name, a, b in pairs for change in _changes(f"{path}.{name}" if path else name, a, b)]


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = canonical_json(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 3] + "..."
