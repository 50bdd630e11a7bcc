"""What an imported bank says by itself: the accuracy of votes, and coverage, as a measured run has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ponder.bank.reading import Drawn, TaskBank
from ponder.config import Settings, model_card
from ponder.core import Model, Usage
from ponder.flop import method
from ponder.ledger import Ledger
from ponder.measure import Measurement, TaskResult
from ponder.measure import bank as banks
from ponder.measure.curve import Curve, Example
from ponder.measure.policies import coverage_curve, evaluate, gains
from ponder.measure.stored import evenly
from ponder.strategies import plan

__all__ = ["measured"]

EXAMPLES, EXAMPLE_SAMPLES = 3, 6
MOST_VOTING = 128
"""Samples a problem that votes are evaluated with: as many as have an exact formula."""


def measured(
    ledger: Ledger, bank_of: Sequence[TaskBank], settings: Settings | None = None
) -> Measurement | None:
    """The measurement of an imported run, from its banks; None where no sample has a grade.

    Curves need as many samples of every problem: of each task the first n of those problems that have n are
    taken, with the n that uses most samples.
    """
    first = bank_of[0]
    model = model_card(first.model or "", f"imported:{first.model}", settings)
    rng = np.random.default_rng(0)
    notes: list[str] = []
    results, evaluated = [], []
    for each in bank_of:
        told = _Told.of(each)
        kept = _even(told.problems)
        if not kept:
            continue
        notes += _notes(each.task, told, kept)
        found = _bank(kept, model)
        votes = [evaluate(each.task, plan("vote"), _first(found, MOST_VOTING), rng)] if _spoken(kept) else []
        evaluated += votes
        curves = (*(vote.curve for vote in votes), coverage_curve(each.task, found, rng))
        results.append(_result(each, kept, curves))
    if not results:
        return None
    usage = ledger.usage(first.run)
    return Measurement(
        run=first.run,
        created=ledger.created(first.run),
        config=ledger.config(first.run),
        tasks=tuple(results),
        usage=usage,
        new_usage=Usage(),
        tokens_per_second=None,
        timings=(),
        flop_method=method(model),
        ledger_head=ledger.head(),
        reproducible="From the imported samples every figure here is recomputed exactly.",
        notes=tuple(notes),
        gains=gains(evaluated, rng),
    )


@dataclass(frozen=True, slots=True)
class _Row:
    """One problem's n graded samples as arrays: `choice` numbers equal answers alike (-1: none), `tokens` and
    `prompts` are generated and read ones (nan: unknown)."""

    choice: NDArray[np.int32]
    correct: NDArray[np.bool_]
    tokens: NDArray[np.float64]
    prompts: NDArray[np.float64]

    @classmethod
    def of(cls, drawn: Drawn) -> _Row:
        names: dict[str | None, int] = {None: -1}
        choice = [names.setdefault(sample.choice, len(names) - 1) for sample in drawn.samples]
        return cls(
            np.array(choice, np.int32),
            np.array(drawn.correct, np.bool_),
            np.array([sample.tokens for sample in drawn.samples], np.float64),
            np.array(drawn.prompt_tokens, np.float64),
        )

    def __len__(self) -> int:
        return len(self.choice)

    def first(self, n: int) -> _Row:
        return _Row(self.choice[:n], self.correct[:n], self.tokens[:n], self.prompts[:n])


@dataclass(frozen=True, slots=True)
class _Told:
    """A bank in one pass, without its texts: the problems that have a graded sample, and how many samples
    have no grade."""

    problems: Sequence[_Row]
    unknown: int

    @classmethod
    def of(cls, bank: TaskBank) -> _Told:
        rows, unknown = [], 0
        for one in bank.problems:
            unknown += len(one.samples) - one.graded
            if one.graded:
                rows.append(_Row.of(one.judged()))
        return cls(rows, unknown)


def _even(problems: Sequence[_Row]) -> list[_Row]:
    """The problems with at least n samples, each cut to its first n; n uses most samples."""
    n = evenly([len(one) for one in problems])
    return [one.first(n) for one in problems if len(one) >= n]


def _notes(task: str, told: _Told, kept: Sequence[_Row]) -> list[str]:
    notes, n = [], len(kept[0])
    dropped = sum(map(len, told.problems)) - n * len(kept)
    if dropped:
        some = f"{len(kept):,} of {len(told.problems):,} problems"
        notes.append(
            f"{task}: curves are over the first {n:,} samples of {some}, as they need equally many of "
            f"each; {dropped:,} samples of the bank are not in them."
        )
    if told.unknown:
        notes.append(f"{task}: samples without a score, left out: {told.unknown:,}.")
    if not _spoken(kept):
        notes.append(f"{task}: the files tell no answers of some right samples, so no vote is evaluated.")
    return notes


def _spoken(problems: Sequence[_Row]) -> bool:
    """Whether every right sample has an answer to vote for."""
    return not any((one.correct & (one.choice < 0)).any() for one in problems)


def _bank(problems: Sequence[_Row], model: Model) -> banks.Bank:
    """Without questions and samples: neither votes nor coverage ask for them."""
    return banks.Bank(
        questions=(),
        samples=(),
        choice=np.array([one.choice for one in problems], np.int64),
        correct=np.array([one.correct for one in problems]),
        scores={},
        cost=_cost(problems, model),
    )


def _cost(problems: Sequence[_Row], model: Model) -> banks.Cost:
    prompts = [_mean(one.prompts) for one in problems]
    return banks.costs(
        model,
        [None if mean is None else round(mean) for mean in prompts],
        ([None if np.isnan(n) else int(n) for n in one.tokens] for one in problems),
        [_mean(one.tokens) for one in problems],
        1,  # each sample was a call of its own, which read its own prompt
    )


def _mean(counts: NDArray[np.float64]) -> float | None:
    """None where one is unknown."""
    return None if np.isnan(counts).any() else float(counts.mean())


def _first(bank: banks.Bank, n: int) -> banks.Bank:
    return replace(bank, choice=bank.choice[:, :n], correct=bank.correct[:, :n])


def _result(bank: TaskBank, kept: Sequence[_Row], curves: tuple[Curve, ...]) -> TaskResult:
    shown = (one for one in bank.counted if len(one.samples) >= len(kept[0]))
    examples = [
        Example(
            one.question.text,
            one.key or "not told",
            tuple(
                (sample.text, sample.choice, mark is True)
                for sample, mark in zip(one.samples[:EXAMPLE_SAMPLES], one.correct, strict=False)
            ),
        )
        for one in islice(shown, EXAMPLES)
    ]
    return TaskResult(
        task=bank.task,
        title=f"{bank.task}, imported",
        problems=len(kept),
        samples=len(kept[0]),
        constant=None,
        constant_guess=None,
        curves=curves,
        examples=tuple(examples),
    )
