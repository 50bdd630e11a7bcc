"""Problems for character-level models: one alphabet, families of problems, streams of training texts.

A prompt ends with its mode's mark: ":" answer in steps, "?" answer by search, "#" the answer alone. A reply
ends with a full stop, and a line end separates its steps. Problems are held out by their keys
(`split_of`), for every kind of training alike.
"""

from __future__ import annotations

from ponder.tasks.chars.streams import FAMILIES, examples, family, problem_set
from ponder.tasks.chars.texts import ALPHABET, END, MARKS, Example, Family, Mode, Recipe, Split, split_of

__all__ = [
    "ALPHABET",
    "END",
    "FAMILIES",
    "MARKS",
    "Example",
    "Family",
    "Mode",
    "Recipe",
    "Split",
    "examples",
    "family",
    "problem_set",
    "split_of",
]
