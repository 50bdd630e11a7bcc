"""What an imported bank says by itself: the accuracy of votes, and coverage, as a measured run has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

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
        kept = _even(each.counted)
        if not kept:
            continue
        notes += _notes(each, kept)
        found = _bank(kept, model)
        votes = [evaluate(each.task, plan("vote"), _first(found, MOST_VOTING), rng)] if _told(kept) else []
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


def _even(problems: Sequence[Drawn]) -> list[Drawn]:
    """The problems with at least n samples, each cut to its first n; n uses most samples."""
    n = evenly([len(one.samples) for one in problems])
    return [one.first(n) for one in problems if len(one.samples) >= n]


def _notes(bank: TaskBank, kept: Sequence[Drawn]) -> list[str]:
    notes, n = [], len(kept[0].samples)
    counted = bank.counted
    dropped = sum(len(one.samples) for one in counted) - n * len(kept)
    if dropped:
        some = f"{len(kept):,} of {len(counted):,} problems"
        notes.append(
            f"{bank.task}: curves are over the first {n:,} samples of {some}, as they need equally many of "
            f"each; {dropped:,} samples of the bank are not in them."
        )
    unknown = sum(len(one.samples) - one.graded for one in bank.problems)
    if unknown:
        notes.append(f"{bank.task}: {unknown:,} samples without a score are left out.")
    if not _told(kept):
        notes.append(
            f"{bank.task}: the files tell no answers of some right samples, so no vote is evaluated."
        )
    return notes


def _told(problems: Sequence[Drawn]) -> bool:
    """Whether every right sample has an answer to vote for."""
    marked = [pair for one in problems for pair in zip(one.samples, one.correct, strict=True)]
    return all(sample.choice is not None for sample, mark in marked if mark)


def _bank(problems: Sequence[Drawn], model: Model) -> banks.Bank:
    samples = [one.samples for one in problems]
    prompts = [_mean(one.prompt_tokens) for one in problems]
    lengths = [_mean([sample.tokens for sample in drawn]) for drawn in samples]
    return banks.build(
        [one.question for one in problems],
        samples,
        [[mark is True for mark in one.correct] for one in problems],
        {},
        # Each sample was a call of its own, which read its own prompt.
        banks.costs(model, [None if n is None else round(n) for n in prompts], samples, lengths, 1),
    )


def _mean(counts: Sequence[int | None]) -> float | None:
    """None where one is unknown."""
    known = [count for count in counts if count is not None]
    return sum(known) / len(known) if len(known) == len(counts) else None


def _first(bank: banks.Bank, n: int) -> banks.Bank:
    samples = tuple(drawn[:n] for drawn in bank.samples)
    return replace(bank, samples=samples, choice=bank.choice[:, :n], correct=bank.correct[:, :n])


def _result(bank: TaskBank, kept: Sequence[Drawn], curves: tuple[Curve, ...]) -> TaskResult:
    examples = [
        Example(
            one.question.text,
            one.key or "not told",
            tuple(
                (sample.text, sample.choice, mark is True)
                for sample, mark in zip(one.samples[:EXAMPLE_SAMPLES], one.correct, strict=False)
            ),
        )
        for one in kept[:EXAMPLES]
    ]
    return TaskResult(
        task=bank.task,
        title=f"{bank.task}, imported",
        problems=len(kept),
        samples=len(kept[0].samples),
        constant=None,
        constant_guess=None,
        curves=curves,
        examples=tuple(examples),
    )
