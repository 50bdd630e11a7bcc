"""What each effort word takes and gets: samples from the effort table, accuracy from a measured law of votes.

A vote that stops by itself takes fewer samples than its most. How many is found by drawing votes from each
problem's own recorded answers: this tells of cost alone, so that an answer may be drawn twice. Accuracy is
that of a vote of the most, as the strategies stop only where its winner is all but sure: of the recorded
draws where there are as many, else the law's. A word's budget may end the vote sooner: then samples are those
that fit, and accuracy lies between those of the words with fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ponder.config import efforts
from ponder.core import Budget, Prompt, Question, Sample
from ponder.errors import InputError, LawUndefined
from ponder.govern.calculator import Floats, Group, Input, LawChoice, Measured
from ponder.laws import Counts, Fit
from ponder.laws.compare import Forecast, chosen
from ponder.laws.fit import resampling
from ponder.laws.sources import counts_of
from ponder.laws.voting import Vote, vote_at
from ponder.measure.replay import replay
from ponder.quantity import Quantity, from_draws
from ponder.strategies import Plan, plan
from ponder.strategies._posterior import _LIMIT, SEEN, UNSEEN

__all__ = [
    "BUDGETED",
    "EFFORTS",
    "GROUP",
    "Effort",
    "SampleLength",
    "accuracy_of",
    "efforts_of",
    "fitting",
    "measure_efforts",
    "most_samples",
    "samples_of",
    "until_settled",
]

Ints = NDArray[np.int64]

_REFITS = 500
_DRIVEN = 32  # samples up to which the strategy itself is driven; for more it takes long
_QUESTION = Question("", "", Prompt(()), Prompt(()))
_STEPS = 120  # numbers of samples after which a vote is looked at, evenly in their logarithm
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(3)  # of a normal distribution
_EXACT = 64  # draws to come up to which all their outcomes are added up
_FAR = 6.0  # standard deviations of what a rival gains on the leader, beyond which it does not pass
_MANY = 1 << 12  # more than votes there are


@dataclass(frozen=True, slots=True)
class Effort:
    """A word with its strategy, and the most samples and tokens that it takes (None: no limit)."""

    word: str
    plan: Plan
    most: int
    tokens: int | None = None


def _known() -> tuple[Effort, ...]:
    """Words whose strategy draws whole worked answers and votes, least effort first; one draw is a vote of
    one."""
    found = []
    for word, row in efforts().items():
        of = plan(row.strategy)
        if of.name in ("think", "vote", "adaptive_vote"):
            most = 1 if of.name == "think" else int(of.parameter("n"))
            found.append(Effort(word, of, most, Budget.of(row.budget).tokens))
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
    fixed=True,
)


BUDGETED = replace(
    GROUP,
    what=f"{GROUP.what} A budget of tokens ends a vote at the samples that fit.",
    inputs=(
        *GROUP.inputs,
        Input(
            "budget",
            "token",
            "Tokens that a task may generate at it",
            optional=True,
            why="the effort table, which the configuration overrides",
        ),
    ),
    default={each.word: {} if each.tokens is None else {"budget": str(each.tokens)} for each in EFFORTS},
)
"""The same group with each word's budget."""


def most_samples(word: str) -> float:
    """The most samples that an effort word takes; nan for a word that the table does not have."""
    return next((float(each.most) for each in EFFORTS if each.word == word), np.nan)


def samples_of(x: Mapping[str, Floats], word: str, tokens: Floats | None = None) -> Floats:
    """[B]: a task's samples, the most where they are not known; no more than fit into the word's budget at so
    many `tokens` each, where that is known."""
    given = x[f"efforts.{word}.samples"]
    found = np.where(np.isnan(given), most_samples(word), given)
    return found if tokens is None else np.fmin(found, fitting(x, word, tokens))


def fitting(x: Mapping[str, Floats], word: str, tokens: Floats) -> Floats:
    """[B]: how many samples of so many tokens the word's budget allows, one at least, which is taken whole;
    infinite without a budget."""
    budget = x[f"efforts.{word}.budget"]
    return np.where(np.isnan(budget), np.inf, np.maximum(np.floor(budget / tokens), 1.0))


def accuracy_of(x: Mapping[str, Floats], word: str, tokens: Floats) -> Floats:
    """[B]: the share of tasks done right in samples of so many tokens. Where the budget allows fewer than the
    word's most it lies, by the logarithm of the samples, between the accuracies of the words with fewer, and
    where none of them is known it is the word's own, a bound."""
    allowed, found = fitting(x, word, tokens), x[f"efforts.{word}.accuracy"]
    known = [each for each in EFFORTS if not np.isnan(x[f"efforts.{each.word}.accuracy"]).all()]
    fewer = sorted((each for each in known if each.most <= most_samples(word)), key=lambda each: each.most)
    for less, more in pairwise(fewer):
        low, high = (x[f"efforts.{each.word}.accuracy"] for each in (less, more))
        part = np.log(np.maximum(allowed, less.most) / less.most) / np.log(more.most / less.most)
        inside = (allowed >= less.most) & (allowed < more.most)
        found = np.where(inside, low + (high - low) * np.where(inside, part, 0.0), found)
    return found


@dataclass(frozen=True, slots=True)
class SampleLength:
    """How many tokens a sample of the law's own model has; None where its run does not tell."""

    model: str
    tokens: float | None


def measure_efforts(of: LawChoice) -> Measured:
    """Accuracy and samples of each word, from a recording or a run; its `law` is a `SampleLength`. How long
    the served model's samples are is not taken from it: another model writes other chains.

    Raises InputError for a run of several tasks of which none is named, LawUndefined without answers to vote.
    """
    counts = _one_task(of)
    found = efforts_of(counts)
    own = found.quantities.get("sample_tokens")
    kept = {name: each for name, each in found.quantities.items() if name.startswith("efforts.")}
    return replace(found, quantities=kept, law=SampleLength(counts.name, None if own is None else own.value))


def efforts_of(counts: Counts) -> Measured:
    """Accuracy and samples of each word, and tokens and FLOP of a sample, from the draws of one task whose
    answers are known. Raises LawUndefined for too few of them."""
    fitted, forecasts = chosen(counts, [Vote()], seen=vote_at, draws=_REFITS)
    tokens = np.ones(len(counts.ids)) if counts.tokens is None else counts.tokens
    weights = resampling(counts.units, _REFITS, np.random.default_rng(0))
    source = f"{fitted.law.name} of {counts.name} on {counts.task}, {len(counts.ids)} problems"
    quantities: dict[str, Quantity] = {}
    seen = [each.most for each in EFFORTS if each.most <= counts.least]
    votes = dict(zip(seen, vote_at(counts, np.array(seen)).T, strict=True))
    even = np.ones(len(counts.ids))
    for each in EFFORTS:
        name = f"efforts.{each.word}.accuracy"
        if each.most in votes:
            quantities[name] = _mean(weights, votes[each.most], even, source)
        else:
            quantities[name] = _foretold(fitted, each.most, source)
        used = _samples(each, counts)
        quantities[f"efforts.{each.word}.samples"] = _mean(weights, used, tokens, source)
    if counts.tokens is not None:
        quantities["sample_tokens"] = _mean(weights, counts.tokens, even, source)
    if counts.flop is not None and counts.prompt_flop is not None:
        quantities["sample_flop"] = _mean(weights, counts.flop, even, source)
        quantities["prompt_flop"] = _mean(weights, counts.prompt_flop, even, source)
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


def _foretold(fitted: Fit, samples: int, source: str) -> Quantity:
    """The law's accuracy at so many samples."""
    both = fitted.law.at(np.concatenate([fitted.value[None, :], fitted.draws]), np.array([float(samples)]))
    return _shared(both[1:, 0], source, float(both[0, 0]))


def _mean(weights: Floats, values: Floats, sizes: Floats, source: str) -> Quantity:
    """The mean of `values` [P] over problems, each as often as its size, under each weighting."""
    means = (weights @ (values * sizes)) / (weights @ sizes)
    return _shared(means[1:], source, float(means[0]))


def _samples(effort: Effort, counts: Counts) -> Floats:
    """[P]: samples that a problem takes."""
    if effort.plan.name != "adaptive_vote":
        return np.full(len(counts.ids), float(effort.most))
    if effort.most <= _DRIVEN:
        return _driven(effort, counts)
    return until_settled(counts, effort.most, float(effort.plan.parameter("delta")))


def _driven(effort: Effort, counts: Counts) -> Floats:
    """[P]: what the strategy itself takes, driven over answers that are drawn."""
    chances, rng = _chances(counts), np.random.default_rng(0)
    taken = []
    for row in chances:
        drawn = rng.choice(len(row), size=effort.most, p=row)
        samples = [
            Sample("", None if answer == len(row) - 1 else str(answer), place)
            for place, answer in enumerate(drawn)
        ]
        taken.append(len(replay(effort.plan.begin(_QUESTION, Random(0)), samples).samples))
    return np.array(taken, dtype=np.float64)


def _chances(counts: Counts) -> Floats:
    """[P, A + 1]: the share of each problem's draws that gave each answer, and of those that gave none."""
    assert counts.ballots is not None
    answers = max(len(each.given) for each in counts.ballots)
    chances = np.zeros((len(counts.ballots), answers + 1))
    for row, ballot, draws in zip(chances, counts.ballots, counts.draws, strict=True):
        row[: len(ballot.given)] = ballot.given / draws
        row[-1] = max(0.0, 1.0 - ballot.given.sum() / draws)
    return chances


def until_settled(counts: Counts, most: int, delta: float, *, seed: int = 0) -> Floats:
    """[P]: after how many samples an adaptive vote of `most` stops: once its leader would lose the vote with
    a chance of `delta` at most (Aggarwal et al. 2023, arXiv 2305.11860). One that is found settled has been
    so since some draw after the last look: the middle one is told."""
    chances = _chances(counts)
    rng = np.random.default_rng(seed)
    looks = np.unique(np.geomspace(1, most, _STEPS).round().astype(int))
    votes = np.zeros((len(chances), chances.shape[1] - 1), dtype=np.int64)
    taken, running = np.full(len(chances), float(most)), np.arange(len(chances))
    for before, drawn in zip([0, *looks], looks[:-1], strict=False):
        votes[running] += rng.multinomial(drawn - before, chances[running])[:, :-1]
        settled = _chance_to_lose(votes[running], int(drawn), int(most - drawn)) <= delta
        taken[running[settled]] = (before + 1 + drawn) / 2
        running = running[~settled]
    return taken


def _chance_to_lose(votes: Ints, drawn: int, left: int) -> Floats:
    """[P]: that a rival passes the leader in the draws that are left, added up over all rivals; votes [P, A].
    An answer that was never given is a rival too."""
    problems, leader = np.arange(len(votes)), votes.max(axis=1)
    rivals = votes > 0
    rivals[problems, votes.argmax(axis=1)] = False
    of, answer = np.nonzero(rivals)
    of, rival = np.concatenate([of, problems]), np.concatenate([votes[of, answer], np.zeros_like(leader)])
    seen = (votes > 0).sum(axis=1)
    cases, which = np.unique((leader[of] * _MANY + seen[of]) * _MANY + rival, return_inverse=True)
    each = _chance_to_pass(cases // _MANY**2, cases % _MANY, cases // _MANY % _MANY, drawn, left)
    lost = np.bincount(of, each[which.ravel()], minlength=len(votes))
    return np.where(leader > 0, lost, 1.0)


def _chance_to_pass(leader: Ints, rival: Ints, seen: Ints, drawn: int, left: int) -> Floats:
    """[C]: that a rival with so many votes (0: any answer that was never given) is ahead of the leader after
    the draws that are left, a tie counting half, under the strategy's own Dirichlet distribution. Where many
    are left the strategy takes the limit of endlessly many, and so does this."""
    a, b = leader + SEEN, np.where(rival > 0, rival + SEEN, UNSEEN)
    rest = drawn + SEEN * (seen + 1) + UNSEEN - a - b
    if left > _LIMIT:
        return np.asarray(special.betainc(a, b, 0.5))
    whole, lead = a + b + rest, leader - rival
    spread = left * (whole + left) / (whole + 1.0) * ((a + b) / whole - ((b - a) / whole) ** 2)
    can = lead <= left * (b - a) / whole + _FAR * np.sqrt(spread)
    passed, of = np.zeros_like(a), _passes_exactly if left <= _EXACT else _passes_nearly
    passed[can] = of(lead[can], a[can], b[can], rest[can], left)
    return passed


def _passes_exactly(lead: Ints, a: Floats, b: Floats, rest: Floats, left: int) -> Floats:
    """[C]: by the Dirichlet-multinomial distribution of the draws that go to the rival, to the leader and to
    neither."""
    rival, leader, neither, whole = (_rising(each, left) for each in (b, a, rest, a + b + rest))
    gained = np.arange(left + 1)
    passed = np.zeros_like(a)
    for lost in range(left // 2 + 1):
        more = gained[: left - lost + 1] - lost - lead[:, None]
        won = np.where(more > 0, 1.0, 0.5 * (more == 0))
        ways = rival[:, : left - lost + 1] * neither[:, left - lost :: -1]
        passed += leader[:, lost] * (won * ways).sum(axis=1)
    return passed / whole[:, left]


def _rising(of: Floats, most: int) -> Floats:
    """[C, most + 1]: the rising factorial of k factors over k!, from k = 0."""
    k = np.arange(1, most + 1)
    factors = np.concatenate([np.ones((len(of), 1)), (of[:, None] + k - 1.0) / k], axis=1)
    return np.cumprod(factors, axis=1)


def _passes_nearly(lead: Ints, a: Floats, b: Floats, rest: Floats, left: int) -> Floats:
    """[C]: of how many draws go to either, a beta-binomial number, a normal one of its mean and variance is
    taken at three places; of those the rival's share is a beta distribution of the beta-binomial's mean and
    variance."""
    whole = a + b + rest
    share = (a + b) / whole
    mean, deviation = left * share, np.sqrt(left * share * (1.0 - share) * (whole + left) / (whole + 1.0))
    passed = np.zeros_like(a)
    for node, weight in zip(_NODES, _WEIGHTS / _WEIGHTS.sum(), strict=True):
        coming = np.clip(mean + node * deviation, 1e-9, left)
        needed = 0.5 + lead / (2.0 * coming)
        sure = (a + b + 1.0) / (1.0 + (a + b) / coming) - 1.0
        alpha, beta = (np.maximum(each / (a + b) * sure, 1e-9) for each in (b, a))
        passed += weight * np.where(needed < 1.0, special.betaincc(alpha, beta, np.minimum(needed, 1.0)), 0.0)
    return passed


def _notes(counts: Counts, fitted: Fit, forecasts: tuple[Forecast, ...]) -> tuple[str, ...]:
    best, reach = forecasts[0], float(fitted.reach[1])
    notes = [
        f"Accuracies are those of votes of {counts.name} on {counts.task}: that the served model does as "
        "well on the task, and gains as much by samples, is assumed.",
    ]
    beyond = [each for each in EFFORTS if each.most > reach]
    if beyond:
        furthest = beyond[-1]
        words = ", ".join(each.word for each in beyond)
        notes.append(
            f"Up to {reach:,.0f} samples votes were counted. For {words} the accuracy is that of "
            f"{best.law.name}, a {best.word}, {furthest.word} beyond the draws by a factor of "
            f"{furthest.most / reach:.3g}; there the interval does not hold that the law may end."
        )
    if counts.tokens is None:
        notes.append("The run does not tell tokens; all samples are taken to be of one length.")
    return tuple(notes)
