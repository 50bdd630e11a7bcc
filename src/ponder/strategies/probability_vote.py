"""Voting with probabilities (perplexity consistency, Zhou et al. 2025, arXiv 2502.00511), until settled."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, fsum
from random import Random

from ponder.core import Draw, Question, Sample, Strategy, Wave
from ponder.strategies._steps import majority, weighted

FLOOR = 0.01
"""Where the texts seen hold less than this of all probability, votes say more than probabilities do."""


def probability_vote(
    question: Question, rng: Random, *, n: int = 12, slack: float = 0.1, first: int = 3, wave: int = 1
) -> Strategy:
    """Return the answer whose distinct texts are together the most probable, and stop as soon as its lead is
    `slack` of the probability that is not seen yet (at 1 no text unseen could overturn it).

    Heads are a noisy count of probabilities that the model tells exactly, so that few samples say what many
    votes would. For short answers; long ones, of which each is improbable, fall back to a vote.
    """
    drawn: tuple[Sample, ...] = ()
    while len(drawn) < n:
        size = min(wave if drawn else first, n - len(drawn))
        reply = yield Wave((Draw(size, logprobs=True),))
        drawn += reply.samples[0]
        lead, unseen = _standing(drawn)
        if reply.final or 0 < lead >= slack * unseen:
            break
    distinct = list({s.text: s for s in drawn if s.logprob is not None}.values())
    mass = [exp(s.logprob or 0.0) for s in distinct]
    return weighted(distinct, mass, rng) if fsum(mass) >= FLOOR else majority(drawn, rng)


def _standing(drawn: Sequence[Sample]) -> tuple[float, float]:
    """The leading answer's probability less the next one's, and the probability of all texts unseen."""
    chances = {s.text: (s.choice, exp(s.logprob)) for s in drawn if s.logprob is not None}
    sums: dict[str, float] = {}
    for choice, chance in chances.values():
        if choice is not None:
            sums[choice] = sums.get(choice, 0.0) + chance
    leader, rival = [*sorted(sums.values(), reverse=True), 0.0, 0.0][:2]
    return leader - rival, max(0.0, 1.0 - fsum(chance for _, chance in chances.values()))
