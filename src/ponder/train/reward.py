"""Train a process reward model on a checkpoint's own rollouts (Math-Shepherd; Wang et al. 2024, arXiv
2312.08935), and see on held-out problems how well it tells right steps from wrong ones.

Drawing replies and rolling their steps out is booked as `rollouts`, learning as `reward_model`, what is done
on held-out problems as `evaluation`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.core import Model, digest
from ponder.engines._torch_folder import read_folder
from ponder.engines.reward_folder import FORM, STEP_END, RewardNet
from ponder.errors import InputError, UnknownName
from ponder.flop import batch_flop
from ponder.ledger import Ledger
from ponder.tasks import chars
from ponder.tasks.chars import MARKS
from ponder.tasks.spec import parse
from ponder.train import state as states
from ponder.train.calibration import Calibration, calibration
from ponder.train.devices import choose, described, processes_on
from ponder.train.learning import schedule
from ponder.train.models import open_checkpoint, read_training, require_training, write_checkpoint
from ponder.train.piece_drawing import PieceDrawer
from ponder.train.pieces import Piece, Pieces, lost, pieces_in, stage_row
from ponder.train.reward_model import encode, fit_rewards, new_reward_model
from ponder.train.reward_paths import How, Marked, draw_paths
from ponder.train.rl_state import replace_text
from ponder.train.sides import sides
from ponder.train.state import Work

__all__ = ["MODEL", "RESULT", "RewardResult", "RewardSettings", "train_reward"]

RESULT = "reward.json"
"""The result's file, in the campaign's folder."""

MODEL = "reward"
"""The reward model's folder, in the campaign's folder."""

_TRUNK_RATE, _HEAD_RATE = 2e-3, 2e-2


@dataclass(frozen=True, slots=True)
class RewardSettings:
    """What to train. Of the checkpoint `start`, `replies` to each of `problems` problems of the train side
    are drawn, and each of their steps is continued `rollouts` times. `epochs` are passes over the replies;
    `trunk` false trains the head alone. It is judged on `eval_problems` held-out problems.
    """

    start: Path
    task: str = "char_countdown:numbers=4"
    problems: int = 2000
    rollouts: int = 8
    replies: int = 4
    epochs: int = 4
    trunk: bool = True
    learning_rate: float | None = None
    temperature: float = 1.0
    eval_problems: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("problems", "rollouts", "replies", "epochs", "eval_problems"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: it must be at least 1, not {getattr(self, name)}.")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature: it must be a positive number, not {self.temperature:g}.")
        if parse(self.task).name not in chars.FAMILIES:
            raise UnknownName("task with steps for small models", self.task, chars.FAMILIES)

    @property
    def rate(self) -> float:
        """The learning rate."""
        return self.learning_rate or (_TRUNK_RATE if self.trunk else _HEAD_RATE)

    @property
    def question_end(self) -> str:
        """What stands between a question and its answer."""
        return MARKS[chars.family(self.task).mode]

    def config(self, model: Model) -> dict[str, Any]:
        """What a run is bound to."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"start": model.name, "weights": model.fingerprint, "learning_rate": self.rate}
        return {"kind": "train", "verb": "reward", **values}


@dataclass(frozen=True)
class RewardResult:
    """What came of it. `paths` are the different replies learned from, `loss` the running mean of the
    cross-entropy, `flop` what each stage took."""

    run: str
    task: str
    start: str
    folder: Path
    paths: int
    loss: float
    flop: Mapping[str, float]
    held_out: Calibration

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "task": self.task,
            "start": self.start,
            "model": str(self.folder / MODEL),
            "paths": self.paths,
            "loss": self.loss,
            "flop": dict(self.flop),
            "held_out": self.held_out.to_json(),
        }


def train_reward(
    settings: RewardSettings,
    *,
    ledger: Ledger,
    out: Path | Callable[[str], Path],
    run: str | None = None,
    processes: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> RewardResult:
    """Train a reward model and write it into `out` (a folder, or what makes one of the run's name), beside
    the result. Everything that it took is booked on `ledger`. It can be killed at any time and run again.

    Raises MissingExtra, CheckpointInvalid, InputError, RunChanged, TrainingDiverged, OutOfMemory,
    LedgerError.
    """
    require_training()
    read_training(settings.start)
    where = choose(device)
    config = settings.config(read_folder(settings.start).model)
    name = run or f"reward-{digest(config)[:8]}"
    with pieces_in(out(name) if callable(out) else out, config, ledger, name) as pieces:
        result = _Work(settings, pieces, where, processes_on(where, processes), tell).result()
        replace_text(pieces.folder / RESULT, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
        pieces.recorder.event("finished", {"verb": "reward", "folder": str(pieces.folder)})
    return result


class _Work:
    """A training of a reward model under way."""

    def __init__(
        self,
        settings: RewardSettings,
        pieces: Pieces,
        device: str,
        processes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.pieces, self.device, self.tell = settings, pieces, device, tell
        self.processes = processes
        self.folder = pieces.folder / MODEL

    def result(self) -> RewardResult:
        settings = self.settings
        how = How(settings.replies, settings.rollouts, settings.temperature, settings.seed)
        asked = sides(
            settings.task, learned=settings.problems, held_out=settings.eval_problems, seed=settings.seed
        )
        with PieceDrawer(settings.start, processes=self.processes, device=self.device) as drawer:
            learned, rolled_out = draw_paths(
                self.pieces, "rollouts", drawer, asked.learned, how,
                grader=asked.grader, stage="rollouts", tell=self.tell,
            )  # fmt: skip
            held_out, evaluated = draw_paths(
                self.pieces, "held-out", drawer, asked.held_out, how,
                grader=asked.grader, stage="evaluation", tell=self.tell,
            )  # fmt: skip
        fitted = self.pieces.do("fit", lambda stem: self._fit(learned, rolled_out, stem))
        work = Work.from_json(fitted["work"])
        self.tell(f"fit: {work.examples:,} replies read, loss {fitted['loss']:.3f}.")
        judged = self.pieces.do("judge", lambda stem: self._judge(held_out))
        flop = {
            "rollouts": rolled_out,
            "reward_model": work.flop,
            "evaluation": evaluated + Work.from_json(judged["work"]).flop,
        }
        return RewardResult(
            self.pieces.recorder.run_id,
            settings.task,
            str(settings.start),
            self.pieces.folder,
            len(learned),
            fitted["loss"],
            flop,
            Calibration.from_json(judged["held_out"]),
        )

    def _fit(self, marked: Sequence[Marked], rolled_out: float, stem: Path) -> Piece:
        settings, started, repeated = self.settings, time.time(), lost(stem)
        checkpoint = open_checkpoint(settings.start)
        model = new_reward_model(checkpoint, settings.seed).to(self.device)
        rows = [encode(each, settings.question_end) for each in marked]
        tokens = settings.epochs * sum(len(row.ids) for row in rows)
        fitted = fit_rewards(
            model,
            rows,
            [each.worth for each in marked],
            schedule(max(1, tokens), settings.rate),
            seed=settings.seed,
            trunk=settings.trunk,
            watch=lambda work: states.tell(stem, repeated + work),
        )
        states.remove(stem)
        training = self._training(checkpoint.training, rolled_out, fitted.work)
        write_checkpoint(self.folder, model, training, dtype="float32")
        detail = {"checkpoint": MODEL, "loss": fitted.loss, "learning_rate": settings.rate}
        rows_booked = [
            stage_row(
                "reward_model",
                part,
                work,
                model=MODEL,
                device=described(self.device),
                started=started,
                counted_ratio=fitted.counted_ratio,
                detail=detail,
            )
            for part, work in ((None if settings.trunk else "head", fitted.work), ("repeated", repeated))
            if work.steps
        ]
        return Piece({"work": fitted.work.to_json(), "loss": fitted.loss}, rows_booked)

    def _training(self, before: Mapping[str, Any], rolled_out: float, work: Work) -> dict[str, Any]:
        """`ponder.json`: how its texts are put together, where it comes from, and what that took."""
        settings = self.settings
        stages = [
            *before.get("stages", []),
            {"stage": "rollouts", "flop": rolled_out},
            {"stage": "reward_model", **work.to_json()},
        ]
        return {
            "ponder": __version__,
            "name": self.pieces.recorder.run_id,
            "run": self.pieces.recorder.run_id,
            "start": before.get("name", settings.start.name),
            "size": before.get("size"),
            FORM: {
                "question_end": settings.question_end,
                "step_end": STEP_END,
                "task": settings.task,
                "problems": settings.problems,
                "replies": settings.replies,
                "rollouts": settings.rollouts,
                "trunk": settings.trunk,
            },
            "stages": stages,
        }

    def _judge(self, marked: Sequence[Marked]) -> Piece:
        """Ask the model that was written about held-out problems' steps."""
        if not marked:
            raise InputError("eval_problems: no reply to them has a step; give more.")
        started, clock = time.time(), time.monotonic()
        net = RewardNet.open(self.folder, self.device)
        rows = [net.encode(each.question, each.steps) for each in marked]
        told = net.rewards(rows)
        found: dict[Any, tuple[int, float, float]] = {}
        for each, chances in zip(marked, told, strict=True):
            for place, (chance, worth) in enumerate(zip(chances, each.worth, strict=True), 1):
                # Replies share their beginnings: each counts once.
                found[each.problem, each.steps[:place], worth] = each.problem, chance, worth
        problems, steps_told, shares = zip(*found.values(), strict=True)
        held_out = calibration(problems, steps_told, shares, seed=self.settings.seed)
        tokens = sum(len(row.ids) for row in rows)
        assert net.model.shape is not None
        head = 2 * net.model.shape.d_model
        flop = math.fsum(
            batch_flop(net.model.shape, 1, len(row.ids), logits=0) + head * len(row.ids) for row in rows
        )
        work = Work(1, len(rows), tokens, tokens, flop, time.monotonic() - clock)
        booked = stage_row(
            "evaluation",
            "rewards",
            work,
            model=MODEL,
            device=described(self.device),
            started=started,
            detail={"steps": len(found)},
        )
        return Piece({"held_out": held_out.to_json(), "work": work.to_json()}, [booked])
