"""How much of what a key may spend in which time. Pure.

Windows are fixed, by UTC; a charge belongs to the window in which it was reserved.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.core import Budget
from ponder.errors import BudgetError

__all__ = ["UNITS", "Account", "Limit", "Refusal", "Tally", "parse_limits"]

UNITS = ("requests", "samples", "tokens", "flop", "usd")
"""What is counted over time, a request's own count first."""

_WINDOWS = {"minute": 60.0, "hour": 3600.0, "day": 86400.0, "month": 30 * 86400.0, "total": math.inf}
_SHORT = {"min": "minute", "m": "minute", "h": "hour", "d": "day"}
_KNOWN = "write for example 1e15flop/day, 60requests/minute, 5usd/month or 1000000tok (in total)"

Amounts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` of a unit in each window."""

    unit: str
    amount: float
    window: str = "total"

    def __str__(self) -> str:
        return f"{self.amount:g} {self.unit}" + ("" if self.window == "total" else f"/{self.window}")

    def number(self, now: float) -> int:
        """Which window it is now."""
        seconds = _WINDOWS[self.window]
        return 0 if math.isinf(seconds) else int(now // seconds)

    def began(self, number: int) -> float:
        """When a window began, in seconds since the epoch."""
        seconds = _WINDOWS[self.window]
        return 0.0 if math.isinf(seconds) else number * seconds

    def until_next(self, now: float) -> float:
        """Seconds until the next window begins; infinite where none does."""
        seconds = _WINDOWS[self.window]
        return math.inf if math.isinf(seconds) else seconds - now % seconds


def parse_limits(text: str, field: str = "budget") -> tuple[Limit, ...]:
    """Read "1e15flop/day, 60requests/minute". Raises BudgetError that names the field, with the remedy."""
    found: dict[tuple[str, str], Limit] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        stated, slash, word = part.partition("/")
        window = _SHORT.get(word.strip(), word.strip()) if slash else "total"
        if window not in _WINDOWS:
            raise BudgetError(f"{field}: unknown window {word.strip()!r} in {part!r}; {_KNOWN}.")
        try:
            unit, amount = _amount(stated.strip())
        except BudgetError:
            raise BudgetError(
                f"{field}: {stated.strip()!r} is no amount of requests, samples, tok, flop or usd; {_KNOWN}."
            ) from None
        if (unit, window) in found:
            raise BudgetError(f"{field}: {unit} a {window} is given twice; give it once.")
        found[unit, window] = Limit(unit, amount, window)
    return tuple(found.values())


def _amount(stated: str) -> tuple[str, float]:
    for name in ("requests", "request"):
        if stated.endswith(name):
            # A request is counted as a sample is.
            count = Budget.parse(stated.removesuffix(name) + "samples").samples
            assert count is not None
            return "requests", float(count)
    ((unit, amount),) = Budget.parse(stated).to_json().items()
    if unit == "seconds":
        raise BudgetError("a key is limited in no time")
    return unit, float(amount)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit has no room. `retry_after`: the seconds until it could have; None where it never will."""

    limit: Limit
    retry_after: float | None


@dataclass(slots=True)
class Tally:
    """One window's sums. `unknown`: of how many requests it is not known what they spent."""

    number: int
    spent: float = 0.0
    held: float = 0.0
    unknown: int = 0

    def charge(self, unit: str, charged: Amounts) -> None:
        """What a request spent. One that was never made has no amounts at all."""
        if unit in charged:
            self.spent += charged[unit]
        elif "requests" in charged:
            self.unknown += 1


@dataclass(slots=True)
class Account:
    """What one key has spent and what is held for it."""

    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    running: int = 0

    def _tally(self, limit: Limit, now: float) -> Tally:
        number = limit.number(now)
        tally = self.tallies.get((limit.unit, limit.window))
        if tally is None or tally.number < number:
            tally = self.tallies[limit.unit, limit.window] = Tally(number)
        return tally

    def left(self, limit: Limit, now: float) -> float:
        """What the limit's present window has room for."""
        tally = self._tally(limit, now)
        return limit.amount - tally.spent - tally.held

    def to_json(self) -> list[list[Any]]:
        """The windows' sums; what is held is left out."""
        return [[*place, tally.number, tally.spent, tally.unknown] for place, tally in self.tallies.items()]

    @classmethod
    def from_json(cls, rows: Iterable[Sequence[Any]]) -> Account:
        """Undo `to_json`."""
        sums = {
            (unit, window): Tally(number, spent, 0.0, *more) for unit, window, number, spent, *more in rows
        }
        return cls(sums)

    def spent(self, now: float) -> dict[str, dict[str, float | None]]:
        """What was spent in each present window, by unit; None where a part of it is unknown."""
        sums: dict[str, dict[str, float | None]] = {window: dict.fromkeys(UNITS, 0.0) for window in _WINDOWS}
        for (unit, window), tally in self.tallies.items():
            if tally.number == Limit(unit, 0.0, window).number(now):
                sums[window][unit] = None if tally.unknown else tally.spent
        return sums

    def refusal(self, limits: Iterable[Limit], amounts: Amounts, now: float) -> Refusal | None:
        """The limit that has no room for these amounts and will have it last, or None if they fit."""
        refused = []
        for limit in limits:
            wanted = amounts.get(limit.unit, 0.0)
            if wanted > self.left(limit, now):
                wait = limit.until_next(now)
                never = wanted > limit.amount or math.isinf(wait)
                refused.append(Refusal(limit, None if never else wait))
        return max(refused, key=lambda r: math.inf if r.retry_after is None else r.retry_after, default=None)

    def hold(self, amounts: Amounts, now: float) -> None:
        """Reserve the amounts, in every window: limits may change while they are held."""
        for limit in _every(amounts):
            self._tally(limit, now).held += amounts[limit.unit]

    def add(self, charged: Amounts, at: float) -> None:
        """Charge what was reserved at `at` by another process."""
        for limit in _every(UNITS):
            tally = self._tally(limit, at)
            if tally.number == limit.number(at):
                tally.charge(limit.unit, charged)

    def settle(self, held: Amounts, charged: Amounts, reserved: float) -> None:
        """Release what was held since `reserved` and charge what was used, in the windows of that time."""
        for limit in _every(UNITS):
            tally = self._tally(limit, reserved)
            if tally.number == limit.number(reserved):
                tally.held = max(0.0, tally.held - held.get(limit.unit, 0.0))
                tally.charge(limit.unit, charged)


def _every(units: Container[str]) -> list[Limit]:
    return [Limit(unit, 0.0, window) for unit in UNITS if unit in units for window in _WINDOWS]
