"""What may be told of a sample of the embedded engine before its end. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import takewhile

from ponder.engines._common import Unstopped

__all__ = ["Telling"]

TELLING_SECONDS = 0.05
_UNSETTLED_TOKENS = 3  # the library's own streamer waits for so many, since they may change the text before


class Telling:
    """One sample, told at most so often. Held back are the last tokens, the beginning of a stop string, and a
    character whose bytes are not all there."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._unstopped, self._characters, self._at = Unstopped(stops), 0, 0.0

    @property
    def due(self) -> bool:
        return time.perf_counter() - self._at >= TELLING_SECONDS

    def look(self, ids: Sequence[int], decode: Callable[[list[Sequence[int]]], list[str]]) -> str:
        """What is sure now and was not before, of a sample of these tokens."""
        self._at = time.perf_counter()
        if len(ids) <= _UNSETTLED_TOKENS:
            return ""
        before, text = decode([ids[:-_UNSETTLED_TOKENS], ids])
        pairs = takewhile(lambda pair: pair[0] == pair[1], zip(before, text, strict=False))
        settled = text[: sum(1 for _ in pairs)].rstrip("\ufffd")
        piece = settled[self._characters :]
        self._characters = max(self._characters, len(settled))
        return self._unstopped.feed(piece)
