"""Synthetic experiments on the laws of many draws: whether a 90 % interval holds what made the data.

Each experiment makes data of its own from a trial's number and says of each quantity whether its interval
held the truth. A short form of them is tested; thousands are run by `make calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy import optimize, special
from tests.laws.populations import beta, counts, duels, voted
from tests.laws.test_verified import EXPLOITED, RIGHT, made

from ponder.laws import Data, Law, fit
from ponder.laws.compare import forecasts
from ponder.laws.coverage import BetaBinomial, PowerLaw, pass_at
from ponder.laws.verified import BestOf
from ponder.laws.voting import BetaVote, RiseAndFall, Vote

__all__ = ["EXPERIMENTS", "FLAGS", "shares"]

Held = Mapping[str, bool]

DRAWS = 300  # refits of each experiment
FAR = 100  # times the draws


def held(
    law: Law[Any], data: Data, trial: int, truth: Mapping[str, float], at: Mapping[float, float], word: str
) -> Held:
    """Whether the intervals hold the `truth` of parameters, and the law's values `at` numbers of samples."""
    found = fit(data, law, draws=DRAWS, seed=trial)
    estimates = found.parameters
    out = {name: estimates[name].low <= value <= estimates[name].high for name, value in truth.items()}
    told = found.predict(list(at))
    for (samples, value), low, high in zip(at.items(), told.low, told.high, strict=True):
        out[f"{word}@{samples:g}"] = bool(low <= value <= high)
    return out


def coverage(
    law: BetaBinomial, values: Sequence[float], *, problems: int, draws: int
) -> Callable[[int], Held]:
    """Counts that a Beta-binomial law makes."""

    def experiment(trial: int) -> Held:
        named = dict(zip(law.parameters, values, strict=True))
        data = beta(np.random.default_rng(trial), problems=problems, draws=draws, **named)
        far = np.array([1.0, FAR * draws])
        at = dict(zip(far, law.at(np.array([values]), far)[0], strict=True))
        return held(law, data, trial, named, at, "pass")

    return experiment


POWER = (-2.0, -0.4)
_POWER_DRAWS = 64


@cache
def power_population() -> tuple[np.ndarray, np.ndarray]:
    """Chances of a right draw, and their shares, for which pass@k is exp(-2 k^-0.4) at every k that is
    looked at: a mixture found by nonnegative least squares."""
    chances = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 400)])
    ks = np.concatenate([np.arange(1, _POWER_DRAWS + 1), np.geomspace(100, FAR * _POWER_DRAWS, 40)])
    rows = np.concatenate([1.0 - (1.0 - chances[None, :]) ** ks[:, None], np.ones((1, len(chances)))])
    wanted = np.append(np.exp(POWER[0] * ks ** POWER[1]), 1.0)
    shares, missed = optimize.nnls(rows, wanted)
    assert missed < 1e-3
    return chances, shares / shares.sum()


def power(law: PowerLaw, *, problems: int) -> Callable[[int], Held]:
    """Counts whose pass@k is a power law."""

    def experiment(trial: int) -> Held:
        rng = np.random.default_rng(trial)
        chance = rng.choice(power_population()[0], problems, p=power_population()[1])
        data = counts(_POWER_DRAWS, rng.binomial(_POWER_DRAWS, chance))
        far = float(FAR * _POWER_DRAWS)
        at = {far: float(np.exp(POWER[0] * far ** POWER[1]))}
        return held(law, data, trial, dict(zip("ab", POWER, strict=True)), at, "pass")

    return experiment


def vote_as_drawn(trial: int) -> Held:
    """Beta(3, 2) of two answers, 32 draws: the vote of all of them, and the limit."""
    data = duels(np.random.default_rng(trial), 3.0, 2.0, problems=100, draws=32)
    at = {32.0: float(BetaVote().at(np.array([[3.0, 2.0, 1.0, 0.0]]), np.array([32.0]))[0, 0])}
    return held(Vote(), data, trial, {}, at | {np.inf: 1.0 - float(special.betainc(3.0, 2.0, 0.5))}, "vote")


def beta_vote(trial: int) -> Held:
    """Beta(0.7, 0.9) of two answers."""
    data = duels(np.random.default_rng(trial), 0.7, 0.9, problems=100, draws=32)
    at = {np.inf: 1.0 - float(special.betainc(0.7, 0.9, 0.5))}
    return held(BetaVote(), data, trial, {"a": 0.7, "b": 0.9}, at, "vote")


def rise_and_fall(trial: int) -> Held:
    """Six of ten problems are easy."""
    rng = np.random.default_rng(trial)
    chance = np.where(rng.random(150) < 0.6, 0.75, 0.4)
    data = voted(rng, np.stack([chance, 1.0 - chance], axis=1), np.array([True, False]), draws=32)
    truth = {"easy": 0.6, "p": 0.75, "q": 0.4}
    law = RiseAndFall()
    at = {25.0: float(law.at(np.array([[*truth.values(), 1.0, 0.0]]), np.array([25.0]))[0, 0])}
    return held(law, data, trial, truth, at, "vote")


def best_of(trial: int) -> Held:
    """A verifier that some wrong samples exploit."""
    data = made(np.random.default_rng(trial), RIGHT, EXPLOITED, problems=100, draws=32)
    far = np.array([8.0, np.inf])
    truth = np.concatenate([[0.8, 2.0], RIGHT, EXPLOITED])
    at = dict(zip(far, BestOf(4).at(truth[None, :], far)[0], strict=True))
    return held(BestOf(4), data, trial, {"a": 0.8, "b": 2.0}, at, "best")


EXPERIMENTS: Mapping[str, Callable[[int], Held]] = {
    "beta-binomial": coverage(BetaBinomial(), [0.3, 3.0], problems=100, draws=32),
    "zero-inflated": coverage(BetaBinomial(zeros=True), [0.5, 3.0, 0.2], problems=400, draws=64),
    "one-inflated": coverage(BetaBinomial(ones=True), [2.0, 3.0, 0.2], problems=400, draws=32),
    "both inflated": coverage(BetaBinomial(True, True), [1.5, 2.0, 0.2, 0.15], problems=400, draws=64),
    "power law": power(PowerLaw(), problems=200),
    "least squares on pass@k": power(PowerLaw(on_shares=True), problems=200),
    "vote as drawn": vote_as_drawn,
    "beta vote": beta_vote,
    "rise and fall": rise_and_fall,
    "best of N": best_of,
}


def flags(never: float) -> Callable[[int], Held]:
    """Whether the forecast of the plain Beta-binomial law, fitted to 32 of 512 draws, is told from what came,
    where a share of problems is `never` solved."""

    def experiment(trial: int) -> Held:
        data = beta(np.random.default_rng(trial), 1.5, 6.0, problems=500, draws=512, never=never)
        (told,) = forecasts(data, [BetaBinomial()], seen=pass_at, draws=DRAWS, splits=2, seed=trial)
        return {"flagged": not told.passed}

    return experiment


FLAGS: Mapping[str, Callable[[int], Held]] = {
    "a law of its own shape": flags(0.0),
    "a law of another shape": flags(0.3),
}


def shares(experiment: Callable[[int], Held], trials: int) -> dict[str, float]:
    """How often each interval held the truth."""
    rows = [experiment(trial) for trial in range(trials)]
    return {name: sum(row[name] for row in rows) / trials for name in rows[0]}
