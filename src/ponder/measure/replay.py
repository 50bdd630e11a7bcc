"""Drive a strategy over a bank's samples in a random order, with no model: any strategy that asks for nothing
but whole samples of a question's own prompt has a curve for free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

from ponder.core import Answer, Draw, Reply, Sample, Score, Strategy, Wave
from ponder.errors import InputError
from ponder.measure.bank import Bank
from ponder.strategies import Plan

__all__ = ["ORDERS", "Replayed", "Spend", "replay", "replay_bank"]

ORDERS = 24
"""Random orders of each problem's samples that a strategy is driven over."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Replayed:
    """An answer, the samples it took, and in how many asks."""

    answer: Answer
    samples: tuple[Sample, ...]
    asks: tuple[int, ...]


def replay(
    strategy: Strategy,
    samples: Sequence[Sample],
    scores: Mapping[str, Mapping[int, float | None]] | None = None,
) -> Replayed:
    """Serve a strategy from `samples` in their order; `scores` are by scorer and sample index.

    Raises InputError when it asks for more samples than there are.
    """
    told: list[Sample] = []
    asks: list[int] = []
    try:
        wave = next(strategy)
        while True:
            wave = strategy.send(_serve(wave, samples, scores or {}, told, asks))
    except StopIteration as end:
        answer: Answer = end.value
        return Replayed(answer, tuple(told), tuple(asks))
    finally:
        strategy.close()


def _serve(
    wave: Wave,
    samples: Sequence[Sample],
    scores: Mapping[str, Mapping[int, float | None]],
    told: list[Sample],
    asks: list[int],
) -> Reply:
    drawn: list[tuple[Sample, ...]] = []
    scored: list[tuple[float | None, ...]] = []
    wave_told: list[Sample] = []
    for ask in wave.asks:
        if isinstance(ask, Score):
            drawn.append(())
            scored.append(tuple(scores[ask.by].get(sample.index) for sample in ask.samples))
            continue
        taken = _take(ask, wave, samples[len(told) :], wave_told)
        told += taken
        asks.append(len(taken))
        drawn.append(tuple(taken))
        scored.append(())
    return Reply(tuple(drawn), tuple(scored))


def _take(ask: Draw, wave: Wave, left: Sequence[Sample], wave_told: list[Sample]) -> list[Sample]:
    """What an ask gets: all it asks for, or up to where the wave's own condition holds."""
    taken: list[Sample] = []
    while len(taken) < ask.n and not (wave.until is not None and wave.until(tuple(wave_told))):
        if len(taken) == len(left):
            raise InputError(
                f"strategy: it asks for more samples than the {len(left)} that are left; draw more."
            )
        wave_told.append(left[len(taken)])
        taken.append(left[len(taken)])
    return taken


@dataclass(frozen=True, slots=True)
class Spend:
    """Mean cost of one problem at each k, [K]; None where a count is unknown."""

    samples: Floats
    tokens: Floats | None
    flop: Floats | None


def replay_bank(
    bank: Bank, plan: Plan, ks: Sequence[int], rng: np.random.Generator, *, orders: int = ORDERS
) -> tuple[Floats, Spend]:
    """Accuracy [P, K] of `plan` at every k, the mean over random orders of each problem's samples, and what
    it spends. The same orders serve every k, so that differences between them are less noisy."""
    problems, n = bank.choice.shape
    right = np.zeros((problems, len(ks)))
    drawn, reads, generated = np.zeros(right.shape), np.zeros(right.shape), np.zeros(right.shape)
    for row in range(problems):
        marks = _marks(bank, row)
        scores = {by: _by_index(bank.samples[row], values[row]) for by, values in bank.scores.items()}
        for _ in range(orders):
            order = [bank.samples[row][i] for i in rng.permutation(n)]
            seed = int(rng.integers(1 << 62))
            for column, k in enumerate(ks):
                done = replay(plan.at(k).begin(bank.questions[row], Random(seed)), order, scores)
                right[row, column] += done.answer.choice is not None and marks[done.answer.choice]
                drawn[row, column] += len(done.samples)
                reads[row, column] += sum(-(-size // bank.cost.samples_per_read) for size in done.asks)
                generated[row, column] += sum(s.tokens or 0 for s in done.samples)
    known = all(s.tokens is not None for own in bank.samples for s in own)
    return right / orders, _spend(bank, drawn / orders, reads / orders, generated / orders if known else None)


def _marks(bank: Bank, row: int) -> dict[str, bool]:
    """Which choices of a problem are right."""
    told = zip(bank.samples[row], bank.correct[row], strict=True)
    return {sample.choice: bool(mark) for sample, mark in told if sample.choice is not None}


def _by_index(samples: Sequence[Sample], values: Floats) -> dict[int, float | None]:
    return {s.index: None if np.isnan(v) else float(v) for s, v in zip(samples, values, strict=True)}


def _spend(bank: Bank, drawn: Floats, reads: Floats, generated: Floats | None) -> Spend:
    cost = bank.cost
    tokens = flop = None
    if generated is not None and cost.prompt_tokens is not None:
        tokens = (reads * cost.prompt_tokens + generated).mean(axis=0)
        if cost.prefill_flop is not None and cost.sample_flop is not None and cost.sample_tokens:
            per_token = cost.sample_flop / cost.sample_tokens
            flop = (reads * cost.prefill_flop + generated * per_token).mean(axis=0)
    return Spend(drawn.mean(axis=0), tokens, flop)
