"""What every family shares: the alphabet, the marks that end a prompt, examples, the split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Any, Literal, Protocol

from ponder.core import Forcing, Message, Prompt
from ponder.errors import InputError
from ponder.tasks.problems import Problem

__all__ = [
    "ALPHABET",
    "END",
    "MARKS",
    "NO_WORDS",
    "Example",
    "Family",
    "Mode",
    "Recipe",
    "Split",
    "check_mode",
    "different",
    "prompt",
    "settings",
    "split_of",
]

# Fixed once: a checkpoint's token ids are places in it.
ALPHABET = "0123456789+-*/=;:.,?!#<> \nabcdefghijklmnopqrstuvwxyz"
END = "."  # of every reply

NO_WORDS = Forcing(None, None)
"""Texts in steps hold nothing that would make a reply go on, or end it."""

Mode = Literal["steps", "search", "answer"]
Split = Literal["train", "test"]
Recipe = Literal["random", "curated"]

MARKS: Mapping[Mode, str] = MappingProxyType({"steps": ":", "search": "?", "answer": "#"})
_TEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Example:
    """One training text. `prompt` ends with the mark of its mode, `reply` with a full stop; the split goes
    by `key`, which tells one problem from another whatever its wording."""

    prompt: str
    reply: str
    key: str


class Family(Protocol):
    """Problems of one kind. `name` is the task's spec in its one spelling; `mode` is how a question of this
    family asks, `modes` are all the ways in which an example may reply."""

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def grader(self) -> str: ...

    @property
    def defaults(self) -> Mapping[str, Any]: ...

    @property
    def mode(self) -> Mode: ...

    @property
    def modes(self) -> tuple[Mode, ...]: ...

    def example(self, rng: Random, *, split: Split, mode: Mode, recipe: Recipe) -> Example:
        """A new example, by `rng` alone. Raises InputError for a mode that the family has not."""
        ...

    def problem(self, example: Example, identity: str) -> Problem:
        """The example's question, asked in the example's mode, with its key."""
        ...

    def problems(self, count: int, seed: int) -> tuple[Problem, ...]:
        """At most `count` different held-out problems, the same for the same arguments."""
        ...


def split_of(key: str) -> Split:
    """Which side a problem is on, for good: 10 % are held out, by SHA-256 of the key."""
    first = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8])
    return "test" if first < _TEST_SHARE * 2**64 else "train"


def prompt(text: str) -> Prompt:
    """Raw text to be continued. As a chat it is one turn, for a model that knows nothing else."""
    return Prompt((Message("user", text),), text)


def different(draw: Callable[[], Example], count: int) -> list[Example]:
    """At most `count` examples with different keys, as they are drawn: fewer where chance finds no more."""
    found = dict[str, Example]()
    for _ in range(20 * count + 100):
        if len(found) == count:
            break
        example = draw()
        found.setdefault(example.key, example)
    return list(found.values())


def check_mode(mode: Mode, family: Family) -> None:
    """Raises InputError where the family has no such examples."""
    if mode not in family.modes:
        known = " and ".join(family.modes)
        raise InputError(f"mode: {family.name} has no examples for {mode!r}; it has {known}.")


def settings(
    task: str, given: Mapping[str, Any], bounds: Mapping[str, tuple[int, int]], defaults: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters with their defaults. One with bounds is a whole number within them, any other is true or
    false. Raises InputError."""
    for name, value in given.items():
        if name not in defaults:
            known = ", ".join(defaults)
            raise InputError(f"task: {task} has no parameter {name!r}; known are {known}.")
        if name not in bounds:
            if not isinstance(value, bool):
                raise InputError(f"task: {task}'s {name} must be true or false, not {value!r}.")
            continue
        low, high = bounds[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"task: {task}'s {name} must be a whole number from {low} to {high}, not {value!r}."
            )
    return {**defaults, **given}
