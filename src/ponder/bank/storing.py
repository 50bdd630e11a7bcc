"""Write gathered samples into the ledger, as a run like any other: calls, samples, grades."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ponder.bank.foreign import Asked, Foreign, Tokens
from ponder.bank.importing import Gathered, TaskSamples
from ponder.bank.measuring import measured
from ponder.bank.reading import scan
from ponder.config import Settings, model_card
from ponder.core import Message, Model, Prompt, Question, Usage, canonical_json
from ponder.errors import UnknownName
from ponder.flop import method, price_usage
from ponder.ledger import CallRow, GradeRow, Ledger, Row, SampleRow, TextRow
from ponder.measure.spec import check_run_name, run_name
from ponder.measure.stored import IMPORTED

__all__ = ["Stored", "store"]

_WAITING = 4096  # rows that may wait to be written, beside one problem's: what bounds their memory


@dataclass(frozen=True, slots=True)
class Stored:
    """An import on the ledger. `samples` counts those that this start wrote."""

    run: str
    config: Mapping[str, Any]
    samples: int


def store(
    ledger: Ledger, gathered: Gathered, *, run: str | None = None, settings: Settings | None = None
) -> Stored:
    """Write one model's samples. `run` names the run; without it the files do.

    What the run holds already is not written again. Raises RunChanged when the name is taken by other
    files, InputError for a name that cannot be one, and LedgerError.
    """
    config = gathered.config()
    name = (
        check_run_name(run) if run is not None else run_name(config | {"model": gathered.model or "unknown"})
    )
    if _finished(ledger, name, config):
        return Stored(name, config, 0)
    asked = [(task, task.problems.asked(identity)) for task in gathered.tasks for identity in task.problems]
    recorder = ledger.run(name, config, [_problem(*each) for each in asked])
    writing = _Writing(ledger, name, gathered.model, settings)
    for task in gathered.tasks:
        for identity in task.problems:
            problem = question_id(task.name, identity)
            if not writing.holds(problem):
                writing.add(problem, task.problems[identity])
    writing.end()
    measurement = measured(ledger, scan(ledger, name), settings)
    recorder.event("finished", {} if measurement is None else {"measurement": measurement.to_json()})
    return Stored(name, config, writing.samples)


def question_id(task: str, identity: str) -> str:
    """A problem's id on the ledger, unique in its run."""
    return f"{task}/{identity}"


def _finished(ledger: Ledger, run: str, config: Mapping[str, Any]) -> bool:
    """Whether the run is there, from the same files, and whole."""
    try:
        before = ledger.config(run)
    except UnknownName:
        return False
    same = canonical_json(before) == canonical_json(dict(config))
    return same and any(event.kind == "finished" for event in ledger.events(run))


def _problem(task: TaskSamples, asked: Asked) -> tuple[Question, str | None]:
    prompt = Prompt((Message("user", asked.text),))
    question = Question(
        id=question_id(task.name, asked.id),
        text=asked.text,
        prompt=prompt,
        direct=prompt,
        task=task.name,
        extract="choice" if asked.options else "answer",
        data=MappingProxyType({"options": list(asked.options)} if asked.options else {}),
    )
    return question, asked.key


class _Writing:
    """Rows of one run, a problem at a time."""

    def __init__(self, ledger: Ledger, run: str, model: str | None, settings: Settings | None) -> None:
        self.samples = 0
        self._ledger, self._run, self._settings = ledger, run, settings
        self._cards: dict[str | None, Model | None] = {None: None}
        self._model = self._card(model)
        self._held = ledger.called(run)
        self._now = time.time()
        self._queue: list[Future[None]] = []
        self._waiting = 0

    def holds(self, problem: str) -> bool:
        """Whether an earlier start has written it."""
        return problem in self._held

    def add(self, problem: str, drawn: Sequence[Foreign]) -> None:
        """Queue a problem's samples, all together: an interrupted start has all of them or none."""
        prompt = TextRow.of(canonical_json(Prompt((Message("user", drawn[0].asked.text),)).to_json()))
        place, rows = 0, list[Row]([prompt])
        for each in drawn:
            rows += self._rows(problem, place, each, prompt)
            place += each.error is None
        self.samples += place
        self._queue.append(self._ledger.append(rows))
        self._waiting += len(rows)
        if self._waiting >= _WAITING:
            self.end()

    def end(self) -> None:
        """Wait until all is durable."""
        for waiting in self._queue:
            waiting.result()
        self._queue.clear()
        self._waiting = 0

    def _card(self, name: str | None) -> Model | None:
        if name not in self._cards:
            self._cards[name] = model_card(name or "", f"imported:{name}", self._settings)
        return self._cards[name]

    def _rows(self, problem: str, place: int, drawn: Foreign, prompt: TextRow) -> list[Row]:
        call = self._call(problem, drawn, prompt)
        rows: list[Row] = [call]
        if drawn.error is None:
            rows += _sample_rows(call, place, drawn)
        for name, tokens in sorted(drawn.judges.items()):
            rows.append(self._judge(problem, drawn, prompt, name, tokens))
        return rows

    def _call(self, problem: str, drawn: Foreign, prompt: TextRow) -> CallRow:
        """The draw itself. What it took where it failed is on the ledger, too."""
        samples, told = int(drawn.error is None), drawn.flop is not None
        usage = _usage(drawn.tokens, samples)
        if told:
            usage = replace(usage, flop=drawn.flop)
        elif self._model is not None:
            usage = price_usage(self._model, usage, (drawn.tokens.completion,))
        call = self._row(problem, drawn, prompt, self._model, usage)
        status = "ok" if drawn.error is None else "failed"
        # The column holds no unknown; nothing ran here.
        call = replace(call, status=status, error=drawn.error, seconds=drawn.seconds or 0.0)
        return replace(call, flop_method=None) if told else call

    def _judge(self, problem: str, drawn: Foreign, prompt: TextRow, name: str, tokens: Tokens) -> CallRow:
        """What another model took to judge the draw."""
        model = self._card(name)
        usage = _usage(tokens, 0)
        if model is not None:
            usage = price_usage(model, usage, (tokens.completion,))
        call = self._row(problem, drawn, prompt, model, usage)
        return replace(call, stream=f"{IMPORTED}/judge", role="judge")

    def _row(
        self, problem: str, drawn: Foreign, prompt: TextRow, model: Model | None, usage: Usage
    ) -> CallRow:
        return CallRow(
            id=self._ledger.new_call_id(),
            run_id=self._run,
            problem_id=problem,
            stream=IMPORTED,
            role="solver",
            model=None if model is None else model.name,
            status="ok",
            attempt=1,
            requested=1,
            samples=usage.samples,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            reasoning_tokens=usage.reasoning_tokens,
            flop=usage.flop,
            flop_method=None if model is None else method(model),
            usd=usage.usd,
            seconds=0.0,
            started=self._now if drawn.started is None else drawn.started,
            error=None,
            request={"imported": drawn.where},
            prompt_hash=prompt.hash,
        )


def _usage(tokens: Tokens, samples: int) -> Usage:
    return Usage(
        calls=1,
        samples=samples,
        prompt_tokens=tokens.prompt,
        cached_tokens=tokens.cached,
        completion_tokens=tokens.completion,
        reasoning_tokens=tokens.reasoning,
        flop=None,
        usd=None,
    )


def _sample_rows(call: CallRow, place: int, drawn: Foreign) -> list[Row]:
    texts = [TextRow.of(drawn.text)]
    if drawn.reasoning is not None:
        texts.append(TextRow.of(drawn.reasoning))
    row = SampleRow(
        call_id=call.id,
        run_id=call.run_id,
        problem_id=call.problem_id,
        stream=call.stream,
        position=place,
        text_hash=texts[0].hash,
        reasoning_hash=texts[1].hash if drawn.reasoning is not None else None,
        choice=drawn.choice,
        tokens=drawn.tokens.completion,
        logprob=None,
        logprobs=None,
        finish=drawn.finish,
    )
    if drawn.correct is None:
        return [*texts, row]
    return [
        *texts,
        row,
        GradeRow(call.run_id, call.problem_id, call.stream, place, drawn.score, drawn.correct),
    ]
