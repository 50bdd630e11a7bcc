"""The 90 % interval keeps its promise: over simulated populations it covers the true mean.

A population is a Beta distribution of difficulty. Each trial draws P problems from it, n samples of
each, and asks whether the interval for the mean of the problems' scores holds the population's mean.
"""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from ponder.measure.intervals import resample

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
