"""The 90 % interval keeps its promise: over simulated populations it covers the true mean.

A population is a Beta distribution of difficulty. Each trial draws P problems from it, n samples of
each, and asks whether the interval for the mean of the problems' scores holds the population's mean.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from ponder.measure.intervals import resample, resample_differences

TRIALS = 1000
AT_ONCE = 25
"""Trials that share their weights, as the columns of one call. Their data are their own, so this adds to the
share's standard error, 0.010, less than a twentieth."""

POPULATIONS = {
    "even": (1.0, 1.0),
    "all or nothing": (0.5, 0.5),
    "alike": (40.0, 40.0),
    "near 0, skewed": (0.1, 5.0),
    "near 0, mostly hopeless": (0.02, 0.5),
    "near 0, alike": (1.0, 20.0),
    "near 1, skewed": (5.0, 0.1),
    "near 1, alike": (20.0, 1.0),
}


def covered(a: float, b: float, problems: int, samples: int, interval=resample, tasks: int = 1) -> float:
    """Share of trials whose interval holds the true mean."""
    rng = np.random.default_rng(zlib.crc32(f"{a} {b} {problems} {samples} {tasks}".encode()))
    strata = np.repeat(np.arange(tasks), problems)
    hits, mean = 0, a / (a + b)
    for _ in range(TRIALS // AT_ONCE):
        chance = rng.beta(a, b, (problems * tasks, AT_ONCE))
        low, high = interval(rng.binomial(samples, chance) / samples, strata=strata, draws=500, rng=rng)
        hits += int(((low <= mean) & (mean <= high)).sum())
    return hits / TRIALS


@pytest.mark.parametrize("problems", [16, 32, 64])
@pytest.mark.parametrize("shape", POPULATIONS.values(), ids=POPULATIONS.keys())
def test_the_interval_covers_the_true_mean(shape, problems):
    assert covered(*shape, problems, samples=16) >= 0.86


@pytest.mark.parametrize("shape", POPULATIONS.values(), ids=POPULATIONS.keys())
def test_it_covers_single_samples_too(shape):
    assert covered(*shape, 32, samples=1) >= 0.86


@pytest.mark.parametrize("shape", [(0.1, 5.0), (1.0, 1.0), (20.0, 1.0)])
def test_it_covers_the_mean_over_several_tasks(shape):
    assert covered(*shape, 16, samples=16, tasks=4) >= 0.86


def test_the_percentile_bootstrap_would_fail_here():
    """Why the pseudo-problems are there, and that this test can fail."""

    def percentile(values, *, strata, draws, rng):
        weights = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), size=draws)
        means = weights @ values / len(values)
        return np.quantile(means, 0.05, axis=0), np.quantile(means, 0.95, axis=0)

    assert covered(0.02, 0.5, 16, 16, interval=percentile) < 0.7


SMALL = {"alike": (1e4, 0.002), "spread": (50.0, 0.002), "a few often": (10.0, 0.01)}
"""Populations of problems that are seldom solved: a + b of a Beta distribution, and its mean."""


def missed(
    concentration: float, mean: float, interval=resample, mirrored: bool = False
) -> tuple[float, float]:
    """Shares of trials whose interval, of 300 problems, begins above the true mean and ends below it."""
    rng = np.random.default_rng(0)
    low = high = 0
    for _ in range(500 // AT_ONCE):
        chance = rng.beta(mean * concentration, (1.0 - mean) * concentration, (300, AT_ONCE))
        values = rng.binomial(256, chance) / 256
        ends = interval(1.0 - values if mirrored else values, draws=400, rng=rng)
        begin, end = (1.0 - ends[1], 1.0 - ends[0]) if mirrored else ends
        low, high = low + int((begin > mean).sum()), high + int((end < mean).sum())
    return low / 500, high / 500


@pytest.mark.parametrize("mirrored", [False, True], ids=["near 0", "near 1"])
@pytest.mark.parametrize("population", SMALL.values(), ids=SMALL.keys())
def test_small_means_of_many_draws_are_missed_on_neither_side(population, mirrored):
    assert max(missed(*population, mirrored=mirrored)) <= 0.1


def test_half_a_problem_at_1_would_outweigh_a_small_mean():
    """Why 0 and 1 are drawn towards the mean."""

    def undrawn(values, *, draws, rng):
        weights = rng.standard_gamma(np.append(np.ones(len(values)), [0.5, 0.5]), (draws, len(values) + 2))
        ends = np.repeat([[0.0], [1.0]], values.shape[1], axis=1)
        means = weights @ np.concatenate([values, ends]) / weights.sum(axis=1, keepdims=True)
        return np.quantile(means, 0.05, axis=0), np.quantile(means, 0.95, axis=0)

    assert missed(*SMALL["alike"], interval=undrawn)[0] > 0.2


@pytest.mark.parametrize("samples", [1, 256])
def test_a_small_difference_is_covered(samples):
    """Two ways whose chances are 0.01 and 0.02 at each problem, in the mean."""
    rng = np.random.default_rng(samples)
    hits = 0
    for _ in range(500 // AT_ONCE):
        one, other = rng.beta(0.5, 49.5, (300, AT_ONCE)), rng.beta(1.0, 49.0, (300, AT_ONCE))
        gained = (rng.binomial(samples, other) - rng.binomial(samples, one)) / samples
        low, high = resample_differences(gained, draws=400, rng=rng)
        hits += int(((low <= 0.01) & (high >= 0.01)).sum())
    assert hits / 500 >= 0.86
