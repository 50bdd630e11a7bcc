"""`char_chain`: arithmetic from left to right, "7+5-3*2:" is 18. The answer alone is hard, the steps easy."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

from ponder.core import Question
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
from ponder.tasks.problems import Problem
from ponder.tasks.spec import Spec

__all__ = ["NAME", "Chain"]

NAME = "char_chain"
_TITLE = "Chained arithmetic for character-level models"
_DEFAULTS: Mapping[str, Any] = {"operations": 6}
_BOUNDS = {"operations": (2, 12)}

_LARGEST_RESULT = 99
_STEP_TOKENS = 8  # "99-9=90" and its line end


class Chain:
    """`operations` many + - *, worked off from left to right whatever their rank, by digits from 1 to 9;
    every result is from 0 to 99. The key is the expression."""

    title, grader, defaults = _TITLE, "numeric", _DEFAULTS
    mode: Mode = "steps"
    modes: tuple[Mode, ...] = ("steps", "answer")

    def __init__(self, spec: Spec) -> None:
        self.name = str(spec)
        self.operations: int = settings(NAME, spec.parameters, _BOUNDS, _DEFAULTS)["operations"]

    def example(self, rng: Random, *, split: Split, mode: Mode, recipe: Recipe) -> Example:
        """ "curated" leaves out what teaches little: a factor 1, and a result of 0."""
        check_mode(mode, self)
        while True:
            expression, steps, value = self._drawn(rng, recipe == "curated")
            if split_of(expression) == split:
                reply = "\n".join(steps) if mode == "steps" else str(value)
                return Example(expression + MARKS[mode], reply + END, expression)

    def _drawn(self, rng: Random, curated: bool) -> tuple[str, list[str], int]:
        random = rng.random
        value = 1 + int(random() * 9)
        expression, steps = str(value), list[str]()
        while len(steps) < self.operations:
            operator, n = "+-*"[int(random() * 3)], 1 + int(random() * 9)
            result = value + n if operator == "+" else value - n if operator == "-" else value * n
            if curated and (result == 0 or (operator == "*" and n == 1)):
                continue
            if 0 <= result <= _LARGEST_RESULT:
                steps.append(f"{value}{operator}{n}={result}")
                expression += f"{operator}{n}"
                value = result
        return expression, steps, value

    def problem(self, example: Example, identity: str) -> Problem:
        """The answer alone is what its direct form asks for."""
        expression = example.prompt[:-1]
        question = Question(
            id=identity,
            text=expression,
            prompt=prompt(example.prompt),
            direct=prompt(expression + MARKS["answer"]),
            task=self.name,
            stop=(END,),
            max_tokens=_STEP_TOKENS * self.operations + 1,
            extract="number",
            forcing=NO_WORDS,
        )
        return Problem(question, example.reply.removesuffix(END).rpartition("=")[2])

    def problems(self, count: int, seed: int) -> tuple[Problem, ...]:
        rng = Random(f"{NAME}/{self.operations}/{seed}")
        drawn = different(lambda: self.example(rng, split="test", mode="steps", recipe="random"), count)
        return tuple(self.problem(e, f"{self.name}/{seed}-{at:04d}") for at, e in enumerate(drawn))
