"""How often a detector catches wrong items at a rate of false alarms that is fixed on right ones, and how
often it suspects a wrong item more than a right one.

A suspicion is any number that is higher for an item that looks more wrong; only its order matters. The
threshold is set on clean items alone. Of those that are tied at it as large a share is flagged as makes the
rate exact, and the same share of the attacked items there: the straight line between two points of the ROC
curve (Fawcett 2006, doi 10.1016/j.patrec.2005.10.010, §5 and §7). So a detector that knows nothing catches as
many wrong items as it flags right ones, whatever the number of values that its suspicion can take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ponder.measure.intervals import EDGE, Estimate

__all__ = [
    "Inspected",
    "auc_estimates",
    "catch_estimates",
    "catch_rates",
    "flag_chances",
    "rank_chances",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Chances = Callable[[Floats, Floats, Floats], Floats]
"""The chances [B, N] of suspicions [N] beside those of clean items [C], for each weighting [B, C] of them."""


@dataclass(frozen=True, slots=True)
class Inspected:
    """What one detector told in K settings: the suspicions of C clean items [C, K], which set the threshold,
    and of N attacked ones [N, K], each made for the problem `owner` [N]. No number may be unknown."""

    clean: Floats
    attacked: Floats
    owner: Ints

    def __post_init__(self) -> None:
        shapes = self.clean.ndim, self.attacked.ndim, self.owner.shape
        if shapes != (2, 2, self.attacked.shape[:1]) or self.clean.shape[1] != self.attacked.shape[1]:
            raise ValueError("suspicions must be [items, settings], with an owner an attacked item.")
        if not (len(self.clean) and len(self.attacked)):
            raise ValueError("there must be clean items and attacked ones.")


def flag_chances(suspicion: Floats, clean: Floats, false_alarm: float, weights: Floats) -> Floats:
    """[B, N]: how likely each of `suspicion` [N] is flagged where the share `false_alarm` of `clean` [C] is,
    for every weighting [B, C] of these.

    Raises ValueError for a rate that is not between 0 and 1 and for a suspicion that is no number.
    """
    if not 0.0 < false_alarm < 1.0:
        raise ValueError(f"false_alarm must lie between 0 and 1, not {false_alarm}.")
    values, mass = _masses(suspicion, clean, weights)
    above = np.cumsum(mass[:, ::-1], axis=1)[:, ::-1] - mass
    tied = np.clip((false_alarm - above) / np.maximum(mass, 1e-300), 0.0, 1.0)
    # What lies between two clean values is flagged where the lower one is, in part at least.
    between = np.column_stack([np.zeros(len(weights)), above < false_alarm]).astype(np.float64)
    at = np.searchsorted(values, suspicion, side="right")
    same = (at > 0) & (values[np.maximum(at - 1, 0)] == suspicion)
    out: Floats = np.where(same, tied[:, np.maximum(at - 1, 0)], between[:, at])
    return out


def rank_chances(suspicion: Floats, clean: Floats, weights: Floats) -> Floats:
    """[B, N]: how likely a clean item [C] is suspected less than each of `suspicion` [N], for every weighting
    [B, C] of these; one that is suspected as much counts half. The mean over attacked items is the area under
    the ROC curve (Hanley & McNeil 1982, doi 10.1148/radiology.143.1.7063747).

    Raises ValueError for a suspicion that is no number.
    """
    values, mass = _masses(suspicion, clean, weights)
    below = np.column_stack([np.zeros(len(weights)), np.cumsum(mass, axis=1)])
    first, last = (np.searchsorted(values, suspicion, side=side) for side in ("left", "right"))
    out: Floats = (below[:, first] + below[:, last]) / 2.0
    return out


def _masses(suspicion: Floats, clean: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """The values that clean items have, rising, and the share of the weight [B, values] that each has."""
    if np.isnan(suspicion).any() or np.isnan(clean).any():
        raise ValueError("a suspicion is no number.")
    order = np.argsort(clean, kind="stable")
    values, first = np.unique(clean[order], return_index=True)
    mass = np.add.reduceat(weights[:, order], first, axis=1)
    mass /= mass.sum(axis=1, keepdims=True)
    return values, mass


def catch_rates(
    folds: Sequence[Inspected], false_alarm: float, clean: Floats, owners: Floats, edges: Floats | None = None
) -> Floats:
    """[B, K]: the share of attacked items that is flagged, the mean over folds, each with thresholds of its
    own. All folds have the same C clean items and the same A problems that own attacked ones.

    `clean` [B, C] and `owners` [B, A] weight these; `edges` [B, 2] are the weights of an attacked item that
    is always missed and of one that is always caught.
    """
    return _rates(folds, partial(_flagged, false_alarm), clean, owners, edges)


def _flagged(false_alarm: float, suspicion: Floats, clean: Floats, weights: Floats) -> Floats:
    return flag_chances(suspicion, clean, false_alarm, weights)


def _rates(
    folds: Sequence[Inspected], chances: Chances, clean: Floats, owners: Floats, edges: Floats | None
) -> Floats:
    """The weighted mean of the attacked items' chances in every setting [B, K], the mean over folds."""
    rates = np.zeros((len(clean), folds[0].clean.shape[1]))
    for fold in folds:
        weight = owners[:, fold.owner]
        missed, caught = (np.zeros(len(clean)),) * 2 if edges is None else (edges[:, 0], edges[:, 1])
        total = weight.sum(axis=1) + missed + caught
        for at in range(rates.shape[1]):
            flagged = chances(fold.attacked[:, at], fold.clean[:, at], clean)
            rates[:, at] += ((weight * flagged).sum(axis=1) + caught) / total / len(folds)
    return rates


def catch_estimates(
    folds: Sequence[Inspected],
    problems: int,
    false_alarm: float,
    *,
    level: float = 0.9,
    draws: int = 1000,
    rng: np.random.Generator,
) -> tuple[Estimate, ...]:
    """The catch rate in each setting with its interval from resampling the clean items and the `problems`
    that own attacked ones.

    As in `intervals`, an item that is missed and one that is caught join with half an item's weight each, so
    that an interval does not vanish where all items agree.
    """
    return _estimates(folds, problems, partial(_flagged, false_alarm), level, draws, rng)


def auc_estimates(
    folds: Sequence[Inspected],
    problems: int,
    *,
    level: float = 0.9,
    draws: int = 1000,
    rng: np.random.Generator,
) -> tuple[Estimate, ...]:
    """The area under the ROC curve in each setting, the mean over folds, with its interval from the same
    resampling. It is 0.5 where attacked items are suspected no more than clean ones."""
    return _estimates(folds, problems, rank_chances, level, draws, rng)


def _estimates(
    folds: Sequence[Inspected],
    problems: int,
    chances: Chances,
    level: float,
    draws: int,
    rng: np.random.Generator,
) -> tuple[Estimate, ...]:
    size = len(folds[0].clean)
    value = _rates(folds, chances, np.ones((1, size)), np.ones((1, problems)), None)[0]
    clean, owners = (rng.standard_gamma(1.0, size=(draws, n)) for n in (size, problems))
    drawn = _rates(folds, chances, clean, owners, rng.standard_gamma(EDGE, size=(draws, 2)))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail], axis=0)
    rows = zip(value, np.minimum(low, value), np.maximum(high, value), strict=True)
    return tuple(Estimate(*map(float, row)) for row in rows)
