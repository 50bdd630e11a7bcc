"""Search traces for Countdown (Stream of Search, Gandhi et al. 2024, arXiv 2404.03683): try, reject, go back.

A depth-first search, written down as it goes: a step a line, and "<" on a line of its own takes the last
step back. What has not been taken back in the end is the solution.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random

from ponder.core import Forcing
from ponder.tasks.chars.solutions import LARGEST_RESULT, Step, turned
from ponder.tasks.chars.texts import Recipe

__all__ = ["BACK", "FORCING", "LONGEST", "trace"]

BACK = "<"
# A search that would have ended takes its last step back. What one that is cut short has left is its answer.
FORCING = Forcing(prolong=f"\n{BACK}\n", conclude=None)
LONGEST = 300  # characters of a trace with its full stop
_ATTEMPTS = 20
# How many steps are tried from a state below the first before it is given up.
_WIDTH = {"curated": 2, "random": 3}


def trace(rng: Random, numbers: Sequence[int], target: int, recipe: Recipe) -> str | None:
    """A search that ends at the target, in lines without the full stop. None where 20 searches in different
    orders were all longer than 300 characters.

    "curated": of three numbers the two steps that look best are tried, by how near the best next step comes
    to the target. "random": three steps in any order. Of two numbers both try the step that comes nearest.
    """
    for _ in range(_ATTEMPTS):
        search = _Search(rng, target, recipe)
        if search.solve(list(numbers)):
            return "\n".join(search.lines)
    return None


class _Search:
    """One search. `lines` is what it has written."""

    def __init__(self, rng: Random, target: int, recipe: Recipe) -> None:
        self.rng, self.target, self.recipe = rng, target, recipe
        self.lines: list[str] = []
        self.room = LONGEST

    def solve(self, numbers: list[int]) -> bool:
        """Whether the target is found from here within the room that is left."""
        for step, rest in self._to_try(numbers):
            a, operator, b, result = turned(self.rng, step) if self.recipe == "random" else step
            self._write(f"{a}{operator}{b}={result}")
            if self.room < 0:
                return False
            if result == self.target or (rest and self.solve([*rest, result])):
                return True
            self._write(BACK)
        return False

    def _write(self, line: str) -> None:
        self.lines.append(line)
        self.room -= len(line) + 1

    def _to_try(self, numbers: list[int]) -> list[Move]:
        moves = _moves(numbers)
        self.rng.shuffle(moves)
        if len(numbers) == 2:
            return [min(moves, key=lambda move: abs(move[0][3] - self.target))]
        if not self.lines:
            return moves  # never given up: from here the target can be reached
        if len(numbers) == 3 and self.recipe == "curated":
            moves.sort(key=lambda move: self._distance(move[0][3], move[1][0]))
        return moves[: _WIDTH[self.recipe]]

    def _distance(self, a: int, b: int) -> int:
        """How near the target the best of the last steps comes; a result that is there already is nearest."""
        goal = self.target
        return -1 if a == goal else min(abs(a + b - goal), abs(abs(a - b) - goal), abs(a * b - goal))


Move = tuple[Step, list[int]]  # a step and the other numbers


@cache
def _pairs(count: int) -> tuple[tuple[int, int, tuple[int, ...]], ...]:
    """The places of two of `count` numbers, and of the others."""
    return tuple(
        (i, j, tuple(k for k in range(count) if k not in (i, j))) for i in range(count) for j in range(i)
    )


def _moves(numbers: Sequence[int]) -> list[Move]:
    """All first steps, of equal ones one. A factor 1 is left out, as it leads nowhere."""
    moves, seen = list[Move](), set[tuple[int, int]]()
    for i, j, others in _pairs(len(numbers)):
        a, b = numbers[i], numbers[j]
        if a < b:
            a, b = b, a
        if (a, b) in seen:
            continue
        seen.add((a, b))
        rest = [numbers[k] for k in others]
        moves.append(((a, "+", b, a + b), rest))
        if a > b:
            moves.append(((a, "-", b, a - b), rest))
        if b > 1 and a * b <= LARGEST_RESULT:
            moves.append(((a, "*", b, a * b), rest))
    return moves
