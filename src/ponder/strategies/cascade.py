"""Cascades (FrugalGPT, Chen et al. 2023, arXiv 2305.05176), by agreement (Yue et al. 2023, 2310.03094)."""

from __future__ import annotations

from random import Random

from ponder.core import Draw, Question, Strategy, Wave
from ponder.strategies._steps import majority, votes


def cascade(
    question: Question, rng: Random, *, n: int = 4, threshold: float = 0.75, large: int = 1
) -> Strategy:
    """Sample n answers of the small model. Where fewer than the share `threshold` of them agree, ask the
    model of the role "large" for `large` answers and return their vote.

    A sample without an answer agrees with nothing: it is a sign of doubt too.
    """
    reply = yield Wave((Draw(n),))
    drawn = reply.samples[0]
    most = max(votes(drawn).values(), default=0)
    if reply.final or most >= threshold * n:
        return majority(drawn, rng)
    reply = yield Wave((Draw(large, role="large"),))
    second = majority(reply.samples[0], rng)
    return second if second.choice is not None else majority(drawn, rng)
