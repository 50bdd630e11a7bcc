"""Rules over several factors at once: what the server measures of a key, and what the key declares.

A factor that nobody knows is neither over a line nor under it, so a rule holds, does not hold, or is
undecided (Kleene's logic of three values). Every verdict tells which factor was measured and which declared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ponder.data.rows import rows
from ponder.errors import ConfigError, InputError, UnknownName
from ponder.serve.limits import UNITS, parse_limits

__all__ = [
    "Condition",
    "Factor",
    "Measured",
    "Rule",
    "Verdict",
    "Weighed",
    "factors",
    "parse_declared",
    "rules",
]

_TABLE = "serve_rules"
_WINDOWS = ("minute", "hour", "day", "month", "total")

Measured = Callable[[str, str], tuple[float, bool]]
"""Of a unit and a window: what is known to have been used, and whether that is all of it."""


@dataclass(frozen=True, slots=True)
class Factor:
    """`unit`: what the server counts of it, None where the customer declares it. `values`: what may be
    declared, in rising order; none where that is a number."""

    name: str
    title: str
    unit: str | None = None
    values: tuple[str, ...] = ()

    def read(self, stated: str) -> str | float:
        """A declared value. Raises InputError."""
        if self.values:
            if stated not in self.values:
                raise UnknownName(f"declare: value of {self.name}", stated, self.values)
            return stated
        try:
            number = float(stated)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise InputError(f"declare: {self.name} must be a number from 0, as in {self.name}=20000.")
        return number


@dataclass(frozen=True, slots=True)
class Weighed:
    """One condition and what is known of it. `value` is what was declared, or the sum that was measured;
    `at_least` the known part of a sum that is not known whole."""

    factor: str
    known: Literal["measured", "declared"]
    line: float | str
    window: str | None
    value: float | str | None
    at_least: float | None
    holds: bool | None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in Weighed.__slots__}


@dataclass(frozen=True, slots=True)
class Condition:
    """A measured factor over a line in a window, or a declared one from a value on."""

    factor: Factor
    line: float | str
    window: str | None = None

    def weigh(self, declared: Mapping[str, str | float], measured: Measured) -> Weighed:
        if self.factor.unit is None or self.window is None:
            value = declared.get(self.factor.name)
            holds = None if value is None else self._reached(value)
            return Weighed(self.factor.name, "declared", self.line, None, value, None, holds)
        known, whole = measured(self.factor.unit, self.window)
        assert not isinstance(self.line, str), "the line of a measured factor is a number"
        over = True if known > self.line else (False if whole else None)
        value, least = (known, None) if whole else (None, known)
        return Weighed(self.factor.name, "measured", self.line, self.window, value, least, over)

    def _reached(self, value: float | str) -> bool:
        order = self.factor.values
        if isinstance(value, str) and isinstance(self.line, str):
            return order.index(value) >= order.index(self.line)
        return float(value) >= float(self.line)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule says of a key now: it holds, does not, or (None) cannot be decided."""

    rule: Rule
    holds: bool | None
    factors: tuple[Weighed, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule.name,
            "title": self.rule.title,
            "holds": self.holds,
            "window": self.rule.window,
            "then": self.rule.then,
            "factors": [weighed.to_json() for weighed in self.factors],
        }


@dataclass(frozen=True, slots=True)
class Rule:
    """It holds where one condition of every part does. `source` and `date` are of its row."""

    name: str
    title: str
    parts: tuple[tuple[Condition, ...], ...]
    then: str = ""
    source: str = ""
    date: str = ""

    @property
    def window(self) -> str:
        """The shortest of its measured factors' windows, in which it alerts once."""
        stated = {c.window for part in self.parts for c in part if c.window is not None}
        return next((window for window in _WINDOWS if window in stated), "total")

    def verdict(self, declared: Mapping[str, str | float], measured: Measured) -> Verdict:
        parts = [[c.weigh(declared, measured) for c in part] for part in self.parts]
        held = [_any(weighed.holds for weighed in part) for part in parts]
        return Verdict(self, _all(held), tuple(weighed for part in parts for weighed in part))

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.name,
            "title": self.title,
            "window": self.window,
            "then": self.then,
            "source": self.source or None,
            "date": self.date or None,
            "all": [
                [
                    {
                        "factor": c.factor.name,
                        "known": "declared" if c.factor.unit is None else "measured",
                        "line": c.line,
                        "window": c.window,
                    }
                    for c in part
                ]
                for part in self.parts
            ],
        }


def _any(truths: Iterable[bool | None]) -> bool | None:
    found = set(truths)
    return True if True in found else (None if None in found else False)


def _all(truths: Iterable[bool | None]) -> bool | None:
    found = set(truths)
    return False if False in found else (None if None in found else True)


# ---------------------------------------------------------------- reading


def factors() -> dict[str, Factor]:
    """The factors of the data tables by name. Raises ConfigError."""
    return {name: _factor(name, row) for name, row in rows(_TABLE).get("factor", {}).items()}


def rules(lines: Iterable[str] = ()) -> tuple[Rule, ...]:
    """The rules in force: those of the data tables, and one for each line such as "1e18flop/day".

    Raises ConfigError for a row that cannot be read, BudgetError for such a line.
    """
    known = factors()
    found = [
        _rule(name, row, known) for name, row in rows(_TABLE).get("rule", {}).items() if not _off(name, row)
    ]
    for limit in (each for text in lines for each in parse_limits(text, "alert")):
        over = Condition(Factor(limit.unit, limit.unit, limit.unit), limit.amount, limit.window)
        found.append(Rule(f"over {limit}", f"More than {limit}", ((over,),)))
    return tuple(found)


def parse_declared(text: str) -> dict[str, str | float]:
    """Read "voice=yes, end_users=20000". Raises InputError that names the factor."""
    if not text:
        return {}
    known = {name: factor for name, factor in factors().items() if factor.unit is None}
    found: dict[str, str | float] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in known:
            raise UnknownName("declare", name, known)
        if name in found:
            raise InputError(f"declare: {name} is given twice; give it once.")
        found[name] = known[name].read(value)
    return found


def _wrong(where: str, reason: str) -> ConfigError:
    return ConfigError(f"data {_TABLE}: {where} {reason}.")


def _off(name: str, row: Any) -> bool:
    if not isinstance(row, Mapping):
        raise _wrong(f"rule.{name}", "must be a table")
    return row.get("off") is True


def _factor(name: str, row: Any) -> Factor:
    where = f"factor.{name}"
    if not isinstance(row, Mapping):
        raise _wrong(where, "must be a table")
    unit, values = row.get("unit"), row.get("values", [])
    if unit is not None and (unit not in UNITS or values):
        raise _wrong(where, f"must have one of {', '.join(UNITS)} as its unit and no values, or no unit")
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise _wrong(where, "must have a list of texts as its values")
    return Factor(name, str(row.get("title", name)), unit, tuple(values))


def _rule(name: str, row: Mapping[str, Any], known: Mapping[str, Factor]) -> Rule:
    where, parts = f"rule.{name}", row.get("all")
    if not isinstance(parts, list) or not parts:
        raise _wrong(where, "must have a list of conditions under `all`")
    read = tuple(_part(where, part, known) for part in parts)
    told = {field: str(row.get(field, "")) for field in ("then", "source", "date")}
    return Rule(name, str(row.get("title", name)), read, **told)


def _part(where: str, part: Any, known: Mapping[str, Factor]) -> tuple[Condition, ...]:
    either = part["any"] if isinstance(part, Mapping) and part.keys() == {"any"} else [part]
    if not isinstance(either, list) or not either:
        raise _wrong(where, "must have a list of conditions under `any`")
    return tuple(_condition(where, each, known) for each in either)


def _condition(where: str, row: Any, known: Mapping[str, Factor]) -> Condition:
    name = row.get("factor") if isinstance(row, Mapping) else None
    factor = known.get(name) if isinstance(name, str) else None
    if factor is None:
        raise _wrong(where, f"must name a factor of {', '.join(known)} in each condition")
    keys = {"factor", "from"} if factor.unit is None else {"factor", "over", "window"}
    if row.keys() != keys:
        raise _wrong(where, f"must have {', '.join(sorted(keys))} in its condition on {name}")
    if factor.unit is not None and row["window"] not in _WINDOWS:
        raise _wrong(where, f"must have a window of {', '.join(_WINDOWS)} in its condition on {name}")
    stated = row["from"] if factor.unit is None else row["over"]
    if factor.values:
        if stated not in factor.values:
            raise _wrong(where, f"must have one of {', '.join(factor.values)} as its line on {name}")
        return Condition(factor, stated)
    value = stated.get("value") if isinstance(stated, Mapping) else stated
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(where, f"must have a number as its line on {name}")
    return Condition(factor, float(value), row.get("window"))
