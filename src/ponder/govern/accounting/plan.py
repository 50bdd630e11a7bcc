"""When planned training crosses a line: dated stages accrue their FLOP evenly from first day to last.

Stages without dates are taken as done before the first dated one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from ponder.govern.accounting.rules import Rule
from ponder.govern.accounting.stages import Estimate, Stage

__all__ = ["Crossing", "crossing", "day_crossed"]


@dataclass(frozen=True, slots=True)
class Crossing:
    """The day on which a line is crossed: by the estimate, at the earliest and at the latest by its interval.

    None: not within the plan. `dated`: a counted stage has dates; without any there is no day, and notice may
    be due all the same. `before`: the stages without dates are over it already. `notice_due` is the last day
    on which the authority may be told; `known` says that it runs from the day the plan was settled.
    """

    day: date | None
    earliest: date | None
    latest: date | None
    before: bool
    notice_due: date | None
    known: bool
    dated: bool = True


def crossing(
    rule: Rule, counted: Sequence[Stage], line: Estimate, *, known: date | None, over: bool
) -> Crossing | None:
    """None where no counted stage has dates and no notice is due without them. `over`: the whole plan is over
    the line by the estimate and the rule may apply; then it is known from the day `known` on that the line
    will be crossed.

    The day is by operations where they are told; its ends take both methods in.
    """
    told = [(stage, stage.flop, stage.other_flop) for stage in counted]
    known_flop = [
        (stage, flop, other) for stage, flop, other in told if flop is not None and other is not None
    ]
    if not any(stage.start for stage, _, _ in known_flop):
        due = _notice_due(rule, known) if over else None
        return None if due is None else Crossing(None, None, None, False, due, known=True, dated=False)
    value, high, low = (
        [(stage, pick(flop, other)) for stage, flop, other in known_flop] for pick in (_value, _high, _low)
    )
    before = rule.exceeded(math.fsum(flop for stage, flop in value if not stage.start), line.value)
    day = None if before else day_crossed(rule, value, line.value)
    from_known = known is not None and over and (day is None or known <= day)
    since = known if from_known else day
    return Crossing(
        day=day,
        earliest=None if before else day_crossed(rule, high, line.low),
        latest=None if before else day_crossed(rule, low, line.high),
        before=before,
        notice_due=_notice_due(rule, since) if over else None,
        known=from_known,
    )


def _notice_due(rule: Rule, since: date | None) -> date | None:
    return since + timedelta(days=rule.notice.days) if rule.notice and since else None


def _value(flop: Estimate, other: Estimate) -> float:
    return flop.value


def _high(flop: Estimate, other: Estimate) -> float:
    return max(flop.high, other.high)


def _low(flop: Estimate, other: Estimate) -> float:
    return min(flop.low, other.low)


def day_crossed(rule: Rule, amounts: Sequence[tuple[Stage, float]], line: float) -> date | None:
    """The first day by whose end the sum is past the line; the first of all where the undated are."""
    spans = [
        (stage.start.toordinal(), stage.end.toordinal() + 1, flop)
        for stage, flop in amounts
        if stage.start and stage.end
    ]
    done = math.fsum(flop for stage, flop in amounts if not stage.start)
    days = sorted({day for start, end, _ in spans for day in (start, end)})
    if rule.exceeded(done, line):
        return date.fromordinal(days[0])
    for first, last in pairwise(days):
        rate = math.fsum(flop / (end - start) for start, end, flop in spans if start <= first < end)
        if rule.exceeded(done + rate * (last - first), line):
            return date.fromordinal(min(first + int((line - done) / rate), last - 1))
        done += rate * (last - first)
    return None
