"""An account in words: what drives a sum, the reading chosen, why two methods differ, when notice is due."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date

from ponder.govern.accounting.count import BY_READING, Account, Finding, Part, Readings, Side
from ponder.govern.accounting.plan import Crossing
from ponder.govern.accounting.routes import Route
from ponder.govern.accounting.rules import BINDING, Rule
from ponder.govern.accounting.stages import Estimate, Stage

__all__ = [
    "amount",
    "applies",
    "counted",
    "disagreements",
    "route_words",
    "scientific",
    "sentences",
    "stage_notes",
]

_DRIVERS = 3
_CLEAR = 0.3
"""How far apart two methods are explained where no rule asked about tells its own tolerance."""


def scientific(value: float) -> str:
    """Three digits: 6.59e23, 950."""
    mantissa, e, exponent = f"{value:.3g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def amount(estimate: Estimate) -> str:
    """The figure, with its interval where it has one: 6.7e24 (6.5–6.9e24)."""
    if estimate.low == estimate.high:
        return scientific(estimate.value)
    low, high = scientific(estimate.low), scientific(estimate.high)
    same = low.partition("e")[2] == high.partition("e")[2]
    return f"{scientific(estimate.value)} ({low.partition('e')[0] if same else low}–{high})"


def counted(finding: Finding) -> str:
    """The sum in a table's cell: both where the methods disagree, a lower end where a part is unknown."""
    if finding.side == "not asked":
        return "–"
    if not finding.candidates:
        return "unknown"
    shown = " or ".join(scientific(each.amount.value) for each in finding.candidates)
    if len(finding.candidates) == 1:
        shown = amount(finding.candidates[0].amount)
    return f"≥ {shown}" if finding.unknown else shown


def applies(finding: Finding) -> str:
    """Whether the rule applies, its conditions taken in; of one that does not bind, whether it would."""
    said = ("yes", "open") if finding.standing in BINDING else ("would", "might")
    return "no" if finding.applies is False else said[0] if finding.applies else said[1]


# ---------------------------------------------------------------- one rule


def sentences(account: Account, finding: Finding) -> Iterator[str]:
    """What a reader must know of one rule's answer. Each sentence goes on from the rule's name."""
    coming = finding.rule.coming(account.on)
    if coming is not None:
        yield f"{coming.what.capitalize()} on {coming.date}."
    if finding.side == "not asked":
        yield f"Asks nothing of this model: {_why_not(finding)}."
        return
    yield from _sum(finding)
    yield from _undecided(finding)
    yield from _readings(finding)
    yield from _conditions(finding)
    yield from _crossing(finding, account.on)


def _why_not(finding: Finding) -> str:
    if finding.rule.measure != "usd":
        return "it is made from no other"
    unmet = [each.text for each, met in finding.conditions if each.decides and met is False]
    return f"not so is that {' and '.join(unmet)}"


def _sum(finding: Finding) -> Iterator[str]:
    rule = finding.rule
    if rule.measure == "usd":
        yield f"A line in money, {scientific(finding.line.value)} {rule.unit}, and in no FLOP."
        return
    yield f"Counts {rule.counting}."
    parts = [part for part in finding.parts if part.counted and part.share]
    drivers = sorted(parts, key=lambda part: -(part.share or 0.0))[:_DRIVERS]
    if drivers:
        yield f"Driven by {', '.join(map(_driver, drivers))}."
    if finding.unknown:
        yield f"Unknown are the FLOP of {', '.join(finding.unknown)}: the sum is a lower end."
    if rule.measure == "share":
        yield f"The line is {rule.value} {rule.unit}: {amount(finding.line)} FLOP."


def _driver(part: Part) -> str:
    return f"{part.stage.name} ({_percent(part.share or 0.0)})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.01 else "under 1%"


def _undecided(finding: Finding) -> Iterator[str]:
    rule, line = finding.rule, scientific(finding.line.value)
    if finding.chosen_side != "undecided" or not finding.candidates or finding.unknown:
        return
    if finding.over_by_estimate is None:
        yield f"Undecided: one method puts the sum over the line at {line}, the other under it."
        return
    around = [
        "the sum's interval" if any(c.amount.low < c.amount.high for c in finding.candidates) else "",
        f"the error of {_percent(rule.tolerance)} that the rule allows" if rule.tolerance else "",
        "the line's own interval" if finding.line.low < finding.line.high else "",
    ]
    lies = "over" if finding.over_by_estimate else "under"
    reaching = " and ".join(filter(None, around))
    yield f"Undecided: {reaching} reach across the line at {line}; the figure is {lies} it."


def _readings(finding: Finding) -> Iterator[str]:
    if finding.readings is None:
        return
    for taken in (True, False):
        parts = [p for p in finding.parts if p.answer.counts == "ambiguous" and p.counted is taken]
        if parts:
            named = "; ".join(f"{part.stage.name}, as {part.answer.text}" for part in parts)
            yield f"Ambiguous and {'counted' if taken else 'not counted'} here: {named}."
    yield _range(finding.readings, finding.side)


def _range(readings: Readings, side: Side) -> str:
    """Over all readings: between which sums, and whether they lie on one side."""
    ends = (readings.lowest, readings.highest)
    low, high = (amount(each.amount) for each in ends)
    between = f"{low} FLOP" if low == high else f"{low} to {high} FLOP"
    if side != BY_READING:
        return f"Over all readings {between}: {side} by each."
    several = (
        f"another reading of {' or '.join(readings.decisive)} alone would change that"
        if readings.decisive
        else "it takes another reading of several stages to change that"
    )
    return (
        f"Over all readings {between}, {ends[0].side} to {ends[1].side}: the side depends on the reading. By "
        f"the one chosen here it is {readings.chosen}; {several}."
    )


def _conditions(finding: Finding) -> Iterator[str]:
    """Those that a rule applies by without a word are left to the document."""
    if finding.side == "under":
        return
    for condition, met in finding.conditions:
        if condition.decides and met:
            continue
        told = "open" if condition.derived else f"unknown; give {condition.fact} under facts"
        said = {True: "met", False: "not met", None: told}[met]
        role = "It asks further that" if condition.decides else "It has more duties for"
        yield f"{role} {condition.text} ({said})."


def _crossing(finding: Finding, on: date) -> Iterator[str]:
    found, rule = finding.crossing, finding.rule
    if found is not None:
        yield _day_crossed(found)
    if finding.side == "under":
        return
    if found is not None and found.notice_due is not None:
        yield _notice(found, rule, on)
    elif rule.notice is not None and finding.over_by_estimate and finding.applies is not False:
        yield (
            f"Notice is due within {rule.notice.days} days ({rule.notice.text}); to learn by which day, give "
            "plan_known, or start and end of the stages."
        )
    if rule.no_notice:
        yield rule.no_notice


def _day_crossed(found: Crossing) -> str:
    if not found.dated:
        return "No stage that counts has dates; give start and end to learn on which day the line is crossed."
    if found.before:
        return "The stages without dates are over the line already."
    if found.day is None and found.earliest is None:
        return "The plan does not cross the line."
    day = f"Crossed on {found.day}" if found.day else "Not crossed by the estimate"
    if found.earliest == found.day == found.latest:
        return f"{day}."
    return f"{day} ({found.earliest or 'never'} at the earliest, {found.latest or 'never'} at the latest)."


def _notice(found: Crossing, rule: Rule, on: date) -> str:
    assert rule.notice is not None
    assert found.notice_due is not None
    since = "the day the plan was settled" if found.known else "that day"
    late = (on - found.notice_due).days
    told = f"due by {found.notice_due}, {rule.notice.days} days from {since} ({rule.notice.text})"
    if late <= 0:
        return f"Notice is {told}."
    return f"Notice was {told}: on {on} it is {late} day{'s' * (late > 1)} overdue."


# ---------------------------------------------------------------- the two methods


def disagreements(stages: Sequence[Stage], tolerance: float | None) -> Iterator[str]:
    """A sentence for each stage whose two methods differ by more than any rule allows."""
    bound = math.log1p(_CLEAR if tolerance is None else tolerance)
    for stage in stages:
        ratio = stage.disagreement
        if ratio is not None and abs(math.log(ratio)) > bound:
            yield _disagreement(stage, ratio)


def _disagreement(stage: Stage, ratio: float) -> str:
    assert stage.hardware is not None
    assert stage.architecture is not None
    hardware, operations = scientific(stage.hardware.value), scientific(stage.architecture.value)
    told = (
        f"{stage.name}: by the chips' hours {hardware} FLOP, by operations {operations}: {ratio:.3g} times "
        "as much, and not averaged. Operations counted from parameters and tokens do not see pruning, a "
        "teacher's passes, generated data, restarts, or more tokens than are told. Chips' hours see "
        "everything that ran, what no rule counts included, and are no better than the utilisation."
    )
    if stage.possible is None or stage.utilisation is None:
        return told
    implied = stage.architecture.value / stage.possible.value
    return (
        f"{told} For the operations to be all, the chips would have run at {100 * implied:.2g}% of their "
        f"peak and not at {100 * stage.utilisation.value:.2g}%."
    )


def stage_notes(stages: Sequence[Stage]) -> Iterator[str]:
    """What the count of a stage leaves out or rests on."""
    for stage in stages:
        for note in stage.notes:
            yield f"{stage.name}: {note}."


# ---------------------------------------------------------------- routes


def route_words(route: Route) -> str:
    """What the rules do with a route round their lines."""
    size = "unknown FLOP" if route.flop is None else f"{amount(route.flop)} FLOP"
    if route.times is not None:
        return (
            f"{route.name} ({route.stage}, {size}): {route.times:.3g} samples an answer. No rule counts it. "
            "It is on an axis of its own, not to be added to training; `ponder govern buffer` says what it "
            "is worth."
        )
    said = [
        f"counted by {', '.join(route.counted)}" if route.counted else "",
        f"left out by {', '.join(route.left_out)}" if route.left_out else "",
        f"ambiguous in {', '.join(route.ambiguous)}" if route.ambiguous else "",
    ]
    decides = f" Counting it would put the model over {', '.join(route.decides)}." if route.decides else ""
    return f"{route.name} ({route.stage}, {size}): {'; '.join(filter(None, said))}.{decides}"
