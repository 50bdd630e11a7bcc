"""The two sides of a task: problems to learn from, and problems that are held out.

Which side a problem is on goes by its key alone (`tasks.chars.split_of`), the same for every kind of
training: what is held out here was held out in every stage before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from ponder import tasks
from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import Problem, chars
from ponder.tasks.chars import Example, Family, Split, split_of
from ponder.tasks.spec import parse

__all__ = ["Sides", "key_of", "sides"]

_HELD_OUT_SHARE = 0.1
_LOOKED_AT = 20
_MORE = 1.2  # than the expected number, since a share of a random set varies


@dataclass(frozen=True, slots=True)
class Sides:
    """Problems of one task. `learned` may repeat a problem where the task has too few; `grader` names who
    compares an answer with the key."""

    name: str
    grader: str
    learned: tuple[Problem, ...]
    held_out: tuple[Problem, ...]


def sides(task: str, *, learned: int, held_out: int, seed: int) -> Sides:
    """`learned` problems to train on and at most `held_out` others, of the task that `task` names.

    Raises InputError for a task without answers to verify by, and for one that holds nothing out.
    """
    family = _family(task)
    if family is None:
        found = _generated(task, learned, held_out, seed)
    else:
        found = _drawn(family, learned, held_out, seed)
    if not found.held_out:
        raise _nothing_held_out(found.name)
    return found


def _nothing_held_out(name: str) -> InputError:
    return InputError(
        f"task: {name} holds no problems out, so that what was learnt could not be told from what was "
        "remembered; choose another task."
    )


def _family(task: str) -> Family | None:
    if task.endswith(".jsonl") or task == "-":
        return None
    return chars.family(task) if parse(task).name in chars.FAMILIES else None


def _drawn(family: Family, learned: int, held_out: int, seed: int) -> Sides:
    rng = Random(f"sides/{family.name}/{seed}")

    def example(split: Split) -> Example:
        return family.example(rng, split=split, mode=family.mode, recipe="random")

    # A family of what is only memorised has the same examples on both sides.
    if any(split_of(example("test").key) != "test" for _ in range(_LOOKED_AT)):
        raise _nothing_held_out(family.name)
    texts = [example("train") for _ in range(learned)]
    problems = [family.problem(each, f"{family.name}/train/{seed}-{at:06d}") for at, each in enumerate(texts)]
    return Sides(family.name, family.grader, tuple(problems), family.problems(held_out, seed))


def _generated(task: str, learned: int, held_out: int, seed: int) -> Sides:
    wanted = max(learned / (1 - _HELD_OUT_SHARE), held_out / _HELD_OUT_SHARE)
    found = tasks.load_questions(task, problems=int(_MORE * wanted) + 10, usual=1, seed=seed).keyed
    if found is None:
        raise InputError(
            f"task: {task} has no answers, so that no verifier can reward a reply; add an answer to each "
            "line, or choose another task."
        )
    train, test = list[Problem](), dict[str, Problem]()
    for problem in found.problems:
        key = key_of(problem.question)
        if split_of(key) == "train":
            train.append(problem)
        else:
            test.setdefault(key, problem)
    if not train:
        raise InputError(f"task: {found.name} has no problems on the side to learn from; give it more.")
    return Sides(
        found.name, found.grader, tuple(_cycled(train, learned, seed)), tuple(test.values())[:held_out]
    )


def _cycled(problems: Sequence[Problem], count: int, seed: int) -> list[Problem]:
    """So many, in a new order each time around."""
    rng, out = Random(f"sides/cycle/{seed}"), list(problems[:count])
    while len(out) < count:
        out.extend(rng.sample(problems, min(len(problems), count - len(out))))
    return out


def key_of(question: Question) -> str:
    """What the split goes by: Countdown's sorted numbers and target, else the question's own text."""
    data = question.data
    if data.get("checks") == "countdown":
        return f"{' '.join(map(str, sorted(data['numbers'])))}={data['target']}"
    return question.text
