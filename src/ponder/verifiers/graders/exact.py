"""The same text, whatever its case, white space, surrounding quotes or emphasis, and final full stop."""

from __future__ import annotations

from ponder.core import Question
from ponder.tasks.extract import tidy

__all__ = ["Exact", "create"]


class Exact:
    """Grades by equality of texts."""

    name = "exact"

    def grade(self, question: Question, key: str, choice: str) -> bool:
        expected, given = tidy(key), tidy(choice)
        return expected is not None and given is not None and expected.casefold() == given.casefold()

    def close(self) -> None:
        """Holds nothing."""


def create() -> Exact:
    return Exact()
