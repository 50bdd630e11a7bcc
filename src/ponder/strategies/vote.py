"""Self-consistency (Wang et al. 2022, arXiv 2203.11171 §2): sample many, return the most common answer."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, majority


def vote(question: Question, rng: Random, *, n: int = 16) -> Strategy:
    """Sample n answers and return the most common one."""
    drawn = yield from draw(n)
    return majority(drawn, rng)
