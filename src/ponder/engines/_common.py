"""What engines share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = ["cut", "mix", "stopped_by"]


def mix(seed: int, offset: int) -> int:
    """A 31-bit seed from a stream's seed and a sample's place."""
    word = hashlib.sha256(f"{seed}/{offset}".encode()).digest()
    return int.from_bytes(word[:4], "big") >> 1


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first stop string."""
    ends = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return text[: min(ends)] if ends else text


def stopped_by(text: str, stops: Sequence[str]) -> str | None:
    """The stop string at which `cut` would end the text; of several at one place the longest."""
    found = [(text.find(stop), -len(stop), stop) for stop in stops if stop and stop in text]
    return min(found)[2] if found else None
