"""What a stage of training gained: on the task that it was for, and on the others that every score covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ponder.measure.intervals import Estimate, resample_differences
from ponder.train.held_out import changes
from ponder.train.learning import Scored
from ponder.train.scoring import TaskScore, broad_tasks, score

LEVEL = 0.9
SEED = 1


def score_on_all(folder: Path, task: str, *, problems: int, draws: int, processes: int) -> Scored:
    """The checkpoint in `folder` on `task` and on the tasks that stand beside it."""
    others = broad_tasks(task)
    found, _ = score(
        folder, [task, *others], problems=problems, draws=draws, seed=SEED, processes=processes, device="cpu"
    )
    return Scored(found[task], {each: found[each] for each in others})


def gained(before: Scored, after: Scored) -> dict[str, Any]:
    """pass@1 gained: `narrow` on the task itself, `broad` in the mean over the others, `tasks` on each.

    Problems are paired; intervals are 90 %, from resampling problems within tasks.
    """
    return {
        "narrow": asdict(changes(before.own.score, after.own.score, seed=SEED)[1]),
        "broad": asdict(_mean(before.broad, after.broad)),
        "tasks": {
            task: asdict(changes(before.broad[task].score, each.score, seed=SEED)[1])
            for task, each in after.broad.items()
        },
    }


def _mean(before: Mapping[str, TaskScore], after: Mapping[str, TaskScore]) -> Estimate:
    """In the mean over tasks, each of equal weight."""
    differences = [after[task].score.passed((1,)) - before[task].score.passed((1,)) for task in after]
    labels = np.repeat(np.arange(len(differences)), [len(each) for each in differences])
    low, high = resample_differences(
        np.concatenate(differences), strata=labels, level=LEVEL, rng=np.random.default_rng(SEED)
    )
    mean = float(np.mean([each.mean() for each in differences]))
    return Estimate(mean, float(low[0]), float(high[0]))
