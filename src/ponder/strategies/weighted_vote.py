"""Weighted voting (Wang et al. 2022, arXiv 2203.11171; by verifier: Li et al. 2022, arXiv 2206.02336)."""

from __future__ import annotations

from math import exp
from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, score, weighted


def weighted_vote(question: Question, rng: Random, *, n: int = 16, by: str = "confidence") -> Strategy:
    """Sample n answers and return the one with the largest sum of scores by `by`.

    A likelihood is told in nats and weighs as a probability; every other score weighs as it is, and one
    that is not positive, or unknown, not at all.
    """
    drawn = yield from draw(n, logprobs=by in ("likelihood", "confidence"))
    scores = yield from score(drawn, by)
    # Against the largest: the probability of a long text is too small for a float.
    base = max((v for v in scores if v is not None), default=0.0)
    weights = [exp(v - base) if by == "likelihood" and v is not None else v for v in scores]
    return weighted(drawn, weights, rng)
