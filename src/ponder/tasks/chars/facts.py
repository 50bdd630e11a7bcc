"""`char_facts`: what a name stands for, known from training ("abdc:") or given in the prompt.

A probe: no thinking brings back what was never learnt, and none is needed for what is given.
"""

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

__all__ = ["NAME", "Facts"]

NAME = "char_facts"
_TITLE = "Facts, memorised or given, for character-level models"
_DEFAULTS: Mapping[str, Any] = {"given": False, "facts": 1024, "pairs": 4}
_BOUNDS = {"facts": (1, 100_000), "pairs": (2, 16)}

_LETTERS, _DIGITS = 4, 4
_TABLE = "char_facts/table"  # one table for all, or models could not be compared


class Facts:
    """Names of four letters that stand for four digits.

    `given` false: `facts` many fixed pairs, all trained on and all asked about; nothing is held out, since
    only memory answers. The table of fewer facts begins that of more.
    `given` true: `pairs` fresh pairs stand in the prompt and one is asked about; the key is the names, in any
    order, and which of them is asked.
    """

    title, grader, defaults = _TITLE, "exact", _DEFAULTS
    mode: Mode = "steps"
    modes: tuple[Mode, ...] = ("steps",)

    def __init__(self, spec: Spec) -> None:
        parameters = settings(NAME, spec.parameters, _BOUNDS, _DEFAULTS)
        self.name = str(spec)
        self.given, self.pairs = parameters["given"], parameters["pairs"]
        self.table = () if self.given else _table(parameters["facts"])

    def example(self, rng: Random, *, split: Split, mode: Mode, recipe: Recipe) -> Example:
        """Both recipes are the same: a pair has one form. Memorised facts are on both sides of the split."""
        check_mode(mode, self)
        if not self.given:
            return self._remembered(int(rng.random() * len(self.table)))
        while True:
            pairs = _pairs(rng, self.pairs)
            name, value = pairs[int(rng.random() * len(pairs))]
            key = f"{' '.join(sorted(n for n, _ in pairs))};{name}"
            if split_of(key) == split:
                shown = ",".join([f"{n} {v}" for n, v in pairs])
                return Example(f"{shown};{name}{MARKS[mode]}", value + END, key)

    def _remembered(self, at: int) -> Example:
        name, value = self.table[at]
        return Example(name + MARKS["steps"], value + END, name)

    def problem(self, example: Example, identity: str) -> Problem:
        asked = prompt(example.prompt)
        question = Question(
            id=identity,
            text=example.prompt[:-1],
            prompt=asked,
            direct=asked,
            task=self.name,
            stop=(END,),
            max_tokens=_DIGITS + len(END) + 1,
            extract="line",
            forcing=NO_WORDS,
        )
        return Problem(question, example.reply.removesuffix(END))

    def problems(self, count: int, seed: int) -> tuple[Problem, ...]:
        """Of memorised facts any `count`, in an order that depends on the seed."""
        rng = Random(f"{NAME}/{self.given}/{self.pairs}/{len(self.table)}/{seed}")
        if self.given:
            drawn = different(lambda: self.example(rng, split="test", mode="steps", recipe="random"), count)
        else:
            places = rng.sample(range(len(self.table)), min(count, len(self.table)))
            drawn = [self._remembered(at) for at in places]
        return tuple(self.problem(e, f"{self.name}/{seed}-{at:04d}") for at, e in enumerate(drawn))


def _pairs(rng: Random, count: int) -> list[tuple[str, str]]:
    """Pairs whose names differ."""
    values = dict[str, str]()
    while len(values) < count:
        letters = "".join([chr(97 + int(rng.random() * 26)) for _ in range(_LETTERS)])
        values[letters] = f"{int(rng.random() * 10**_DIGITS):0{_DIGITS}}"
    return list(values.items())


def _table(count: int) -> tuple[tuple[str, str], ...]:
    return tuple(_pairs(Random(_TABLE), count))
