"""Which score of a sample says whether it is right, and what its value says."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from ponder.bank.foreign import Wanted
from ponder.errors import BankFileError

__all__ = ["ScoreReader", "verdict"]

# Inspect's letters (correct, incorrect, no answer, partial), and words for yes and no.
_WORDS = {"c": 1.0, "i": 0.0, "n": 0.0, "p": 0.5, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_SHOWN = 8
_NAME_PARTS = re.compile("[,/]")


class ScoreReader:
    """Reads one score of each sample of a file: the one that is wanted, or the only one.

    A score is wanted by its whole name, or by a part of it that no other score has: "strict-match" stands for
    "exact_match,strict-match".
    """

    def __init__(self, file: str, wanted: Wanted) -> None:
        self._file, self._wanted = file, wanted
        self._seen: dict[str, None] = {}
        self._used: set[str] = set()

    def read(self, scores: Mapping[str, Any], where: str) -> tuple[str, bool | None] | None:
        """The score's name and its verdict (None: not scored); None when the wanted one is not among them.
        Raises BankFileError where it is not clear which one is wanted, or its value says nothing."""
        self._seen.update(dict.fromkeys(scores))
        wanted = self._wanted.score
        if wanted is None:
            self._only(self._seen, "choose one with --score")
            names = list(scores)
        else:
            names = [name for name in scores if name == wanted]
            names = names or [name for name in scores if wanted in _NAME_PARTS.split(name)]
            self._used.update(names)
            self._only(self._used, f"{wanted!r} is a part of each: give --score the whole name")
        if not names:
            return None
        return names[0], verdict(scores[names[0]], names[0], where, self._wanted.right_at)

    def finish(self) -> None:
        """Raises BankFileError when the file has scores, and none of them is the wanted one."""
        if self._wanted.score is not None and self._seen and not self._used:
            raise BankFileError(
                f"{self._file}: it has no score {self._wanted.score[:80]!r}; choose --score from "
                f"{self._names()}."
            )

    def _only(self, names: Mapping[str, Any] | set[str], remedy: str) -> None:
        if len(names) > 1:
            raise BankFileError(f"{self._file}: it has several scores ({self._names()}); {remedy}.")

    def _names(self) -> str:
        names = [name[:80] for name in self._seen]
        return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")


def verdict(value: Any, name: str, where: str, right_at: float | None) -> bool | None:
    """Whether a score's value says right; None when it says that nothing was scored. Raises BankFileError."""
    number = _number(value)
    if value is None or (number is not None and math.isnan(number)):
        return None
    if number is None:
        raise BankFileError(
            f"{where}: the score {name} is {value!r:.40}, which says neither right nor wrong; choose another "
            "with --score."
        )
    if right_at is not None:
        return number >= right_at
    if number not in (0.0, 1.0):
        raise BankFileError(
            f"{where}: the score {name} is {value!r:.40}, neither right (1) nor wrong (0); say with "
            "--right-at from which value on a sample is right."
        )
    return number == 1.0


def _number(value: Any) -> float | None:
    word = value.strip().casefold() if isinstance(value, str) else value
    if isinstance(word, str) and word in _WORDS:
        return _WORDS[word]
    try:
        return float(word)
    except (ValueError, TypeError, OverflowError):
        return None
