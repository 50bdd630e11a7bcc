"""The provider's report: who used how much of the fleet's inference, at which effort, over a time.

Everything is added up from the ledger's calls, failed and cancelled ones too. A request belongs to the time
in which it was reserved. Integers add up exactly; floats are rounded once a sum.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ponder.errors import InputError
from ponder.ledger import ENDED, SERVE, SERVED, Ledger, RunUse, checkpoint
from ponder.quantity import Quantity
from ponder.serve.capacity import Capacity, share_json
from ponder.serve.purse import KILLED

__all__ = ["UNITS", "Report", "Tally", "Use", "meter", "parse_moment", "report", "uses"]

UNITS = ("requests", "tokens", "flop", "usd")
"""What shares are of."""

_COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
_AMOUNTS = ("flop", "usd")
_STATES = (*ENDED, KILLED, "unfinished")
_PAGE = 500
_LARGEST = 5


@dataclass(slots=True)
class Tally:
    """What a group of requests used. `unknown` counts the requests whose use in a unit is not known whole: a
    call did not tell it, or the request did not end or its server was killed, so that calls of it may be
    missing."""

    requests: int = 0
    calls: int = 0
    samples: int = 0
    states: Counter[str] = field(default_factory=Counter)
    known: dict[str, list[float]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)

    def add(self, use: RunUse) -> None:
        ended = use.last in ENDED
        self.requests += 1
        self.calls += len(use.calls)
        self.samples += sum(call.samples for call in use.calls)
        self.states[use.last if use.last in _STATES else "unfinished"] += 1
        self.known.setdefault("seconds", []).extend(call.seconds for call in use.calls)
        self.unknown["seconds"] += not ended
        for unit in (*_COUNTS, *_AMOUNTS):
            told = [getattr(call, unit) for call in use.calls]
            self.known.setdefault(unit, []).extend(value for value in told if value is not None)
            self.unknown[unit] += not ended or None in told

    def at_least(self, unit: str) -> float:
        """The sum of what is known."""
        if unit == "tokens":
            return self.at_least("prompt_tokens") + self.at_least("completion_tokens")
        if unit == "requests":
            return self.requests
        known = self.known.get(unit, [])
        return sum(known) if unit in _COUNTS else math.fsum(known)

    def total(self, unit: str) -> float | None:
        """The sum; None where a part of it is unknown."""
        parts = ("prompt_tokens", "completion_tokens") if unit == "tokens" else (unit,)
        return None if any(self.unknown[part] for part in parts) else self.at_least(unit)

    def to_json(self) -> dict[str, Any]:
        units = (*_COUNTS, "tokens", *_AMOUNTS, "seconds")
        unknown = [unit for unit in units if self.total(unit) is None]
        return {
            "requests": self.requests,
            **{state: self.states[state] for state in _STATES},
            "calls": self.calls,
            "samples": self.samples,
            **{unit: self.total(unit) for unit in units},
            "at_least": {unit: self.at_least(unit) for unit in unknown},
            "requests_of_unknown_use": {unit: self.unknown[unit] for unit in unknown if unit != "tokens"},
        }


@dataclass(frozen=True, slots=True)
class Use:
    """One row of the report: a group's name, its sums, and its efforts; None is a strategy that was asked for
    by name. `shares` of the whole in each unit, None where a part is unknown; `known`: of what is known."""

    id: str | None
    name: str | None
    tally: Tally
    shares: Mapping[str, float | None]
    known: Mapping[str, float | None]
    efforts: Mapping[str | None, Tally] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        efforts = [{"effort": word, **tally.to_json()} for word, tally in self.efforts.items()]
        shares = {"share": dict(self.shares), "share_of_known": dict(self.known)}
        own = {"id": self.id, "name": self.name, **self.tally.to_json(), **shares}
        return {**own, "efforts": efforts} if efforts else own


@dataclass(frozen=True, slots=True)
class Report:
    """`since` and `until` in seconds since the epoch, None where it has no such end. `keys` come by what they
    are known to have used, most first. `ledger`: the checkpoint before the first row was read. `capacity`: of
    the fleet, None where it was not stated. `seconds`: how long of the time has passed, from its first
    request on where it has no beginning; None where nothing has."""

    since: float | None
    until: float | None
    ledger: Mapping[str, Any]
    total: Tally
    keys: Sequence[Use]
    efforts: Sequence[Use]
    models: Sequence[Use]
    capacity: Capacity | None = None
    seconds: float | None = None

    def of_fleet(self, tally: Tally, *, of_known: bool = False) -> Quantity | None:
        """What a group took of all that the fleet could do in this time, with the interval of its capacity.
        None where the capacity was not stated, and where the group's FLOP are not known whole, unless it is
        asked for what is known."""
        flop = tally.at_least("flop") if of_known else tally.total("flop")
        if self.capacity is None or self.seconds is None or flop is None:
            return None
        return self.capacity.share(flop, self.seconds)

    def concentration(self, unit: str, *, of_known: bool = False) -> dict[str, float | None]:
        """How much of the whole the largest user and the five largest have, and the sum of the squares of all
        shares (Herfindahl-Hirschman), from 1/n to 1. None where a share is unknown, unless it is asked for
        shares of what is known."""
        shares = [(use.known if of_known else use.shares)[unit] for use in self.keys]
        known = [share for share in shares if share is not None]
        if not known or len(known) < len(self.keys):
            return dict.fromkeys(("largest", "five_largest", "herfindahl"))
        known.sort(reverse=True)
        squares = math.fsum(share * share for share in known)
        return {"largest": known[0], "five_largest": math.fsum(known[:_LARGEST]), "herfindahl": squares}

    def to_json(self) -> dict[str, Any]:
        return {
            "since": self.since,
            "until": self.until,
            "ledger": dict(self.ledger),
            "seconds": self.seconds,
            "capacity": None if self.capacity is None else self.capacity.to_json(),
            "total": self._with_share(self.total.to_json(), self.total),
            "keys": [self._with_share(use.to_json(), use.tally) for use in self.keys],
            "efforts": [self._with_share(_named(use, "effort"), use.tally) for use in self.efforts],
            "models": [self._with_share(_named(use, "model"), use.tally) for use in self.models],
            "concentration": {unit: self.concentration(unit) for unit in UNITS},
        }

    def _with_share(self, told: dict[str, Any], tally: Tally) -> dict[str, Any]:
        """With the share of the fleet; where a part is unknown that of what is known is under `at_least`."""
        share, least = self.of_fleet(tally), self.of_fleet(tally, of_known=True)
        if share is None and least is not None:
            told["at_least"] = {**told["at_least"], "share_of_fleet": share_json(least)}
        return {**told, "share_of_fleet": None if share is None else share_json(share)}


def _named(use: Use, name: str) -> dict[str, Any]:
    """A row of a group that has no id."""
    return {
        name: use.name,
        **{key: value for key, value in use.to_json().items() if key not in ("id", "name")},
    }


def uses(ledger: Ledger, since: float | None = None, until: float | None = None) -> Iterator[RunUse]:
    """The requests of a time, last first; `until` itself is left out. They are named by their time in ms."""
    first = SERVED[0] if since is None else _name(since)
    end = SERVED[1] if until is None else _name(until)
    while page := ledger.uses_between(first, end, limit=_PAGE):
        yield from page
        end = page[-1].run.id


def _name(at: float) -> str:
    milliseconds = min(max(0, math.ceil(at * 1000)), 16**12 - 1)
    return f"{SERVE}{milliseconds:012x}"


def meter(
    found: Iterable[RunUse],
    since: float | None = None,
    until: float | None = None,
    checked: Mapping[str, Any] | None = None,
    capacity: Capacity | None = None,
) -> Report:
    """Add up these requests, last first."""
    total, first = Tally(), since
    keys, efforts, models = dict[str | None, Tally](), dict[str | None, Tally](), dict[str | None, Tally]()
    names, worked = dict[str | None, str | None](), dict[str | None, dict[str | None, Tally]]()
    for use in found:
        config = use.run.config
        first = use.run.created if since is None else since
        key = config["key"] or {"id": None, "name": None}
        names.setdefault(key["id"], key["name"])
        own = worked.setdefault(key["id"], {})
        groups = (
            (keys, key["id"]),
            (efforts, config["effort"]),
            (models, config["model"]),
            (own, config["effort"]),
        )
        total.add(use)
        for tallies, name in groups:
            tallies.setdefault(name, Tally()).add(use)
    return Report(
        since,
        until,
        checked or {},
        total,
        _rows(total, keys, names.get, worked),
        _rows(total, efforts, lambda word: word, {}),
        _rows(total, models, lambda model: model, {}),
        capacity,
        _passed(first, until, checked),
    )


def _passed(first: float | None, until: float | None, checked: Mapping[str, Any] | None) -> float | None:
    """Seconds from the first on to the end of the time, or to the checkpoint if that is not reached yet."""
    ends = [end for end in (until, (checked or {}).get("at")) if end is not None]
    if first is None or not ends or min(ends) <= first:
        return None
    return float(min(ends) - first)


def _rows(
    total: Tally,
    tallies: Mapping[str | None, Tally],
    name: Callable[[str | None], str | None],
    efforts: Mapping[str | None, Mapping[str | None, Tally]],
) -> list[Use]:
    rows = [
        Use(
            key,
            name(key),
            tally,
            {unit: _share(tally.total(unit), total.total(unit)) for unit in UNITS},
            {unit: _share(tally.at_least(unit), total.at_least(unit)) for unit in UNITS},
            efforts.get(key, {}),
        )
        for key, tally in tallies.items()
    ]
    order = ("flop", "tokens", "requests")
    return sorted(rows, key=lambda use: tuple(-use.tally.at_least(unit) for unit in order))


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole


def report(
    ledger: Ledger,
    location: str,
    since: float | None = None,
    until: float | None = None,
    capacity: Capacity | None = None,
) -> Report:
    """The report of a time from a ledger that is open, and lies at this location."""
    checked = checkpoint(location)
    return meter(uses(ledger, since, until), since, until, checked, capacity)


def parse_moment(name: str, stated: str) -> float:
    """A time as a date, a date with a time, or seconds since the epoch; UTC unless it says else. Raises
    InputError."""
    try:
        found = float(stated)
    except ValueError:
        try:
            read = datetime.fromisoformat(stated)
        except ValueError:
            found = math.nan
        else:
            found = (read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp()
    if not (math.isfinite(found) and found >= 0):
        raise InputError(f"{name}: {stated[:40]!r} is no time; write it as 2026-11-26 or 2026-11-26T09:30.")
    return found
