"""Alerts: which keys pass a line or come under a rule, told once a window, on the ledger and in the log.

Sums are kept apart from the purse's for an hour beyond a window's end: a request that was reserved in the
window may still settle, and nobody shall pass a line unseen by ending late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ponder.ledger import SERVE, EventRow, Ledger
from ponder.serve.factors import Measured, Rule, Verdict
from ponder.serve.keys import Key
from ponder.serve.limits import Account, Limit, Tally

__all__ = ["RUN", "Alerts"]

RUN = f"{SERVE}rules"
"""The run on the ledger whose events are the alerts."""

_LOG = logging.getLogger("ponder.serve")
_LATE_SECONDS = 3600.0


@dataclass(slots=True)
class Alerts:
    """Holds the rules against what keys have spent. An owner is a key's id, "" where there are no keys."""

    rules: tuple[Rule, ...]
    clock: Callable[[], float] = time.time
    _sums: dict[tuple[str, str, str, int], Tally] = field(default_factory=dict)
    _told: set[tuple[str, str, str, int]] = field(default_factory=set)
    _used: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        """Find the units and windows that some rule measures."""
        conditions = (each for rule in self.rules for part in rule.parts for each in part)
        used = {(c.factor.unit, c.window) for c in conditions if c.factor.unit and c.window}
        self._used = tuple(Limit(unit, 0.0, window) for unit, window in sorted(used))

    @classmethod
    async def open(
        cls, ledger: Ledger, rules: tuple[Rule, ...], accounts: Mapping[str, Account], keys: Iterable[Key]
    ) -> Alerts:
        """Read which alerts were told, and tell those that what a killed process left has raised."""
        alerts = cls(rules)
        await asyncio.to_thread(ledger.run, RUN, {"kind": "serve"})
        for event in await asyncio.to_thread(ledger.events, RUN):
            if event.kind == "alerted":
                detail = event.detail
                alerts._told.add((detail["rule"], detail["key"], detail["window"], detail["number"]))
        rows: list[EventRow] = []
        known: dict[str, Key | None] = {"": None, **{key.id: key for key in keys}}
        for owner, account in accounts.items():
            alerts._seed(owner, account)
            rows += alerts._raise(owner, known.get(owner), alerts._times(owner))
        if rows:
            await ledger.write(rows)
        return alerts

    def _seed(self, owner: str, account: Account) -> None:
        for each in self._used:
            tally = account.tallies.get((each.unit, each.window))
            if tally is not None:
                own = self._sums[owner, each.unit, each.window, tally.number] = Tally(tally.number)
                own.spent, own.unknown = tally.spent, tally.unknown

    def _times(self, owner: str) -> list[float]:
        """The beginnings of the windows that have sums of this owner, and now."""
        begun = {
            Limit(unit, 0.0, window).began(number)
            for known, unit, window, number in self._sums
            if known == owner
        }
        return [*sorted(begun), self.clock()]

    def settled(self, owner: str, key: Key | None, charged: Mapping[str, float], at: float) -> list[EventRow]:
        """Count what a request reserved at `at` was charged; the rows of the alerts that this raises."""
        for each in self._used:
            number = each.number(at)
            place = owner, each.unit, each.window, number
            if place not in self._sums:
                self._forget(self.clock() - _LATE_SECONDS)
                self._sums[place] = Tally(number)
            self._sums[place].charge(each.unit, charged)
        return self._raise(owner, key, [at])

    def _forget(self, before: float) -> None:
        def kept(unit: str, window: str, number: int) -> bool:
            return number >= Limit(unit, 0.0, window).number(before)

        self._sums = {p: tally for p, tally in self._sums.items() if kept(*p[1:])}
        self._told = {p for p in self._told if kept("", p[2], p[3])}

    def verdicts(self, owner: str, key: Key | None, at: float | None = None) -> list[Verdict]:
        """What each rule says of an owner, by the windows of `at`, or of now."""
        moment = self.clock() if at is None else at
        declared = {} if key is None else key.factors
        return [rule.verdict(declared, self._measured(owner, moment)) for rule in self.rules]

    def _measured(self, owner: str, at: float) -> Measured:
        def measured(unit: str, window: str) -> tuple[float, bool]:
            tally = self._sums.get((owner, unit, window, Limit(unit, 0.0, window).number(at)))
            return (0.0, True) if tally is None else (tally.spent, not tally.unknown)

        return measured

    def _raise(self, owner: str, key: Key | None, times: Sequence[float]) -> list[EventRow]:
        alerts = (
            self._alert(owner, key, verdict, at)
            for at in times
            for verdict in self.verdicts(owner, key, at)
            if verdict.holds
        )
        return [row for row in alerts if row is not None]

    def _alert(self, owner: str, key: Key | None, verdict: Verdict, at: float) -> EventRow | None:
        """The row of an alert, None where it was told in this window before."""
        name, rule = None if key is None else key.name, verdict.rule
        window = Limit("", 0.0, rule.window)
        number = window.number(at)
        place = rule.name, owner, rule.window, number
        if place in self._told:
            return None
        self._told.add(place)
        _LOG.warning("alert: %s: key %s (%s)", rule.title, name or "none", rule.name)
        detail: dict[str, Any] = {**verdict.to_json(), "key": owner, "name": name, "number": number}
        return EventRow(RUN, self.clock(), "alerted", {**detail, "began": window.began(number)})
