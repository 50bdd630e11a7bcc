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


def voted(rng: np.random.Generator, chances: np.ndarray, right: np.ndarray, *, draws: int) -> Counts:
    """Problems whose answers have the `chances` [P, M]; `right` [M]. What lacks to 1 gives no answer."""
    silent = np.maximum(0.0, 1.0 - chances.sum(axis=1, keepdims=True))
    whole = np.concatenate([chances, silent], axis=1)
    given = rng.multinomial(draws, whole / whole.sum(axis=1, keepdims=True))[:, :-1]
    ballots = tuple(Ballot(row, np.asarray(right)) for row in given)
    return counts(draws, given[:, right].sum(axis=1), ballots)


def duels(
    rng: np.random.Generator, a: float, b: float, *, problems: int, draws: int, share: float = 1.0
) -> Counts:
    """Two answers a problem; the right one has Beta(a, b) of the `share` of draws that have an answer."""
    chance = rng.beta(a, b, problems)
    chances = share * np.stack([chance, 1.0 - chance], axis=1)
    return voted(rng, chances, np.array([True, False]), draws=draws)
