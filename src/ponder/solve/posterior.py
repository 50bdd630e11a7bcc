"""What more samples of a problem are worth, before they are drawn. Pure arithmetic on counts of votes.

A problem's answers are exchangeable draws from an unknown distribution with a Dirichlet posterior: an answer
seen c times weighs c, and STRENGTH more is the prior's, of which UNSEEN is the weight of the one answer not
seen yet that could overtake (the rest is spread over many). Voting for an answer is worth its share: the
chance that it is right if the model's answers are calibrated, as those of the tuning tasks nearly are. So
where answers are spread thin there is little to win, and a problem is given up.

The worth of m more samples is the expected rise of the winner's share, the knowledge gradient (Frazier,
Powell & Dayanik 2009, doi 10.1287/ijoc.1080.0314), against the closest competitor alone, which is what OCBA
spends on most (Chen, Lin, Yücesan & Chick 2000, doi 10.1023/A:1008349927281). One sample alone often cannot
change a vote and would look worthless; so the m with the largest worth per cost counts (KG(*), Frazier &
Powell 2010, doi 10.1287/deca.1100.0190).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, inf
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponder.strategies._posterior import leader_wins

__all__ = ["FLOOR", "STRENGTH", "UNSEEN", "Ending", "Step", "first_step", "gain", "next_step"]

STRENGTH, UNSEEN = 1.0, 0.5
FLOOR = 0.002
"""The least expected rise for which a problem is kept open. All three are tuned on a bank's tuning tasks."""

SETTLED = 0.9  # a problem left with its leader this sure to win is settled, any other given up

Ending = Literal["settled", "given up"]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """Draw `more` samples; `index` is the worth per cost of going on. `ending` says why no more is drawn."""

    more: int
    index: float
    ending: Ending | None = None


def first_step(budget: float, *, read: float, each: float) -> int:
    """How many samples a problem gets at first when `budget` (inf: no limit) is its even part of all.

    One; or, as far as that budget has room for them, as many as cost as much as reading the prompt (`read`)
    at `each` a sample, so that few problems have to read it again.
    """
    wanted = ceil(read / each)
    room = wanted if budget == inf else int((budget - read) // each)
    return max(1, min(room, wanted))


def next_step(
    votes: Sequence[int],
    remaining: int,
    *,
    read: float,
    each: float,
    abstained: int = 0,
    floor: float = FLOOR,
) -> Step:
    """What to draw next, of at most `remaining` samples, or why to stop.

    `votes` counts each answer seen, `abstained` the draws without one. `read` >= 0 is what one reading of the
    prompt costs and `each` > 0 what a sample costs, in any one unit. The index is that of the samples that
    are worth most for their cost; of these no more are drawn at once than cost as much as reading the prompt
    again, since the next look may save the rest. The step depends on this problem alone: allocation compares
    indices.
    """
    leader, rival, *_ = [*sorted(votes, reverse=True), 0, 0]
    drawn = sum(votes) + abstained
    worth = {m: gain(leader, rival, drawn, m) for m in _lookaheads(remaining)}
    if max(worth.values(), default=0.0) < floor:
        sure = leader_wins(votes, remaining, abstained=abstained) >= SETTLED
        return Step(0, 0.0, "settled" if sure else "given up")
    index, most = max((rise / (read + m * each), m) for m, rise in worth.items())
    return Step(min(most, max(1, ceil(read / each))), index)


def _lookaheads(remaining: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, ... up to 64, and never beyond what remains."""
    sizes = [1, *(size for power in range(1, 6) for size in (1 << power, 3 << (power - 1))), 64]
    return [size for size in sizes if size <= remaining]


@lru_cache(maxsize=1 << 18)
def gain(leader: int, rival: int, drawn: int, more: int) -> float:
    """The expected rise of the winner's share, in [0, 1], from `more` samples.

    `leader` and `rival` are the two largest counts of votes (0: none) among `drawn` samples.
    """
    seen = 0.0 if rival == 0 else _gain(leader, rival, float(rival), drawn, more)
    return max(seen, _gain(leader, 0, UNSEEN, drawn, more))


def _gain(leader: int, rival: int, weight: float, drawn: int, more: int) -> float:
    """E[max(0, rival's votes - leader's)] after `more` samples, as a share."""
    whole = drawn + STRENGTH
    counts = np.arange(more + 1)
    rise = (counts[None, :] + rival - counts[:, None] - leader).clip(min=0) / (whole + more)
    return float((_chances(float(leader), weight, whole, more) * rise).sum())


def _chances(a: float, b: float, whole: float, more: int) -> Floats:
    """[m+1, m+1]: the probability that of `more` samples x vote for the leader (row) and y for its rival
    (column), a Dirichlet-multinomial with weights a, b and `whole` - a - b for all else."""
    x, y = np.arange(more + 1)[:, None], np.arange(more + 1)[None, :]
    z = more - x - y
    factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, more + 1)))])
    log = factorial[more] - factorial[x] - factorial[y] - factorial[np.maximum(z, 0)]
    log = log + _rising(a, more)[x] + _rising(b, more)[y] + _rising(whole - a - b, more)[np.maximum(z, 0)]
    out: Floats = np.where(z >= 0, np.exp(log - _rising(whole, more)[more]), 0.0)
    return out


def _rising(weight: float, most: int) -> Floats:
    """log(weight·(weight + 1)···(weight + k - 1)) for k = 0..most; what has no weight is never drawn."""
    with np.errstate(divide="ignore"):
        out: Floats = np.concatenate([[0.0], np.cumsum(np.log(weight + np.arange(most)))])
    return out
