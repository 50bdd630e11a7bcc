"""Chain of thought (Wei et al. 2022, arXiv 2201.11903): reason first, then answer."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, majority


def think(question: Question, rng: Random) -> Strategy:
    """One sample of the worked prompt."""
    drawn = yield from draw(1)
    return majority(drawn, rng)
