"""A measured run's bank, read back from the ledger with its grades and its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.core import Draw, Question, Sample, Sampling
from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger
from ponder.measure.sampling import readings
from ponder.solve import Limits, stream_of

__all__ = ["IMPORTED", "StoredBank", "evenly", "limits_of", "load_banks"]

Floats = NDArray[np.float64]

IMPORTED = "imported"
"""The kind of a run of imported samples, and the stream that holds them."""


@dataclass(frozen=True, slots=True)
class StoredBank:
    """n samples of the worked prompt of each of P problems of a task.

    `choice` [P, n] numbers equal answers of a problem alike (-1: none), `correct` [P, n] is the grader's
    word (what a measurement's grader could not tell of is wrong, what was imported without a score is left
    out), `tokens` [P, n] are generated tokens, `certainty` [P, n] is the mean log-probability of a sample's
    tokens in nats (nan: not told), `prompt_tokens` [P] one reading of the prompt.
    `samples_per_read`: how many samples shared one reading. `direct`: where the direct prompt was measured
    too, the accuracy of one sample of it and its tokens with its prompt's, each [P].
    """

    task: str
    questions: tuple[Question, ...]
    choice: NDArray[np.int64]
    correct: NDArray[np.bool_]
    tokens: Floats
    certainty: Floats
    prompt_tokens: Floats
    samples_per_read: int
    direct: tuple[Floats, Floats] | None = None

    @classmethod
    def of(
        cls,
        task: str,
        questions: Sequence[Question],
        samples: Sequence[Sequence[Sample]],
        marks: Sequence[Sequence[bool]],
        prompt_tokens: Sequence[float],
        samples_per_read: int,
        direct: tuple[Floats, Floats] | None = None,
    ) -> StoredBank:
        """From samples [P][n] whose tokens are known, and the grader's `marks`; no answer is wrong."""
        choice = np.array([_labels(drawn) for drawn in samples], np.int64)
        return cls(
            task,
            tuple(questions),
            choice,
            np.array(marks, np.bool_) & (choice >= 0),
            np.array([[sample.tokens for sample in drawn] for drawn in samples], np.float64),
            np.array([[_certainty(sample) for sample in drawn] for drawn in samples], np.float64),
            np.array(prompt_tokens, np.float64),
            samples_per_read,
            direct,
        )

    def __len__(self) -> int:
        return len(self.questions)

    def cost(self, k: int) -> Floats:
        """[P]: prompt and generated tokens of k samples asked for together, in expectation."""
        reads = -(-k // self.samples_per_read)
        out: Floats = reads * self.prompt_tokens + k * self.tokens.mean(axis=1)
        return out


def evenly(sizes: Sequence[int]) -> int:
    """The n at which the first n samples, of those problems that have n, are most samples, the larger of
    equals; 0 for none."""
    ranked = enumerate(sorted(sizes, reverse=True), start=1)
    return max(((n * problems, n) for problems, n in ranked), default=(0, 0))[1]


def load_banks(ledger: Ledger, run: str, tasks: Sequence[str] = ()) -> tuple[StoredBank, ...]:
    """The banks of a measured or imported run, one a task, in the run's order; of `tasks` alone where some
    are named.

    Where problems have unequally many samples, `evenly` says how many are taken. Raises UnknownName for a run
    or task that is not there, InputError for a run without graded samples or with unknown token counts.
    """
    config = ledger.config(run)
    listed = config.get("tasks")
    if config.get("kind") not in ("measure", IMPORTED) or not isinstance(listed, list):
        raise InputError(f"run: {run} is no measurement; name one from `ponder runs`.")
    flags = {each["task"]: bool(each.get("logprobs")) for each in listed}
    for task in tasks:
        if task not in flags:
            raise UnknownName("task", task, flags)
    reader = _Reader(ledger, run, config)
    return tuple(reader.bank(task, logprobs) for task, logprobs in flags.items() if task in (tasks or flags))


class _Reader:
    """One pass over a run's rows, by problem and stream."""

    def __init__(self, ledger: Ledger, run: str, config: Mapping[str, Any]) -> None:
        self.run = run
        self.limits = None if config["kind"] == IMPORTED else limits_of(config)
        self.questions = [question for question, _ in ledger.problems(run)]
        self.marks = {(g.problem_id, g.stream, g.position): g.correct for g in ledger.grades(run)}
        self.samples: dict[tuple[str, str], dict[int, Sample]] = {}
        for row in ledger.samples(run):
            place = (row.problem_id, row.stream)
            if self.limits is not None or (*place, row.sample.index) in self.marks:
                self.samples.setdefault(place, {})[row.sample.index] = row.sample
        self.calls = readings(ledger.calls(run))

    def bank(self, task: str, logprobs: bool) -> StoredBank:
        own = [q for q in self.questions if q.task == task]
        places = {q.id: (q.id, self._stream(q, Draw(logprobs=logprobs))) for q in own}
        n = evenly([len(self.samples.get(place, {})) for place in places.values()])
        kept = [q for q in own if n and len(self.samples.get(places[q.id], {})) >= n]
        if not any((*places[q.id], i) in self.marks for q in kept for i in self.samples[places[q.id]]):
            raise InputError(
                f"run: {self.run} has no graded samples of {task} with reasoning; measure it with vote, "
                "and to its end."
            )
        drawn = [[s for _, s in sorted(self.samples[places[q.id]].items())[:n]] for q in kept]
        for samples in drawn:
            self._tokens(samples, task)  # where they are unknown there is no cost
        marks = [self._marks(places[q.id], samples) for q, samples in zip(kept, drawn, strict=True)]
        prompts = [self._prompt(places[q.id], task) for q in kept]
        together = max(call.samples for q in kept for call in self.calls.get(places[q.id], ()))
        return StoredBank.of(task, kept, drawn, marks, prompts, together, self._direct(kept, task))

    def _stream(self, question: Question, draw: Draw) -> str:
        return IMPORTED if self.limits is None else stream_of(question, draw, self.limits)

    def _direct(self, questions: Sequence[Question], task: str) -> tuple[Floats, Floats] | None:
        if self.limits is None:
            return None
        accuracy, tokens = [], []
        for question in questions:
            place = (question.id, self._stream(question, Draw(prompt=question.direct)))
            drawn = [sample for _, sample in sorted(self.samples.get(place, {}).items())]
            if not drawn or not any((*place, sample.index) in self.marks for sample in drawn):
                return None
            accuracy.append(np.mean(self._marks(place, drawn)))
            tokens.append(self._prompt(place, task) + np.mean(self._tokens(drawn, task)))
        return np.array(accuracy, np.float64), np.array(tokens, np.float64)

    def _marks(self, place: tuple[str, str], samples: Sequence[Sample]) -> list[bool]:
        return [s.choice is not None and self.marks.get((*place, s.index), False) for s in samples]

    def _tokens(self, samples: Sequence[Sample], task: str) -> list[int]:
        counts = [s.tokens for s in samples]
        known = [n for n in counts if n is not None]
        if len(known) < len(counts):
            raise InputError(
                f"run: {self.run} does not know the tokens of some samples of {task}; name a run that does."
            )
        return known

    def _prompt(self, place: tuple[str, str], task: str) -> float:
        reads = [call.prompt_tokens for call in self.calls.get(place, ())]
        known = [n for n in reads if n is not None]
        if not known or len(known) < len(reads):
            raise InputError(
                f"run: {self.run} does not know the prompt tokens of some calls of {task}; name a run that "
                "does."
            )
        return sum(known) / len(known)


def limits_of(config: Mapping[str, Any]) -> Limits:
    """How a measured run sampled, from its configuration."""
    return Limits(config["seed"], Sampling(config["temperature"], config["top_p"]), config["max_tokens"])


def _labels(samples: Sequence[Sample]) -> list[int]:
    """Equal answers have equal numbers; -1 is none."""
    names: dict[str, int] = {}
    return [-1 if s.choice is None else names.setdefault(s.choice, len(names)) for s in samples]


def _certainty(sample: Sample) -> float:
    if sample.logprob is None or not sample.tokens:
        return float("nan")
    return sample.logprob / sample.tokens
