"""A lifecycle counted under every rule: the sum, the side of the line, what drives it, what would change it.

The two methods are never averaged. Where they agree within the rule's tolerance, the architecture's figure
stands; where they do not, both stand, and the side is decided only where both lie on it.

A stage that a text is ambiguous on is counted as the rule's row reads it. FLOP are never negative, so the sum
is lowest where no such stage is counted and highest where all are: where these two lie on different sides,
the side depends on the reading.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Literal

from ponder.govern.accounting.plan import Crossing, crossing
from ponder.govern.accounting.routes import Route, routes
from ponder.govern.accounting.rules import Answer, Condition, Rule, every_rule
from ponder.govern.accounting.stages import Estimate, Facts, Lifecycle, Stage, total

__all__ = [
    "BY_READING",
    "Account",
    "Candidate",
    "Finding",
    "Part",
    "Reading",
    "Readings",
    "Side",
    "account",
    "stage_tolerance",
]

Side = Literal["over", "under", "undecided", "not asked", "depends on the reading"]
BY_READING: Side = "depends on the reading"
Method = Literal["architecture", "hardware", "stated"]


@dataclass(frozen=True, slots=True)
class Part:
    """A stage under a rule. `share` is of what is counted, at the estimate; None where that is unknown."""

    stage: Stage
    answer: Answer
    share: float | None

    @property
    def counted(self) -> bool:
        return self.answer.reading


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sum by one method. What a method does not tell of is taken by the other; what neither tells is left
    out."""

    method: Method
    amount: Estimate


@dataclass(frozen=True, slots=True)
class Reading:
    """The sum and the side by one reading of the ambiguous stages. Where the two methods disagree, the sum is
    the one that lies further out."""

    amount: Estimate
    side: Side


@dataclass(frozen=True, slots=True)
class Readings:
    """The ends of all readings, `lowest` and `highest`; the side by the reading chosen; and the stages of
    which the other reading, of one alone, would change that side."""

    lowest: Reading
    highest: Reading
    chosen: Side
    decisive: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule's answer by the reading chosen, and beside it what other readings give.

    `candidates` are one where the methods agree (or there is one), two where they do not. `side` is had with
    the interval, the rule's tolerance and all readings, `over_by_estimate` without them (None where the two
    methods differ in it). `unknown` names counted stages whose FLOP nobody told: the sum is then a lower end.
    `applies` takes the conditions in: None is open.
    """

    rule: Rule
    standing: str
    line: Estimate
    parts: tuple[Part, ...]
    candidates: tuple[Candidate, ...]
    unknown: tuple[str, ...]
    side: Side
    over_by_estimate: bool | None
    applies: bool | None
    conditions: tuple[tuple[Condition, bool | None], ...]
    readings: Readings | None
    crossing: Crossing | None

    @property
    def chosen_side(self) -> Side:
        """By the reading chosen alone."""
        return self.side if self.readings is None else self.readings.chosen

    @property
    def methods_ratio(self) -> float | None:
        """The hardware's sum over the architecture's, where they do not agree."""
        if len(self.candidates) < 2 or not self.candidates[0].amount.value:
            return None
        return self.candidates[1].amount.value / self.candidates[0].amount.value


@dataclass(frozen=True, slots=True)
class Account:
    """Every rule's finding on a day, and the ways round a line that the lifecycle takes."""

    lifecycle: Lifecycle
    on: date
    findings: tuple[Finding, ...]
    routes: tuple[Route, ...]


def account(lifecycle: Lifecycle, rules: Sequence[Rule], *, on: date) -> Account:
    """Count a lifecycle under rules as they stand on a day."""
    findings = tuple(_finding(lifecycle, rule, on) for rule in rules)
    return Account(lifecycle, on, findings, routes(lifecycle, findings))


def stage_tolerance(rules: Sequence[Rule]) -> float | None:
    """The widest tolerance that any of the rules allows; None where none does."""
    return max((rule.tolerance for rule in rules if rule.tolerance is not None), default=None)


def _finding(lifecycle: Lifecycle, rule: Rule, on: date) -> Finding:
    answers = [(stage, rule.answers[stage.counted_as]) for stage in lifecycle.stages]
    counted = [stage for stage, answer in answers if answer.reading]
    conditions = tuple((each, each.met(_fact(lifecycle, each.fact))) for each in rule.conditions)
    deciding = [met for each, met in conditions if each.decides]
    candidates = _candidates(lifecycle, rule, counted)
    unknown = _unknown(lifecycle, rule, counted)
    line = _line(lifecycle, rule)
    asked = line is not None and not _of_others_alone(rule, lifecycle, False in deciding)
    line = line if line is not None else Estimate.point(float(rule.value))
    chosen = _side(rule, candidates, line, unknown) if asked else "not asked"
    over = _over(rule, candidates, line, unknown) if asked else None
    in_flop = asked and rule.measure != "usd"
    readings = _readings(lifecycle, rule, answers, chosen, line) if in_flop else None
    side = BY_READING if readings and readings.lowest.side != readings.highest.side else chosen
    applying = _applies(side, deciding)
    met = over is True and applying is not False
    return Finding(
        rule=rule,
        standing=rule.standing(on),
        line=line,
        parts=tuple(Part(stage, answer, _share(stage, answer, candidates)) for stage, answer in answers),
        candidates=candidates,
        unknown=unknown,
        side=side,
        over_by_estimate=over,
        applies=applying,
        conditions=conditions,
        readings=readings,
        crossing=crossing(rule, counted, line, known=lifecycle.known, over=met) if in_flop else None,
    )


# ---------------------------------------------------------------- sums


def _candidates(lifecycle: Lifecycle, rule: Rule, counted: Sequence[Stage]) -> tuple[Candidate, ...]:
    if rule.measure == "usd":
        cost = lifecycle.facts.compute_cost
        return () if cost is None else (Candidate("stated", cost),)
    first = total(stage.flop for stage in counted if stage.flop is not None)
    second = total(stage.other_flop for stage in counted if stage.other_flop is not None)
    told = [stage for stage in counted if stage.flop is not None]
    by_chips_alone = bool(told) and all(stage.architecture is None for stage in told)
    candidates = (Candidate("hardware" if by_chips_alone else "architecture", first),)
    both = any(stage.disagreement is not None for stage in counted)
    return (
        (*candidates, Candidate("hardware", second)) if both and _differ(rule, first, second) else candidates
    )


def _differ(rule: Rule, first: Estimate, second: Estimate) -> bool:
    """Beyond the rule's tolerance; where it allows none, beyond both intervals."""
    if rule.tolerance is None:
        return first.high < second.low or second.high < first.low
    small, large = sorted((first.value, second.value))
    return large > small * (1 + rule.tolerance)


def _unknown(lifecycle: Lifecycle, rule: Rule, counted: Sequence[Stage]) -> tuple[str, ...]:
    if rule.measure == "usd":
        return () if lifecycle.facts.compute_cost is not None else ("compute_cost",)
    return tuple(stage.name for stage in counted if stage.flop is None)


def _of_others_alone(rule: Rule, lifecycle: Lifecycle, unmet: bool) -> bool:
    """Whether the rule is one on other models alone: those made from another, or those that its line in money
    is about."""
    if rule.measure == "usd":
        return unmet
    return lifecycle.base_by == "nobody" and any(each.fact == "base_by" for each in rule.conditions)


def _line(lifecycle: Lifecycle, rule: Rule) -> Estimate | None:
    """The line in the measure's unit; None where the rule asks nothing of this model."""
    if rule.measure != "share":
        return Estimate.point(float(rule.value))
    bases = lifecycle.bases
    if not bases:
        return None
    known = [stage for stage in bases if stage.flop is not None]
    if len(known) == len(bases):
        ends = [end for stage in bases for end in (stage.flop, stage.other_flop) if end is not None]
        value = total(stage.flop for stage in known if stage.flop is not None)
        if len(bases) == 1:
            value = Estimate(value.value, min(e.low for e in ends), max(e.high for e in ends))
        return Estimate(*(float(rule.value * Fraction(end)) for end in (value.value, value.low, value.high)))
    systemic, other = (float(rule.unknown_original[key]) for key in ("systemic", "other"))
    if any(stage.systemic for stage in bases):
        return Estimate.point(systemic)
    if all(stage.systemic is False for stage in bases):
        return Estimate.point(other)
    return Estimate(other, other, systemic)


def _share(stage: Stage, answer: Answer, candidates: Sequence[Candidate]) -> float | None:
    if not answer.reading or stage.flop is None or not candidates or candidates[0].method == "stated":
        return None
    whole = candidates[0].amount.value
    return stage.flop.value / whole if whole else None


# ---------------------------------------------------------------- sides


def _side(rule: Rule, candidates: Sequence[Candidate], line: Estimate, unknown: Sequence[str]) -> Side:
    sides = {_one_side(rule, each.amount, line, bool(unknown)) for each in candidates}
    return sides.pop() if len(sides) == 1 else "undecided"


def _over(rule: Rule, candidates: Sequence[Candidate], line: Estimate, unknown: Sequence[str]) -> bool | None:
    """By the figures alone; None where the methods differ in it, or an unknown part may."""
    said = {rule.exceeded(each.amount.value, line.value) for each in candidates}
    return None if len(said) != 1 or (unknown and said == {False}) else said.pop()


def _one_side(rule: Rule, amount: Estimate, line: Estimate, unknown: bool) -> Side:
    """`unknown`: the amount is a lower end."""
    wide = amount.widened(rule.tolerance or 0.0)
    if rule.exceeded(wide.low, line.high):
        return "over"
    return "undecided" if unknown or rule.exceeded(wide.high, line.low) else "under"


def _applies(side: Side, conditions: Sequence[bool | None]) -> bool | None:
    if side in ("under", "not asked") or False in conditions:
        return False
    return True if side == "over" and None not in conditions else None


def _fact(lifecycle: Lifecycle, name: str) -> Estimate | str | tuple[str, ...] | None:
    facts: Facts = lifecycle.facts
    if name == "base_by":
        return lifecycle.base_by
    if name == "provider":
        return _provider(lifecycle)
    if name == "distilled_from" and facts.distilled_from is None:
        taught = any(
            s.kind in ("teacher_passes", "teacher_training", "synthetic_data") for s in lifecycle.stages
        )
        return None if taught else "none"
    value: Estimate | str | tuple[str, ...] | None = getattr(facts, name)
    return value


def _provider(lifecycle: Lifecycle) -> str | None:
    """Whether the maker is the model's provider: of another's model, where a rule on modifiers says so."""
    if lifecycle.base_by != "others":
        return "yes"
    sides = set()
    for rule in (each for each in every_rule() if each.measure == "share"):
        counted = [stage for stage in lifecycle.stages if rule.answers[stage.counted_as].reading]
        line, unknown = _line(lifecycle, rule), _unknown(lifecycle, rule, counted)
        assert line is not None
        sides.add(_side(rule, _candidates(lifecycle, rule, counted), line, unknown))
    return "yes" if "over" in sides else "no" if sides == {"under"} else None


def _readings(
    lifecycle: Lifecycle, rule: Rule, answers: Sequence[tuple[Stage, Answer]], chosen: Side, line: Estimate
) -> Readings | None:
    """None where no stage that is there is ambiguous."""
    ambiguous = [stage for stage, answer in answers if answer.counts == "ambiguous"]
    if not ambiguous:
        return None
    sure = [stage for stage, answer in answers if answer.counts == "yes"]

    def by(counted: Sequence[Stage], furthest: Callable[..., Candidate]) -> Reading:
        candidates = _candidates(lifecycle, rule, counted)
        side = _side(rule, candidates, line, _unknown(lifecycle, rule, counted))
        return Reading(furthest(candidates, key=lambda each: each.amount.value).amount, side)

    def flipped(one: Stage) -> list[Stage]:
        return [stage for stage, answer in answers if answer.reading != (stage is one)]

    return Readings(
        lowest=by(sure, min),
        highest=by([*sure, *ambiguous], max),
        chosen=chosen,
        decisive=tuple(stage.name for stage in ambiguous if by(flipped(stage), max).side != chosen),
    )
