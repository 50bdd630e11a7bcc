"""What a monitor is: a check over raw reasoning that says how suspicious it looks, and why.

The user is told nothing of it. What a monitor could not look at is told too: an unread thought is not a
clean one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ponder.core import Draw, Sample

__all__ = ["OUTCOMES", "Ask", "CallSize", "Case", "Finding", "Monitor"]

OUTCOMES = ("flagged", "inspected", "uninspected")
"""The kinds of event that tell what a monitor made of a reply; the last: it could not look."""

Ask = Callable[[Draw], Awaitable[Sample]]
"""Asks the monitor's model for one sample, on the request's record and within the monitor's own budget.
Raises EngineError and InputError."""


@dataclass(frozen=True, slots=True)
class Case:
    """One reply and how it came about. `chains`: the raw texts that were generated on the way, that of the
    answer which is shown first."""

    question: str
    chains: tuple[str, ...]
    answer: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a monitor makes of a case. `suspicion` is higher for what looks worse, None where nothing is
    known; `why` names what was found, `unread` what could not be looked at and why not."""

    suspicion: float | None
    flagged: bool
    why: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def event(self) -> str:
        """The kind of event that tells of it."""
        if self.flagged:
            return "flagged"
        return "uninspected" if self.suspicion is None else "inspected"

    def to_json(self) -> dict[str, Any]:
        return {"suspicion": self.suspicion, "why": list(self.why), "unread": list(self.unread)}


@dataclass(frozen=True, slots=True)
class CallSize:
    """The most that one inspection asks of a model: tokens of its prompt and of its reply."""

    prompt_tokens: int
    completion_tokens: int


class Monitor(Protocol):
    """`call` is None for a monitor that asks no model. `seconds`: how long an inspection may take."""

    @property
    def name(self) -> str: ...

    @property
    def call(self) -> CallSize | None: ...

    @property
    def seconds(self) -> float: ...

    async def inspect(self, case: Case, ask: Ask) -> Finding:
        """Look at one case. Whatever it raises is told to the auditor and to nobody else."""
        ...
