"""What a request came to, in one noun that both APIs are written from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ponder.core import Usage
from ponder.serve.planning import Planned

__all__ = ["Choice", "Progress", "Told", "pieces"]

_PIECE_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a thought is: seconds since it began, samples and tokens so far, the share of the samples'
    votes that agree with the leader. Unknown is None."""

    seconds: float
    samples: int
    tokens: int | None
    flop: float | None
    agreement: float | None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Progress.__slots__}


@dataclass(frozen=True, slots=True)
class Choice:
    """One reply as it may be shown: redacted, cut at the caller's stop strings."""

    content: str
    summary: str | None
    finish: Literal["stop", "length"]
    samples: int
    agreement: float | None
    stopped_by: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """The replies and what they took together. `reasoning_tokens`: generated tokens that are not shown."""

    id: str
    created: float
    planned: Planned
    choices: tuple[Choice, ...]
    usage: Usage
    reasoning_tokens: int | None
    seconds: float

    @property
    def ponder(self) -> dict[str, Any]:
        """The field of ponder's own in a reply."""
        first = self.choices[0]
        stops = [choice.stopped_by for choice in self.choices if choice.stopped_by is not None]
        return {
            "effort": self.planned.effort,
            "strategy": str(self.planned.plan),
            "budget": self.planned.budget.to_json(),
            "stopped_by": stops[0] if stops else None,
            "samples": sum(choice.samples for choice in self.choices),
            "agreement": first.agreement if len(self.choices) == 1 else None,
            "flop": self.usage.flop,
            "usd": self.usage.usd,
            "seconds": round(self.seconds, 6),
        }


def pieces(text: str) -> Iterator[str]:
    """A text as it is streamed."""
    for start in range(0, len(text), _PIECE_CHARACTERS):
        yield text[start : start + _PIECE_CHARACTERS]
