"""What came of a distillation: each student's scores, what it took, and how they compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponder.measure.intervals import Estimate
from ponder.train.held_out import changes, estimates
from ponder.train.learning import Scored

__all__ = ["Distilled", "Student"]


@dataclass(frozen=True)
class Student:
    """One student. `rationales` are the teacher's replies a problem that it learned from, `kind` is "before",
    "rationales" (at equal tokens), "once" (one pass) or "answers". `flop` are its training's, `teacher_flop`
    those of the replies that were kept and of those that were discarded."""

    name: str
    rationales: int | None
    kind: str
    texts: int
    tokens: int
    flop: float
    teacher_flop: tuple[float, float]
    scored: Scored


@dataclass(frozen=True)
class Distilled:
    """The result. All estimates have 90 % intervals from resampling problems; changes are paired."""

    run: str
    task: str
    teacher: str
    student: str
    filter: str
    problems: int
    folder: Path
    teacher_scored: Scored
    students: tuple[Student, ...]
    seed: int

    def passed(self, student: Student) -> Mapping[int, Estimate]:
        """pass@k on the task itself."""
        return estimates(student.scored.own.score, seed=self.seed)

    def change(self, student: Student, other: str) -> Estimate | None:
        """What its pass@1 gained over that of the student named `other`; None where there is no such one."""
        for each in self.students:
            if each.name == other and each is not student:
                return changes(each.scored.own.score, student.scored.own.score, seed=self.seed)[1]
        return None

    def broad(self, student: Student) -> Mapping[str, Estimate]:
        """What its pass@1 gained on each task that it was not trained on, over the student before."""
        before = self.students[0].scored.broad
        return {
            task: changes(before[task].score, each.score, seed=self.seed)[1]
            for task, each in student.scored.broad.items()
        }

    @property
    def fewest(self) -> str:
        """The name of the student of the fewest rationales."""
        return next(each.name for each in self.students if each.kind == "rationales")

    def to_json(self) -> dict[str, Any]:
        """The whole of it; `points` are what a figure of accuracy over rationales or FLOP needs."""
        return {
            "run": self.run,
            "task": self.task,
            "teacher": self._teacher(),
            "student": self.student,
            "filter": self.filter,
            "problems": self.problems,
            "folder": str(self.folder),
            "points": [self._point(each) for each in self.students],
            "scores": {each.name: self._scores(each.scored) for each in self.students},
        }

    def _teacher(self) -> dict[str, Any]:
        passed = estimates(self.teacher_scored.own.score, seed=self.seed)
        told = {str(k): asdict(each) for k, each in passed.items()}
        return {"checkpoint": self.teacher, "passed": told, **self._scores(self.teacher_scored)}

    def _scores(self, scored: Scored) -> dict[str, Any]:
        broad = {task: each.to_json() for task, each in scored.broad.items()}
        return {"own": scored.own.to_json(), "broad": broad}

    def _point(self, student: Student) -> dict[str, Any]:
        kept, discarded = student.teacher_flop
        against = {"before": "before", "answers": "answers", "fewest": self.fewest}
        differences = {name: self.change(student, other) for name, other in against.items()}
        return {
            "name": student.name,
            "kind": student.kind,
            "rationales": student.rationales,
            "texts": student.texts,
            "tokens": student.tokens,
            "student_flop": student.flop,
            "teacher_flop_kept": kept,
            "teacher_flop_discarded": discarded,
            "total_flop": student.flop + kept + discarded,
            "passed": {str(k): asdict(each) for k, each in self.passed(student).items()},
            "gained_over": {name: each and asdict(each) for name, each in differences.items()},
            "broad_gained": {task: asdict(each) for task, each in self.broad(student).items()},
        }
