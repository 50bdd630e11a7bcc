"""What a run of reinforcement learning has done so far, kept beside TRL's checkpoints.

A checkpoint counts once `rl.json` lies in it, written last and as a whole: it holds the run's ledger rows,
evaluations and notes up to that step. The ledger is written after it, row by row at fixed positions, so that
a kill anywhere neither loses nor doubles a row. A journal, replaced after each piece of work, says what was
done since the last checkpoint: after a kill that is done again, and what was done first is "repeated".
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.core import canonical_json
from ponder.errors import CheckpointInvalid, RunChanged
from ponder.ledger import RunRecorder, Stage
from ponder.train.held_out import Score
from ponder.train.rl_cost import Part
from ponder.train.state import Work

__all__ = ["Book", "Evaluation", "Progress"]

_MARK = "rl.json"
_JOURNAL = "journal.json"
_STAGES: Mapping[Part, tuple[Stage, str | None]] = {
    "rollouts": ("rollouts", None),
    "old": ("rl_update", "old scores"),
    "reference": ("rl_update", "reference"),
    "update": ("rl_update", None),
    "evaluation": ("evaluation", None),
}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A score on the held-out problems after `step` steps, which took `flop` of rollouts and updates."""

    step: int
    flop: float
    score: Score

    def to_json(self) -> dict[str, Any]:
        return {"step": self.step, "flop": self.flop, "score": self.score.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Evaluation:
        return cls(value["step"], value["flop"], Score.from_json(value["score"]))


@dataclass
class Progress:
    """Everything that is known at a checkpoint. `learned` is the work that led to the weights by part,
    `repeated` what kills made to be done twice; `counted` holds FLOP by PyTorch's counter over FLOP by
    formula. `first` is the place on the ledger of the first row."""

    config: str
    first: int
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    notes: list[dict[str, float]] = field(default_factory=list)
    learned: dict[Part, Work] = field(default_factory=dict)
    repeated: dict[Part, Work] = field(default_factory=dict)
    counted: dict[str, float] = field(default_factory=dict)

    @property
    def flop(self) -> float:
        """FLOP of reinforcement learning that led to the weights: all but the evaluations'."""
        return sum((work.flop for part, work in self.learned.items() if part != "evaluation"), 0.0)

    def to_json(self) -> dict[str, Any]:
        return {
            "config": self.config,
            "first": self.first,
            "step": self.step,
            "rows": self.rows,
            "evaluations": [each.to_json() for each in self.evaluations],
            "notes": self.notes,
            "learned": _works_json(self.learned),
            "repeated": _works_json(self.repeated),
            "counted": self.counted,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Progress:
        return cls(
            config=str(value["config"]),
            first=int(value["first"]),
            step=int(value["step"]),
            rows=[dict(row) for row in value["rows"]],
            evaluations=[Evaluation.from_json(each) for each in value["evaluations"]],
            notes=[dict(note) for note in value["notes"]],
            learned=_works(value["learned"]),
            repeated=_works(value["repeated"]),
            counted=dict(value["counted"]),
        )


def _works_json(works: Mapping[Part, Work]) -> dict[str, Any]:
    return {part: work.to_json() for part, work in works.items()}


def _works(value: Mapping[str, Any]) -> dict[Part, Work]:
    return {part: Work.from_json(value[part]) for part in _STAGES if part in value}


class Book:
    """Books a run's work. `folder` holds the checkpoints, `config` is the digest of the configuration.
    Without a `recorder` another process books, and this one only knows how far the run is."""

    def __init__(
        self,
        folder: Path,
        recorder: RunRecorder | None,
        *,
        config: str,
        model: str,
        device: str,
        method: str,
        first: int,
    ) -> None:
        self.folder = folder
        self.progress = Progress(config, first)
        self._recorder, self._model, self._device, self._method = recorder, model, device, method
        self._now: dict[Part, Work] = {}
        self._lost: dict[Part, Work] = {}
        self._began: dict[Part, float] = {}
        self._booked = 0

    # ---------------------------------------------------------------- going on

    def resume(self) -> Path | None:
        """Take up the last whole checkpoint, remove broken ones, and book what the ledger may lack of it.

        None where there is none. Raises RunChanged where the folder belongs to another run, CheckpointInvalid
        where a whole checkpoint cannot be read.
        """
        found = self._read(self.folder)
        place = self.folder if found is not None else None
        for path in sorted(self.folder.glob("checkpoint-*"), key=_step_of):
            progress = self._read(path)
            if progress is None:
                shutil.rmtree(path)
            elif found is None or progress.step >= found.step:
                found, place = progress, path
        if found is None:
            self._take_journal(0)
            return None
        if found.config != self.progress.config:
            raise RunChanged(
                f"out: {self.folder} belongs to a run with another configuration: repeat its settings, or "
                "give another --out."
            )
        self.progress = found
        self._take_journal(found.step)
        self._write_rows()
        return place

    def _read(self, path: Path) -> Progress | None:
        mark = path / _MARK
        if not mark.is_file():
            return None
        try:
            return Progress.from_json(json.loads(mark.read_text("utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointInvalid(
                f"checkpoint: {mark} cannot be read ({str(error)[:80]}): remove its folder to go on from the "
                "one before."
            ) from None

    def _take_journal(self, step: int) -> None:
        """Work of an earlier process after the last checkpoint was for nothing; what the checkpoint holds was
        not."""
        try:
            told = json.loads((self.folder / _JOURNAL).read_text("utf-8"))
            if told["config"] == self.progress.config and told["step"] == step:
                self._lost = _summed(_works(told["lost"]), _works(told["now"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self._lost = {}
        self._tell()

    # ---------------------------------------------------------------- booking

    def add(self, part: Part, work: Work, *, started: float) -> None:
        """Note a piece of work. It is on the ledger with the next `commit`."""
        self._began.setdefault(part, started)
        self._now = _summed(self._now, {part: work})
        self.progress.learned = _summed(self.progress.learned, {part: work})
        self._tell()

    def commit(self, step: int) -> None:
        """Declare the checkpoint of `step` whole, with rows of the work since the last one, and write these
        to the ledger."""
        self.progress.step = step
        if self._recorder is None:
            return
        for works, repeated in ((self._lost, True), (self._now, False)):
            for part, work in works.items():
                self.progress.rows.append(self._row(part, work, repeated, {"step": step}))
        self.progress.repeated = _summed(self.progress.repeated, self._lost)
        self._now, self._lost, self._began = {}, {}, {}
        replace_text(self.folder / f"checkpoint-{step}" / _MARK, canonical_json(self.progress.to_json()))
        self._tell()
        self._write_rows()

    def finish(self) -> None:
        """Keep what is known and let the checkpoints go."""
        replace_text(self.folder / _MARK, canonical_json(self.progress.to_json()))
        for path in self.folder.glob("checkpoint-*"):
            shutil.rmtree(path)

    def _row(self, part: Part, work: Work, repeated: bool, detail: Mapping[str, Any]) -> dict[str, Any]:
        stage, name = _STAGES[part]
        if repeated:
            name = "repeated" if name is None else f"{name}, repeated"
        ratio = self.progress.counted.get("rollouts" if part == "rollouts" else "learning")
        return {
            "stage": stage,
            "part": name,
            "model": self._model,
            "samples": work.examples,
            "tokens": work.tokens,
            "padded_tokens": work.positions,
            "flop": work.flop,
            "flop_method": self._method,
            "flop_counted": None if ratio is None or part == "evaluation" else work.flop * ratio,
            "seconds": work.seconds,
            "device": self._device,
            "started": self._began.get(part, time.time()),
            "detail": dict(detail),
            "position": self.progress.first + len(self.progress.rows),
        }

    def _write_rows(self) -> None:
        assert self._recorder is not None
        for row in self.progress.rows[self._booked :]:
            self._recorder.stage(**row)
        self._booked = len(self.progress.rows)

    def _tell(self) -> None:
        if self._recorder is None:
            return
        told = {
            "config": self.progress.config,
            "step": self.progress.step,
            "lost": _works_json(self._lost),
            "now": _works_json(self._now),
        }
        replace_text(self.folder / _JOURNAL, canonical_json(told), durable=False)


def _summed(first: Mapping[Part, Work], second: Mapping[Part, Work]) -> dict[Part, Work]:
    return {
        part: first.get(part, Work()) + second.get(part, Work())
        for part in _STAGES
        if part in first or part in second
    }


def _step_of(path: Path) -> int:
    number = path.name.rpartition("-")[2]
    return int(number) if number.isdecimal() else -1


def replace_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Put a text in a file's place, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with fresh.open("w", encoding="utf-8") as file:
        file.write(text)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
