"""Best-of-N (Cobbe et al. 2021, arXiv 2110.14168 §4): sample many, return what a verifier likes best."""

from __future__ import annotations

from random import Random

from ponder.core import Question, Strategy
from ponder.strategies._steps import draw, score, top


def best(question: Question, rng: Random, *, n: int = 16, by: str = "likelihood") -> Strategy:
    """Sample n answers and return the one that scorer `by` likes best; abstain when nothing scores.

    The scorer knows no key: with the grader in its place this would be coverage, not a strategy.
    """
    drawn = yield from draw(n, logprobs=by in ("likelihood", "confidence"))
    scores = yield from score(drawn, by)
    return top(drawn, scores, rng)
