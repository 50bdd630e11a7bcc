"""Read a run's bank back from the ledger, measured or imported: problems with their samples and grades.

Unlike `measure.stored`, which hands whole arrays to policies, nothing here needs every problem to have as
many samples, every sample a grade, or any count of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

from ponder.core import Draw, Question, Sample
from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger, PricedSample
from ponder.measure.stored import IMPORTED, limits_of
from ponder.solve import stream_of

__all__ = ["Drawn", "TaskBank", "load", "scan"]

Streams = Callable[[Question], tuple[str, ...]]

_TOGETHER = 5_000  # samples that are read at a time, of whole problems


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
    problems: Sequence[Drawn]

    @property
    def counted(self) -> Iterator[Drawn]:
        """The problems with the samples that figures are had of, each with a grade; none where none has one.

        An imported sample without a score tells nothing and is left out. Of a measurement it is wrong: its
        grader could not tell in its time, and an answer that takes longer to check is not accepted.
        """
        if self.kind == IMPORTED:
            return (one.judged() for one in self.problems if one.graded)
        if not any(one.graded for one in self.problems):
            return iter(())
        return (replace(one, correct=tuple(map(bool, one.correct))) for one in self.problems)


def load(ledger: Ledger, run: str, tasks: Sequence[str] = ()) -> tuple[TaskBank, ...]:
    """The banks of a run, one a task, in the run's order; of `tasks` alone where some are named.

    Of a measured run the samples of the worked prompt are taken, or of the direct one where it has no others.
    Raises UnknownName for a run or task that is not there, InputError for a run without a bank.
    """
    return tuple(replace(bank, problems=tuple(bank.problems)) for bank in scan(ledger, run, tasks))


def scan(ledger: Ledger, run: str, tasks: Sequence[str] = ()) -> tuple[TaskBank, ...]:
    """As `load`, but problems are read whenever they are gone through, some at a time, as long as the ledger
    is open: a run of any size needs the memory of a few thousand samples."""
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
            found.append(TaskBank(run, kind, model, name, reader.drawn(name, streams)))
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
    """A run's rows, by problem and stream."""

    def __init__(self, ledger: Ledger, run: str) -> None:
        self._ledger, self._run = ledger, run
        self._problems = ledger.problems(run)
        self._sizes = ledger.sizes(run)

    def drawn(self, task: str, streams: Streams) -> Sequence[Drawn]:
        """The problems of a task that have samples, from the first stream that any of them has."""
        own = [(question, key) for question, key in self._problems if question.task == task]
        most = max((len(streams(question)) for question, _ in own), default=0)
        for place in range(most):
            asked = [_Asked(q, key, streams(q)[place]) for q, key in own]
            sizes = [self._sizes.get((each.question.id, each.stream), 0) for each in asked]
            if any(sizes):
                told = [(each, size) for each, size in zip(asked, sizes, strict=True) if size]
                return _Problems(self, *zip(*told, strict=True))
        return ()

    def read(self, asked: Sequence[_Asked]) -> Iterator[Drawn]:
        """Their samples, all in memory at once."""
        found: dict[tuple[str, str], list[PricedSample]] = {}
        ids = [each.question.id for each in asked]
        for row in self._ledger.priced_samples(self._run, ids):
            found.setdefault((row.problem_id, row.stream), []).append(row)
        marks = {(g.problem_id, g.stream, g.position): g.correct for g in self._ledger.grades(self._run, ids)}
        for each in asked:
            stream = each.question.id, each.stream
            rows = found[stream]
            yield Drawn(
                each.question,
                each.key,
                tuple(row.sample for row in rows),
                tuple(marks.get((*stream, row.sample.index)) for row in rows),
                tuple(row.prompt_tokens for row in rows),
                tuple(row.flop for row in rows),
            )


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    key: str | None
    stream: str


class _Problems(Sequence[Drawn]):
    """Problems on the ledger with `sizes` samples each, read as they are gone through."""

    def __init__(self, reader: _Reader, asked: Sequence[_Asked], sizes: Sequence[int]) -> None:
        self._reader, self._asked, self._sizes = reader, asked, sizes

    def __len__(self) -> int:
        return len(self._asked)

    @overload
    def __getitem__(self, place: int) -> Drawn: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Drawn]: ...
    def __getitem__(self, place: int | slice) -> Drawn | Sequence[Drawn]:
        if isinstance(place, slice):
            return _Problems(self._reader, self._asked[place], self._sizes[place])
        (found,) = self._reader.read([self._asked[place]])
        return found

    def __iter__(self) -> Iterator[Drawn]:
        group, waiting = list[_Asked](), 0
        for asked, size in zip(self._asked, self._sizes, strict=True):
            if group and waiting + size > _TOGETHER:
                yield from self._reader.read(group)
                group, waiting = [], 0
            group.append(asked)
            waiting += size
        yield from self._reader.read(group)
