"""An account as a document, and as an outcome for the page that all calculators share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.govern.accounting.count import Account, Candidate, Finding, stage_tolerance
from ponder.govern.accounting.routes import Route
from ponder.govern.accounting.stages import Estimate, Stage
from ponder.govern.accounting.words import (
    amount,
    applies,
    counted,
    disagreements,
    route_words,
    scientific,
    sentences,
    stage_notes,
)
from ponder.govern.assumptions import Assumption
from ponder.govern.calculator import Table
from ponder.govern.outcome import Outcome, Result, Swing

__all__ = ["SCHEMA", "as_outcome", "notes", "rule_words", "to_json"]

SCHEMA = "ponder.account/1"


def notes(account: Account) -> tuple[str, ...]:
    """Every sentence that is not about one rule alone: methods that differ, stages, routes, the record."""
    stages = account.lifecycle.stages
    tolerance = stage_tolerance([finding.rule for finding in account.findings])
    return (
        *disagreements(stages, tolerance),
        *stage_notes(stages),
        *map(route_words, account.routes),
        *account.lifecycle.notes,
    )


def rule_words(account: Account, finding: Finding) -> str:
    """One rule's answer as a paragraph that begins with its name."""
    return f"{finding.rule.short}: {' '.join(sentences(account, finding))}"


# ---------------------------------------------------------------- JSON


def to_json(account: Account, assumptions: Sequence[Assumption]) -> dict[str, Any]:
    """Plain values; what is unknown is None."""
    lifecycle = account.lifecycle
    return {
        "schema": SCHEMA,
        "model": lifecycle.model,
        "on": account.on.isoformat(),
        "stages": [_stage(each) for each in lifecycle.stages],
        "rules": [_finding(account, each) for each in account.findings],
        "routes": [_route(each) for each in account.routes],
        "notes": list(notes(account)),
        "assumptions": [each.to_json() for each in assumptions],
    }


def _estimate(value: Estimate | None) -> dict[str, float] | None:
    return None if value is None else value.to_json()


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "stage": stage.kind,
        "name": stage.name,
        "flop_by_architecture": _estimate(stage.architecture),
        "flop_by_hardware": _estimate(stage.hardware),
        "hardware_over_architecture": stage.disagreement,
        "published": stage.published,
        "by": stage.by,
        "how": stage.how or None,
        "samples_per_answer": stage.samples_per_answer,
        "start": stage.start and stage.start.isoformat(),
        "end": stage.end and stage.end.isoformat(),
        "origin": stage.origin,
        "notes": list(stage.notes),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {"method": candidate.method, **candidate.amount.to_json()}


def _finding(account: Account, finding: Finding) -> dict[str, Any]:
    rule, other, crossing = finding.rule, finding.other, finding.crossing
    return {
        "rule": rule.id,
        "title": rule.title,
        "standing": finding.standing,
        "events": [{"date": e.date.isoformat(), "state": e.state, "what": e.what} for e in rule.events],
        "measure": rule.measure,
        "line": finding.line.to_json(),
        "exceeds": "at least" if rule.at_least else "more than",
        "tolerance": rule.tolerance,
        "tolerance_text": rule.tolerance_text or None,
        "counted": [_candidate(each) for each in finding.candidates],
        "unknown": list(finding.unknown),
        "side": finding.side,
        "over_by_estimate": finding.over_by_estimate,
        "applies": finding.applies,
        "conditions": [
            {"fact": each.fact, "text": each.text, "decides": each.decides, "met": met}
            for each, met in finding.conditions
        ],
        "parts": [
            {
                "stage": part.stage.name,
                "counts": part.answer.counts,
                "counted": part.counted,
                "share": part.share,
                "text": part.answer.text,
            }
            for part in finding.parts
        ],
        "other_reading": None
        if other is None
        else {"counted": other.amount.to_json(), "side": other.side, "decisive": list(other.decisive)},
        "crossing": None
        if crossing is None
        else {
            "day": crossing.day and crossing.day.isoformat(),
            "earliest": crossing.earliest and crossing.earliest.isoformat(),
            "latest": crossing.latest and crossing.latest.isoformat(),
            "before_the_plan": crossing.before,
            "notice_due": crossing.notice_due and crossing.notice_due.isoformat(),
            "from_the_plan": crossing.known,
        },
        "words": list(sentences(account, finding)),
        "text": rule.text,
        "note": rule.note,
        "source": rule.source,
        "date": rule.dated.isoformat(),
        "confidence": rule.confidence,
    }


def _route(route: Route) -> dict[str, Any]:
    return {
        "route": route.name,
        "stage": route.stage,
        "flop": _estimate(route.flop),
        "counted_by": list(route.counted),
        "left_out_by": list(route.left_out),
        "ambiguous_in": list(route.ambiguous),
        "decides": list(route.decides),
        "samples_per_answer": route.times,
    }


# ---------------------------------------------------------------- the page


def as_outcome(account: Account, assumptions: Sequence[Assumption]) -> Outcome:
    """An outcome whose outputs are the rules' sums. There are no draws: sums take the ends of intervals
    together, and a swing is one stage at its ends with the others at their figures."""
    asked = [f for f in account.findings if f.candidates and f.side != "not asked"]
    return Outcome(
        calculator="account",
        title=f"The training compute of {account.lifecycle.model} under every rule, on {account.on}",
        results=tuple(_result(each) for each in asked),
        middle={each.rule.id: each.candidates[0].amount.value for each in asked},
        swings={each.rule.id: _swings(each) for each in asked},
        assumptions=tuple(assumptions),
        choices={},
        tables=(_rules_table(account), _stages_table(account), _readings_table(account)),
        notes=(*(rule_words(account, each) for each in account.findings), *notes(account)),
        draws=0,
        seed=0,
    )


def _result(finding: Finding) -> Result:
    """From the one method's lower end to the other's upper end; an unknown part leaves it unknown."""
    amounts = [each.amount for each in finding.candidates]
    unit = "USD" if finding.rule.measure == "usd" else "FLOP"
    if finding.unknown:
        return Result(finding.rule.id, unit, finding.rule.title, None, None, None, 1.0)
    low, high = min(each.low for each in amounts), max(each.high for each in amounts)
    return Result(finding.rule.id, unit, finding.rule.title, amounts[0].value, low, high, 0.0)


def _swings(finding: Finding) -> tuple[Swing, ...]:
    whole = finding.candidates[0].amount.value
    moved = [
        (part.stage.name, whole - flop.value + flop.low, whole - flop.value + flop.high)
        for part in finding.parts
        if part.counted and (flop := part.stage.flop) is not None and flop.low < flop.high
    ]
    return tuple(sorted((Swing(*each) for each in moved), key=lambda swing: -swing.size))


def _rules_table(account: Account) -> Table:
    rows = tuple(
        (
            each.rule.title,
            each.standing,
            counted(each),
            "–" if each.side == "not asked" else scientific(each.line.value),
            each.side,
            applies(each),
            each.rule.text,
        )
        for each in account.findings
    )
    columns = ("rule", "standing", "counted", "line", "side", "applies", "text")
    return Table("rules", "Every rule, and on which side of its line the model lies", columns, rows)


def _stages_table(account: Account) -> Table:
    rows = tuple(
        (
            each.name,
            each.kind,
            "unknown" if each.architecture is None else amount(each.architecture),
            "unknown" if each.hardware is None else amount(each.hardware),
            each.origin,
        )
        for each in account.lifecycle.stages
    )
    columns = ("stage", "kind", "FLOP by operations", "FLOP by chips' hours", "from")
    return Table("stages", "What each stage took, by two methods that are never averaged", columns, rows)


def _readings_table(account: Account) -> Table:
    rows = tuple(
        (
            each.rule.short,
            part.stage.name,
            part.answer.counts,
            "yes" if part.counted else "no",
            part.answer.text,
        )
        for each in account.findings
        if each.rule.measure != "usd"
        for part in each.parts
    )
    columns = ("rule", "stage", "the text says", "counted here", "why")
    return Table("readings", "Which stages each rule counts", columns, rows)
