"""A family measured at several amounts of inference: what the joint law and an enhancement's worth are had
from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponder.errors import LawUndefined

__all__ = ["STRATEGIES", "Grid", "Strategy"]

Floats = NDArray[np.float64]
Strategy = Literal["vote", "pass", "chain"]

STRATEGIES: tuple[Strategy, ...] = ("vote", "pass", "chain")


@dataclass(frozen=True)
class Grid:
    """M models at P problems with K amounts of inference: `values` [P, M, K] in [0, 1].

    `amounts` [K] are samples, or the tokens of one chain; `size`, `tokens` and `training_flop` [M] tell the
    models, `inference_flop` [M, K] the mean of one problem. `runs` [M] names what each was trained as, its
    seed apart, and `seeds` [M] the seed: models that differ in it alone are resampled.
    """

    name: str
    models: tuple[str, ...]
    size: Floats
    tokens: Floats
    training_flop: Floats
    amounts: Floats
    values: Floats
    inference_flop: Floats
    runs: tuple[str, ...]
    seeds: tuple[int | None, ...]
    unit: str = "samples"

    def __post_init__(self) -> None:
        shape = (len(self.models), len(self.amounts))
        if self.values.shape[1:] != shape or self.inference_flop.shape != shape:
            raise ValueError(f"values must be [problems, {shape}]; got {self.values.shape}.")
        if not (np.diff(self.amounts) > 0).all():
            raise LawUndefined(f"amounts: those of {self.name} must be distinct and rise.")

    @property
    def units(self) -> tuple[int, ...]:
        """Problems, and the seeds of each run that has several."""
        return (len(self.values), *(len(seeds) for seeds in self._replicated.values()))

    @cached_property
    def _replicated(self) -> dict[str, tuple[int | None, ...]]:
        found: dict[str, dict[int | None, None]] = {}
        for run, seed in zip(self.runs, self.seeds, strict=True):
            found.setdefault(run, {})[seed] = None
        return {run: tuple(seeds) for run, seeds in found.items() if len(seeds) > 1}

    def model_weights(self, weights: Floats) -> Floats:
        """[B, U] weights of problems and seeds -> [B, M] weights of the models."""
        out = np.ones((len(weights), len(self.models)))
        first = len(self.values)
        for run, seeds in self._replicated.items():
            for column, seed in enumerate(seeds, first):
                own = [
                    at
                    for at, each in enumerate(zip(self.runs, self.seeds, strict=True))
                    if each == (run, seed)
                ]
                out[:, own] = weights[:, column, None]
            first += len(seeds)
        return out

    def means(self, weights: Floats) -> Floats:
        """[B, U] -> [B, M, K]: the mean over problems."""
        problems = weights[:, : len(self.values)]
        flat = self.values.reshape(len(self.values), -1)
        means: Floats = problems @ flat / problems.sum(axis=1, keepdims=True)
        return means.reshape(len(weights), *self.values.shape[1:])

    def only(self, keep: Sequence[bool] | NDArray[np.bool_]) -> Grid:
        """The models that `keep` [M] says."""
        places = np.flatnonzero(np.asarray(keep))
        if not places.size:
            raise LawUndefined(f"models: none of {self.name} is left; take more of the ladder.")
        return Grid(
            name=self.name,
            models=tuple(self.models[at] for at in places),
            size=self.size[places],
            tokens=self.tokens[places],
            training_flop=self.training_flop[places],
            amounts=self.amounts,
            values=self.values[:, places],
            inference_flop=self.inference_flop[places],
            runs=tuple(self.runs[at] for at in places),
            seeds=tuple(self.seeds[at] for at in places),
            unit=self.unit,
        )
