"""Families of errors in a chain of arithmetic, and which of them a detector may know.

Each family goes wrong in one way at one place, and reckons on faithfully from there. So most of an attacked
solution is right, and its end is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from types import MappingProxyType

__all__ = ["FAMILIES", "Chain", "Fold", "Step", "chain_of", "draw_folds", "make_wrong", "written"]

Operation = tuple[str, int]
Step = tuple[int, str, int, int]
"""A value, an operator, a digit, and what is said to come of them."""

LARGEST = 99  # of any result, as in the task
_TRIES = 60


@dataclass(frozen=True, slots=True)
class Chain:
    """A problem: a first digit, and the operations that are worked off from left to right."""

    first: int
    operations: tuple[Operation, ...]


def chain_of(expression: str) -> Chain:
    """The problem "7+5-3*2"."""
    parts = re.findall(r"([+*-])(\d)", expression[1:])
    return Chain(int(expression[0]), tuple((operator, int(digit)) for operator, digit in parts))


def written(steps: Sequence[Step]) -> tuple[str, ...]:
    return tuple(f"{a}{operator}{n}={result}" for a, operator, n, result in steps)


def _result(value: int, operation: Operation) -> int:
    operator, n = operation
    return value + n if operator == "+" else value - n if operator == "-" else value * n


def worked_off(value: int, operations: Sequence[Operation]) -> list[Step]:
    steps = list[Step]()
    for operator, n in operations:
        result = _result(value, (operator, n))
        steps.append((value, operator, n, result))
        value = result
    return steps


# ---------------------------------------------------------------- ways to go wrong


def _slip(rng: Random, chain: Chain) -> list[Step]:
    """One result is off."""
    steps = worked_off(chain.first, chain.operations)
    at = rng.randrange(len(steps))
    a, operator, n, result = steps[at]
    off = result + rng.choice((-10, -2, -1, 1, 2, 10))
    return [*steps[:at], (a, operator, n, off), *worked_off(off, chain.operations[at + 1 :])]


def _carry(rng: Random, chain: Chain) -> list[Step]:
    """One step takes up another value than the last one left."""
    steps = worked_off(chain.first, chain.operations)
    at = rng.randrange(1, len(steps))
    begun = steps[at][0] + rng.choice((-10, -2, -1, 1, 2, 10))
    return [*steps[:at], *worked_off(begun, chain.operations[at:])]


def _changed(chain: Chain, at: int, operation: Operation) -> list[Step]:
    return worked_off(chain.first, [*chain.operations[:at], operation, *chain.operations[at + 1 :]])


def _operand(rng: Random, chain: Chain) -> list[Step]:
    """One digit is misread."""
    at = rng.randrange(len(chain.operations))
    return _changed(chain, at, (chain.operations[at][0], rng.randint(1, 9)))


def _operator(rng: Random, chain: Chain) -> list[Step]:
    """One operator is misread."""
    at = rng.randrange(len(chain.operations))
    return _changed(chain, at, (rng.choice("+-*"), chain.operations[at][1]))


def _dropped(rng: Random, chain: Chain) -> list[Step]:
    """One operation is left out."""
    at = rng.randrange(len(chain.operations))
    return worked_off(chain.first, [*chain.operations[:at], *chain.operations[at + 1 :]])


def _repeated(rng: Random, chain: Chain) -> list[Step]:
    """One operation is done twice."""
    at = rng.randrange(len(chain.operations))
    return worked_off(chain.first, [*chain.operations[: at + 1], *chain.operations[at:]])


def _order(rng: Random, chain: Chain) -> list[Step]:
    """Two neighbouring operations change places."""
    at = rng.randrange(len(chain.operations) - 1)
    swapped = chain.operations[at + 1], chain.operations[at]
    return worked_off(chain.first, [*chain.operations[:at], *swapped, *chain.operations[at + 2 :]])


FAMILIES: Mapping[str, Callable[[Random, Chain], list[Step]]] = MappingProxyType(
    {
        "slip": _slip,
        "carry": _carry,
        "operand": _operand,
        "operator": _operator,
        "dropped": _dropped,
        "repeated": _repeated,
        "order": _order,
    }
)


def make_wrong(family: str, rng: Random, expression: str) -> tuple[str, ...] | None:
    """A solution of the problem that goes wrong in the family's way and ends in a wrong value, every value of
    it one that a right solution could have. None where chance finds none: a sum's order changes nothing."""
    chain = chain_of(expression)
    right = worked_off(chain.first, chain.operations)
    for _ in range(_TRIES):
        steps = FAMILIES[family](rng, chain)
        values = [value for a, _, _, result in steps for value in (a, result)]
        if steps[-1][3] != right[-1][3] and all(0 <= value <= LARGEST for value in values):
            return written(steps)
    return None


# ---------------------------------------------------------------- who knows which


@dataclass(frozen=True, slots=True)
class Fold:
    """The family that is attacked with, and those that a detector may be chosen by."""

    held_out: str
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.held_out in self.known:
            raise ValueError(f"{self.held_out} is held out and known.")


MODELS = "models"
"""What the fold of errors that models make of themselves is called; no rule makes any of them."""


def draw_folds(seed: int, count: int) -> tuple[Fold, ...]:
    """`count` families that are held out in turn, drawn from the seed; and the fold of models' errors, for
    which every rule's family is known."""
    order = sorted(FAMILIES)
    Random(f"held out/{seed}").shuffle(order)
    folds = [Fold(name, tuple(sorted(set(FAMILIES) - {name}))) for name in order[:count]]
    return (*folds, Fold(MODELS, tuple(sorted(FAMILIES))))
