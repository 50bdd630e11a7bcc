"""A model that poses problems: free-running prompts in the task's form, checked before anybody solves them.

The proposer continues "!" with a problem. What it poses counts only if it has the task's form, is not posed
twice, and is on the side to learn from: a held-out problem is never taken, whoever thought of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import Problem
from ponder.tasks.chars import END, MARKS, Example, Family, split_of
from ponder.tasks.chars.chain import Chain
from ponder.tasks.chars.countdown import Countdown
from ponder.tasks.chars.solutions import LARGEST_TARGET
from ponder.tasks.chars.texts import prompt

__all__ = ["POSE", "Posed", "check_posed", "pose_question", "posing_text", "require_posable"]

POSE = "!"
"""The prompt that asks for a problem."""

_LONGEST = 64  # characters of a problem
_CHAIN = re.compile(r"([1-9])((?:[-+*][1-9])+)")
_COUNTDOWN = re.compile(r"([1-9][0-9]?(?: [1-9][0-9]?)+)=([1-9][0-9]{0,2})")
_LARGEST_RESULT = 99


@dataclass(frozen=True, slots=True)
class Posed:
    """What came of so many texts: the problems that can be learned from, and how many were refused why."""

    problems: tuple[Problem, ...]
    malformed: int
    repeated: int
    held_out: int


def require_posable(family: Family) -> None:
    """Raise InputError for a task whose problems cannot be told from any other text."""
    if not isinstance(family, Chain | Countdown):
        raise InputError(f"proposer: no problems can be posed for {family.name}; leave --proposer out.")


def pose_question() -> Question:
    """What a proposer is asked."""
    asked = prompt(POSE)
    return Question("pose", POSE, asked, asked, stop=(END,), max_tokens=_LONGEST, extract="line")


def posing_text(problem: str, key: str) -> Example:
    """A text from which a proposer learns to pose a problem, given without its mode's mark."""
    return Example(POSE, problem + END, key)


def check_posed(family: Family, texts: Iterable[str], *, name: str) -> Posed:
    """The problems among `texts`; their ids begin with `name`."""
    found: dict[str, Problem] = {}
    malformed = repeated = held_out = 0
    for text in texts:
        example = _example(family, text)
        if example is None:
            malformed += 1
        elif split_of(example.key) != "train":
            held_out += 1
        elif example.key in found:
            repeated += 1
        else:
            found[example.key] = family.problem(example, f"{name}-{len(found):06d}")
    return Posed(tuple(found.values()), malformed, repeated, held_out)


def _example(family: Family, text: str) -> Example | None:
    """The problem that a text poses, with its answer where that needs no search; None for any other text."""
    if isinstance(family, Chain):
        return _chain(family, text)
    return _countdown(family, text) if isinstance(family, Countdown) else None


def _chain(family: Chain, text: str) -> Example | None:
    match = _CHAIN.fullmatch(text[:_LONGEST])
    if match is None or len(match[2]) != 2 * family.operations:
        return None
    value = int(match[1])
    for operator, digit in zip(match[2][::2], match[2][1::2], strict=True):
        n = int(digit)
        value = value + n if operator == "+" else value - n if operator == "-" else value * n
        if not 0 <= value <= _LARGEST_RESULT:
            return None
    return Example(text + MARKS[family.mode], f"{value}{END}", text)


def _countdown(family: Countdown, text: str) -> Example | None:
    """Whether it can be solved at all is not looked at: the solver's replies tell."""
    match = _COUNTDOWN.fullmatch(text[:_LONGEST])
    if match is None:
        return None
    numbers, target = [int(n) for n in match[1].split(" ")], int(match[2])
    fits = len(numbers) == family.numbers and max(numbers) <= family.largest
    if not fits or target > LARGEST_TARGET or target in numbers:
        return None
    key = f"{' '.join(map(str, sorted(numbers)))}={target}"
    return Example(text + MARKS[family.mode], END, key)
