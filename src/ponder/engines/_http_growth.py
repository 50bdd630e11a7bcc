"""What may be told of a streamed choice before its end: the beginning of what its output's text will be.

Held back are what may be a thought in tags, the beginning of a stop string, and half a character. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ponder.core import Growth, Output, Request
from ponder.engines import _http_wire as wire
from ponder.engines._common import Unstopped, begun_at

__all__ = ["Answer", "Teller"]

_OPEN, _CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Answer:
    """The text of a chat reply that grows, without a thought in tags before it.

    It divides as a whole reply is divided. A thought's end without its beginning turns what was told into
    thought: nothing more is told then.
    """

    _place: Literal["begin", "thought", "space", "plain", "rest", "lost"] = "begin"
    _held: str = ""
    _blanks: list[str] = field(default_factory=list)

    def feed(self, piece: str) -> str:
        """What is answer now and was not before."""
        self._held += piece
        if self._place == "begin":
            self._begin()
        if self._place == "thought":
            self._think()
        if self._place == "space":
            self._held = self._held.lstrip()
            self._place = "rest" if self._held else "space"
        if self._place == "plain":
            return self._watch()
        if self._place != "rest":
            return ""
        said, self._held = self._held, ""
        return said

    def _begin(self) -> None:
        body = self._held.lstrip()
        if not body:  # a model may write blanks for ever: they are looked at once
            self._blanks.append(self._held)
            self._held = ""
        elif body.startswith(_OPEN):
            self._place, self._held = "thought", body.removeprefix(_OPEN)
        elif not _OPEN.startswith(body):
            self._place, self._held = "plain", "".join([*self._blanks, self._held])

    def _think(self) -> None:
        _, closed, after = self._held.partition(_CLOSE)
        if closed:
            self._place, self._held = "space", after
        else:
            self._held = self._held[1 - len(_CLOSE) :]

    def _watch(self) -> str:
        """An answer, until a thought's end shows that it was none. Behind a tag that begins one in its midst
        the rest is its own."""
        text, opened, closed = self._held, begun_at(self._held, _OPEN), begun_at(self._held, _CLOSE)
        end = min(opened, closed)
        if text.startswith(_OPEN, end):
            self._place, self._held = "rest", ""
            return text
        if text.startswith(_CLOSE, end):
            self._place, self._held = "lost", ""
            return ""
        self._held = text[end:]
        return text[:end]


@dataclass(slots=True)
class _Choice:
    """One choice, as far as it was told."""

    answer: Answer | None
    unstopped: Unstopped
    half: str = ""

    def feed(self, piece: str) -> str:
        text = self.half + piece
        # Half a surrogate pair: the other half may come.
        self.half = text[-1:] if "\ud800" <= text[-1:] < "\udc00" else ""
        text = text.removesuffix(self.half)
        return wire.sound(self.unstopped.feed(text if self.answer is None else self.answer.feed(text)))


@dataclass(slots=True)
class Teller:
    """Tells what comes of one streamed request's choices, the first of them the call's `first`. Nothing is
    told of a choice before its answer begins, so that a try that failed in its thought can be repeated.
    `told`: the places of the choices of which something was."""

    request: Request
    api: wire.Api
    first: int
    told: set[int] = field(default_factory=set)
    _choices: dict[int, _Choice] = field(default_factory=dict)

    def grew(self, place: int, text: str, thought: str, so_far: Callable[[], Output]) -> None:
        """A choice grew by these pieces; `so_far` reads all of it."""
        assert self.request.heard is not None
        if place not in self._choices:
            answer = Answer() if self.api == "chat" else None
            self._choices[place] = _Choice(answer, Unstopped(self.request.stop))
        said = self._choices[place].feed(text)
        if place not in self.told:
            if not said:
                return
            self.told.add(place)
            thought = so_far().reasoning or ""
        if said or thought:
            self.request.heard(Growth(self.first + place, said, wire.sound(thought)))
