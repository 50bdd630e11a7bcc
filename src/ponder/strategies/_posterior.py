"""What the votes so far say of the vote to come. Pure arithmetic on counts.

Votes are exchangeable draws from an unknown distribution over answers with a Dirichlet prior: SEEN
pseudo-votes for each answer that has been seen, and for having none; UNSEEN for all other answers
together, which count as one rival.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import cos, exp, lgamma, log, pi, sin

__all__ = ["leader_wins", "quickest"]

SEEN, UNSEEN = 0.5, 1.0
_LIMIT = 400  # beyond so many draws to come the limit of infinitely many is as good, and cheap


def leader_wins(votes: Sequence[int], remaining: int, *, abstained: int = 0) -> float:
    """A lower bound on the probability that the leader still leads after `remaining` further draws.

    `votes` counts each answer seen, `abstained` the draws without an answer. Exact for one rival
    (Dirichlet-multinomial, ties half won); over several rivals the chances of losing are added up
    (Bonferroni). 0 when nothing was voted.
    """
    if not votes:
        return 0.0
    leader, *rivals = sorted(votes, reverse=True)
    whole = sum(votes) + abstained + SEEN * (len(votes) + 1) + UNSEEN
    ahead = [(leader - rival, rival + SEEN) for rival in rivals] + [(leader, UNSEEN)]
    a = leader + SEEN
    return max(0.0, 1.0 - sum(_overtakes(lead, a, b, whole - a - b, remaining) for lead, b in ahead))


def quickest(votes: Sequence[int], remaining: int, bar: float, *, abstained: int = 0) -> int:
    """The fewest further draws after which `leader_wins` can reach `bar`: if all of them vote for the
    leader. 0 when it is reached already; `remaining` when it cannot be."""
    leader, *rivals = sorted(votes, reverse=True) or [0]

    def reached(more: int) -> bool:
        counts = [leader + more, *rivals] if leader + more else []
        return leader_wins(counts, remaining - more, abstained=abstained) >= bar

    # A draw at least, where there is none yet; certain once nothing remains and the leader is ahead.
    low, high = (0 if votes else min(1, remaining)), remaining
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle + 1, high)
    return low


@lru_cache(maxsize=1 << 16)
def _overtakes(lead: int, a: float, b: float, rest: float, remaining: int) -> float:
    """The probability that a rival is ahead at the end, a tie counting half. The leader has `lead` votes more
    than it; `a`, `b`, `rest` are the Dirichlet's parameters of leader, rival and all else."""
    if remaining > _LIMIT:
        return _beta_below_half(a, b)
    both = _beta_binomial(remaining, a + b, rest)
    likely = [(pair, weight) for pair, weight in enumerate(both) if weight > 1e-12]
    return sum(weight * _rival_ahead(lead, pair, a, b) for pair, weight in likely)


@lru_cache(maxsize=1 << 14)
def _rival_ahead(lead: int, pair: int, a: float, b: float) -> float:
    """Of `pair` further votes for the two, the rival gets more than the leader by over `lead`."""
    gains = _beta_binomial(pair, b, a)
    won = sum(p for gain, p in enumerate(gains) if 2 * gain - pair > lead)
    tied = sum(p for gain, p in enumerate(gains) if 2 * gain - pair == lead)
    return won + tied / 2


@lru_cache(maxsize=1 << 12)
def _beta_binomial(n: int, a: float, b: float) -> tuple[float, ...]:
    """P(k of n) for k = 0..n under a Beta(a, b) chance."""
    whole = lgamma(n + 1) + lgamma(a + b) - lgamma(a) - lgamma(b) - lgamma(n + a + b)
    return tuple(
        exp(whole + lgamma(k + a) + lgamma(n - k + b) - lgamma(k + 1) - lgamma(n - k + 1))
        for k in range(n + 1)
    )


def _beta_below_half(a: float, b: float) -> float:
    """P(p < 1/2) for p ~ Beta(a, b), by Simpson's rule on the half-angle p = sin²t, where the density
    is (sin t)^(2a-1) (cos t)^(2b-1), smooth for a, b >= 1/2."""
    steps = 400

    def density(t: float) -> float:
        if t <= 0:
            return 0.0 if a > 0.5 else exp(log(2) - (lgamma(a) + lgamma(b) - lgamma(a + b)))
        log_density = (2 * a - 1) * log(sin(t)) + (2 * b - 1) * log(cos(t))
        return exp(log(2) + log_density - (lgamma(a) + lgamma(b) - lgamma(a + b)))

    width = pi / 4 / steps
    inner = sum((4 if i % 2 else 2) * density(i * width) for i in range(1, steps))
    return (density(0.0) + inner + density(pi / 4)) * width / 3
