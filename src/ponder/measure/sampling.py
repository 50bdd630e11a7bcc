"""Draw every problem's bank through the driver, side by side, and decide what a failure means."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from random import Random

from ponder.core import (
    FINISHED,
    Answer,
    Attempt,
    Budget,
    Engine,
    Question,
    Recorder,
    Request,
    Sample,
    Spent,
    Strategy,
    Usage,
    Wave,
)
from ponder.errors import HOPELESS, EngineError
from ponder.ledger import CallRow
from ponder.measure.live import APART
from ponder.measure.policies import Form
from ponder.measure.spec import Spec, TaskPlan
from ponder.solve import Meter, Solver
from ponder.solve.together import side_by_side
from ponder.strategies import Plan

__all__ = ["Job", "Progress", "Stream", "Watch", "Watched", "drawn", "failed_before", "readings", "sample"]

Stream = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: finished samples of all samples, generated tokens of this start (None once a call
    does not tell them), seconds."""

    done: int
    total: int
    tokens: int | None
    seconds: float
    stage: str = "sampling"


Watch = Callable[[Progress], None]


class Watched:
    """A recorder that tells how far the run is."""

    def __init__(self, inner: Recorder, total: int, done: int, watch: Watch) -> None:
        self._inner, self._watch = inner, watch
        self._total, self._done = total, done
        self._began = time.monotonic()
        self.usage = Usage()

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        return self._inner.finished(question, stream)

    def spent(self, question: Question) -> Sequence[Spent]:
        """Of the banks: what a strategy that is run apart spent is its own."""
        return [each for each in self._inner.spent(question) if not each.stream.startswith(APART)]

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
        if not stream.startswith(APART):
            self._done += sum(s.finish in FINISHED for s in samples)
        seconds = time.monotonic() - self._began
        self._watch(Progress(self._done, self._total, self.usage.completion_tokens, seconds))


@dataclass(frozen=True, slots=True)
class Job:
    """One bank to draw: a problem of a task in one form of prompt, and the ledger's stream of it."""

    task: TaskPlan
    form: Form
    question: Question
    stream: str

    @classmethod
    def all(cls, task: TaskPlan, spec: Spec) -> list[Job]:
        """The banks of a task: every problem in every form."""
        questions = [problem.question for problem in task.set.problems]
        return [cls(task, f, q, task.stream(q, f, spec.limits)) for f in task.forms for q in questions]

    @property
    def place(self) -> Stream:
        return self.question.id, self.stream


def drawn(recorder: Recorder, job: Job, spec: Spec) -> tuple[Sample, ...]:
    """The bank's samples of a problem that are there, in the order asked."""
    known = recorder.finished(job.question, job.stream)
    return tuple(known[i] for i in range(spec.samples) if i in known)


def failed_before(calls: Sequence[CallRow]) -> set[str]:
    """The ids of the problems of which a call failed for good: its last try brought nothing, though nobody
    cancelled it. One that broke with some samples has not: the next start asks for fewer.

    `calls` are all tries in the order written, so that a call's last one is followed by another's first.
    """
    lasts = [a for a, b in zip_longest(calls, calls[1:]) if b is None or b.attempt == 1]
    return {call.problem_id for call in lasts if call.status != "cancelled" and not call.samples}


def readings(calls: Iterable[CallRow]) -> dict[Stream, list[CallRow]]:
    """By problem and stream, the calls that returned samples; of those that broke the ones that tell the
    tokens of their prompt.

    What brought nothing says something of the engine, and nothing of what a sample costs; it stands in the
    run's usage.
    """
    found: dict[Stream, list[CallRow]] = {}
    for call in calls:
        if call.samples and (call.status == "ok" or call.prompt_tokens is not None):
            found.setdefault((call.problem_id, call.stream), []).append(call)
    return found


def _fill(job: Job, n: int) -> Plan:
    """Draw n samples and answer nothing: the policies answer later, by replay."""

    def bank(question: Question, rng: Random) -> Strategy:
        yield Wave((job.task.draw(question, job.form, n),))
        return Answer(None)

    return Plan("bank", bank)


async def sample(
    jobs: Sequence[Job], spec: Spec, engine: Engine, recorder: Recorder, failed: set[str]
) -> dict[str, EngineError]:
    """Drive every bank, as many side by side as keep the engine busy. Returns the error of each problem, by
    id, that cannot be had: it failed in an earlier start (`failed`) and again now.

    Raises EngineError at once when no problem can succeed (no endpoint, no such model, no access), and at
    the end when one failed for the first time.
    """
    solver = Solver({"solver": engine}, limits=spec.limits, recorder=recorder)
    failures: list[tuple[Job, EngineError]] = []

    async def one(job: Job) -> None:
        try:
            await solver.run(_fill(job, spec.samples), job.question, Meter(Budget()))
        except HOPELESS:
            raise
        except EngineError as error:
            failures.append((job, error))

    # Two at least: while the last samples of one problem end, the next one has begun.
    await side_by_side(one, jobs, width=max(2, -(-engine.capabilities.parallel // spec.samples)))
    if any(job.question.id not in failed for job, _ in failures):
        first = failures[0][1]
        raise type(first)(
            f"{len(failures)} of {len(jobs)} problems could not be sampled; the first said: {first} "
            "What was drawn is kept: run the same command again to retry them; those that fail again will "
            "be left out."
        )
    # Reversed, so that a problem that failed in two forms keeps its first error.
    return {job.question.id: error for job, error in reversed(failures)}
