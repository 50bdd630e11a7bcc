"""Read a run's bank back from the ledger, measured or imported: problems with their samples and grades.

Unlike `measure.stored`, which hands whole arrays to policies, nothing here needs every problem to have as
many samples, every sample a grade, or any count of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponder.core import Draw, Question, Sample
from ponder.errors import InputError, UnknownName
from ponder.ledger import CallRow, Ledger
from ponder.measure.stored import IMPORTED, limits_of
from ponder.solve import stream_of

__all__ = ["Drawn", "TaskBank", "load"]

Stream = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Drawn:
    """One problem: its n samples in the order drawn, the grader's word on each (None: not graded), and of
    each the tokens of its prompt and the FLOP, its share of the call's (None: unknown)."""

    question: Question
    key: str | None
    samples: tuple[Sample, ...]
    correct: tuple[bool | None, ...]
    prompt_tokens: tuple[int | None, ...]
    flop: tuple[float | None, ...]

    def first(self, n: int) -> Drawn:
        """With the first n samples alone."""
        return self._at(range(n))

    def judged(self) -> Drawn:
        """With the samples alone that have a grade."""
        return self._at([i for i, mark in enumerate(self.correct) if mark is not None])

    def _at(self, places: Sequence[int]) -> Drawn:
        return replace(
            self,
            samples=tuple(self.samples[i] for i in places),
            correct=tuple(self.correct[i] for i in places),
            prompt_tokens=tuple(self.prompt_tokens[i] for i in places),
            flop=tuple(self.flop[i] for i in places),
        )

    @property
    def right(self) -> int:
        """How many samples are right."""
        return sum(mark is True for mark in self.correct)

    @property
    def graded(self) -> int:
        """How many samples have a grade."""
        return sum(mark is not None for mark in self.correct)

    @property
    def guess(self) -> float | None:
        """The chance of a blind guess where the question has options; None where it has none."""
        options = self.question.data.get("options")
        return 1 / len(options) if isinstance(options, list | tuple) and options else None


@dataclass(frozen=True, slots=True)
class TaskBank:
    """The problems of a task that have samples. `kind` is the run's: "measure" or "imported"; `model` may be
    unknown."""

    run: str
    kind: str
    model: str | None
    task: str
    problems: tuple[Drawn, ...]

    @property
    def counted(self) -> tuple[Drawn, ...]:
        """The problems with the samples that figures are had of, each with a grade; none where none has one.

        An imported sample without a score tells nothing and is left out. Of a measurement it is wrong: its
        grader could not tell in its time, and an answer that takes longer to check is not accepted.
        """
        if self.kind == IMPORTED:
            return tuple(one.judged() for one in self.problems if one.graded)
        if not any(one.graded for one in self.problems):
            return ()
        return tuple(replace(one, correct=tuple(map(bool, one.correct))) for one in self.problems)


def load(ledger: Ledger, run: str, tasks: Sequence[str] = ()) -> tuple[TaskBank, ...]:
    """The banks of a run, one a task, in the run's order; of `tasks` alone where some are named.

    Of a measured run the samples of the worked prompt are taken, or of the direct one where it has no others.
    Raises UnknownName for a run or task that is not there, InputError for a run without a bank.
    """
    config = ledger.config(run)
    kind, listed = config.get("kind"), config.get("tasks")
    if kind not in ("measure", IMPORTED) or not isinstance(listed, list):
        raise InputError(f"run: {run} has no bank; name a measured or imported one from `ponder runs`.")
    names = [str(each["task"]) for each in listed]
    for task in tasks:
        if task not in names:
            raise UnknownName("task", task, names)
    reader = _Reader(ledger, run)
    model = config.get("model")
    found = []
    for each in listed:
        name = str(each["task"])
        if name in (tasks or names):
            streams = _imported if kind == IMPORTED else _measured(config, bool(each["logprobs"]))
            found.append(TaskBank(run, kind, model, name, tuple(reader.drawn(name, streams))))
    return tuple(found)


def _imported(question: Question) -> tuple[str, ...]:
    return (IMPORTED,)


def _measured(config: Mapping[str, Any], logprobs: bool) -> Callable[[Question], tuple[str, ...]]:
    limits = limits_of(config)

    def streams(question: Question) -> tuple[str, ...]:
        worked, direct = Draw(logprobs=logprobs), Draw(prompt=question.direct)
        return stream_of(question, worked, limits), stream_of(question, direct, limits)

    return streams


class _Reader:
    """One pass over a run's rows, by problem and stream."""

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._problems = ledger.problems(run)
        self._samples: dict[Stream, list[tuple[Sample, int]]] = {}
        for row in ledger.samples(run):
            self._samples.setdefault((row.problem_id, row.stream), []).append((row.sample, row.call_id))
        self._marks = {(g.problem_id, g.stream, g.position): g.correct for g in ledger.grades(run)}
        self._calls = {call.id: call for call in ledger.calls(run)}

    def drawn(self, task: str, streams: Callable[[Question], tuple[str, ...]]) -> Iterator[Drawn]:
        """The problems of a task that have samples, from the first stream that any of them has."""
        own = [(question, key) for question, key in self._problems if question.task == task]
        most = max((len(streams(question)) for question, _ in own), default=0)
        for place in range(most):
            found = [(q, key, (q.id, streams(q)[place])) for q, key in own]
            if any(stream in self._samples for _, _, stream in found):
                yield from (self._one(*each) for each in found if each[2] in self._samples)
                return

    def _one(self, question: Question, key: str | None, stream: Stream) -> Drawn:
        samples = tuple(sample for sample, _ in self._samples[stream])
        calls = [self._calls[call] for _, call in self._samples[stream]]
        return Drawn(
            question,
            key,
            samples,
            tuple(self._marks.get((*stream, sample.index)) for sample in samples),
            tuple(call.prompt_tokens for call in calls),
            tuple(_share(call) for call in calls),
        )


def _share(call: CallRow) -> float | None:
    return None if call.flop is None or not call.samples else call.flop / call.samples
