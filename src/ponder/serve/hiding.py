"""Which part of a sample is thought and which is answer, and what of a text may not be shown. Pure.

A span is hidden text if it stands in a thought and not in what the caller sent. Spans of more than
`SPAN_CHARACTERS` are cut, and copies that differ in case, spaces or punctuation are copies too. Codes (words
with digits among their letters) are cut from `CODE_CHARACTERS` on, since one says as much as a sentence.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ponder.core import Sample

__all__ = [
    "CODE",
    "CODE_CHARACTERS",
    "LETTERS",
    "LONGEST_CODE",
    "REDACTED",
    "SPAN_CHARACTERS",
    "Parted",
    "Redaction",
    "cut",
    "is_hidden_code",
    "letters_of",
    "marks",
    "part",
    "redact",
    "squash",
    "stretches",
]

SPAN_CHARACTERS = 40
CODE_CHARACTERS = 8
REDACTED = "[redacted]"

LETTERS = 30
"""So many of a span that is longer than SPAN_CHARACTERS are letters and digits, unless it is mostly signs."""
_MARK = re.compile(
    r"^[^\w\n]{0,8}?(\*{0,3})(?:final )?answer(\*{0,3})[^\w\n]{0,4}[:=](\*{0,3})[^\S\n]*",
    re.IGNORECASE | re.MULTILINE,
)
CODE = re.compile(r"[^\W_](?:[\w.:/+-]{0,200}[^\W_])?")
LONGEST_CODE = 202
_SIGNS = re.compile(r"[^0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Parted:
    """A sample's thought, which is hidden, and its answer, which may be shown."""

    thought: str
    answer: str


def part(sample: Sample, *, direct: bool) -> Parted:
    """Divide a sample. `direct`: no thought was asked for, so that only its reasoning field is one."""
    reasoning, text = sample.reasoning or "", sample.text
    if direct:
        return Parted(reasoning, text)
    marks = list(_MARK.finditer(text))
    if marks and text[marks[-1].end() :].strip():
        return Parted(_joined(reasoning, text[: marks[-1].start()]), _after(marks[-1]))
    if sample.reasoning and text.strip():
        return Parted(reasoning, text)
    choice = sample.choice or ""
    before, found, after = text.rpartition(choice) if choice else (text, "", "")
    return Parted(_joined(reasoning, before, after if found else ""), choice)


def _after(mark: re.Match[str]) -> str:
    """What follows a mark, without the end of an emphasis that the mark begins."""
    opened, *closed = mark.groups()
    answer = mark.string[mark.end() :].strip()
    return answer.removesuffix(opened).rstrip() if opened and not any(closed) else answer


def _joined(*parts: str) -> str:
    return "\n".join(each for each in parts if each)


@dataclass(frozen=True, slots=True)
class Redaction:
    """A text that may be shown, and how many spans were cut from it."""

    text: str
    cuts: int


def redact(text: str, hidden: Iterable[str], allowed: Sequence[str]) -> Redaction:
    """Cut every span of `hidden` from the text, unless it stands in `allowed`."""
    return cut(text, marks(text, hidden, allowed))


def marks(text: str, hidden: Iterable[str], allowed: Sequence[str]) -> bytearray:
    """1 for each character of the text that stands in such a span, else 0."""
    secrets = [each for each in hidden if each]
    marked = bytearray(len(text))
    if not text or not secrets:
        return marked
    plain = _Windows(text, list(range(len(text))), SPAN_CHARACTERS + 1)
    plain.mark(secrets, allowed, marked)
    letters, places = _placed(text)
    squashed = _Windows(letters, places, LETTERS)
    if squashed.any:
        squashed.mark(map(squash, secrets), map(squash, allowed), marked)
    _mark_codes(text, secrets, allowed, marked)
    return marked


class _Windows:
    """All stretches of one length in a text. They are looked up rather than those of the hidden texts: what
    is shown is short, and what is hidden may be millions of characters."""

    def __init__(self, text: str, places: Sequence[int], length: int) -> None:
        self._length, self._places = length, places
        self._at: dict[str, list[int]] = {}
        for start, stretch in enumerate(stretches(text, length)):
            self._at.setdefault(stretch, []).append(start)

    @property
    def any(self) -> bool:
        return bool(self._at)

    def mark(self, hidden: Iterable[str], allowed: Iterable[str], marked: bytearray) -> None:
        """Mark the text's places that stand in a hidden text and in no allowed one."""
        length, at = self._length, self._at
        found = {each for secret in hidden for each in stretches(secret, length) if each in at}
        for text in allowed if found else ():
            found.difference_update(stretches(text, length))
        for place in (place for stretch in found for place in at[stretch]):
            first, last = self._places[place], self._places[place + length - 1]
            marked[first : last + 1] = b"\1" * (last + 1 - first)


def stretches(text: str, length: int) -> Iterator[str]:
    """All of one length in a text."""
    return (text[start : start + length] for start in range(len(text) - length + 1))


def squash(text: str) -> str:
    """Letters and digits alone, without case or width."""
    return _SIGNS.sub("", text).lower() if text.isascii() else "".join(map(letters_of, text))


def _placed(text: str) -> tuple[str, list[int]]:
    """As `squash`, and where each stood."""
    letters = [letters_of(character) for character in text]
    return "".join(letters), [place for place, kept in enumerate(letters) for _ in kept]


def letters_of(character: str) -> str:
    """What of a character counts."""
    if character.isascii():
        return character.lower() if character.isalnum() else ""
    return "".join(c for c in unicodedata.normalize("NFKC", character).casefold() if c.isalnum())


def _mark_codes(text: str, hidden: Sequence[str], allowed: Sequence[str], marked: bytearray) -> None:
    known = [each.casefold() for each in allowed]
    secrets = [each.casefold() for each in hidden]
    for match in CODE.finditer(text):
        if is_hidden_code(match.group().casefold(), secrets, known):
            marked[match.start() : match.end()] = b"\1" * (match.end() - match.start())


def is_hidden_code(word: str, hidden: Sequence[str], allowed: Sequence[str]) -> bool:
    """Whether a word is a code of a hidden text and of no allowed one. All are without case."""
    if len(word) < CODE_CHARACTERS or not _is_code(word) or not any(word in each for each in hidden):
        return False
    return not any(word in each for each in allowed)


def _is_code(word: str) -> bool:
    return any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


def cut(text: str, marked: bytearray) -> Redaction:
    """The text without its marked characters."""
    pieces: list[str] = []
    cuts = at = 0
    while at < len(text):
        start = marked.find(1, at)
        if start < 0:
            break
        end = marked.find(0, start)
        end = len(text) if end < 0 else end
        pieces += [text[at:start], REDACTED]
        cuts, at = cuts + 1, end
    return Redaction("".join([*pieces, text[at:]]), cuts)
