"""The same number, exactly: 0.5, 1/2 and .50 with a leading zero are equal, 0.333 and 1/3 are not."""

from __future__ import annotations

from fractions import Fraction

from ponder.core import Question
from ponder.tasks.extract import canonical_number

__all__ = ["Numeric", "create"]


class Numeric:
    """Grades by equality of exact rationals. What is no number of at most 400 characters is not correct."""

    name = "numeric"

    def grade(self, question: Question, key: str, choice: str) -> bool:
        expected, given = _rational(key), _rational(choice)
        return expected is not None and expected == given

    def close(self) -> None:
        """Holds nothing."""


def _rational(text: str) -> Fraction | None:
    # The canonical spelling has no exponent and a bounded length, so Fraction's work is bounded too.
    number = canonical_number(text)
    return None if number is None else Fraction(number)


def create() -> Numeric:
    return Numeric()
