"""The options of a multiple-choice question: where it lists them, and which one a text names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ponder.core import Question

__all__ = ["LETTERS", "chosen", "labelled", "listed"]

_CHARACTERS = 500
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# "A) Paris", "(A) Paris", "A. Paris", "A: Paris", one a line.
_LISTED = re.compile(r"^[ \t]*[*_]{0,2}\(?([A-Z])[).:][*_]{0,2}[ \t]+(\S.*)$", re.MULTILINE)
# B, (B), B) Paris, [B], option B, answer: (B) Paris
_LABELLED = re.compile(
    r"(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:? )?[(\[]?([A-Za-z])(?:[)\].:]+(?: (.*))?)?",
    re.IGNORECASE | re.DOTALL,
)


def listed(question: Question) -> Mapping[str, str]:
    """The question's options, by letter: those of its data (`options`, a list), or else those that its text
    lists one a line, from A on without a gap. Empty where it lists fewer than two."""
    given = question.data.get("options")
    if isinstance(given, list | tuple):
        return dict(zip(LETTERS, (str(option) for option in given), strict=False))
    found: dict[str, str] = {}
    for match in _LISTED.finditer(question.text):
        # A second list in the same text is the one that is asked about.
        if match.group(1) == "A":
            found = {}
        if match.group(1) == LETTERS[len(found) : len(found) + 1]:
            found[match.group(1)] = match.group(2)
    return found if len(found) > 1 else {}


def labelled(text: str) -> tuple[str | None, str | None]:
    """The letter (upper case) and the words of an option as someone writes it, None for what is missing:
    "(b)" is ("B", None), "B) Paris" is ("B", "paris"), "Paris" is (None, "paris")."""
    plain = _plain(text)
    match = _LABELLED.fullmatch(plain)
    if match is None:
        return None, plain or None
    return match.group(1).upper(), _plain(match.group(2) or "") or None


def chosen(options: Mapping[str, str], text: str) -> str | None:
    """The letter of the one option that `text` names by its letter, its whole text, or both.

    None where it names none, two, or a letter with another option's text.
    """
    letter, words = labelled(text)
    if words is None and letter in options:
        return letter
    if words is None:
        # A letter that is no option's label may be an option's text: x, y.
        letter, words = None, _plain(text)
    same = [at for at, option in options.items() if words and _plain(option) == words]
    return same[0] if len(same) == 1 and letter in (None, same[0]) else None


def _plain(text: str) -> str:
    return " ".join(text[:_CHARACTERS].split()).strip("*_`\"'$ ").rstrip(".").casefold()
