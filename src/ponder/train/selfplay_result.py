"""What came of self-play: each round's scores, what it took, what it kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponder.measure.intervals import Estimate
from ponder.train.held_out import changes, estimates
from ponder.train.learning import Scored
from ponder.train.posing import Posed
from ponder.train.scoring import mean_estimate

__all__ = ["Arm", "Posing", "Round", "Selfplayed"]


@dataclass(frozen=True)
class Posing:
    """What the proposer did in a round: what came of its texts, how many problems were at the edge of the
    solver's ability, and FLOP of posing and of learning to pose."""

    posed: Posed
    edge: int
    flop_posed: float
    flop_learned: float

    def to_json(self) -> dict[str, Any]:
        return {
            "problems": len(self.posed.problems),
            "malformed": self.posed.malformed,
            "repeated": self.posed.repeated,
            "held_out": self.posed.held_out,
            "edge": self.edge,
            "flop_posed": self.flop_posed,
            "flop_learned": self.flop_learned,
        }


@dataclass(frozen=True)
class Round:
    """One round. Of `replies` to `problems` problems `kept` were kept, of which `kept_right` are right by the
    verifier, whether it chose them or not; `texts` of them differ, and `solved` problems have one."""

    number: int
    problems: int
    replies: int
    kept: int
    kept_right: int
    texts: int
    solved: int
    flop_kept: float
    flop_discarded: float
    flop_learned: float
    posing: Posing | None
    scored: Scored

    @property
    def flop_inference(self) -> float:
        """FLOP of generating, whether it was learned from or not."""
        posed = self.posing.flop_posed if self.posing else 0.0
        return self.flop_kept + self.flop_discarded + posed

    @property
    def flop(self) -> float:
        """FLOP of the round's training, generation included; evaluation is no part of it."""
        return self.flop_inference + self.flop_learned + (self.posing.flop_learned if self.posing else 0.0)

    @property
    def inference_share(self) -> float:
        """Inference's share of the round's training compute."""
        return self.flop_inference / self.flop

    @property
    def precision(self) -> float | None:
        """The share of what was kept that is right; None where nothing was kept."""
        return self.kept_right / self.kept if self.kept else None


@dataclass(frozen=True)
class Arm:
    """What stands against the rounds behind a data wall, at their compute. `passes` are over the pool, or as
    many tokens of fresh problems."""

    name: str
    tokens: int
    passes: float
    flop: float
    scored: Scored


@dataclass(frozen=True)
class Selfplayed:
    """The result. All estimates have 90 % intervals from resampling problems; changes are paired."""

    run: str
    task: str
    start: str
    labels: str
    folder: Path
    first: Scored
    rounds: tuple[Round, ...]
    wall: tuple[Arm, ...]
    seed: int

    @property
    def last(self) -> Scored:
        """The last round's scores."""
        return self.rounds[-1].scored

    def passed(self, scored: Scored) -> Mapping[int, Estimate]:
        """pass@k on the task itself."""
        return estimates(scored.own.score, seed=self.seed)

    def change(self, before: Scored, after: Scored) -> Mapping[int, Estimate]:
        """What pass@k on the task itself gained."""
        return changes(before.own.score, after.own.score, seed=self.seed)

    def broad(self, scored: Scored) -> Mapping[str, Estimate]:
        """What pass@1 gained since the start on each task that was not trained on."""
        return {
            task: changes(self.first.broad[task].score, each.score, seed=self.seed)[1]
            for task, each in scored.broad.items()
        }

    def solutions(self, scored: Scored) -> Estimate:
        """The mean number of different right answers among a problem's replies: what is left of diversity."""
        own = scored.own
        return mean_estimate(own.solutions, most=own.score.samples, seed=self.seed)

    def to_json(self) -> dict[str, Any]:
        """The whole of it; `rounds` are the points of a figure over compute, round 0 being the start."""
        return {
            "run": self.run,
            "task": self.task,
            "start": self.start,
            "labels": self.labels,
            "folder": str(self.folder),
            "before": self._scores(self.first),
            "rounds": [self._round(each) for each in self.rounds],
            "change": _estimates(self.change(self.first, self.last)),
            "wall": [self._arm(each) for each in self.wall],
        }

    def _scores(self, scored: Scored) -> dict[str, Any]:
        return {
            "passed": _estimates(self.passed(scored)),
            "solutions": asdict(self.solutions(scored)),
            "own": scored.own.to_json(),
            "broad": {task: each.to_json() for task, each in scored.broad.items()},
        }

    def _round(self, each: Round) -> dict[str, Any]:
        return {
            "number": each.number,
            "problems": each.problems,
            "replies": each.replies,
            "kept": each.kept,
            "kept_right": each.kept_right,
            "precision": each.precision,
            "texts": each.texts,
            "solved": each.solved,
            "flop_kept": each.flop_kept,
            "flop_discarded": each.flop_discarded,
            "flop_learned": each.flop_learned,
            "flop": each.flop,
            "inference_share": each.inference_share,
            "posing": each.posing and each.posing.to_json(),
            "gained": _estimates(self.change(self.first, each.scored)),
            "broad_gained": {task: asdict(e) for task, e in self.broad(each.scored).items()},
            **self._scores(each.scored),
        }

    def _arm(self, each: Arm) -> dict[str, Any]:
        return {
            "name": each.name,
            "tokens": each.tokens,
            "passes": each.passes,
            "flop": each.flop,
            "synthetic_gained_over": _estimates(self.change(each.scored, self.last)),
            **self._scores(each.scored),
        }


def _estimates(values: Mapping[int, Estimate]) -> dict[str, Any]:
    return {str(k): asdict(each) for k, each in values.items()}
