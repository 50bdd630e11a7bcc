"""The answers of a request while they are written, where what comes may go out at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.core import Growth
from ponder.errors import CallFailed
from ponder.serve.growing import Growing
from ponder.serve.hiding import Redaction, cut, marks

__all__ = ["Hearing", "Live"]

_SLICE_CHARACTERS = 4000
_LONG = 10_000
"""Characters of a thought and of what its caller sent, to prepare for which takes a moment."""


@dataclass(slots=True)
class Hearing:
    """One answer. `own`: what the caller sent himself. `shown` is what went out of it."""

    live: Live
    own: Sequence[str]
    shown: str = ""
    _waiting: deque[Growth] = field(default_factory=deque)
    _growing: Growing | None = None
    _over: bool = False

    def hear(self, growth: Growth) -> None:
        """It grew. From any thread; nothing waits for whoever reads."""
        self._waiting.append(growth)
        self.live.stir()

    async def look(self) -> str:
        """What may go out now and did not before; for a moment's work at most, and `Live` is stirred again
        where more is left."""
        pieces, left = list[str](), _SLICE_CHARACTERS
        while self._waiting and not self._over and left > 0:
            growth = self._waiting.popleft()
            text, rest = growth.text[:left], growth.text[left:]
            if rest:
                self._waiting.appendleft(Growth(growth.index, rest))
            left -= len(text)
            if self._growing is None:
                self._growing = await self._begin(growth.reasoning)
            elif growth.reasoning:
                # What is shown already may stand in this thought too; the rest waits for all of it.
                self._growing.close()
            pieces.append(self._growing.feed(text))
        if self._waiting and not self._over:
            self.live.stir()
        piece = "".join(pieces)
        self.shown += piece
        return piece

    async def _begin(self, thought: str) -> Growing:
        if len(thought) + sum(map(len, self.own)) < _LONG:
            return Growing(thought, self.own)
        growing = await asyncio.to_thread(Growing, thought, self.own)
        if self._over:  # the whole came meanwhile
            growing.close()
        return growing

    def end(self) -> None:
        """Nothing goes out any more but with the whole."""
        self._over = True

    @property
    def cuts(self) -> int:
        """The spans that were cut from what went out."""
        return 0 if self._growing is None else cut(self._growing.text, self._growing.marks).cuts

    def redact(self, text: str, hidden: Sequence[str], allowed: Sequence[str]) -> Redaction:
        """As `hiding.redact`, but for what went out, which stays as it is. Raises CallFailed where the whole
        does not begin with that: what was taken for the answer was thought."""
        marked = marks(text, hidden, allowed)
        if (growing := self._growing) is not None:
            if not text.startswith(growing.text):
                raise CallFailed("The model's reply became a thought after a part was shown as its answer.")
            marked[: len(growing.marks)] = growing.marks
        return cut(text, marked)


class Live:
    """All answers of a request, one a choice. `changed` is set when something may have come. Made in the
    running event loop."""

    def __init__(self, choices: int, own: Sequence[str]) -> None:
        self.changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.hearings = [Hearing(self, own) for _ in range(choices)]

    def stir(self) -> None:
        self._loop.call_soon_threadsafe(self.changed.set)

    async def look(self) -> AsyncIterator[tuple[int, str]]:
        """What may go out now of each choice, by its index."""
        self.changed.clear()
        for index, hearing in enumerate(self.hearings):
            if piece := await hearing.look():
                yield index, piece

    def end(self) -> list[dict[str, Any]]:
        """What went out of each choice when nothing more will."""
        for hearing in self.hearings:
            hearing.end()
        return [{"content": hearing.shown, "cuts": hearing.cuts} for hearing in self.hearings]
