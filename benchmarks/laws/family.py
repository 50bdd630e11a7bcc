"""The joint law of a ladder, and what follows from it: exchange, best splits, interaction."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from benchmarks.laws.figures import Result
from benchmarks.laws.sources import NOT_RECORDED, SEARCH, TASKS

from ponder.data import table
from ponder.errors import LawUndefined
from ponder.laws.grid import Grid, Strategy
from ponder.laws.joint import law_of
from ponder.laws.ladder import Ladder
from ponder.laws.study import ExchangeStudy, study_exchange

__all__ = ["STUDIED", "family", "studies"]

Studied = Mapping[tuple[str, Strategy], ExchangeStudy | str]

STUDIED: dict[str, tuple[Strategy, ...]] = {
    **{task: ("pass", "vote") for task in TASKS if task != SEARCH},
    SEARCH: ("pass", "vote", "chain"),
}
"""By task the strategies that a joint law is asked for. Chains are cut off where longer ones say more."""


LEVELS = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
"""Of accuracy; what no model reaches has no contour."""


def studies(ladder: Ladder, *, draws: int) -> Studied:
    """The study of every task and strategy, or why there is none."""
    found: dict[tuple[str, Strategy], ExchangeStudy | str] = {}
    for task, strategies in STUDIED.items():
        for strategy in strategies:
            if task not in ladder.tasks:
                found[task, strategy] = NOT_RECORDED
                continue
            try:
                found[task, strategy] = study_exchange(ladder, task, strategy, accuracies=LEVELS, draws=draws)
            except LawUndefined as error:
                found[task, strategy] = str(error)
    return found


def _told(study: ExchangeStudy) -> Result:
    """With the root mean square of what the law misses at the models and amounts that it was fitted to."""
    grid, told = study.grid, study.to_json()
    missed = study.law.predict(law_of(study.law).places(grid)).value - grid.values.mean(axis=0).ravel()
    told["misfit"] = float(np.sqrt(np.mean(missed**2)))
    told["seeds"] = seeds(grid)
    return told


def seeds(grid: Grid) -> list[Result]:
    """How far the seeds of a size lie apart at the largest amount, at each amount of training that several
    were trained on."""
    last = grid.values[:, :, -1].mean(axis=0)
    trained = list(zip(grid.size.tolist(), grid.seeds, strict=True))
    # By size, and by how many checkpoints of a run came before.
    steps: dict[tuple[float, int], list[int]] = {}
    for run in dict.fromkeys(trained):
        own = [at for at, each in enumerate(trained) if each == run]
        for step, at in enumerate(sorted(own, key=lambda at: float(grid.tokens[at]))):
            steps.setdefault((run[0], step), []).append(at)
    return [
        {
            "size": size,
            "tokens": float(grid.tokens[places].mean()),
            "amount": float(grid.amounts[-1]),
            "models": {grid.models[at]: float(last[at]) for at in places},
        }
        for (size, _), places in steps.items()
        if len(places) > 1
    ]


def family(found: Studied) -> Result:
    """The studies as plain values, with what others found beside them."""
    rows = []
    for (task, strategy), study in found.items():
        head: Result = {"task": task, "strategy": strategy, "asks_for": TASKS[task]}
        rows.append(head | ({"undefined": study} if isinstance(study, str) else _told(study)))
    return {"studies": rows, "others": table("exchange")}
