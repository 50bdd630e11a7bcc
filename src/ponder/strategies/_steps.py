"""Steps that strategies share. None of them does I/O."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Sequence
from random import Random
from typing import Any

from ponder.core import Answer, Draw, Reply, Sample, Score, Wave

__all__ = ["draw", "lowest_confidence", "majority", "score", "top", "votes", "weighted"]


def draw(n: int, **ask: Any) -> Generator[Wave, Reply, tuple[Sample, ...]]:
    """Ask for `n` samples; the other arguments are those of `Draw`."""
    reply = yield Wave((Draw(n=n, **ask),))
    return reply.samples[0]


def score(samples: tuple[Sample, ...], by: str) -> Generator[Wave, Reply, tuple[float | None, ...]]:
    """Ask a scorer about samples."""
    reply = yield Wave((Score(samples, by),))
    return reply.scores[0]


def votes(samples: Sequence[Sample]) -> Counter[str]:
    """How many samples have each choice. Those without a choice do not vote."""
    return Counter(s.choice for s in samples if s.choice is not None)


def majority(samples: Sequence[Sample], rng: Random) -> Answer:
    """The most common choice; ties are broken by `rng`, whatever the order of the samples; no vote at all
    is an abstention."""
    return weighted(samples, [1.0] * len(samples), rng)


def weighted(samples: Sequence[Sample], weights: Sequence[float | None], rng: Random) -> Answer:
    """The choice with the largest sum of weights. A sample without a choice or a positive weight has no
    vote; ties are broken by `rng`, whatever the order of the samples."""
    ballots: dict[str, list[tuple[str, float]]] = {}
    for sample, weight in zip(samples, weights, strict=True):
        if sample.choice is not None and weight is not None and weight > 0:
            ballots.setdefault(sample.choice, []).append((sample.text, weight))
    # fsum rounds once, so that no order of the samples changes a sum.
    sums = {choice: math.fsum(weight for _, weight in cast) for choice, cast in ballots.items()}
    if not sums:
        return Answer(None)
    most = max(sums.values())
    choice = rng.choice(sorted(c for c, total in sums.items() if total == most))
    text = min(text for text, _ in ballots[choice])
    return Answer(choice, text, agreement=most / math.fsum(sums.values()))


def top(samples: Sequence[Sample], scores: Sequence[float | None], rng: Random) -> Answer:
    """The choice with the highest score, ties broken by `rng`; abstains when nothing with a choice scores."""
    scored = [(v, s) for s, v in zip(samples, scores, strict=True) if v is not None and s.choice is not None]
    if not scored:
        return Answer(None)
    highest = max(v for v, _ in scored)
    chosen = rng.choice(sorted((s for v, s in scored if v == highest), key=lambda s: (s.choice, s.text)))
    same = sum(s.choice == chosen.choice for _, s in scored)
    return Answer(chosen.choice, chosen.text, agreement=same / len(scored))


def lowest_confidence(logprobs: Sequence[float] | None, window: int) -> float | None:
    """The least mean log-probability of `window` tokens in a row (of all, where there are fewer); None
    where there are none. DeepConf's lowest group confidence (Fu et al. 2025, arXiv 2508.15260 §3.1), with
    the sampled token's log-probability in place of the mean over the likeliest tokens."""
    if not logprobs:
        return None
    width = min(window, len(logprobs))
    groups = range(len(logprobs) - width + 1)
    return min(math.fsum(logprobs[i : i + width]) / width for i in groups)
