"""Run a measurement: draw the bank through the driver, grade it, evaluate every policy on it.

A rerun finds what the ledger holds and buys only what is missing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from ponder.core import (
    Answer,
    Attempt,
    Budget,
    Engine,
    Grader,
    Question,
    Recorder,
    Request,
    Sample,
    Scorer,
    Strategy,
    Usage,
)
from ponder.errors import EngineError, InputError, PonderError
from ponder.flop import method
from ponder.ledger import CallRow, Ledger, RunRecorder
from ponder.measure import bank as banks
from ponder.measure.curve import Example, Measurement, TaskResult, Timing
from ponder.measure.policies import Evaluated, Form, coverage_curve, evaluate, form_of, gains
from ponder.measure.spec import Spec, TaskPlan, configuration, plans_for, run_name
from ponder.solve import Meter, Solver
from ponder.strategies import Plan
from ponder.strategies._steps import draw

__all__ = ["Progress", "finished", "measure"]

EXAMPLES, EXAMPLE_SAMPLES = 3, 6


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: finished samples of all samples, generated tokens of this start, seconds."""

    done: int
    total: int
    tokens: int
    seconds: float
    stage: str = "sampling"


Watch = Callable[[Progress], None]
_Calls = Mapping[tuple[str, str], Sequence[CallRow]]


class _Watched:
    """A recorder that tells how far the run is."""

    def __init__(self, inner: RunRecorder, total: int, done: int, watch: Watch) -> None:
        self._inner, self._watch = inner, watch
        self._total, self._done, self._tokens = total, done, 0
        self._began = time.monotonic()
        self.usage = Usage()

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        return self._inner.finished(question, stream)

    def spent(self, question: Question) -> Usage:
        return self._inner.spent(question)

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        await self._inner.record(question, stream, role, request, attempts, samples)
        for attempt in attempts:
            self.usage += attempt.usage
            self._tokens += attempt.usage.completion_tokens or 0
        self._done += sum(s.finish in ("stop", "length") for s in samples)
        self._watch(Progress(self._done, self._total, self._tokens, time.monotonic() - self._began))


@dataclass(frozen=True, slots=True)
class _Job:
    task: TaskPlan
    form: Form
    question: Question

    def stream(self, spec: Spec) -> str:
        return self.task.stream(self.question, self.form, spec.limits)


def _bank(question: Question, rng: Random, *, task: TaskPlan, form: Form, n: int) -> Strategy:
    """Draw n samples and answer nothing: the policies answer later, by replay."""
    ask = task.draw(question, form, n)
    yield from draw(n, prompt=ask.prompt, logprobs=ask.logprobs)
    return Answer(None)


async def measure(
    spec: Spec,
    engine: Engine,
    ledger: Ledger,
    *,
    scorers: Mapping[str, Scorer],
    graders: Callable[[str], Grader],
    run: str | None = None,
    watch: Watch = lambda progress: None,
) -> Measurement:
    """Draw, grade, evaluate. `run` names the run; without it the configuration does.

    Raises RunChanged when the name is taken by another configuration, EngineError when samples could not
    be had (what was drawn is kept), and LedgerError.
    """
    clock = _Clock()
    planned = await plans_for(spec, scorers, engine.capabilities)
    config = configuration(spec, planned, engine)
    name = run or run_name(config)
    problems = [(p.question, p.key) for task in planned for p in task.set.problems]
    recorder = ledger.run(name, config, problems, {"solver": engine.model})
    jobs = [
        _Job(task, form, p.question) for task in planned for form in task.forms for p in task.set.problems
    ]
    held = sum(len(_drawn(recorder, job, spec)) for job in jobs)
    watched = _Watched(recorder, len(jobs) * spec.samples, held, watch)
    clock.lap("opening")
    try:
        await _sample(jobs, spec, engine, watched)
    except BaseException:
        recorder.event("interrupted")
        raise
    sampling = clock.lap("sampling")
    results: list[TaskResult] = []
    evaluated: list[Evaluated] = []
    calls = _calls_by_stream(ledger, name)
    for task in planned:
        grader = graders(task.set.grader)
        result, own = await _evaluate(task, spec, engine, recorder, calls, scorers, grader, clock)
        results.append(result)
        evaluated += own
    usage = ledger.usage(name)
    generated = watched.usage.completion_tokens
    measurement = Measurement(
        run=name,
        created=ledger.created(name),
        config=config,
        tasks=tuple(results),
        usage=usage,
        new_usage=watched.usage,
        tokens_per_second=generated / sampling if generated and sampling else None,
        timings=clock.timings(),
        flop_method=method(engine.model),
        ledger_head=ledger.head(),
        reproducible=_reproducible(engine),
        notes=_notes(engine, planned, usage),
        gains=gains(evaluated, np.random.default_rng(spec.limits.seed)),
    )
    recorder.event("finished", {"measurement": measurement.to_json()})
    return measurement


def finished(ledger: Ledger, run: str) -> Measurement:
    """The measurement of a finished run, as written. Raises UnknownName, or InputError before its end."""
    for event in reversed(ledger.events(run)):
        if event.kind == "finished" and "measurement" in event.detail:
            return Measurement.from_json(event.detail["measurement"])
    raise InputError(f"run: {run} is not finished; run its `ponder measure` command again to continue it.")


class _Clock:
    """Seconds by stage, in the order the stages began."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._stages: dict[str, float] = {}

    def lap(self, stage: str) -> float:
        now = time.monotonic()
        self._stages[stage] = self._stages.get(stage, 0.0) + now - self._last
        self._last = now
        return self._stages[stage]

    def timings(self) -> tuple[Timing, ...]:
        return tuple(Timing(stage, seconds) for stage, seconds in self._stages.items())


def _drawn(recorder: Recorder, job: _Job, spec: Spec) -> tuple[Sample, ...]:
    """The bank's samples of a problem that are there, in the order asked."""
    known = recorder.finished(job.question, job.stream(spec))
    return tuple(known[i] for i in range(spec.samples) if i in known)


async def _sample(jobs: Sequence[_Job], spec: Spec, engine: Engine, recorder: _Watched) -> None:
    """Drive every problem's bank, as many side by side as keep the engine busy. A problem that fails does
    not stop the others, unless nothing at all can succeed (no endpoint, no such model, no access)."""
    solver = Solver({"solver": engine}, limits=spec.limits, recorder=recorder)
    open_jobs = iter(jobs)
    failures: list[PonderError] = []
    # Two at least: while the last samples of one problem end, the next one has begun.
    width = max(2, -(-engine.capabilities.parallel // spec.samples))

    async def worker() -> None:
        for job in open_jobs:
            parameters = {"task": job.task, "form": job.form, "n": spec.samples}
            try:
                await solver.run(Plan("bank", _bank, parameters), job.question, Meter(Budget()))
            except EngineError as error:
                failures.append(error)
                if not recorder.usage.samples or len(failures) > 8:
                    raise

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(width, len(jobs))):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        raise _first(errors) from None
    if failures:
        raise type(failures[0])(
            f"{len(failures)} of {len(jobs)} problems could not be sampled; the first said: {failures[0]} "
            "What was drawn is kept: run the same command again to continue."
        )


def _first(error: BaseException) -> BaseException:
    """The first plain exception inside a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _evaluate(
    task: TaskPlan,
    spec: Spec,
    engine: Engine,
    recorder: RunRecorder,
    calls: _Calls,
    scorers: Mapping[str, Scorer],
    grader: Grader,
    clock: _Clock,
) -> tuple[TaskResult, list[Evaluated]]:
    rng = np.random.default_rng([spec.limits.seed, len(task.set.problems)])
    by_form: dict[Form, banks.Bank] = {}
    for form in task.forms:
        jobs = [_Job(task, form, p.question) for p in task.set.problems]
        samples = [_drawn(recorder, job, spec) for job in jobs]
        correct = await asyncio.to_thread(banks.grade, task.set.problems, samples, grader)
        marks = [
            (job.question.id, job.stream(spec), sample.index, word)
            for job, drawn, words in zip(jobs, samples, correct, strict=True)
            for sample, word in zip(drawn, words, strict=True)
        ]
        await recorder.grade(grader.name, marks)
        cost = _cost(engine, calls, jobs, samples, spec)
        used = {str(p.parameters["by"]) for p in task.plans if "by" in p.parameters}
        chosen = {name: scorers[name] for name in used} if form == "worked" else {}
        by_form[form] = await banks.build([j.question for j in jobs], samples, correct, chosen, cost)
    clock.lap("grading")
    guess = await asyncio.to_thread(banks.constant_guess, task.set.problems, grader)
    evaluated = [evaluate(task.set.name, plan, by_form[form_of(plan)], rng) for plan in task.plans]
    bound = coverage_curve(task.set.name, by_form["worked"], rng)
    clock.lap("evaluating")
    result = TaskResult(
        task=task.set.name,
        title=task.set.title,
        problems=len(task.set.problems),
        samples=spec.samples,
        constant=None if guess is None else guess[0],
        constant_guess=None if guess is None else guess[1],
        curves=(*(each.curve for each in evaluated), bound),
        examples=_examples(task, by_form["worked"]),
        prompt=task.set.prompt_text,
    )
    return result, evaluated


def _calls_by_stream(ledger: Ledger, run: str) -> _Calls:
    """The calls that returned samples, by problem and stream."""
    found: dict[tuple[str, str], list[CallRow]] = {}
    for call in ledger.calls(run):
        if call.status == "ok" and call.samples:
            found.setdefault((call.problem_id, call.stream), []).append(call)
    return found


def _cost(
    engine: Engine, calls: _Calls, jobs: Sequence[_Job], samples: Sequence[Sequence[Sample]], spec: Spec
) -> banks.Cost:
    """What the bank's calls say of the cost of one reading of the prompt and of one sample."""
    own = [calls.get((job.question.id, job.stream(spec)), ()) for job in jobs]
    prompts: list[int | None] = []
    means: list[float | None] = []
    for made, drawn in zip(own, samples, strict=True):
        reads = [call.prompt_tokens for call in made]
        known = [n for n in reads if n is not None]
        prompts.append(round(sum(known) / len(known)) if known and len(known) == len(reads) else None)
        counts = [s.tokens for s in drawn]
        lengths = [n for n in counts if n is not None]
        totals = [(call.completion_tokens, call.samples) for call in made]
        generated = [total for total, _ in totals if total is not None]
        if lengths and len(lengths) == len(counts):
            means.append(sum(lengths) / len(lengths))
        elif generated and len(generated) == len(totals):
            means.append(sum(generated) / sum(n for _, n in totals))
        else:
            means.append(None)
    together = max((call.samples for made in own for call in made), default=1)
    return banks.costs(engine.model, prompts, samples, means, max(1, together))


def _examples(task: TaskPlan, bank: banks.Bank) -> tuple[Example, ...]:
    """The first problems with their first samples: not picked, so that they mislead nobody."""
    shown = []
    for i, problem in enumerate(task.set.problems[:EXAMPLES]):
        samples = tuple(
            (s.text, s.choice, bool(bank.correct[i, j]))
            for j, s in enumerate(bank.samples[i][:EXAMPLE_SAMPLES])
        )
        shown.append(Example(problem.question.text, problem.key, samples))
    return tuple(shown)


def _reproducible(engine: Engine) -> str:
    if not engine.capabilities.seed:
        return (
            "The endpoint promises no seeds: a new run draws other samples. From the recorded samples every "
            "figure here is recomputed exactly."
        )
    return (
        "From the recorded samples every figure here is recomputed exactly. A new run with the same seed, "
        "library versions and kind of processor asks for the same samples, but the samples of one call share "
        "a random stream and the arithmetic depends on what shares a batch, so single samples may differ."
    )


def _notes(engine: Engine, planned: Sequence[TaskPlan], usage: Usage) -> tuple[str, ...]:
    notes = []
    how = method(engine.model)
    if how == "2N":
        notes.append("FLOP are the fallback 2·N·tokens: the model's shape is unknown.")
    if how == "unknown":
        notes.append("FLOP are unknown: neither shape nor parameters of the model are known.")
    if usage.cached_tokens is None and how != "unknown":
        notes.append(
            "The engine does not tell which prompt tokens it had cached; all are counted as computed."
        )
    if usage.completion_tokens is None:
        notes.append("Some calls did not tell their tokens; sums with them are unknown.")
    small = min(len(task.set.problems) for task in planned)
    if small < 16:
        notes.append(f"Intervals from {small} problems are rough; 32 or more are better.")
    return tuple(notes)
