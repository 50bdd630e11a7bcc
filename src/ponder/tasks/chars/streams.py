"""Streams of training texts. Any place of a stream is had without those before it, so training can resume."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, count
from random import Random
from types import MappingProxyType

from ponder.errors import InputError
from ponder.tasks.chars import chain, countdown, facts
from ponder.tasks.chars.texts import MARKS, Example, Family, Mode, Recipe, Split, check_mode
from ponder.tasks.problems import ProblemSet
from ponder.tasks.prompts import PLACEHOLDER, PromptOverride, overridden
from ponder.tasks.spec import Spec, parse

__all__ = ["FAMILIES", "examples", "family", "problem_set"]

FAMILIES: Mapping[str, Callable[[Spec], Family]] = MappingProxyType(
    {countdown.NAME: countdown.Countdown, chain.NAME: chain.Chain, facts.NAME: facts.Facts}
)


def family(spec: str) -> Family:
    """The family that a task's spec names. Raises InputError for any other name, and for a parameter that
    it has not."""
    parsed = parse(spec)
    create = FAMILIES.get(parsed.name)
    if create is None:
        known = ", ".join(FAMILIES)
        raise InputError(f"task: {parsed.name!r} has no texts to train on; known are {known}.")
    return create(parsed)


def problem_set(spec: str, *, problems: int, seed: int, prompt: PromptOverride | None) -> ProblemSet:
    """At most `problems` held-out problems of a family (of memorised facts: any). Raises InputError."""
    of = family(spec)
    found = tuple(replace(p, question=overridden(p.question, prompt)) for p in of.problems(problems, seed))
    shown = prompt.template if prompt is not None else PLACEHOLDER + MARKS[of.mode]
    return ProblemSet(of.name, of.title, found, of.grader, shown)


def examples(
    mixture: Sequence[tuple[str, Mode, float]],
    *,
    recipe: Recipe,
    split: Split = "train",
    seed: int,
    start: int = 0,
) -> Iterator[Example]:
    """Training texts without end, from place `start` on: (a task's spec, a mode, a weight) each come in
    proportion to their weights. What stands at a place depends on the seed and the place alone.

    Raises InputError for an empty mixture, a weight that is not positive, a negative seed or start.
    """
    if not mixture or not all(0 < weight < math.inf for _, _, weight in mixture):
        raise InputError("mixture: give at least one task, each with a weight over 0.")
    if seed < 0 or start < 0:
        raise InputError(f"seed and start must be 0 or more, not {seed} and {start}.")
    members = [(family(spec), mode) for spec, mode, _ in mixture]
    for member, mode in members:
        check_mode(mode, member)
    return _drawn(members, [weight for _, _, weight in mixture], recipe, split, seed, start)


def _drawn(
    members: Sequence[tuple[Family, Mode]],
    weights: Sequence[float],
    recipe: Recipe,
    split: Split,
    seed: int,
    start: int,
) -> Iterator[Example]:
    sums, rng = list(accumulate(weights)), Random()
    for place in count(start):
        # Every place has a generator of its own; both numbers in full, so that no two places share one.
        rng.seed((seed << 64) + place)
        chosen = min(bisect_right(sums, rng.random() * sums[-1]), len(members) - 1)
        member, mode = members[chosen]
        yield member.example(rng, split=split, mode=mode, recipe=recipe)
