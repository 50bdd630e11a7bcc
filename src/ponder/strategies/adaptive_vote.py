"""Adaptive voting (Aggarwal et al. 2023, arXiv 2305.11860): stop when the vote's outcome is settled."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ponder.core import Draw, Question, Sample, Strategy, Wave
from ponder.strategies._posterior import quickest
from ponder.strategies._steps import majority, votes


def adaptive_vote(
    question: Question, rng: Random, *, n: int = 64, delta: float = 0.1, wave: int = 1
) -> Strategy:
    """Vote, and stop once the leader would also win the vote of n with probability 1 - delta or more.

    Each wave is the shortest that can settle the vote, so none of its samples could have been spared;
    `wave` makes waves longer, for fewer of them: what a wave still has in flight when it is settled is
    cancelled.
    """
    drawn: tuple[Sample, ...] = ()

    def needed(more: Sequence[Sample] = ()) -> int:
        told = [*drawn, *more]
        counts = votes(told)
        abstained = len(told) - counts.total()
        return quickest(list(counts.values()), n - len(told), 1 - delta, abstained=abstained)

    while (least := needed()) > 0:
        size = max(least, min(wave, n - len(drawn)))
        reply = yield Wave((Draw(size),), until=None if size == least else lambda more: needed(more) == 0)
        drawn += reply.samples[0]
        if reply.final:
            break
    return majority(drawn, rng)
