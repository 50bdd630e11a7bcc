"""What the laws are fitted to: the ladder's recordings, and the bank of the embedded model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.peers.bank import Banked, by_task
from benchmarks.peers.bank import load as load_bank
from benchmarks.peers.table import grading

from ponder.laws import Ballot, Counts
from ponder.train.recorded import Recorded

__all__ = [
    "LADDER",
    "MODEL",
    "NOT_RECORDED",
    "SEARCH",
    "STEPS",
    "TASKS",
    "Source",
    "embedded",
    "of_ladder",
    "renamed",
]

LADDER = Path(__file__).parents[1] / "results" / "ladder"
STEPS = "char_countdown:numbers=4"
SEARCH = "char_countdown:numbers=4,search=true"

TASKS = {
    STEPS: "reasoning",
    "char_countdown:numbers=3": "reasoning",
    "char_chain:operations=6": "reasoning",
    "char_facts:given=false": "memorised facts",
    "char_facts:given=true": "facts in the prompt",
    SEARCH: "reasoning with search traces",
}
"""The tasks that `make record` records, and what each asks for."""

NOT_RECORDED = "not recorded"
MODEL = "SmolLM2-135M"


@dataclass(frozen=True)
class Source:
    """Draws of one model on one task. `group` is "ladder" or "embedded", `run` what was trained in one go."""

    group: str
    run: str
    counts: Counts


def of_ladder(recordings: Sequence[Recorded]) -> list[Source]:
    """Every recording, by the tasks' order and by training compute."""
    names = list(TASKS)

    def place(each: Recorded) -> tuple[int, float, str]:
        task = names.index(each.task) if each.task in names else len(names)
        return task, each.training_flop or 0.0, each.name

    return [
        Source("ladder", each.name.rpartition("/")[0], Counts.from_recorded(each))
        for each in sorted(recordings, key=place)
    ]


def embedded(problems: Sequence[Banked] | None = None) -> list[Source]:
    """The bank, task by task; every sample graded by its task's grader."""
    right = grading()
    found = []
    for task, own in by_task(load_bank() if problems is None else problems).items():
        graded = [[right(each, sample.text) for sample in each.samples] for each in own]
        counts = Counts(
            name=MODEL,
            task=task,
            ids=tuple(each.question.id for each in own),
            draws=np.array([len(row) for row in graded], dtype=np.int64),
            right=np.array([sum(row) for row in graded], dtype=np.int64),
            ballots=tuple(_ballot(each, row) for each, row in zip(own, graded, strict=True)),
        )
        found.append(Source("embedded", task, counts))
    return found


def _ballot(banked: Banked, graded: Sequence[bool]) -> Ballot:
    """An answer's grade is the same whichever sample gave it."""
    given = Counter(sample.choice for sample in banked.samples if sample.choice is not None)
    marks = {sample.choice: mark for sample, mark in zip(banked.samples, graded, strict=True)}
    return Ballot(
        np.array(list(given.values()), dtype=np.int64),
        np.array([marks[choice] for choice in given], dtype=np.bool_),
    )


def renamed(recorded: Recorded, task: str) -> Recorded:
    """A recording of the same problems that another task poses under ids of its own."""
    tallies = tuple(
        replace(tally, id=task + tally.id.removeprefix(recorded.task)) for tally in recorded.tallies
    )
    return replace(recorded, about={**recorded.about, "task": task}, tallies=tallies)
