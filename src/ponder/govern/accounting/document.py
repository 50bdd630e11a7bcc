"""An account as a document, and the paragraphs that its table needs beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ponder.govern.accounting.count import Account, Candidate, Finding, Reading, stage_tolerance
from ponder.govern.accounting.routes import Route
from ponder.govern.accounting.stages import Estimate, Lifecycle, Stage
from ponder.govern.accounting.words import disagreements, route_words, sentences, stage_notes
from ponder.govern.assumptions import Assumption

__all__ = ["SCHEMA", "notes", "rule_words", "to_json"]

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
        "facts": _facts(lifecycle),
        "stages": [_stage(each) for each in lifecycle.stages],
        "rules": [_finding(account, each) for each in account.findings],
        "routes": [_route(each) for each in account.routes],
        "notes": list(notes(account)),
        "assumptions": [each.to_json() for each in assumptions],
    }


def _facts(lifecycle: Lifecycle) -> dict[str, Any]:
    facts = lifecycle.facts
    return {
        "generates": None if facts.generates is None else list(facts.generates),
        "weights": facts.weights,
        "data": facts.data,
        "distilled_from": facts.distilled_from,
        "made_from_a_model_of": lifecycle.base_by,
        "revenue_usd": _estimate(facts.revenue),
        "compute_cost_usd": _estimate(facts.compute_cost),
        "plan_known": lifecycle.known and lifecycle.known.isoformat(),
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


def _reading(reading: Reading) -> dict[str, Any]:
    return {"counted": reading.amount.to_json(), "side": reading.side}


def _finding(account: Account, finding: Finding) -> dict[str, Any]:
    rule, readings, crossing = finding.rule, finding.readings, finding.crossing
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
        "readings": None
        if readings is None
        else {
            "lowest": _reading(readings.lowest),
            "highest": _reading(readings.highest),
            "chosen": readings.chosen,
            "decisive": list(readings.decisive),
        },
        "crossing": None
        if crossing is None
        else {
            "day": crossing.day and crossing.day.isoformat(),
            "earliest": crossing.earliest and crossing.earliest.isoformat(),
            "latest": crossing.latest and crossing.latest.isoformat(),
            "before_the_plan": crossing.before,
            "notice_due": crossing.notice_due and crossing.notice_due.isoformat(),
            "from_the_plan": crossing.known,
            "dated": crossing.dated,
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
