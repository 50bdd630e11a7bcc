"""Adaptive voting (Aggarwal et al. 2023, arXiv 2305.11860): stop when the vote's outcome is settled."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from ponder.core import Draw, Question, Sample, Strategy, Wave
from ponder.strategies._posterior import leader_wins, quickest
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

    def settled(more: Sequence[Sample] = ()) -> bool:
        told = [*drawn, *more]
        counts, left = votes(told), n - len(told)
        abstained = len(told) - counts.total()
        return quickest(list(counts.values()), left, 1 - delta, abstained=abstained) == 0

    final = False
    while not final and not settled():
        counts, left = votes(drawn), n - len(drawn)
        least = quickest(list(counts.values()), left, 1 - delta, abstained=len(drawn) - counts.total())
        size = min(left, max(wave, least))
        reply = yield Wave((Draw(size),), until=settled if size > least else None)
        drawn += reply.samples[0]
        final = reply.final
    return majority(drawn, rng)
