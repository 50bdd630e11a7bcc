"""An answer that grows, and as much of it as may be shown whatever follows. Pure.

Shown is what `hiding` would show of the whole. Held back are: an end that may become a span of the thought; a
word that may become a code of it; and from the first cut on that the answer which the sample declares could
undo, everything, since that is known at the end alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from ponder.serve.hiding import (
    CODE,
    LETTERS,
    LONGEST_CODE,
    REDACTED,
    SPAN_CHARACTERS,
    is_hidden_code,
    letters_of,
    squash,
    stretches,
)

__all__ = ["MOST_THOUGHT", "Growing"]

MOST_THOUGHT = 100_000
"""Characters of a thought that is looked through while an answer grows."""

_GRAM = 8


class _Repeats:
    """How a text that grows repeats a hidden one. Hashes stand for the hidden text's stretches, so that each
    further letter takes the same short time, whatever the texts are."""

    def __init__(self, hidden: str, allowed: Iterable[str], length: int) -> None:
        self._length = length
        self._stretches = {hash(each) for each in stretches(hidden, length)}
        for text in allowed if self._stretches else ():
            self._stretches.difference_update(map(hash, stretches(text, length)))
        self._grams = {hash(each) for each in stretches(hidden, _GRAM)} if self._stretches else set()
        self._tail, self._chain = "", 0
        self._places: deque[int] = deque(maxlen=length)

    def feed(self, letter: str, place: int) -> int | None:
        """The place at which a stretch begins that this letter ends."""
        self._tail = (self._tail + letter)[-self._length :]
        self._places.append(place)
        self._chain = self._chain + 1 if hash(self._tail[-_GRAM:]) in self._grams else 0
        if self._chain <= self._length - _GRAM or hash(self._tail) not in self._stretches:
            return None
        return self._places[0]

    def open_at(self, end: int) -> int:
        """The place from which on a stretch may still come to be, `end` if there is none."""
        length = min(_GRAM - 1 + self._chain, self._length - 1, len(self._places)) if self._stretches else 0
        return self._places[-length] if length else end


class _Words:
    """The words of a text that grows that are codes of a hidden one."""

    def __init__(self, hidden: str, allowed: Sequence[str]) -> None:
        self._hidden, self._allowed = [hidden.casefold()], [each.casefold() for each in allowed]
        # From the first word on that may go on.
        self._text, self._at, self._foreign = "", 0, False

    def feed(self, piece: str) -> list[tuple[int, int]]:
        """Where the codes begin and end that are whole now."""
        self._text += piece
        found: list[tuple[int, int]] = []
        for match in CODE.finditer(self._text):
            if match.start() + LONGEST_CODE > len(self._text) and _goes_on(self._text, match.end()):
                self._open(match.start(), match.group())
                return found
            if is_hidden_code(match.group().casefold(), self._hidden, self._allowed):
                found.append((self._at + match.start(), self._at + match.end()))
        self._open(len(self._text), "")
        return found

    def _open(self, start: int, word: str) -> None:
        """A word that is no part of the hidden text becomes none by what follows."""
        known = start == 0 and self._foreign
        self._foreign = bool(word) and (known or not any(word.casefold() in each for each in self._hidden))
        self._text, self._at = self._text[start:], self._at + start

    def open_at(self, end: int) -> int:
        """The place from which on a code may still come to be, `end` if there is none."""
        return end if self._foreign else self._at


class Growing:
    """One answer. `allowed`: what the caller sent himself. `text` and `marks` are of what was shown of it:
    its characters as they were, and 1 for each that was cut."""

    def __init__(self, thought: str, allowed: Sequence[str]) -> None:
        self.marks = bytearray()
        self._hides, self._over = bool(thought), len(thought) > MOST_THOUGHT
        looked = "" if self._over else thought
        self._plain = _Repeats(looked, allowed, SPAN_CHARACTERS + 1)
        self._letters = _Repeats(squash(looked), map(squash, allowed), LETTERS)
        self._words = _Words(looked, allowed)
        self._shown: list[str] = []
        # Of what is not shown yet: the text, what is surely cut, what is cut unless it is declared.
        self._rest, self._sure, self._likely = "", bytearray(), bytearray()

    @property
    def text(self) -> str:
        return "".join(self._shown)

    def close(self) -> None:
        """Show nothing more."""
        self._over, self._rest = True, ""

    def feed(self, piece: str) -> str:
        """What may be shown now and was not before."""
        if self._over:
            return ""
        self._rest += piece
        self._sure += bytes(len(piece))
        self._likely += bytes(len(piece))
        if not self._hides:
            return self._show(len(self._rest))
        base, end = len(self.marks), len(self.marks) + len(self._rest)
        for place, character in enumerate(piece, end - len(piece)):
            self._mark(self._sure, self._plain.feed(character, place), place + 1)
            for letter in letters_of(character):
                self._mark(self._likely, self._letters.feed(letter, place), place + 1)
        for code in self._words.feed(piece):
            self._mark(self._likely, *code)
        settled = min(each.open_at(end) for each in (self._plain, self._letters, self._words)) - base
        pairs = zip(self._sure[:settled], self._likely, strict=False)
        doubtful = next((at for at, (sure, likely) in enumerate(pairs) if likely and not sure), None)
        shown = self._show(settled if doubtful is None else doubtful)
        if doubtful is not None:
            self.close()
        return shown

    def _mark(self, marks: bytearray, start: int | None, end: int) -> None:
        if start is not None:
            base = len(self.marks)
            marks[start - base : end - base] = b"\1" * (end - start)

    def _show(self, length: int) -> str:
        """The next characters, without what is cut."""
        text, marks = self._rest[:length], self._sure[:length]
        was, pieces = self.marks[-1:] == b"\1", list[str]()
        for character, marked in zip(text, marks, strict=True):
            if not marked:
                pieces.append(character)
            elif not was:
                pieces.append(REDACTED)
            was = bool(marked)
        self._shown.append(text)
        self.marks += marks
        self._rest = self._rest[length:]
        del self._sure[:length], self._likely[:length]
        return "".join(pieces)


def _goes_on(text: str, at: int) -> bool:
    """Whether a word that ends there may still become longer."""
    return all(character.isalnum() or character in "_.:/+-" for character in text[at:])
