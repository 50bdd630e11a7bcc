"""Voting that halts uncertain traces (DeepConf online, Fu et al. 2025, arXiv 2508.15260 §3)."""

from __future__ import annotations

from math import ceil, exp, inf
from random import Random

from ponder.core import Question, Strategy, Trace
from ponder.strategies._steps import draw, lowest_confidence, weighted


def halting_vote(
    question: Question, rng: Random, *, n: int = 16, keep: float = 0.5, window: int = 16, warm: int = 4
) -> Strategy:
    """Learn a bar from `warm` whole traces: the confidence that the share `keep` of them holds throughout.
    Halt each further trace when its last `window` tokens fall under the bar; vote among those above it."""
    first = yield from draw(min(n, warm), logprobs=True)
    seen = [c for s in first if (c := lowest_confidence(s.logprobs, window)) is not None]
    bar = sorted(seen, reverse=True)[ceil(keep * len(seen)) - 1] if seen else -inf

    def uncertain(trace: Trace) -> bool:
        recent = trace.logprobs[-window:]
        return len(recent) == window and sum(recent) / window < bar

    rest = () if n <= warm else (yield from draw(n - warm, logprobs=True, halt=uncertain))
    told = [(s, c) for s in (*first, *rest) if (c := lowest_confidence(s.logprobs, window)) is not None]
    kept = [(s, c) for s, c in told if c >= bar]
    return weighted([s for s, _ in kept], [exp(c) for _, c in kept], rng)
