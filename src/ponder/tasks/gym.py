"""Problems from reasoning-gym's generators, made in a killable child process.

A generator may hang or crash on narrow settings, so it runs behind a time limit. Question `i` of seed
`s` comes from reasoning-gym's seed `s * 1_000_000 + i`: reasoning-gym adds the index to its seed, and so
two seeds would otherwise share most of their problems.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from ponder.child import Child
from ponder.errors import ChildError, ChildTimeout, InputError, MissingExtra

__all__ = ["Entry", "UnknownGenerator", "child", "generate", "generators", "kept_child", "score"]

GENERATE_SECONDS = 60.0
SCORE_SECONDS = 10.0
# The size of every dataset. Fixed, because some generators' problems depend on it and the first ten
# problems must not change when twenty are asked for.
SIZE = 10_000
_SEED_STRIDE = 1_000_000
_SEEDS = 1 << 31

_ROOM = "ponder.tasks.gym_child"


class UnknownGenerator(Exception):
    """reasoning-gym has no generator of this name; `known` are those it has."""

    def __init__(self, known: list[str]) -> None:
        super().__init__("unknown generator")
        self.known = known


@dataclass(frozen=True, slots=True)
class Entry:
    """One generated problem. `handle` is what its scoring needs to generate it again: whoever holds it can
    have the key. `key` is empty where reasoning-gym states no solution and only checks one."""

    question: str
    key: str
    handle: Mapping[str, Any]


def child() -> Child:
    """A child process that has reasoning-gym loaded. Raises MissingExtra when it is not installed."""
    if importlib.util.find_spec("reasoning_gym") is None:
        raise MissingExtra("Every reasoning-gym task", "gym")
    operations = [f"{_ROOM}:{name}" for name in ("generate", "generators", "score")]
    return Child(operations, preload=["reasoning_gym"])


_kept: list[Child] = []


@contextmanager
def kept_child() -> Iterator[None]:
    """Load several tasks in one child: it starts when the first one needs it and ends with the block."""
    if importlib.util.find_spec("reasoning_gym") is None:
        yield
        return
    with child() as process:
        _kept.append(process)
        try:
            yield
        finally:
            _kept.remove(process)


@contextmanager
def _borrowed() -> Iterator[Child]:
    if _kept:
        yield _kept[-1]
        return
    with child() as process:
        yield process


def generators() -> list[str]:
    """The names of reasoning-gym's generators, sorted; none when it is not installed."""
    try:
        with _borrowed() as process:
            return list(process.call(f"{_ROOM}:generators", {}, seconds=SCORE_SECONDS))
    except MissingExtra:
        return []


def generate(generator: str, parameters: Mapping[str, Any], *, seed: int, count: int) -> list[Entry]:
    """Up to `count` problems with different questions; fewer when the generator has no more.

    Raises UnknownGenerator, InputError for parameters it refuses and when it does not finish in time,
    and MissingExtra.
    """
    source = {
        "generator": generator,
        "parameters": dict(parameters),
        "seed": seed * _SEED_STRIDE % _SEEDS,
        "size": SIZE,
    }
    try:
        with _borrowed() as process:
            reply = process.call(f"{_ROOM}:generate", {**source, "count": count}, seconds=GENERATE_SECONDS)
    except ChildTimeout:
        raise InputError(
            f"task: reasoning-gym's {generator} made no {count} problems within {GENERATE_SECONDS:g} s; "
            f"widen its parameters or ask for fewer problems."
        ) from None
    except ChildError as error:
        raise InputError(f"task: reasoning-gym's {generator} failed: {error} Try other parameters.") from None
    if "unknown" in reply:
        raise UnknownGenerator(reply["unknown"])
    if "refused" in reply:
        raise InputError(f"task: reasoning-gym's {generator} refuses its parameters: {reply['refused']}.")
    return [
        Entry(text, key, MappingProxyType({**source, "index": index}))
        for index, text, key in reply["problems"]
    ]


def score(process: Child, handle: Mapping[str, Any], answer: str) -> float:
    """reasoning-gym's own score of an answer, from 0 to 1, by the scorer in `process`. `handle` is that of
    the problem's `Entry`.

    Raises ChildTimeout, ChildCrashed, or ChildError when the scorer itself raises.
    """
    value = process.call(f"{_ROOM}:score", {**handle, "answer": answer}, seconds=SCORE_SECONDS)
    return float(value)
