"""What engines share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

from ponder.core import Prompt
from ponder.core.checking import is_whole
from ponder.errors import CallFailed

__all__ = ["Unstopped", "begun_at", "cut", "line_of", "mix", "require_whole", "rows_that_fit", "stopped_by"]


def mix(seed: int, offset: int) -> int:
    """A 31-bit seed from a stream's seed and a sample's place."""
    word = hashlib.sha256(f"{seed}/{offset}".encode()).digest()
    return int.from_bytes(word[:4], "big") >> 1


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    ends = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return text[: min(ends)] if ends else text


def begun_at(text: str, mark: str) -> int:
    """Where a mark stands in a text that grows, or begins at its end; else the text's length."""
    found = text.find(mark)
    if found >= 0:
        return found
    longest = min(len(mark) - 1, len(text))
    return next((len(text) - n for n in range(longest, 0, -1) if text.endswith(mark[:n])), len(text))


class Unstopped:
    """A text that grows, as much of it as `cut` will leave whatever follows."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._rest, self._ended = [stop for stop in stops if stop], "", False

    def feed(self, piece: str) -> str:
        """What is sure now and was not before."""
        if self._ended:
            return ""
        text = self._rest + piece
        end = min((begun_at(text, stop) for stop in self._stops), default=len(text))
        self._rest = text[end:]
        self._ended = any(self._rest.startswith(stop) for stop in self._stops)
        return text[:end]


def stopped_by(text: str, stops: Sequence[str]) -> str | None:
    """The stop string at which `cut` would end the text; of several at one place the longest."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop and stop in text]
    return min(found)[2] if found else None


def line_of(error: Exception, which: Literal[0, -1] = 0) -> str:
    """The first or the last line of what an error says, for a sentence; its kind if it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[which] if lines else type(error).__name__).rstrip(".")[:200]


def require_whole(prompt: Prompt, prefix: str) -> None:
    """Refuse a prompt that no tokenizer reads. Raises CallFailed."""
    shown = [message.content for message in prompt.messages] if prompt.text is None else [prompt.text]
    if not all(map(is_whole, (*shown, prefix))):
        raise CallFailed("The prompt has half a surrogate pair: write whole characters.")


def rows_that_fit(capacity: int, cache_bytes: float, row_bytes: int) -> int:
    """How many rows of a key-value cache run side by side: at least one, and `capacity` at most."""
    return max(1, min(capacity, int(cache_bytes / row_bytes)))
