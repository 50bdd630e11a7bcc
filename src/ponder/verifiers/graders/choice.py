"""The same option of a multiple-choice question: B, (b), "option B", "B) Paris" and, where it is B, Paris.

Never by a substring: an option is named by its letter, by its whole text, or by both, which must agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.tasks.options import chosen, labelled, listed

__all__ = ["Choice", "create"]


class Choice:
    """Grades by the option named. The question's own options, if it lists them, tell which text has which
    letter; without them a letter alone equals no text."""

    name = "choice"

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool:
        options = listed(question)
        if options:
            expected = chosen(options, key)
            return expected is not None and expected == chosen(options, choice)
        (letter, words), (given, given_words) = labelled(key), labelled(choice)
        if letter and given:
            return letter == given and (not words or not given_words or words == given_words)
        return words is not None and words == given_words

    def close(self) -> None:
        """Holds nothing."""


def create() -> Choice:
    return Choice()
