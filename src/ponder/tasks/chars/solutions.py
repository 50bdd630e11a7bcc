"""Countdown instances with one solution each, and two ways to write a solution down.

Whole numbers alone, so that every value is a few characters: a difference is taken the larger first, no
result is zero, and none is over 999. There is no division, as in `tasks.countdown`'s own solutions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from random import Random

__all__ = ["LARGEST_TARGET", "Step", "as_they_come", "balanced", "instance", "simplest"]

LARGEST_TARGET = 100
LARGEST_RESULT = 999

Step = tuple[int, str, int, int]  # first operand, operator, second operand, result

# Targets rarer than this many others are not waited for: the balance would cost more than it is worth.
_RAREST = 10
_DENSITY_DRAWS = 20_000


def instance(rng: Random, count: int, largest: int) -> tuple[list[int], int, list[Step]]:
    """Numbers, a target from 1 to 100 that is none of them, and one solution that uses them all, of each
    step the larger operand first. A sum or a product that is too large becomes a difference."""
    random = rng.random
    while True:
        numbers = [1 + int(random() * largest) for _ in range(count)]
        left, steps = numbers[:], []
        for n in range(count, 1, -1):
            a, b = left.pop(int(random() * n)), left.pop(int(random() * (n - 1)))
            if a < b:
                a, b = b, a
            operator, most = "+*-"[int(random() * 3)], LARGEST_RESULT if n > 2 else LARGEST_TARGET
            result = a + b if operator == "+" else a * b if operator == "*" else a - b
            if result > most:
                operator, result = "-", a - b
            if not 0 < result <= most:
                break
            steps.append((a, operator, b, result))
            left.append(result)
        else:
            if left[0] not in numbers:
                return numbers, left[0], steps


def balanced(rng: Random, count: int, largest: int) -> tuple[list[int], int, list[Step]]:
    """As `instance`, but all targets about equally often: of the common ones some are passed over."""
    accepted = _acceptance(count, largest)
    while True:
        found = instance(rng, count, largest)
        if rng.random() < accepted[found[1]]:
            return found


@lru_cache(maxsize=64)
def _acceptance(count: int, largest: int) -> tuple[float, ...]:
    """The chance to keep an instance, by its target, from how often targets come by themselves."""
    rng, seen = Random(0), [0] * (LARGEST_TARGET + 1)
    for _ in range(_DENSITY_DRAWS):
        seen[instance(rng, count, largest)[1]] += 1
    rarest = sorted(n for n in seen if n)[: _RAREST + 1][-1]
    return tuple(min(1.0, rarest / n) if n else 1.0 for n in seen)


def as_they_come(rng: Random, steps: Sequence[Step]) -> list[Step]:
    """The solution as it was drawn, the operands of a sum or a product in any order."""
    return [turned(rng, step) for step in steps]


def turned(rng: Random, step: Step) -> Step:
    """The step, every other time with its operands the other way round, where their order does not matter."""
    a, operator, b, result = step
    return (b, operator, a, result) if operator != "-" and rng.random() < 0.5 else step


def simplest(numbers: Sequence[int], target: int, steps: Sequence[Step]) -> list[Step]:
    """The same solution in its simplest form, for which not all numbers need be used.

    Sums and products are flattened and worked off from the largest operand down, what is added before what
    is taken off; what changes nothing is left out: a factor 1, a number added and taken off again, and
    whatever the target does not need.
    """
    parts: list[Part] = [(n, "", (), ()) for n in numbers]
    for a, operator, b, _ in steps:
        first, second = _take(parts, a), _take(parts, b)
        parts.append(_product(first, second) if operator == "*" else _sum(first, second, operator))
    written: list[Step] = []
    _write(parts[-1], written)
    chosen = _needed(written, target)
    # A number that is free now may save the steps that made the same value.
    return simplest(numbers, target, chosen) if len(chosen) < len(steps) else chosen


# A part of a solution: its value, what it is ("" a number), and the parts that are added or multiplied, and
# taken off, the largest first. A sum's parts are no sums, a product's no products.
Part = tuple[int, str, tuple["Part", ...], tuple["Part", ...]]


def _take(parts: list[Part], value: int) -> Part:
    for at, part in enumerate(parts):
        if part[0] == value:
            return parts.pop(at)
    raise ValueError(f"a step takes {value}, which is not there.")


def _product(first: Part, second: Part) -> Part:
    factors = [f for part in (first, second) for f in (part[2] if part[1] == "*" else (part,)) if f[0] != 1]
    if len(factors) < 2:
        return factors[0] if factors else first
    return (first[0] * second[0], "*", tuple(sorted(factors, reverse=True)), ())


def _sum(first: Part, second: Part, operator: str) -> Part:
    (added, taken), (more, less) = _terms(first), _terms(second)
    value = first[0] + second[0]
    if operator == "-":
        more, less, value = less, more, first[0] - second[0]
    added, taken = added + more, taken + less
    if taken:
        added, taken = _without_common(added, taken)
    if len(added) == 1 and not taken:
        return added[0]
    return (value, "+", tuple(sorted(added, reverse=True)), tuple(sorted(taken, reverse=True)))


def _terms(part: Part) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    return (part[2], part[3]) if part[1] == "+" else ((part,), ())


def _without_common(
    added: Sequence[Part], taken: Sequence[Part]
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """What is added and taken off is neither."""
    more, less = list(added), list[Part]()
    for part in taken:
        same = next((at for at, other in enumerate(more) if other[0] == part[0]), None)
        if same is None:
            less.append(part)
        else:
            del more[same]
    return tuple(more), tuple(less)


def _write(part: Part, written: list[Step]) -> None:
    """The steps of a part's parts first, then its own."""
    _, kind, added, taken = part
    for inner in (*added, *taken):
        if inner[1]:
            _write(inner, written)
    if not kind:
        return
    value = added[0][0]
    for inner in added[1:]:
        result = value * inner[0] if kind == "*" else value + inner[0]
        # Of two numbers the larger stands first.
        written.append((max(value, inner[0]), kind, min(value, inner[0]), result))
        value = result
    for inner in taken:
        written.append((value, "-", inner[0], value - inner[0]))
        value -= inner[0]


def _needed(steps: Sequence[Step], target: int) -> list[Step]:
    """Up to the first step that hits the target, and of those before it the ones that lead to it."""
    last = next(i for i, step in enumerate(steps) if step[3] == target)
    wanted, kept = [target], list[Step]()
    for step in reversed(steps[: last + 1]):
        if step[3] in wanted:
            wanted.remove(step[3])
            wanted += (step[0], step[2])
            kept.append(step)
    return kept[::-1]
