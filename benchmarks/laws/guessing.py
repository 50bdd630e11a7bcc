"""What guessing gets on the ladder's tasks, and what Countdown's vote loses where right answers differ.

A guess knows a task's form and has learnt nothing. On Countdown it takes, step by step, a uniform pair of
the numbers left and a uniform one of + - *, the larger operand first, until one number is left; elsewhere it
names a value uniformly. Its chance to be right is exact, problem by problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from statistics import median as middle

import numpy as np
from benchmarks.laws.figures import Result, difference, median, share
from benchmarks.laws.sources import TASKS
from numpy.typing import NDArray

from ponder import tasks
from ponder.errors import InputError
from ponder.laws.ladder import Ladder
from ponder.tasks.problems import Problem
from ponder.tasks.spec import parse
from ponder.train.recorded import Recorded, Tally

__all__ = ["guesses", "guessing", "plurality", "pooled", "right_by_chance"]

Floats = NDArray[np.float64]

KS = (1, 4, 16, 64, 256)
_SEED = 0  # of the problems that `make record` poses
_COUNTDOWN = "char_countdown"
_OF_FOUR_DIGITS = 1e-4


def guessing(ladder: Ladder) -> Result:
    """Of each recorded task its guesses beside the checkpoints, and of Countdown the votes."""
    by_task = {task: [each for each in ladder.recordings if each.task == task] for task in TASKS}
    recorded = {task: own for task, own in by_task.items() if own}
    return {
        "guesses": [row for task, own in recorded.items() for row in _guess_rows(task, own)],
        "votes": [
            _vote_row(each)
            for task, own in recorded.items()
            if parse(task).name == _COUNTDOWN
            for each in own
        ],
    }


# ---------------------------------------------------------------- guesses


def guesses(task: str, problems: Sequence[Problem]) -> dict[str, Floats]:
    """[P] by the way of guessing: the chance that one guess is right. Raises InputError for another task."""
    name, keys = parse(task).name, [each.key for each in problems]
    if name == _COUNTDOWN:
        data = [each.question.data for each in problems]
        chances = [right_by_chance(tuple(sorted(each["numbers"])), each["target"]) for each in data]
        return {"legal steps": np.array(chances)}
    if name == "char_chain":
        values = [int(key) for key in keys]
        least, most = min(values), max(values)
        return {f"a number from {least} to {most}": np.full(len(keys), 1.0 / (most - least + 1))}
    if name == "char_facts":
        found = {"any four digits": np.full(len(keys), _OF_FOUR_DIGITS)}
        shown = [each.question.text.rpartition(";")[0].split(",") for each in problems]
        if shown[0] != [""]:
            chances = [_copied(*each) for each in zip(shown, keys, strict=True)]
            found["a number of the prompt"] = np.array(chances)
        return found
    raise InputError(f"task: benchmarks/laws/guessing.py has no guess for {task!r}; say there how to guess.")


@lru_cache(maxsize=1 << 17)
def right_by_chance(left: tuple[int, ...], target: int) -> float:
    """The chance that random steps on `left`, sorted, end at the target. Exact, by enumeration."""
    if len(left) == 1:
        return float(left[0] == target)
    chances = [
        right_by_chance(tuple(sorted((*left[:i], *left[i + 1 : j], *left[j + 1 :], value))), target)
        for i, j in combinations(range(len(left)), 2)
        for value in (left[j] + left[i], left[j] - left[i], left[j] * left[i])
    ]
    return sum(chances) / len(chances)


def _copied(pairs: Sequence[str], key: str) -> float:
    return sum(pair.endswith(f" {key}") for pair in pairs) / len(pairs)


def _guess_rows(task: str, recordings: Sequence[Recorded]) -> list[Result]:
    problems = tasks.load(task, problems=len(recordings[0].tallies), seed=_SEED).problems
    ids = [each.question.id for each in problems]
    for each in recordings:
        if [tally.id for tally in each.tallies] != ids:
            raise InputError(
                f"ladder: {each.name} was not asked {len(ids)} problems of {task} with seed {_SEED}; record "
                "it again."
            )
    most = max(k for k in KS if k <= min(each.draws for each in recordings))
    return [
        {"task": task, "guess": words, "problems": len(ids), **_compared(chances, recordings, most)}
        for words, chances in guesses(task, problems).items()
    ]


def _compared(chances: Floats, recordings: Sequence[Recorded], most: int) -> Result:
    """The guesses at every k; the checkpoints at one draw and at the most that all of them have."""
    by_k = {k: 1.0 - (1.0 - chances) ** k for k in KS}
    return {
        "any": [{"k": k, **share(values)} for k, values in by_k.items()],
        "beside": [_beside(k, by_k[k], recordings) for k in sorted({1, most})],
    }


def _beside(k: int, guessed: Floats, recordings: Sequence[Recorded]) -> Result:
    passed = [each.passed([k])[:, 0] for each in recordings]
    means = [float(values.mean()) for values in passed]
    best = int(np.argmax(means))
    less = [difference(values, guessed) for values in passed]
    return {
        "k": k,
        "best": {"name": recordings[best].name, **share(passed[best])},
        "median": median(means, [each.name.rpartition("/")[0] for each in recordings]),
        "above": sum(each["low"] > 0.0 for each in less),
        "below": sum(each["high"] < 0.0 for each in less),
        "checkpoints": [
            {"name": each.name, "any": mean, "less_guess": apart}
            for each, mean, apart in zip(recordings, means, less, strict=True)
        ],
    }


# ---------------------------------------------------------------- votes


def plurality(counts: Sequence[int], marks: Sequence[bool]) -> float:
    """The share of right answers among the most frequent ones; 0 without answers."""
    most = max(counts, default=0)
    leading = [mark for count, mark in zip(counts, marks, strict=True) if count == most > 0]
    return sum(leading) / len(leading) if leading else 0.0


def pooled(tally: Tally) -> float:
    """`plurality` with all right answers counted as one, and wrong ones each by itself."""
    counts, marks = tally.ballots()
    wrong = [count for count, mark in zip(counts, marks, strict=True) if not mark]
    return plurality([tally.right, *wrong], [True, *(False for _ in wrong)])


def _vote_row(recorded: Recorded) -> Result:
    ballots = [tally.ballots() for tally in recorded.tallies]
    vote = np.array([plurality(*each) for each in ballots])
    together = np.array([pooled(tally) for tally in recorded.tallies])
    return {
        "task": recorded.task,
        "name": recorded.name,
        "draws": recorded.draws,
        "training_flop": recorded.training_flop,
        "one": share(recorded.passed([1])[:, 0]),
        "vote": share(vote),
        "pooled": share(together),
        "gain": difference(together, vote),
        "different_right": float(middle(sum(marks) for _, marks in ballots)),
    }
