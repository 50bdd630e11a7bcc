"""What each effort word takes and gets: samples from the effort table, accuracy from a measured law of votes.

A vote that stops by itself takes fewer samples than its most. How many is found by drawing votes from each
problem's own recorded answers: this tells of cost alone, so that an answer may be drawn twice. Accuracy is
the law's at the most, as the strategies stop only where the vote's winner is all but sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from ponder.config import efforts
from ponder.errors import InputError, LawUndefined
from ponder.govern.calculator import Floats, Group, Input, LawChoice, Measured
from ponder.laws import Counts, Fit
from ponder.laws.compare import Forecast, chosen
from ponder.laws.fit import resampling
from ponder.laws.sources import counts_of
from ponder.laws.voting import VOTING_LAWS, vote_at
from ponder.quantity import Quantity, from_draws
from ponder.strategies import Plan, plan
from ponder.strategies._posterior import SEEN, UNSEEN

__all__ = ["EFFORTS", "GROUP", "Effort", "measure_efforts", "most_samples", "samples_of", "until_settled"]

_REFITS = 1000
_STEPS = 100  # numbers of samples after which a vote is looked at, evenly in their logarithm


@dataclass(frozen=True, slots=True)
class Effort:
    """A word with its strategy, and the most samples that it takes."""

    word: str
    plan: Plan
    most: int


def _known() -> tuple[Effort, ...]:
    """Words whose strategy draws whole worked answers and votes, least effort first; one draw is a vote of
    one."""
    found = []
    for word, row in efforts().items():
        of = plan(row.strategy)
        if of.name in ("think", "vote", "adaptive_vote"):
            found.append(Effort(word, of, 1 if of.name == "think" else int(of.parameter("n"))))
    return tuple(found)


EFFORTS = _known()

GROUP = Group(
    "efforts",
    "What each effort word takes and gets. Without a law the samples are the most that the word allows, and "
    "the accuracy is unknown.",
    (
        Input("samples", "", "Samples of a task, in samples of the mean length", optional=True),
        Input(
            "accuracy",
            "",
            "Share of the tasks that it does right",
            optional=True,
            positive=False,
            least=0.0,
            most=1.0,
        ),
    ),
    {each.word: {} for each in EFFORTS},
)


def most_samples(word: str) -> float:
    """The most samples that an effort word takes; nan for a word that the table does not have."""
    return next((float(each.most) for each in EFFORTS if each.word == word), np.nan)


def samples_of(x: Mapping[str, Floats], word: str) -> Floats:
    """[B]: a task's samples, the most where they are not known."""
    given = x[f"efforts.{word}.samples"]
    return np.where(np.isnan(given), most_samples(word), given)


def measure_efforts(of: LawChoice) -> Measured:
    """Accuracy and samples of each word, and tokens of a sample, from a recording or a run.

    Raises InputError for a run of several tasks of which none is named, LawUndefined without answers to vote.
    """
    counts = _one_task(of)
    fitted, forecasts = chosen(counts, VOTING_LAWS, seen=vote_at, draws=_REFITS)
    tokens = np.ones(len(counts.ids)) if counts.tokens is None else counts.tokens
    weights = resampling(counts.units, _REFITS, np.random.default_rng(0))
    source = f"{fitted.law.name} of {counts.name} on {counts.task}, {len(counts.ids)} problems"
    quantities: dict[str, Quantity] = {}
    for each in EFFORTS:
        at = np.array([float(each.most)])
        right = fitted.law.at(fitted.draws, at)[:, 0]
        value = float(fitted.law.at(fitted.value[None, :], at)[0, 0])
        quantities[f"efforts.{each.word}.accuracy"] = _shared(right, source, value)
        used = _samples(each, counts)
        quantities[f"efforts.{each.word}.samples"] = _mean(weights, used, tokens, source)
    if counts.tokens is not None:
        quantities["sample_tokens"] = _mean(weights, counts.tokens, np.ones(len(counts.ids)), source)
    return Measured(quantities, source, notes=_notes(counts, fitted, forecasts))


def _one_task(of: LawChoice) -> Counts:
    found = counts_of(of.run, of.ledger, [of.task] if of.task else ())
    if len(found) > 1:
        names = ", ".join(each.task for each in found)
        raise InputError(f"task: {of.run} has {names}; name one with --task.")
    if found[0].ballots is None:
        raise LawUndefined(f"law: {of.run} tells no answers, so no vote is known; take another run.")
    return found[0]


def _shared(draws: Floats, source: str, value: float) -> Quantity:
    return from_draws(draws, value=value, together=source)


def _mean(weights: Floats, values: Floats, sizes: Floats, source: str) -> Quantity:
    """The mean of `values` [P] over problems, each as often as its size, under each weighting."""
    means = (weights @ (values * sizes)) / (weights @ sizes)
    return _shared(means[1:], source, float(means[0]))


def _samples(effort: Effort, counts: Counts) -> Floats:
    """[P]: samples that a problem takes."""
    if effort.plan.name != "adaptive_vote":
        return np.full(len(counts.ids), float(effort.most))
    return until_settled(counts, effort.most, float(effort.plan.parameter("delta")))


def until_settled(counts: Counts, most: int, delta: float, *, seed: int = 0) -> Floats:
    """[P]: after how many samples an adaptive vote of `most` stops: once its leader would lose the vote with
    a chance of `delta` at most (Aggarwal et al. 2023, arXiv 2305.11860). Votes to come are normal here, with
    the mean and variance of the strategy's own Dirichlet-multinomial."""
    assert counts.ballots is not None
    answers = max(len(each.given) for each in counts.ballots)
    chances = np.zeros((len(counts.ballots), answers + 1))
    for row, ballot, draws in zip(chances, counts.ballots, counts.draws, strict=True):
        row[: len(ballot.given)] = ballot.given / draws
        row[-1] = 1.0 - ballot.given.sum() / draws
    rng = np.random.default_rng(seed)
    steps = np.unique(np.geomspace(1, most, _STEPS).round().astype(int))
    votes, taken = np.zeros((len(chances), answers)), np.full(len(chances), float(most))
    running = np.arange(len(chances))
    for before, drawn in zip([0, *steps[:-1]], steps, strict=True):
        votes[running] += rng.multinomial(drawn - before, np.maximum(chances[running], 0.0))[:, :-1]
        settled = _chance_to_lose(votes[running], float(drawn), float(most - drawn)) <= delta
        taken[running[settled]] = drawn
        running = running[~settled]
    return taken


def _chance_to_lose(votes: Floats, drawn: float, left: float) -> Floats:
    """[P]: that a rival passes the leader in the draws that are left, over all rivals; votes [P, A]. An
    answer that was never given is a rival too."""
    ranked = -np.sort(-votes, axis=1)
    seen = (ranked > 0).sum(axis=1, keepdims=True)
    leader, rivals = ranked[:, :1], ranked[:, 1:]
    whole = drawn + SEEN * (seen + 1) + UNSEEN
    ahead = np.concatenate([leader - rivals, leader], axis=1)
    prior = np.concatenate([rivals + SEEN, np.full_like(leader, UNSEEN)], axis=1)
    gap = (leader + SEEN - prior) / whole
    spread = left * ((leader + SEEN + prior) / whole - gap**2) * (whole + left) / (whole + 1.0)
    lost = special.ndtr(-(ahead + left * gap) / np.sqrt(np.maximum(spread, 1e-12)))
    known = np.concatenate([rivals > 0, np.ones_like(leader, dtype=bool)], axis=1)
    return np.where(leader[:, 0] > 0, np.where(known, lost, 0.0).sum(axis=1), 1.0)


def _notes(counts: Counts, fitted: Fit, forecasts: tuple[Forecast, ...]) -> tuple[str, ...]:
    best, reach = forecasts[0], float(fitted.reach[1])
    notes = [
        f"Accuracy by {best.law.name}, a {best.word}, of {counts.name} on {counts.task}: that the served "
        "model does as well on the task, and gains as much by samples, is assumed.",
    ]
    beyond = [each for each in EFFORTS if each.most > reach]
    if beyond:
        furthest = beyond[-1]
        words = ", ".join(each.word for each in beyond)
        notes.append(
            f"The law was fitted to {reach:,.0f} samples; {words} lie beyond, {furthest.word} by a factor of "
            f"{furthest.most / reach:.3g}, and there the interval does not hold that the law may end."
        )
    if counts.tokens is None:
        notes.append("The run does not tell tokens; all samples are taken to be of one length.")
    return tuple(notes)
