"""Ways to more capability than the counted compute shows, each told apart: fine-tuning, model reuse, model
expansion, and inference above the compute-optimal (Pistillo & Villalobos 2025, arXiv 2502.00003).

Inference is on an axis of its own: its FLOP are named, and never added to those of training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ponder.govern.accounting.stages import Estimate, Lifecycle, Stage

if TYPE_CHECKING:
    from ponder.govern.accounting.count import Finding

__all__ = ["Route", "routes"]

_REUSED = ("teacher_training", "teacher_passes", "synthetic_data")


@dataclass(frozen=True, slots=True)
class Route:
    """One way, taken by one stage. Rules by their ids: those whose text counts the stage, leaves it out, or
    is ambiguous, and those whose line would be crossed by the estimate if the stage were counted. `times` is
    how much of plain inference an answer takes, for the route that adds inference."""

    name: str
    stage: str
    flop: Estimate | None
    counted: tuple[str, ...]
    left_out: tuple[str, ...]
    ambiguous: tuple[str, ...]
    decides: tuple[str, ...]
    times: float | None = None


def routes(lifecycle: Lifecycle, findings: Sequence[Finding]) -> tuple[Route, ...]:
    """The routes that the stages take, in their order."""
    return tuple(
        _route(name, stage, findings) for stage in lifecycle.stages if (name := _name(stage)) is not None
    )


def _name(stage: Stage) -> str | None:
    if stage.kind == "base_weights":
        return {"fine-tuned": "fine-tuning", "expanded": "model expansion"}.get(stage.how, "model reuse")
    if stage.kind in _REUSED:
        return "model reuse"
    more = stage.kind == "deployment" and stage.samples_per_answer > 1.0
    return "above-optimal inference" if more else None


def _route(name: str, stage: Stage, findings: Sequence[Finding]) -> Route:
    said = {f.rule.id: f.rule.answers[stage.counted_as] for f in findings if f.rule.measure != "usd"}
    by = {
        counts: tuple(rule for rule, answer in said.items() if answer.counts == counts)
        for counts in ("yes", "no", "ambiguous")
    }
    inference = stage.kind == "deployment"
    return Route(
        name=name,
        stage=stage.name,
        flop=stage.flop,
        counted=by["yes"],
        left_out=by["no"],
        ambiguous=by["ambiguous"],
        decides=() if inference else tuple(f.rule.id for f in findings if _decides(stage, f)),
        times=stage.samples_per_answer if inference else None,
    )


def _decides(stage: Stage, finding: Finding) -> bool:
    if finding.rule.measure != "flop" or finding.over_by_estimate is not False or stage.flop is None:
        return False
    if finding.rule.answers[stage.counted_as].reading:
        return False
    more = finding.candidates[0].amount.value + stage.flop.value
    return finding.rule.exceeded(more, finding.line.value)
