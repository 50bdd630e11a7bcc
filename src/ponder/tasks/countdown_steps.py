"""Countdown in steps: one operation on the numbers that are left a line, checked exactly after each.

A chain such as "3 * 4 = 12; 12 + 5 = 17" takes two numbers away at each step and puts their result in their
place. The text is untrusted: `extract.steps` reads it, and nothing is evaluated as code.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from ponder.tasks import extract

__all__ = ["RULE", "SEARCH_RULE", "reachable", "result", "walk"]

RULE, SEARCH_RULE = "steps", "search"

Numbers = tuple[Fraction, ...]
_MOST_NUMBERS = 6


def walk(chain: str, numbers: Sequence[int]) -> Numbers | None:
    """What is left after a chain that `extract.steps` has read, the last result at the end. None where a
    step takes a number that is not left, states a wrong result or divides by zero."""
    left = [Fraction(n) for n in numbers]
    for first, operator, second, stated in extract.operations(chain):
        for taken in (Fraction(first), Fraction(second)):
            if taken not in left:
                return None
            left.remove(taken)
        value = result(Fraction(first), operator, Fraction(second))
        if value is None or value != Fraction(stated):
            return None
        left.append(value)
    return tuple(left)


def result(first: Fraction, operator: str, second: Fraction) -> Fraction | None:
    """The exact value of one operation; None for a division by zero."""
    if operator == "+":
        return first + second
    if operator == "-":
        return first - second
    if operator == "*":
        return first * second
    return first / second if second else None


def reachable(left: Sequence[Fraction], target: int) -> bool:
    """Whether some further operations end at the target: an exhaustive search over exact fractions.

    It takes at least one operation, since the last result is the answer. Raises ValueError for more than
    six numbers, beyond which the search would be too long.
    """
    if len(left) > _MOST_NUMBERS:
        raise ValueError(f"reachable takes at most {_MOST_NUMBERS} numbers, not {len(left)}.")
    return _reachable(tuple(sorted(left)), Fraction(target))


@lru_cache(maxsize=1 << 17)
def _reachable(left: Numbers, target: Fraction) -> bool:
    """`left` is sorted, so that the same numbers are searched once."""
    for i, first in enumerate(left):
        for j in range(i):
            rest = left[:j] + left[j + 1 : i] + left[i + 1 :]
            values = _results(first, left[j])
            if target in values:
                return True
            if rest and any(_reachable(tuple(sorted((*rest, value))), target) for value in values):
                return True
    return False


def _results(first: Fraction, second: Fraction) -> set[Fraction]:
    values = {first + second, first - second, second - first, first * second}
    return values | {a / b for a, b in ((first, second), (second, first)) if b}
