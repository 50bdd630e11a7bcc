"""Confidence-filtered voting (DeepConf, Fu et al. 2025, arXiv 2508.15260 §3): drop the uncertain traces."""

from __future__ import annotations

from math import ceil, exp
from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, lowest_confidence, weighted


def confident_vote(
    question: Question, rng: Random, *, n: int = 16, keep: float = 0.5, window: int = 16
) -> Strategy:
    """Sample n traces, keep the share `keep` whose least certain `window` tokens are most certain, and vote
    among them, each weighed by that confidence."""
    drawn = yield from draw(n, logprobs=True)
    told = [(s, c) for s in drawn if (c := lowest_confidence(s.logprobs, window)) is not None]
    told = [(s, c) for s, c in told if s.choice is not None]
    bar = sorted((c for _, c in told), reverse=True)[: max(1, ceil(keep * len(told)))]
    kept = [(s, c) for s, c in told if c >= bar[-1]]
    return weighted([s for s, _ in kept], [exp(c) for _, c in kept], rng)
