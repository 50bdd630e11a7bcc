"""The same text, whatever its case, white space, surrounding quotes or emphasis, and final full stop.

A choice is what the question's rule read in a sample ("7.0 m" is "7"), so the key is read by the same rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.tasks import extract

__all__ = ["Exact", "create"]

# B, (B), B) Paris, B: Paris
_OPTION = re.compile(r"[(\[]?([a-z])(?:[)\].:](?: .*)?)?")


class Exact:
    """Grades by equality of texts. A letter equals an option that begins with it: B, (b), "B) Paris"."""

    name = "exact"

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool:
        expected, given = _form(question, key), _form(question, choice)
        if expected is None or given is None:
            return False
        if min(len(expected), len(given)) == 1:
            expected, given = _option(expected), _option(given)
        return expected == given

    def close(self) -> None:
        """Holds nothing."""


def _form(question: Question, text: str) -> str | None:
    plain = extract.tidy(text)
    if plain is None or len(plain) > extract.SEGMENT_CHARACTERS:
        return plain and plain.casefold()
    read = extract.choice(question, f"Answer: {plain}")
    return (plain if read is None else read).casefold()


def _option(text: str) -> str:
    found = _OPTION.fullmatch(text)
    return text if found is None else found.group(1)


def create() -> Exact:
    return Exact()
