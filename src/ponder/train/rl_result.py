"""What came of a run of reinforcement learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ponder.measure.intervals import Estimate
from ponder.train.held_out import changes, estimates
from ponder.train.rl_cost import Part
from ponder.train.rl_state import Evaluation, Progress
from ponder.train.sigmoid import Sigmoid, fit_sigmoid
from ponder.train.state import Work

if TYPE_CHECKING:
    from ponder.train.rl import RlSettings

__all__ = ["RlResult", "result_of", "summary"]


@dataclass(frozen=True, slots=True)
class RlResult:
    """What came of it. `scores` is pass@k at each evaluation and `change` what it gained from first to last,
    both with 90 % intervals from resampling problems; `curve` the fitted compute curve, None for too few
    evaluations; `work` what was computed by part, `repeated` what kills made to be done twice; `notes` what
    TRL told of each step; `counted` FLOP by PyTorch's counter over FLOP by formula, on the first step."""

    run: str
    task: str
    model: str
    out: Path
    evaluations: tuple[Evaluation, ...]
    scores: tuple[Mapping[int, Estimate], ...]
    change: Mapping[int, Estimate]
    curve: Sigmoid | None
    work: Mapping[Part, Work]
    repeated: Mapping[Part, Work]
    notes: tuple[Mapping[str, float], ...]
    counted: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """The whole of it, as `rl.json` has it."""
        points = [
            {
                **each.to_json(),
                "passed": {str(k): asdict(estimate) for k, estimate in passed.items()},
            }
            for each, passed in zip(self.evaluations, self.scores, strict=True)
        ]
        return {
            "run": self.run,
            "task": self.task,
            "model": self.model,
            "checkpoint": str(self.out),
            "evaluations": points,
            "change": {str(k): asdict(estimate) for k, estimate in self.change.items()},
            "curve": None if self.curve is None else self.curve.to_json(),
            "work": {part: work.to_json() for part, work in self.work.items()},
            "repeated": {part: work.to_json() for part, work in self.repeated.items()},
            "counted": dict(self.counted),
            "steps": [dict(note) for note in self.notes],
        }


def result_of(settings: RlSettings, run: str, out: Path, progress: Progress) -> RlResult:
    points = progress.evaluations
    shares = np.array([each.score.right for each in points]).T / settings.eval_samples
    curve = fit_sigmoid([each.flop for each in points[1:]], shares, rng=np.random.default_rng(settings.seed))
    return RlResult(
        run=run,
        task=settings.task,
        model=str(settings.model),
        out=out,
        evaluations=tuple(points),
        scores=tuple(estimates(each.score, seed=settings.seed) for each in points),
        change=changes(points[0].score, points[-1].score, seed=settings.seed),
        curve=curve,
        work=dict(progress.learned),
        repeated=dict(progress.repeated),
        notes=tuple(progress.notes),
        counted=dict(progress.counted),
    )


def summary(result: RlResult) -> dict[str, Any]:
    """The result in a few numbers, for the ledger's event."""
    return {
        "before": {str(k): asdict(e) for k, e in result.scores[0].items()},
        "after": {str(k): asdict(e) for k, e in result.scores[-1].items()},
        "change": {str(k): asdict(e) for k, e in result.change.items()},
        "flop": {part: work.flop for part, work in result.work.items()},
        "curve": None if result.curve is None else result.curve.to_json(),
    }
