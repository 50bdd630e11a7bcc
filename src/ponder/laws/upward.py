"""Held-out forecasts of a family's most trained checkpoints, and the form of the joint law that they choose.

A law that cannot level off foretells too much where learning does, and a ceiling that the data do not show
holds a law down that has none. Which is the case is asked of the family itself: the fifth of the checkpoints
with most training is foretold from the others, with a ceiling and without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.errors import LawUndefined
from ponder.laws.compute import Ahead
from ponder.laws.grid import Grid
from ponder.laws.joint import JointLaw

__all__ = ["Choice", "choose", "forecast_up", "split_up"]

_HELD_BACK = 0.2  # of the checkpoints, those of most training
_ALIKE = 1e-4  # errors that differ by less are the same: the ceiling that was fitted is none


@dataclass(frozen=True, slots=True)
class Choice:
    """The joint law in samples for a family: with a ceiling that is fitted where that foretells better, and
    with none (1) where it does not. The errors are those of the two forecasts; None where nothing could be
    held back, and then the ceiling is fitted."""

    law: JointLaw
    with_ceiling: float | None
    without: float | None

    @property
    def fitted(self) -> bool:
        """Whether the ceiling is."""
        return self.law.ceiling is None

    def to_json(self) -> dict[str, Any]:
        return {"fitted": self.fitted, "error_with": self.with_ceiling, "error_without": self.without}


def choose(grid: Grid) -> Choice:
    """The form that foretells the grid's own most trained checkpoints better; of two alike the one of fewer
    parameters."""
    bounded, free = JointLaw(), JointLaw(ceiling=1.0)
    try:
        with_ceiling, without = (forecast_up(grid, law).error for law in (bounded, free))
    except LawUndefined:
        return Choice(bounded, None, None)
    return Choice(bounded if with_ceiling < without - _ALIKE else free, with_ceiling, without)


def forecast_up(grid: Grid, law: JointLaw | None = None) -> Ahead:
    """Hold back the fifth of the checkpoints with most training, and foretell them from the others at every
    amount; the baseline is the best of the others. Without a `law` its form is chosen, from those others
    alone. Raises LawUndefined where the others do not bear the law."""
    known, held = split_up(grid)
    law = choose(known).law if law is None else law
    found = law.solve(known, np.ones((1, sum(known.units))))
    if not np.isfinite(found).all():
        raise LawUndefined(f"{law.name}: it could not be fitted to {grid.name}; record more models.")
    truth = held.values.mean(axis=0)
    told = law.at(found, law.places(held))[0].reshape(truth.shape)
    so_far = known.values.mean(axis=0).max(axis=0)
    return Ahead.of(told, truth, np.broadcast_to(so_far, truth.shape), len(held.models))


def split_up(grid: Grid) -> tuple[Grid, Grid]:
    """All but the fifth of the checkpoints with most training, and that fifth; at least one. Raises
    LawUndefined for a lone checkpoint."""
    last = _last(grid)
    return grid.only(~last), grid.only(last)


def _last(grid: Grid) -> NDArray[np.bool_]:
    count = max(1, round(_HELD_BACK * len(grid.models)))
    last = np.zeros(len(grid.models), dtype=np.bool_)
    last[np.argsort(grid.training_flop, kind="stable")[-count:]] = True
    return last
