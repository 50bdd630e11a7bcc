"""Made-up problems whose law is known."""

from __future__ import annotations

import numpy as np

from ponder.laws import Ballot, Counts


def counts(draws: int, right: np.ndarray, ballots: tuple[Ballot, ...] | None = None) -> Counts:
    """As many draws of each problem, so many of them right."""
    ids = tuple(f"p{i}" for i in range(len(right)))
    return Counts("made", "made", ids, np.full(len(right), draws), np.asarray(right), ballots)


def beta(
    rng: np.random.Generator,
    a: float,
    b: float,
    *,
    problems: int,
    draws: int,
    never: float = 0.0,
    always: float = 0.0,
) -> Counts:
    """Problems whose chance of a right draw is Beta(a, b), 0 for a share `never`, 1 for a share `always`."""
    chance = rng.beta(a, b, problems)
    kind = rng.random(problems)
    chance = np.where(kind < never, 0.0, np.where(kind > 1.0 - always, 1.0, chance))
    return counts(draws, rng.binomial(draws, chance))
