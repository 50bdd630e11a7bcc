"""Rules as rows of `data/rules.toml`: the line, where it stands in time, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from ponder.data.rows import rows
from ponder.errors import ConfigError, UnknownName
from ponder.govern.accounting.stages import Estimate

__all__ = ["BINDING", "Answer", "Condition", "Event", "Notice", "Rule", "chosen", "every_rule"]

Counts = Literal["yes", "no", "ambiguous"]
BINDING = ("in force", "guidance")
"""The states of a rule that an authority goes by."""
_SHOWN = 60  # letters of a name that is not known


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether a rule counts a stage, and why. `reading` decides where its text is ambiguous."""

    counts: Counts
    reading: bool
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """A day in a rule's life, and its state from then on."""

    date: date
    state: str
    what: str


@dataclass(frozen=True, slots=True)
class Condition:
    """What a rule asks besides compute: `fact` is one of `any_of`, or above `above`.

    Where it does not `decide`, it only adds duties.
    """

    fact: str
    text: str
    decides: bool
    any_of: tuple[str, ...] = ()
    above: float | None = None

    @property
    def derived(self) -> bool:
        """Whether it follows from the stages, so that nobody can give it."""
        return self.fact in ("base_by", "provider")

    def met(self, value: Estimate | str | Sequence[str] | None) -> bool | None:
        """None where the fact, or the side on which it lies, is unknown."""
        if value is None:
            return None
        if isinstance(value, Estimate):
            assert self.above is not None
            return True if value.low > self.above else False if value.high <= self.above else None
        given = (value,) if isinstance(value, str) else value
        return bool(set(given) & set(self.any_of))


@dataclass(frozen=True, slots=True)
class Notice:
    """How soon the authority must be told."""

    days: int
    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One line. `value` is exact; `measure` says of what: FLOP, a share of the original's, or dollars.

    `no_notice` says, where the text asks for no notice of a crossing, what it asks for in its place.
    """

    id: str
    title: str
    short: str
    measure: Literal["flop", "share", "usd"]
    value: Fraction
    unit: str
    at_least: bool
    tolerance: float | None
    tolerance_text: str
    answers: Mapping[str, Answer]
    counting: str
    text: str
    note: str
    source: str
    dated: date
    confidence: str
    events: tuple[Event, ...]
    conditions: tuple[Condition, ...]
    notice: Notice | None
    no_notice: str
    unknown_original: Mapping[str, Fraction]

    def standing(self, on: date) -> str:
        """Its state on a day: "not yet" before the first event."""
        states = [event.state for event in self.events if event.date <= on]
        return states[-1] if states else "not yet"

    def coming(self, on: date) -> Event | None:
        """What changes its state next."""
        return next((event for event in self.events if event.date > on), None)

    def binds(self, on: date) -> bool:
        """Whether it is law in force, or guidance that an authority goes by."""
        return self.standing(on) in BINDING

    def exceeded(self, flop: float, line: float) -> bool:
        return flop >= line if self.at_least else flop > line


def every_rule() -> tuple[Rule, ...]:
    """All rows in the file's order, the user's own last. Raises ConfigError for one that is not whole."""
    found = rows("rules")
    return tuple(_checked(name, row, found["counting"]) for name, row in found["rule"].items())


def chosen(names: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of these names; without names all. Raises UnknownName."""
    by_name = {rule.id: rule for rule in every_rule()}
    for name in names:
        if name not in by_name:
            raise UnknownName("rule", name[:_SHOWN], by_name)
    return tuple(by_name[name] for name in names) or every_rule()


def exact(text: str) -> Fraction:
    """A number such as "1e25", "1/3" or "1e25/3"."""
    numerator, _, denominator = text.partition("/")
    return Fraction(numerator) / Fraction(denominator or "1")


def _checked(name: str, row: Mapping[str, Any], countings: Mapping[str, Any]) -> Rule:
    try:
        return _rule(name, row, countings)
    except KeyError as error:
        raise ConfigError(f"data rules.toml: rule {name} lacks {error}; add it.") from None
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise ConfigError(f"data rules.toml: rule {name} cannot be read ({str(error)[:100]}).") from None


def _rule(name: str, row: Mapping[str, Any], countings: Mapping[str, Any]) -> Rule:
    notice, tolerance = row.get("notice"), row.get("tolerance", {})
    return Rule(
        id=name,
        title=row["title"],
        short=row["short"],
        measure=row["measure"],
        value=exact(row["value"]),
        unit=row["unit"],
        at_least=row["exceeds"] == "at least",
        tolerance=tolerance.get("value"),
        tolerance_text=tolerance.get("text", ""),
        answers={stage: _answer(each) for stage, each in _stages(row["counting"], countings).items()},
        counting=countings[row["counting"]]["what"],
        text=row["text"],
        note=row["note"],
        source=row["source"],
        dated=date.fromisoformat(row["date"]),
        confidence=row["confidence"],
        events=tuple(Event(**event) for event in row["events"]),
        conditions=tuple(_condition(each) for each in row["conditions"]),
        notice=Notice(**notice) if notice else None,
        no_notice=row.get("no_notice", ""),
        unknown_original={key: exact(value) for key, value in row.get("unknown_original", {}).items()},
    )


def _stages(name: str, countings: Mapping[str, Any]) -> dict[str, Any]:
    row = countings[name]
    inherited = _stages(row["like"], countings) if "like" in row else {}
    return {**inherited, **row["stages"]}


def _answer(row: Mapping[str, str]) -> Answer:
    counts: Any = row["counts"]
    return Answer(counts, row.get("reading", row["counts"]) == "yes", row["text"])


def _condition(row: Mapping[str, Any]) -> Condition:
    any_of = tuple(row["any"]) if "any" in row else (row["is"],) if "is" in row else ()
    return Condition(row["fact"], row["text"], row["decides"], any_of, row.get("above"))
