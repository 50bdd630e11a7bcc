"""Curves in training compute that are known, and families whose enhancement is worth a known factor."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from ponder.laws.compute import sigmoid
from ponder.laws.data import Scores
from ponder.laws.grid import Grid

COMPUTE = np.geomspace(1e9, 1e14, 11)
CURVE = np.array([[0.1, 0.8, 11.5, 2.0]])  # floor, ceiling, middle, slope

LADDER = np.geomspace(1e9, 1e13, 9)
SLOPE = 1.5  # logits per tenfold compute


def curves(
    rng: np.random.Generator, problems: int = 300, spread: float = 1.0, guess: float | None = 0.1
) -> Scores:
    """Problems that differ in their middles by about `spread` decades."""
    moved = np.tile(CURVE, (problems, 1))
    moved[:, 2] += rng.normal(0.0, spread, problems)
    return Scores("plain", "flop", COMPUTE, sigmoid(moved, COMPUTE), guess)


def family(
    *,
    times: float = 10.0,
    compute: np.ndarray = LADDER,
    problems: int = 200,
    spread: float = 0.0,
    ceiling: float = 1.0,
    draws: int | None = None,
    seed: int = 0,
) -> Grid:
    """Each model's enhanced score is the plain score that `times` the compute would have."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(0.0, spread, problems)[:, None, None]
    logs = np.log10(compute)[None, :, None] + np.array([0.0, np.log10(times)])[None, None, :]
    values = ceiling * expit(SLOPE * (logs - 11.0) + effects)
    if draws is not None:
        values = rng.binomial(draws, values) / draws
    count = len(compute)
    return Grid(
        name="synthetic",
        models=tuple(f"m{at}" for at in range(count)),
        size=np.sqrt(compute),
        tokens=np.sqrt(compute) / 6.0,
        training_flop=compute,
        amounts=np.array([1.0, 64.0]),
        values=values,
        inference_flop=np.sqrt(compute)[:, None] * np.array([[100.0, 6400.0]]),
        runs=tuple(f"m{at}" for at in range(count)),
        seeds=(0,) * count,
    )
