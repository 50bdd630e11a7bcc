"""`char_countdown`: "3 7 9 25=42:" is answered in steps, "3 7 9 25=42?" by a search."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from ponder.core import Question
from ponder.tasks import extract
from ponder.tasks.chars.solutions import as_they_come, balanced, instance, simplest
from ponder.tasks.chars.texts import (
    END,
    MARKS,
    NO_WORDS,
    Example,
    Mode,
    Recipe,
    Split,
    check_mode,
    different,
    prompt,
    settings,
    split_of,
)
from ponder.tasks.chars.traces import FORCING, LONGEST, trace
from ponder.tasks.problems import Problem
from ponder.tasks.spec import Spec

__all__ = ["NAME", "Countdown"]

NAME = "char_countdown"
_TITLE = "Countdown for character-level models"
_DEFAULTS: Mapping[str, Any] = {"numbers": 4, "largest": 25, "search": False}
_BOUNDS = {"numbers": (3, 6), "largest": (5, 99)}

_STEP_TOKENS = 14  # "999+999=1998" and its line end
# A model may search on where the texts it learnt from end, and is then cut off.
_SEARCH_TOKENS = LONGEST * 4 // 3


class Countdown:
    """The problems of `tasks.countdown` as small models see them: `numbers` many up to `largest`, each used
    at most once; targets from 1 to 100. The key is the sorted numbers and the target."""

    title, grader, defaults = _TITLE, "own", _DEFAULTS
    modes: tuple[Mode, ...] = ("steps", "search")

    def __init__(self, spec: Spec) -> None:
        given = settings(NAME, spec.parameters, _BOUNDS, _DEFAULTS)
        self.name = str(spec)
        self.numbers, self.largest = given["numbers"], given["largest"]
        self.mode: Mode = "search" if given["search"] else "steps"

    def example(self, rng: Random, *, split: Split, mode: Mode, recipe: Recipe) -> Example:
        """The numbers stand in the order in which they were drawn: an order would tell nothing."""
        check_mode(mode, self)
        draw = balanced if recipe == "curated" else instance
        while True:
            numbers, target, steps = draw(rng, self.numbers, self.largest)
            key = f"{' '.join(map(str, sorted(numbers)))}={target}"
            if split_of(key) != split:
                continue
            if mode == "search":
                reply = trace(rng, numbers, target, recipe)
            else:
                chosen = simplest(numbers, target, steps) if recipe == "curated" else as_they_come(rng, steps)
                reply = "\n".join([f"{a}{operator}{b}={result}" for a, operator, b, result in chosen])
            if reply is not None:
                return Example(f"{' '.join(map(str, numbers))}={target}{MARKS[mode]}", reply + END, key)

    def problem(self, example: Example, identity: str) -> Problem:
        """Its key is one right chain of many: the grader checks the answer itself."""
        text, mark = example.prompt[:-1], example.prompt[-1]
        numbers, _, target = text.partition("=")
        searched = mark == MARKS["search"]
        asked = prompt(example.prompt)
        question = Question(
            id=identity,
            text=text,
            prompt=asked,
            direct=asked,
            task=self.name,
            stop=(END,),
            max_tokens=_SEARCH_TOKENS if searched else _STEP_TOKENS * (self.numbers - 1),
            extract="search" if searched else "steps",
            forcing=FORCING if searched else NO_WORDS,
            data={"checks": "countdown", "numbers": [int(n) for n in numbers.split()], "target": int(target)},
        )
        return Problem(question, extract.choice(question, example.reply) or "")

    def problems(self, count: int, seed: int) -> tuple[Problem, ...]:
        """In both forms the same."""
        rng = Random(f"{NAME}/{self.numbers}/{self.largest}/{seed}")
        mark = MARKS[self.mode]
        drawn = different(lambda: self.example(rng, split="test", mode="steps", recipe="random"), count)
        return tuple(
            self.problem(Example(e.prompt[:-1] + mark, e.reply, e.key), f"{self.name}/{seed}-{at:04d}")
            for at, e in enumerate(drawn)
        )
