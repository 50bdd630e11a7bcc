"""Best-of-N under a verifier that errs: how it grows, where it ends, and when more samples do harm.

A verifier's scores of right and of wrong samples are two distributions, which its ROC curve compares. With
G(s) the share of samples that score at most s, the best of N scores s with the chance by which G^N grows
there, and a sample of that score is right with the chance that Bayes' rule gives. So for large N accuracy
tends to the precision of the verifier's highest scores alone. Where those are less precise than scores below,
because some wrong samples exploit the verifier, accuracy rises and then falls: over-optimisation (Gao,
Schulman & Hilton 2022, arXiv 2210.10760; Stroebl et al. 2024, Inference Scaling fLaws, arXiv 2411.17501).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.errors import LawUndefined
from ponder.laws import _beta_binomial
from ponder.measure import estimators
from ponder.measure.bank import Bank

__all__ = ["BestOf", "Verified", "best_at"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_NODES = 48  # of the integral over problems' chances of a right sample
_CROWD = 1e15  # samples that are as good as infinitely many


@dataclass(frozen=True)
class Verified:
    """Samples of P problems by the verifier's score, which has J levels, the best last: how many right ones
    [P, J] and how many wrong ones [P, J].

    Samples without a score are wrong ones of the first level: nothing speaks for them.
    """

    name: str
    right: Ints
    wrong: Ints

    @property
    def units(self) -> tuple[int, ...]:
        return (len(self.right),)

    @property
    def draws(self) -> Ints:
        """[P]"""
        drawn: Ints = self.right.sum(axis=1) + self.wrong.sum(axis=1)
        return drawn

    @property
    def least(self) -> int:
        """Draws of the problem that has fewest."""
        return int(self.draws.min())

    def thinned(self, k: int, rng: np.random.Generator) -> tuple[Verified, Verified]:
        """A random k of every problem's draws, and the others."""
        if self.least <= k:
            raise LawUndefined(
                f"samples: {self.name} has {self.least} a problem; to hold some back after {k}, draw more."
            )
        both = np.concatenate([self.right, self.wrong], axis=1)
        kept = np.array([rng.multivariate_hypergeometric(row, k) for row in both])
        levels = self.right.shape[1]
        first, rest = (
            Verified(self.name, part[:, :levels], part[:, levels:]) for part in (kept, both - kept)
        )
        return first, rest

    @classmethod
    def from_scores(
        cls, name: str, score: Floats, correct: NDArray[np.bool_], *, levels: int = 16
    ) -> Verified:
        """From scores [P, n] (nan: none) and grades [P, n]; scores are parted at quantiles of all of them."""
        known = ~np.isnan(score)
        if not known.any():
            raise LawUndefined(f"scores: {name} has none; score its samples first.")
        distinct = np.unique(score[known])
        if len(distinct) > levels:
            distinct = np.unique(np.quantile(score[known], np.arange(levels) / levels, method="lower"))
        level = np.where(
            known, np.searchsorted(distinct, np.where(known, score, distinct[0]), "right") - 1, 0
        )
        place = np.arange(len(score))[:, None] * len(distinct) + level
        right = known & correct
        tables = [
            np.bincount(place[mask], minlength=len(score) * len(distinct)).reshape(len(score), -1)
            for mask in (right, ~right)
        ]
        return cls(name, tables[0], tables[1])

    @classmethod
    def from_bank(cls, bank: Bank, scorer: str, *, levels: int = 16) -> Verified:
        """From a bank whose samples `scorer` has scored."""
        if scorer not in bank.scores:
            known = ", ".join(sorted(bank.scores)) or "none"
            raise LawUndefined(f"scorer: {scorer!r} has not scored these samples; scorers that did: {known}.")
        return cls.from_scores(scorer, bank.scores[scorer], bank.correct, levels=levels)


def best_at(data: Verified, ks: Floats | Ints) -> Floats:
    """[P, K]: the unbiased accuracy of the best of k of each problem's draws; ties within a level are broken
    uniformly. Raises LawUndefined for a k beyond the draws of a problem."""
    ks = np.asarray(ks, dtype=np.int64)
    most = int(ks.max(initial=0))
    if most > data.least:
        raise LawUndefined(
            f"samples: {data.name} has {data.least} a problem, too few for the best of {most}; draw more."
        )
    out = np.empty((len(data.right), ks.size))
    levels = np.tile(np.arange(data.right.shape[1], dtype=np.float64), 2)
    marks = np.repeat([True, False], data.right.shape[1])
    both = np.concatenate([data.right, data.wrong], axis=1)
    for n in np.unique(data.draws):
        rows = np.flatnonzero(data.draws == n)
        score = np.array([np.repeat(levels, both[row]) for row in rows])
        correct = np.array([np.repeat(marks, both[row]) for row in rows])
        out[rows] = estimators.best(score, correct, ks.tolist())
    return out


@dataclass(frozen=True, slots=True)
class BestOf:
    """Problems' chances of a right sample follow Beta(a, b); right samples score at level j with chance
    `right j`, wrong ones with chance `wrong j`, whatever the problem."""

    levels: int

    name = "best of N"

    @property
    def parameters(self) -> tuple[str, ...]:
        places = range(1, self.levels + 1)
        return ("a", "b", *(f"right {j}" for j in places), *(f"wrong {j}" for j in places))

    def reach(self, data: Verified) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Verified, weights: Floats) -> Floats:
        right, draws = data.right.sum(axis=1), data.draws
        if not right.any() or (right == draws).all():
            which = "right" if not right.any() else "wrong"
            raise LawUndefined(
                f"{data.name}: no sample is {which}, so it has no ROC curve; ask other problems."
            )
        pairs, place = np.unique(np.stack([draws, right], axis=1), axis=0, return_inverse=True)
        pooled = np.zeros((len(weights), len(pairs)))
        np.add.at(pooled.T, place.reshape(-1), weights.T)
        beta = _beta_binomial.solve(pooled, pairs[:, 0], pairs[:, 1], zeros=False, ones=False)[:, :2]
        spread = [weights @ table for table in (data.right, data.wrong)]
        return np.concatenate([beta, *(each / each.sum(axis=1, keepdims=True) for each in spread)], axis=1)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        place, weight = np.polynomial.legendre.leggauss(_NODES)
        chance = special.betaincinv(parameters[:, :1], parameters[:, 1:2], (place + 1.0) / 2.0)[:, None, :]
        right, wrong = np.split(parameters[:, 2:, None], 2, axis=1)
        hit, miss = chance * right, (1.0 - chance) * wrong  # [B, J, N]
        mass = hit + miss
        below = np.minimum(1.0, np.cumsum(mass, axis=1))
        below[:, -1] = 1.0  # rounding must not be raised to a high power
        precision = np.where(mass > 0.0, hit / np.where(mass > 0.0, mass, 1.0), 0.0)
        out = np.empty((len(parameters), len(x)))
        for column, samples in enumerate(np.minimum(x, _CROWD)):
            grown = np.diff(below**samples, axis=1, prepend=0.0)
            out[:, column] = (grown * precision).sum(axis=1) @ weight / 2.0
        return out
