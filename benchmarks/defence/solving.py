"""A detector that solves: it answers the question itself, many times, and counts how often it comes to the
values that a solution states."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.defence.reading import Floats, Sight
from numpy.typing import NDArray

from ponder.flop import decode_flop, prefill_flop
from ponder.tasks import Problem
from ponder.train.drawing import Drawer

__all__ = ["RULES", "Solved", "solve", "suspicions", "values_of"]

RULES = ("answer", "steps", "worst step")
_VALUE = re.compile(r"=(\d{1,6})$")
_UNREAD = -1  # no value of any step


@dataclass(frozen=True)
class Solved:
    """K solutions of each of P problems: the values that they state [P, K, S], -1 where there is no such
    step; the last value of each [P, K]; and the FLOP of a problem's first k solutions, k from 1 to K
    [P, K], its question being read once."""

    values: NDArray[np.int64]
    last: NDArray[np.int64]
    flop: Floats


def values_of(steps: Sequence[str], width: int) -> list[int]:
    """The value that each step states, of `width` steps."""
    found = [int(m[1]) if (m := _VALUE.search(step)) else _UNREAD for step in steps[:width]]
    return found + [_UNREAD] * (width - len(found))


def solve(folder: Path, problems: Sequence[Problem], k: int, *, seed: int, width: int) -> Solved:
    """`k` solutions by the checkpoint in `folder`, at temperature 1."""
    values = np.full((len(problems), k, width), _UNREAD, dtype=np.int64)
    last = np.full((len(problems), k), _UNREAD, dtype=np.int64)
    flop = np.zeros((len(problems), k))
    with Drawer(folder, device="cpu") as drawer:
        shape = drawer.model.shape
        assert shape is not None
        for at, outputs in drawer.draw(problems, k, temperature=1.0, seed=seed):
            read = drawer.prompt_tokens(problems[at])
            own = [decode_flop(shape, read, output.tokens or 0) for output in outputs]
            flop[at] = prefill_flop(shape, read) + np.cumsum(own)
            steps = [output.text.split("\n") for output in outputs]
            values[at] = [values_of(each, width) for each in steps]
            last[at] = [values_of(each[-1:], 1)[0] for each in steps]
    return Solved(values, last, flop)


def suspicions(solved: Solved, places: Sequence[int], sights: Sequence[Sight], k: int) -> dict[str, Floats]:
    """By rule the share [N] of the first `k` solutions that do not come to what item n says, a solution of
    the problem at `places` [n]: to its last value; to the value of each step, in the mean over steps; to that
    of the step with the least agreement."""
    width = solved.values.shape[2]
    stated = np.array([values_of(each.steps, width) for each in sights])
    answers = np.array([values_of(each.steps[-1:], 1)[0] for each in sights])
    at = np.asarray(places)
    agree = solved.last[at, :k] == answers[:, None]
    meets = (solved.values[at, :k] == stated[:, None, :]).mean(axis=1)
    there = np.arange(width) < np.array([len(each.steps) for each in sights])[:, None]
    return {
        "answer": 1.0 - agree.mean(axis=1),
        "steps": 1.0 - (meets * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1),
        "worst step": 1.0 - np.where(there, meets, np.inf).min(axis=1),
    }
