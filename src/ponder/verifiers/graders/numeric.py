"""The same number, exactly: 0.5, 0.50 and 1/2 are equal, 0.333 and 1/3 are not. Without its leading zero (.5)
it is read as no number."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.tasks.extract import sole_number

__all__ = ["Numeric", "create"]


class Numeric:
    """Grades by equality of exact rationals. What holds no number of at most 400 characters, or several, is
    not correct."""

    name = "numeric"

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool:
        expected, given = _rational(key), _rational(choice)
        return expected is not None and expected == given

    def close(self) -> None:
        """Holds nothing."""


def _rational(text: str) -> Fraction | None:
    # The canonical spelling has no exponent and a bounded length, so Fraction's work is bounded too.
    number = sole_number(text)
    return None if number is None else Fraction(number)


def create() -> Numeric:
    return Numeric()
