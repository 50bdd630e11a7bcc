"""How the accuracy of a vote grows, and may fall, with the number of samples; and its limit.

A vote of many samples gives a problem's most likely answer, so its accuracy tends to the share of problems
whose most likely answer is right (Wu et al. 2024, Inference Scaling Laws, arXiv 2408.00724), from
above where hard problems are lost more slowly than easy ones are won (Chen et al. 2024, Are More LLM Calls
All You Need?, arXiv 2403.02419).

Answers are not drawn anew from a problem's own histogram to make the intervals: those draws would carry the
luck of the first ones twice, and a vote of any size over them is at best as good as one over the draws there
are. Problems are resampled with their draws, as for every law.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.errors import LawUndefined
from ponder.laws import _beta_binomial
from ponder.laws.data import Ballot, Counts
from ponder.measure import estimators

__all__ = ["VOTING_LAWS", "BetaVote", "RiseAndFall", "Vote", "majority", "vote_at", "vote_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_EXACT_UP_TO = 48  # draws
_ROUNDS = 2  # random orders of more draws, each read from 64 starts: problems are many
_HALVINGS = 12
_CROWD = 1e9  # votes that are as good as infinitely many
_NODES = 32  # of the integral over the share at which a vote turns


def vote_of(
    chances: Floats, right: Bools, samples: int, *, rng: np.random.Generator, rounds: int = 20_000
) -> float:
    """The accuracy of a vote of so many samples where the chance of each answer is known.

    `chances` [M] sum to at most 1; what lacks is the chance of no answer. Ties are broken uniformly. Exact
    for two answers; for more the mean of `rounds` votes.
    """
    silent = max(0.0, 1.0 - float(chances.sum()))
    if len(chances) == 2:
        return _vote_of_two(chances, right, silent, samples)
    votes = rng.multinomial(samples, np.append(chances, silent) / (chances.sum() + silent), size=rounds)[
        :, :-1
    ]
    most = votes.max(axis=1, keepdims=True)
    tied = (votes == most) & (most > 0)
    return float(((tied & right).sum(axis=1) / np.maximum(1, tied.sum(axis=1))).mean())


def _vote_of_two(chances: Floats, right: Bools, silent: float, samples: int) -> float:
    voting = np.arange(samples + 1)
    many = np.exp(
        special.gammaln(samples + 1)
        - special.gammaln(voting + 1)
        - special.gammaln(samples - voting + 1)
        + special.xlogy(voting, 1.0 - silent)
        + special.xlogy(samples - voting, silent)
    )
    won = majority(np.maximum(voting, 1).astype(np.float64), chances[0] / chances.sum())
    accuracy = np.where(right[0], won, 0.0) + np.where(right[1], 1.0 - won, 0.0)
    return float(many[1:] @ accuracy[1:])


def majority(voters: Floats, share: Floats) -> Floats:
    """The chance that of so many votes, each for the first of two with chance `share`, the first wins; a tie
    counts half. `voters` may be infinite, and need not be whole: it may be a mean."""
    sure = np.where(share == 0.5, 0.5, share > 0.5)
    half = (_odd(np.where(np.isfinite(voters), voters, 1.0)) + 1.0) / 2.0
    won: Floats = np.where(np.isfinite(voters), special.betainc(half, half, share), sure)
    return won


def _odd(voters: Floats) -> Floats:
    """The odd number of votes that does as well: an even number does as the odd one below it, for its last
    vote can but make a tie; between whole numbers by a straight line."""
    pairs = np.floor(voters / 2.0)
    odd: Floats = np.maximum(1.0, 2.0 * pairs - 1.0 + 2.0 * np.minimum(1.0, voters - 2.0 * pairs))
    return odd


def vote_at(counts: Counts, ks: Floats | Ints) -> Floats:
    """[P, K]: the unbiased accuracy of a vote of k of each problem's draws, without replacement: exact for up
    to 48 draws and for all of them, else a mean over random orders. Raises LawUndefined for a k beyond the
    draws of a problem, or where answers are unknown."""
    ks = np.asarray(ks, dtype=np.int64)
    ballots = _ballots(counts)
    most = int(ks.max(initial=0))
    if most > counts.least:
        raise LawUndefined(
            f"samples: {counts.name} has {counts.least} a problem, too few for vote@{most}; draw more."
        )
    out = np.empty((len(ballots), ks.size))
    for n in np.unique(counts.draws):
        rows = np.flatnonzero(counts.draws == n)
        some = ks < n
        out[np.ix_(rows, ~some)] = np.array([_vote_of_all(ballots[row]) for row in rows])[:, None]
        if some.any():
            drawn = [_listed(ballots[row], int(n)) for row in rows]
            choice, correct = np.array([each[0] for each in drawn]), np.array([each[1] for each in drawn])
            out[np.ix_(rows, some)] = _vote(choice, correct, ks[some].tolist())
    return out


def _vote_of_all(ballot: Ballot) -> float:
    """The share of right answers among those that were given most."""
    if not ballot.given.any():
        return 0.0
    return float(ballot.right[ballot.given == ballot.given.max()].mean())


def _listed(ballot: Ballot, draws: int) -> tuple[Ints, Bools]:
    """Each draw's choice [n], -1 for none, and whether it is right [n]."""
    choice = np.full(draws, -1, dtype=np.int64)
    correct = np.zeros(draws, dtype=np.bool_)
    voted = int(ballot.given.sum())
    choice[:voted] = np.repeat(np.arange(len(ballot.given)), ballot.given)
    correct[:voted] = np.repeat(ballot.right, ballot.given)
    return choice, correct


def _vote(choice: Ints, correct: Bools, ks: list[int]) -> Floats:
    if choice.shape[1] <= _EXACT_UP_TO:
        return estimators.vote_exact(choice, correct, ks)
    return estimators.vote_sampled(choice, correct, ks, rng=np.random.default_rng(0), rounds=_ROUNDS)


def _ballots(counts: Counts) -> tuple[Ballot, ...]:
    if counts.ballots is None:
        raise LawUndefined(f"answers: those of {counts.name} are unknown; a vote needs them.")
    return counts.ballots


class Vote:
    """The curve itself, as far as it was drawn; beyond, a straight line in 1/N through its last two points.

    Where problems' margins are spread smoothly around a tie, the accuracy of a vote of N approaches its limit
    as 1/N: the noise of a margin has variance 1/N, and it moves as many problems across a tie in either
    direction but for the slope of their density. So the limit is 2·vote@n - vote@(n/2), Richardson's
    extrapolation.
    """

    name = "vote as drawn"
    parameters = ("draws", *(f"vote at draws/{2**j}" for j in range(_HALVINGS + 1)))

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: Floats) -> Floats:
        if data.least < 2:
            raise LawUndefined(f"samples: {data.name} has one of some problem; draw at least 2 of each.")
        votes = vote_at(data, _halved(data.least))
        means = weights @ votes / weights.sum(axis=1, keepdims=True)
        return np.concatenate([np.full((len(weights), 1), float(data.least)), means], axis=1)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        nodes, first = np.unique(1.0 / _halved(int(parameters[0, 0])), return_index=True)
        values = parameters[:, 1 + first]
        s = 1.0 / x
        after = np.clip(np.searchsorted(nodes, s), 1, len(nodes) - 1)
        part = (s - nodes[after - 1]) / (nodes[after] - nodes[after - 1])
        made: Floats = np.clip((1.0 - part) * values[:, after - 1] + part * values[:, after], 0.0, 1.0)
        return made


def _halved(draws: int) -> Ints:
    halved: Ints = np.maximum(1, draws >> np.arange(_HALVINGS + 1))
    return halved


@dataclass(frozen=True, slots=True)
class _Duels:
    """For each problem the votes for a right answer and for the wrong one that was given most: distinct pairs
    [U], each problem's place among them [P] (problems without such a vote have none, -1), and the share of
    draws that went to the two [P]."""

    votes: Ints
    won: Ints
    place: Ints
    share: Floats

    @classmethod
    def of(cls, counts: Counts) -> _Duels:
        ballots = _ballots(counts)
        won = np.array([int(each.given[each.right].max(initial=0)) for each in ballots])
        lost = np.array([int(each.given[~each.right].max(initial=0)) for each in ballots])
        if not won.any() or not lost.any():
            which = "right" if not won.any() else "wrong"
            raise LawUndefined(
                f"{counts.name}: no answer is {which}, so no vote is open; ask other problems."
            )
        pairs, place = np.unique(np.stack([won + lost, won], axis=1), axis=0, return_inverse=True)
        place = place.reshape(-1) - int(pairs[0, 0] == 0)
        voted = pairs[pairs[:, 0] > 0]
        return cls(voted[:, 0], voted[:, 1], place, (won + lost) / counts.draws)

    def pooled(self, weights: Floats) -> Floats:
        """[B, P] -> [B, U]."""
        out = np.zeros((len(weights), len(self.votes)))
        known = self.place >= 0
        np.add.at(out.T, self.place[known], weights.T[known])
        return out

    def rest(self, weights: Floats) -> Floats:
        """[B, 2]: the two's share of the draws, and the share of problems without a vote for either."""
        total = weights.sum(axis=1)
        silent = weights[:, self.place < 0].sum(axis=1) / total
        share = weights @ self.share / total / np.maximum(1.0 - silent, 1e-12)
        return np.stack([share, silent], axis=1)


class BetaVote:
    """A right answer against the wrong one that is given most: its share of their votes follows Beta(a, b)
    over problems, and the vote is theirs alone.

    Of N samples `share` go to the two; a share `silent` of problems has no vote for either. The limit is
    (1 - silent) · P(Beta(a, b) > 1/2).
    """

    name = "beta vote"
    parameters = ("a", "b", "share", "silent")

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: Floats) -> Floats:
        duels = _Duels.of(data)
        found = _beta_binomial.solve(duels.pooled(weights), duels.votes, duels.won, zeros=False, ones=False)
        return np.concatenate([found[:, :2], duels.rest(weights)], axis=1)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        # The vote turns where the share passes a value that is spread as Beta(h, h), h = (voters + 1)/2; so
        # the chance to win is that of a share above it.
        a, b, share, silent = (column[:, None] for column in parameters.T)
        turns, weight = _turns(x[None, :] * share)
        above = special.betaincc(a[..., None], b[..., None], turns)
        won: Floats = (1.0 - silent) * (above @ weight)
        return won


def _turns(voters: Floats) -> tuple[Floats, Floats]:
    """[B, X, N] shares at which votes turn, evenly likely but for the weights [N] of Gauss and Legendre."""
    place, weight = np.polynomial.legendre.leggauss(_NODES)
    # Rounded to a thousandth, so that few distinct numbers of voters have their quantiles computed.
    rounded, back = np.unique(np.round(np.log(_odd(np.minimum(voters, _CROWD))), 3), return_inverse=True)
    half = (np.exp(rounded) + 1.0) / 2.0
    quantiles = special.betaincinv(half[:, None], half[:, None], (place + 1.0) / 2.0)
    return quantiles[back.reshape(voters.shape)], weight / 2.0


class RiseAndFall:
    """Two kinds of problems: a share `easy`, whose right answer is given with chance p > 1/2 against the
    wrong one that is given most, and hard ones with chance q < 1/2 (Chen et al. 2024, arXiv 2403.02419).

    Where easy ones are won faster than hard ones are lost, the accuracy rises and then falls. Fitted by
    maximum likelihood with the EM algorithm. `share` and `silent` are those of `BetaVote`.
    """

    name = "rise and fall"
    parameters = ("easy", "p", "q", "share", "silent")

    def reach(self, data: Counts) -> tuple[float, float]:
        return 1.0, float(data.least)

    def solve(self, data: Counts, weights: Floats) -> Floats:
        duels = _Duels.of(data)
        found = _two_binomials(duels.pooled(weights), duels.votes, duels.won)
        return np.concatenate([found, duels.rest(weights)], axis=1)

    def at(self, parameters: Floats, x: Floats) -> Floats:
        easy, p, q, share, silent = (column[:, None] for column in parameters.T)
        voters = x[None, :] * share
        made: Floats = (1.0 - silent) * (easy * majority(voters, p) + (1.0 - easy) * majority(voters, q))
        return made

    def best(self, parameters: Floats) -> Floats:
        """[B]: the number of samples at which the accuracy is highest (ibid.): inf where it rises
        without end, 1 where it falls from the start."""
        easy, p, q, share, _ = parameters.T
        gain, loss = easy * (2 * p - 1), (1 - easy) * (1 - 2 * q)
        with np.errstate(divide="ignore", invalid="ignore"):
            turn = 2.0 * np.log(gain / loss) / np.log(q * (1 - q) / (p * (1 - p)))
        slower = q * (1 - q) > p * (1 - p)  # hard ones are lost more slowly
        # Without a turn the better of the ends: where hard ones are lost faster, the curve falls, then rises.
        rising = np.where(slower, loss <= 0.0, easy > self.at(parameters, np.ones(1))[:, 0])
        inside = slower & (loss > 0.0) & (gain > loss)
        return np.where(inside, np.maximum(1.0, turn / share), np.where(rising, np.inf, 1.0))


_EM_STEPS = 300
_EDGE = 1e-4
_TINY = 1e-300  # votes of a kind that no problem is of


def _two_binomials(weights: Floats, votes: Ints, won: Ints) -> Floats:
    """[B, U] weights -> [B, 3]: the share of the easy ones, p in [1/2, 1) and q in (0, 1/2]."""
    easy = np.full((len(weights), 1), 0.5)
    p, q = np.full_like(easy, 0.8), np.full_like(easy, 0.2)
    total = weights.sum(axis=1, keepdims=True)
    for _ in range(_EM_STEPS):
        before = np.concatenate([easy, p, q], axis=1)
        odds = np.log(easy / (1.0 - easy)) + won * np.log(p / q) + (votes - won) * np.log((1 - p) / (1 - q))
        first = weights * special.expit(odds)
        second = weights - first
        easy = np.clip(first.sum(axis=1, keepdims=True) / total, _EDGE, 1.0 - _EDGE)
        p = np.clip((first @ won / np.maximum(first @ votes, _TINY))[:, None], 0.5, 1.0 - _EDGE)
        q = np.clip((second @ won / np.maximum(second @ votes, _TINY))[:, None], _EDGE, 0.5)
        after = np.concatenate([easy, p, q], axis=1)
        if float(np.abs(after - before).max()) < 1e-8:
            break
    return after


VOTING_LAWS = (Vote(), BetaVote(), RiseAndFall())
