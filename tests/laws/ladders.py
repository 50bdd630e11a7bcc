"""Synthetic ladders whose joint law is known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from ponder.laws.grid import Grid
from ponder.laws.joint import attenuation

SIZES = (8e3, 3e4, 1e5, 4e5, 1e6)
TOKENS = (3e5, 1e6, 3e6, 1e7)
SAMPLES = (1, 4, 16, 64, 256)


@dataclass(frozen=True)
class Truth:
    """Coefficients of the law of one problem, in log N - 5, log D - 6 and log k - 1 to base 10."""

    level: float = -0.5
    size: float = 1.2
    tokens: float = 0.9
    amount: float = 0.8
    interaction: float = 0.2
    ceiling: float = 1.0
    spread: float = 1.5

    def eta(self, size: np.ndarray, tokens: np.ndarray, amount: np.ndarray) -> np.ndarray:
        """[M, K] logits of a problem of middling difficulty."""
        n, d, k = np.log10(size)[:, None] - 5, np.log10(tokens)[:, None] - 6, np.log10(amount)[None, :] - 1
        found: np.ndarray = (
            self.level + self.size * n + self.tokens * d + self.amount * k + self.interaction * n * k
        )
        return found

    @property
    def marginal(self) -> float:
        """The interaction as the law of the mean over problems has it."""
        return float(self.interaction / attenuation(np.array(self.spread)))


PLAIN = Truth()


def ladder(
    truth: Truth = PLAIN, *, problems: int = 200, seed: int = 0, draws: int | None = None, seeds: int = 1
) -> Grid:
    """A family measured at every size, amount of training, and number of samples. Accuracies are exact, or
    shares of so many `draws`."""
    rng = np.random.default_rng(seed)
    size, tokens, run = (
        np.array(column)
        for column in zip(*[(n, d, s) for n in SIZES for d in TOKENS for s in range(seeds)], strict=True)
    )
    amounts = np.array(SAMPLES, dtype=np.float64)
    effects = rng.normal(0.0, truth.spread, problems)
    eta = truth.eta(size, tokens, amounts)[None] + effects[:, None, None]
    values = truth.ceiling * expit(eta)
    if draws is not None:
        values = rng.binomial(draws, values) / draws
    return Grid(
        name="synthetic",
        models=tuple(f"{n:.0f}-{d:.0f}-{s:.0f}" for n, d, s in zip(size, tokens, run, strict=True)),
        size=size,
        tokens=tokens,
        training_flop=6.0 * size * tokens,
        amounts=amounts,
        values=values,
        inference_flop=2.0 * size[:, None] * 30.0 * amounts[None, :],
        runs=tuple(f"{n:.0f}" for n in size),
        seeds=tuple(int(s) for s in run),
    )


def with_values(grid: Grid, values: np.ndarray) -> Grid:
    """The same family with other accuracies."""
    return replace(grid, values=values)
