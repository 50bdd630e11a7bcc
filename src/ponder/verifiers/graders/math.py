r"""The same mathematical object, by math-verify: 1/2 and \frac{1}{2}, 2\sqrt{3} and \sqrt{12}.

It computes with what the model wrote, and `9^{9^9}` never ends, so it runs in a child process that can be
killed. Its leniencies are its own: decimals are compared to six places, units are left out, 50% equals both
50 and 0.5, "x = 5" equals 5, and (1,2) equals 1,2.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from ponder.child import Child, Limits
from ponder.core import Question
from ponder.errors import ChildCrashed, ChildError, ChildTimeout, MissingExtra
from ponder.tasks.extract import canonical_number, tidy

__all__ = ["Math", "create"]

SECONDS = 5.0
TRIES = 2
_CHARACTERS = 1000
_TEXT = re.compile(r"\\text\{([^{}]{0,500})\}")
_WORDS = re.compile(r"[^\W\d_]{4,}(?:[ -][^\W\d_]+)*")
_EQUAL = "ponder.verifiers.math_child:equal"


class Math:
    """Grades by mathematical equality. It holds a child process from the first comparison on.

    A comparison that dies or runs out of time is tried again. When it fails twice while the key compared
    with itself does not, it is the answer that cannot be compared: not correct. When that fails too, the
    machine or the key is at fault and nothing is known of the answer: None. A child that cannot be started is
    an error (ChildError).
    """

    name = "math"

    def __init__(self) -> None:
        limits = Limits(memory_bytes=1 << 30)
        self._child = Child([_EQUAL], preload=["ponder.verifiers.math_child", "math_verify"], limits=limits)

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool | None:
        if len(choice) > _CHARACTERS:
            return False
        known = _plainly(key, choice)
        if known is not None:
            return known
        for _ in range(TRIES):
            equal = self._compared(key, choice)
            if equal is not None:
                return equal
        return None if self._compared(key, key) is None else False

    def close(self) -> None:
        """End the child process, if there is one."""
        self._child.close()

    def _compared(self, key: str, choice: str) -> bool | None:
        self._child.start()
        try:
            return bool(self._child.call(_EQUAL, {"key": key, "choice": choice}, seconds=SECONDS))
        except (ChildTimeout, ChildCrashed):
            return None
        except ChildError:
            return False


def _plainly(key: str, choice: str) -> bool | None:
    """What can be told without the child: of equal texts, words, equal rationals and integers."""
    if tidy(key) == tidy(choice) is not None:
        return True
    words = _words(key), _words(choice)
    if any(words):
        # math-verify reads a word as a product of its letters, and so "listen" as "silent".
        return words[0] == words[1]
    numbers = canonical_number(key), canonical_number(choice)
    if None in numbers:
        return None
    expected, given = (Fraction(number) for number in numbers if number is not None)
    if expected == given:
        return True
    return False if expected.denominator == given.denominator == 1 else None


def _words(text: str) -> str | None:
    plain = tidy(_TEXT.sub(r"\1", text)) or ""
    return plain.casefold() if _WORDS.fullmatch(plain) else None


def create() -> Math:
    """Raises MissingExtra."""
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("Grading by mathematical equality", "math")
    return Math()
