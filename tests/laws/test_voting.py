"""Voting laws, held against votes that are counted out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from tests.laws.populations import counts, duels, voted

from ponder.errors import LawUndefined
from ponder.laws import Ballot, fit
from ponder.laws.voting import VOTING_LAWS, BetaVote, RiseAndFall, Vote, majority, vote_at, vote_of


def counted(chances: list[float], right: list[bool], samples: int) -> float:
    """The accuracy of a vote, by all outcomes; what lacks to 1 gives no answer."""
    silent = 1.0 - sum(chances)
    total = 0.0
    for outcome in product(range(len(chances) + 1), repeat=samples):
        chance = float(np.prod([[*chances, silent][each] for each in outcome]))
        votes = [outcome.count(each) for each in range(len(chances))]
        tied = [each for each in range(len(chances)) if votes[each] == max(votes) > 0]
        total += chance * sum(right[each] for each in tied) / max(1, len(tied))
    return total


@pytest.mark.parametrize("samples", [1, 2, 3, 6])
def test_a_vote_between_two_is_exact(samples: int) -> None:
    rng = np.random.default_rng(0)
    for chances, right in (([0.5, 0.3], [True, False]), ([0.6, 0.4], [False, True])):
        found = vote_of(np.array(chances), np.array(right), samples, rng=rng)
        assert found == pytest.approx(counted(chances, right, samples), abs=1e-12)


def test_a_vote_between_more_is_a_mean_of_votes() -> None:
    chances, right = [0.4, 0.2, 0.3], [True, True, False]
    found = vote_of(np.array(chances), np.array(right), 5, rng=np.random.default_rng(0))
    assert found == pytest.approx(counted(chances, right, 5), abs=0.01)


def test_a_majority_of_an_even_number_is_that_of_the_odd_one_below() -> None:
    voters = np.array([1.0, 2.0, 3.0, 4.0, np.inf])
    wanted = [counted([0.7, 0.3], [True, False], n) for n in (1, 2, 3, 4)]
    assert majority(voters, np.array(0.7)) == pytest.approx([*wanted, 1.0])
    assert wanted[0] == pytest.approx(wanted[1])
    assert majority(np.array([np.inf]), np.array(0.5)) == pytest.approx([0.5])


def test_votes_of_draws_are_unbiased() -> None:
    """The mean over many draws of a problem is the vote over fresh samples."""
    chances = np.tile([0.45, 0.25, 0.2], (3000, 1))
    data = voted(np.random.default_rng(1), chances, np.array([True, False, False]), draws=8)
    found = vote_at(data, np.array([1, 3, 5])).mean(axis=0)
    wanted = [counted([0.45, 0.25, 0.2], [True, False, False], k) for k in (1, 3, 5)]
    assert found == pytest.approx(wanted, abs=0.015)


def test_problems_with_other_numbers_of_draws_are_voted_on_together() -> None:
    ballots = (Ballot(np.array([3, 1]), np.array([True, False])), Ballot(np.array([2]), np.array([False])))
    data = counts(4, np.array([3, 0]), ballots)
    data = type(data)("made", "made", data.ids, np.array([4, 5]), np.array([3, 0]), ballots)
    assert vote_at(data, np.array([1, 4])) == pytest.approx(np.array([[0.75, 1.0], [0.0, 0.0]]))


def test_the_law_of_two_leaders_is_the_mean_over_problems() -> None:
    shares = np.random.default_rng(2).beta(0.7, 0.9, 100_000)
    law, samples = BetaVote(), np.array([1.0, 2.0, 5.0, 51.0, 1001.0, np.inf])
    found = law.at(np.array([[0.7, 0.9, 1.0, 0.0]]), samples)[0]
    assert found == pytest.approx([majority(np.array(n), shares).mean() for n in samples], abs=0.004)
    fewer = law.at(np.array([[0.7, 0.9, 0.5, 0.2]]), 2.0 * samples)[0]
    assert fewer == pytest.approx(0.8 * found, abs=1e-6)


def test_what_made_the_votes_is_found() -> None:
    data = duels(np.random.default_rng(3), 2.0, 1.5, problems=3000, draws=40, share=0.8)
    found = BetaVote().solve(data, np.ones((1, 3000)))[0]
    assert found == pytest.approx([2.0, 1.5, 0.8, 0.0], rel=0.1)
    rng = np.random.default_rng(4)
    chance = np.where(rng.random(3000) < 0.6, 0.7, 0.4)
    two = voted(rng, np.stack([chance, 1 - chance], axis=1), np.array([True, False]), draws=40)
    found = RiseAndFall().solve(two, np.ones((1, 3000)))[0]
    assert found == pytest.approx([0.6, 0.7, 0.4, 1.0, 0.0], abs=0.03)


def test_problems_without_a_vote_are_never_won() -> None:
    some = duels(np.random.default_rng(5), 2.0, 2.0, problems=100, draws=20)
    empty = Ballot(np.array([], np.int64), np.array([], np.bool_))
    assert some.ballots is not None
    data = counts(20, np.append(some.right, np.zeros(100, int)), (*some.ballots, *[empty] * 100))
    for law in (BetaVote(), RiseAndFall()):
        alone = law.at(law.solve(some, np.ones((1, 100))), np.array([9.0]))[0, 0]
        both = law.at(law.solve(data, np.ones((1, 200))), np.array([9.0]))[0, 0]
        assert both == pytest.approx(alone / 2)


@pytest.mark.parametrize(("easy", "p", "q"), [(0.6, 0.7, 0.45), (0.5, 0.85, 0.4), (0.7, 0.6, 0.47)])
def test_the_best_number_of_votes_is_the_highest_of_all(easy: float, p: float, q: float) -> None:
    law, parameters = RiseAndFall(), np.array([[easy, p, q, 1.0, 0.0]])
    odd = np.arange(1.0, 2001.0, 2.0)
    assert abs(law.best(parameters)[0] - odd[np.argmax(law.at(parameters, odd)[0])]) <= 1.0
    assert law.at(parameters, np.array([np.inf]))[0, 0] == pytest.approx(easy)


def test_votes_that_only_rise_or_only_fall_have_no_best_number_between() -> None:
    law = RiseAndFall()
    rows = [
        [0.8, 0.6, 0.2, 1.0, 0.0],
        [0.3, 0.9, 0.45, 1.0, 0.0],
        [0.6, 0.8, 0.5, 1.0, 0.0],
        [0.1, 0.6, 0.2, 1.0, 0.0],
    ]
    for row, wanted in zip(rows, (np.inf, np.inf, np.inf, 1.0), strict=True):
        parameters = np.array([row])
        odd = np.concatenate([np.arange(1.0, 4001.0, 2.0), [np.inf]])
        curve = law.at(parameters, odd)[0]
        best = law.best(parameters)[0]
        if np.isinf(best) or best == 1.0:
            assert best == (np.inf if curve[-1] >= curve[0] else 1.0)
            assert max(curve[0], curve[-1]) == pytest.approx(curve.max(), abs=1e-6)
        else:
            assert abs(odd[np.argmax(curve)] - best) <= 1.0
        assert best == wanted or row[1] == 0.9


def test_the_curve_as_drawn_is_kept_within_the_draws() -> None:
    data = duels(np.random.default_rng(6), 2.0, 1.5, problems=50, draws=32)
    law = Vote()
    found = law.solve(data, np.ones((1, 50)))
    ks = np.array([1, 2, 4, 8, 16, 32])
    assert law.at(found, ks.astype(float))[0] == pytest.approx(vote_at(data, ks).mean(axis=0))
    sixteen, all_of_them = vote_at(data, np.array([16, 32])).mean(axis=0)
    assert law.at(found, np.array([np.inf]))[0, 0] == pytest.approx(2 * all_of_them - sixteen)


def test_all_laws_tell_the_limit_of_votes_whose_margins_are_smooth() -> None:
    data = duels(np.random.default_rng(7), 3.0, 2.0, problems=400, draws=32)
    truth = 1.0 - 0.3125  # of Beta(3, 2) above a half
    for law in (Vote(), BetaVote()):
        told = fit(data, law, draws=100).predict([np.inf])
        assert told.low[0] < truth < told.high[0]
        assert told.high[0] - told.low[0] < 0.2
        assert told.beyond[0]


def test_a_peak_is_found_where_the_votes_fall_again() -> None:
    rng = np.random.default_rng(8)
    chance = np.where(rng.random(1000) < 0.5, 0.85, 0.42)
    data = voted(rng, np.stack([chance, 1 - chance], axis=1), np.array([True, False]), draws=64)
    found = fit(data, RiseAndFall(), draws=100)
    peak = found.peak(10_000)
    best = found.law.best(found.value[None, :])[0]  # type: ignore[attr-defined]
    assert peak.x.low <= peak.x.value <= peak.x.high
    assert peak.x.value == pytest.approx(best, rel=0.2)
    assert peak.falls == 1.0


def test_unknown_answers_and_closed_votes_are_refused() -> None:
    for law in VOTING_LAWS:
        with pytest.raises(LawUndefined, match="are unknown; a vote needs them"):
            fit(counts(8, np.array([1, 2, 3])), law)
    closed = tuple(Ballot(np.array([8]), np.array([True])) for _ in range(3))
    for law in (BetaVote(), RiseAndFall()):
        with pytest.raises(LawUndefined, match="no answer is wrong, so no vote is open"):
            fit(counts(8, np.array([8, 8, 8]), closed), law)
    with pytest.raises(LawUndefined, match="too few for vote@9"):
        vote_at(counts(8, np.array([8, 8, 8]), closed), np.array([9]))
