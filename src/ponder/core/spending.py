"""What is spent, and what may be spent."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

from ponder.errors import BudgetError


def _plus(a: float | None, b: float | None) -> Any:
    return None if a is None or b is None else a + b


def mean_of(counts: Iterable[float | None]) -> float | None:
    """Unknown where one of them is, or where there are none."""
    stated = list(counts)
    known = [count for count in stated if count is not None]
    return math.fsum(known) / len(known) if known and len(known) == len(stated) else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent. A count that is unknown is None, and a sum with an unknown in it is unknown.

    `prompt_tokens` counts each call's prompt once, cached or not; `cached_tokens` of them were read
    from a cache. `completion_tokens` are all generated tokens, reasoning included. `seconds` are
    summed over calls, which may have run side by side.
    """

    calls: int = 0
    samples: int = 0
    prompt_tokens: int | None = 0
    cached_tokens: int | None = 0
    completion_tokens: int | None = 0
    reasoning_tokens: int | None = 0
    flop: float | None = 0.0
    seconds: float = 0.0
    usd: float | None = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{f.name: _plus(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    @property
    def tokens(self) -> int | None:
        """Prompt and generated tokens together."""
        total: int | None = _plus(self.prompt_tokens, self.completion_tokens)
        return total

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


_UNITS: dict[str, tuple[str, ...]] = {
    "samples": ("samples", "sample"),
    "tokens": ("tok", "token", "tokens"),
    "flop": ("flop", "flops"),
    "seconds": ("s", "sec", "seconds"),
    "usd": ("usd", "$"),
}
_COUNTS = ("samples", "tokens")
_SCALE = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_AMOUNT = re.compile(r"\s*(\$?)\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,3})?)\s*([A-Za-z$]*)\s*")


def _unit(word: str) -> tuple[str, float] | None:
    for unit, words in _UNITS.items():
        for name in words:
            if word.lower() == name:
                return unit, 1.0
            scale = _SCALE.get(word[:1])
            if scale and word[1:].lower() == name and unit not in ("seconds", "usd"):
                return unit, scale
    return None


@dataclass(frozen=True, slots=True)
class Budget:
    """A hard ceiling over generator, scorers, failed and cancelled calls together.

    Any subset of units; None is no limit. `tokens` counts prompt and generated tokens, `seconds` is
    a deadline on the wall clock from the start of the solve.
    """

    samples: int | None = None
    tokens: int | None = None
    flop: float | None = None
    seconds: float | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            value, number = getattr(self, f.name), int if f.name in _COUNTS else int | float
            known = isinstance(value, number) and not isinstance(value, bool)
            if value is not None and not (known and 0 < value < float("inf")):
                kind = "whole number" if f.name in _COUNTS else "number"
                raise BudgetError(f"budget: {f.name} must be a positive {kind}, not {value!r}.")

    @classmethod
    def of(cls, stated: str | Budget) -> Budget:
        """A budget that is stated as one or as a text; "" is no limit. Raises BudgetError."""
        if isinstance(stated, str):
            return cls.parse(stated) if stated else cls()
        if not isinstance(stated, Budget):
            raise BudgetError(f"budget: it must be a text such as '2000tok' or a Budget, not {stated!r}.")
        return stated

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read "2000tok", "16samples", "1e12flop", "2.5Gflop", "30s", "$0.01" or several with commas.

        Raises BudgetError with the remedy.
        """
        known = "write for example 2000tok, 16samples, 1e12flop, 30s, $0.01, or several with commas"
        values: dict[str, Any] = {}
        for part in text.split(","):
            match = _AMOUNT.fullmatch(part)
            if match is None:
                raise BudgetError(f"budget: {part.strip()!r} is not a positive amount with a unit; {known}.")
            dollar, number, word = match.groups()
            found = _unit("usd" if dollar and not word else word)
            if not word and not dollar:
                raise BudgetError(f"budget: {part.strip()!r} has no unit; {known}.")
            if found is None:
                raise BudgetError(f"budget: unknown unit {word!r} in {part.strip()!r}; {known}.")
            unit, scale = found
            if dollar and unit != "usd":
                raise BudgetError(f"budget: {part.strip()!r} has two units; {known}.")
            if unit in values:
                raise BudgetError(f"budget: {unit} is given twice; give each unit once.")
            amount = float(number) * scale
            if amount == float("inf"):
                raise BudgetError(f"budget: {part.strip()!r} is too large; leave the unit out for no limit.")
            if unit in _COUNTS:
                if amount != int(amount):
                    raise BudgetError(f"budget: {unit} must be a whole number, not {part.strip()!r}.")
                amount = int(amount)
            values[unit] = amount
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}

    def __str__(self) -> str:
        stated = self.to_json().items()
        return ", ".join(f"{v if k in _COUNTS else format(v, 'g')} {k}" for k, v in stated) or "no limit"
