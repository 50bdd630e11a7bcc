"""A bank: n samples of every problem, drawn once, as arrays that every policy is evaluated on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponder.core import Model, Question, Sample, Usage, mean_of
from ponder.flop import call_flop

__all__ = ["Bank", "Cost", "build", "costs"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one problem costs, by sample count: mean over problems of a prompt read and of one sample.

    `samples_per_read`: how many samples shared one reading of the prompt. None is unknown.
    """

    prompt_tokens: float | None
    sample_tokens: float | None
    prefill_flop: float | None
    sample_flop: float | None
    samples_per_read: int

    def tokens(self, k: int) -> float | None:
        """Prompt and generated tokens of one problem with k samples."""
        return self._at(k, self.prompt_tokens, self.sample_tokens)

    def flop(self, k: int) -> float | None:
        """FLOP of one problem with k samples."""
        return self._at(k, self.prefill_flop, self.sample_flop)

    def _at(self, k: int, read: float | None, sample: float | None) -> float | None:
        if read is None or sample is None:
            return None
        return -(-k // self.samples_per_read) * read + k * sample


@dataclass(frozen=True, slots=True)
class Bank:
    """[P] questions with [P][n] samples; `choice` numbers equal answers alike (-1: none), `correct` is
    the grader's word on each sample, `scores` [P, n] by scorer name (nan: none)."""

    questions: tuple[Question, ...]
    samples: tuple[tuple[Sample, ...], ...]
    choice: NDArray[np.int64]
    correct: NDArray[np.bool_]
    scores: Mapping[str, Floats]
    cost: Cost


def build(
    questions: Sequence[Question],
    samples: Sequence[Sequence[Sample]],
    correct: Sequence[Sequence[bool]],
    scores: Mapping[str, Sequence[Sequence[float | None]]],
    cost: Cost,
) -> Bank:
    """Arrays from samples. A sample without a choice gets no score: it has no vote and cannot be picked."""
    rows: list[list[int]] = []
    for drawn in samples:
        names = {c: i for i, c in enumerate(dict.fromkeys(s.choice for s in drawn if s.choice is not None))}
        rows.append([-1 if s.choice is None else names[s.choice] for s in drawn])
    choice = np.array(rows, dtype=np.int64)
    return Bank(
        tuple(questions),
        tuple(tuple(drawn) for drawn in samples),
        choice,
        np.array(correct, dtype=np.bool_),
        # An unknown score becomes nan.
        {name: np.where(choice < 0, np.nan, np.array(told, np.float64)) for name, told in scores.items()},
        cost,
    )


def costs(
    model: Model,
    prompt_tokens: Sequence[int | None],
    tokens: Iterable[Sequence[int | None]],
    sample_tokens: Sequence[float | None],
    samples_per_read: int,
) -> Cost:
    """The cost of a bank. `prompt_tokens` [P] are those of one reading, `tokens` [P][n] the samples' own,
    `sample_tokens` [P] the mean of a sample, used for FLOP only where one of the former is unknown."""
    prefill: list[float | None] = []
    decode: list[float | None] = []
    for prompt, own, usual in zip(prompt_tokens, tokens, sample_tokens, strict=True):
        read = Usage(prompt_tokens=prompt, cached_tokens=None)
        lengths = own if None not in own else [None if usual is None else round(usual)]
        base = call_flop(model, read, ()).flop
        whole = call_flop(model, read, tuple(lengths)).flop
        prefill.append(base)
        decode.append(None if base is None or whole is None else (whole - base) / len(lengths))
    return Cost(
        mean_of(prompt_tokens), mean_of(sample_tokens), mean_of(prefill), mean_of(decode), samples_per_read
    )
