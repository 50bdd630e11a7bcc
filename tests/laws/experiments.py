"""Synthetic experiments on the laws of ladders: whether a 90 % interval holds what it should.

Each experiment makes data of its own from a trial's number. A short form of them is tested; thousands are run
by `make calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from tests.laws.families import COMPUTE, curves, family
from tests.laws.ladders import PLAIN, ladder

from ponder.laws.compute import ComputeSigmoid
from ponder.laws.data import Scores
from ponder.laws.exchange import exchange
from ponder.laws.fit import Fit, fit
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw
from ponder.laws.worth import worth
from ponder.measure.intervals import Estimate

__all__ = ["EXPERIMENTS", "share"]

DRAWS = 150  # refits of each experiment
LEVELLING = replace(PLAIN, ceiling=0.35, level=1.0)


def compute_law(trial: int, *, problems: int = 150) -> bool:
    """The score that the law foretells at the last compute but one, for problems of varied difficulty that
    were asked eight times each; the truth is the mean over very many problems."""
    rng = np.random.default_rng(trial + 1)
    data = curves(rng, problems)
    drawn = Scores(data.name, data.unit, data.compute, rng.binomial(8, data.values) / 8, data.guess)
    told = fit(drawn, ComputeSigmoid(), draws=DRAWS, seed=trial).predict([COMPUTE[-2]])
    return bool(told.low[0] <= _mean_score() <= told.high[0])


@cache
def _mean_score() -> float:
    return float(curves(np.random.default_rng(0), 20_000).values[:, -2].mean())


def joint_law(trial: int, *, problems: int = 80) -> bool:
    """The interaction; the truth is what the law finds in the mean over very many problems."""
    grid = ladder(PLAIN, problems=problems, seed=trial + 1, draws=8)
    found = fit(grid, JointLaw(ceiling=1.0), draws=DRAWS, seed=trial).parameters["size x amount"]
    return found.low <= _interaction() <= found.high


@cache
def _interaction() -> float:
    found = JointLaw(ceiling=1.0).solve(ladder(PLAIN, problems=20_000), np.ones((1, 20_000)))
    return float(found[0, 4])


def joint_ceiling(trial: int, *, problems: int = 80) -> bool:
    """A ceiling far below a half, as of votes; the truth is what the law finds in the mean over very many
    problems."""
    grid = ladder(LEVELLING, problems=problems, seed=trial + 1, draws=8)
    found = fit(grid, JointLaw(), draws=DRAWS, seed=trial).parameters["ceiling"]
    return found.low <= _ceiling() <= found.high


@cache
def _ceiling() -> float:
    found = JointLaw().solve(ladder(LEVELLING, problems=20_000), np.ones((1, 20_000)))
    return float(found[0, 5])


def exchange_rate(trial: int, *, problems: int = 80) -> bool:
    """The power by which inference makes up for training along a contour; the truth is what is found over
    very many problems."""
    grid = ladder(PLAIN, problems=problems, seed=trial + 1, draws=8)
    found = _rate(fit(grid, JointLaw(ceiling=1.0), draws=DRAWS, seed=trial), grid)
    return found is not None and found.low <= _true_rate() <= found.high


@cache
def _true_rate() -> float:
    grid = ladder(PLAIN, problems=20_000)
    found = _rate(fit(grid, JointLaw(ceiling=1.0), draws=1), grid)
    assert found is not None
    return found.value


def _rate(fitted: Fit, grid: Grid) -> Estimate | None:
    return exchange(fitted, grid, accuracies=(0.4,)).levels[0].rate


def equivalent_gain(trial: int, *, problems: int = 100) -> bool:
    """The compute-equivalent gain of a model in the middle of the ladder, which is 5 by construction."""
    grid = family(times=5.0, problems=problems, spread=1.0, draws=16, seed=trial + 1)
    middle = np.arange(len(grid.models)) == 4
    gain = worth(grid, enhanced=middle, draws=DRAWS, seed=trial)[0][0].gain
    return gain is not None and gain.low <= 5.0 and (gain.high is None or gain.high >= 5.0)


EXPERIMENTS: Mapping[str, Callable[[int], bool]] = {
    "sigmoid of log compute": compute_law,
    "joint law, interaction": joint_law,
    "joint law, ceiling": joint_ceiling,
    "exchange rate": exchange_rate,
    "compute-equivalent gain": equivalent_gain,
}


def share(experiment: Callable[[int], bool], trials: int) -> float:
    """How often the interval holds the truth."""
    return sum(experiment(trial) for trial in range(trials)) / trials
