"""Answer at once, without reasoning: the baseline."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, majority


def direct(question: Question, rng: Random) -> Strategy:
    """One sample of the answer-only prompt."""
    drawn = yield from draw(1, prompt=question.direct)
    return majority(drawn, rng)
