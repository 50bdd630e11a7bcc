"""Learn texts, as a piece of a campaign: fit a model, write its checkpoint, book the work; and score it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.core import Shape, digest
from ponder.errors import InputError
from ponder.tasks.chars import Example
from ponder.train import state as states
from ponder.train.batches import Stream, batches, epochs
from ponder.train.devices import described
from ponder.train.models import write_checkpoint
from ponder.train.pieces import STATE, Piece, Pieces, lost, stage_row
from ponder.train.scoring import TaskScore, score
from ponder.train.state import Work
from ponder.train.supervised import Schedule, Watch, fit, step_flop

__all__ = ["Scored", "Scoring", "learn", "names", "schedule", "score_piece", "tokens_for", "tokens_of"]

_BATCH = 4096
_LEAST_BATCH = 256
_STEPS = 50  # of a short lesson, so that its rate can rise and fall
_TELL_SECONDS = 2.0


def tokens_of(texts: Sequence[Example]) -> int:
    """Real tokens of one pass, the end tokens included."""
    return sum(len(text.prompt) + len(text.reply) + 1 for text in texts)


def names(texts: Sequence[Example]) -> str:
    """A fingerprint of the texts in their order."""
    return digest([[text.prompt, text.reply] for text in texts])


def tokens_for(flop: float, shape: Shape, texts: Sequence[Example]) -> int:
    """How many tokens of these texts `flop` of training pays for, padding included."""
    roughly = max(1, round(flop / _flop_per_token(shape, texts, _BATCH)))
    return max(1, round(flop / _flop_per_token(shape, texts, schedule(roughly, 1.0).batch)))


def _flop_per_token(shape: Shape, texts: Sequence[Example], batch: int) -> float:
    """Of real steps of `batch` tokens over about one pass: how much is padding depends on the batch."""
    steps = min(_STEPS, -(-tokens_of(texts) // batch))
    made = [one for one, _ in islice(batches(epochs(texts, seed=0), tokens=batch), steps)]
    return sum(step_flop(shape, one) for one in made) / sum(one.tokens for one in made)


def schedule(tokens: int, learning_rate: float) -> Schedule:
    """A rate that rises over a twentieth of the tokens and falls to zero over the last fifth."""
    if tokens < 1:
        raise InputError(f"tokens: it must be at least 1, not {tokens}.")
    batch = min(_BATCH, max(_LEAST_BATCH, tokens // _STEPS))
    return Schedule(tokens, learning_rate, warm_up=tokens // 20, decay=tokens // 5, batch=batch)


def learn(
    pieces: Pieces,
    name: str,
    *,
    begin: Callable[[], Any],
    stream: Stream,
    plan: Schedule,
    identity: Mapping[str, Any],
    about: Mapping[str, Any],
    device: str,
    part: str | None = None,
    watch: Callable[[Watch], None] | None = None,
) -> tuple[Path, Work]:
    """The checkpoint that comes of fitting the model that `begin` makes, and the work that led to it.

    It lies in the campaign's folder as `NAME`. `identity` says what is learned, `about` goes into
    `ponder.json`, where its `stages` are what came before. Raises what `fit` raises.
    """
    folder = pieces.folder / name

    def work(stem: Path) -> Piece:
        started, state = time.time(), stem.with_suffix(STATE)
        model = begin().to(device)
        trained = fit(model, stream, plan, state=state, identity=identity, watch=watch)
        stages = [*about.get("stages", []), {"stage": "sft", "part": part, **trained.work.to_json()}]
        values = {
            **about,
            "ponder": __version__,
            "name": name,
            "run": pieces.recorder.run_id,
            "schedule": {**plan.identity(), "tokens": plan.tokens, "decay": plan.decay},
            "loss": trained.loss,
            "stages": stages,
        }
        write_checkpoint(folder, model, values)
        detail = {"checkpoint": name, "loss": trained.loss, "learning_rate": plan.learning_rate}
        rows = [
            stage_row(
                "sft",
                which,
                done,
                model=name,
                device=described(device),
                started=started,
                counted_ratio=trained.counted_ratio,
                detail=detail,
            )
            for which, done in ((part, trained.work), (_repeated(part), trained.repeated))
            if done.steps
        ]
        return Piece({"work": trained.work.to_json()}, rows)

    return folder, Work.from_json(pieces.do(name, work)["work"])


def _repeated(part: str | None) -> str:
    return "repeated" if part is None else f"{part}, repeated"


# ---------------------------------------------------------------- scoring


@dataclass(frozen=True, slots=True)
class Scoring:
    """How checkpoints are scored: on the task itself, and on others that it was not trained on."""

    task: str
    broad: tuple[str, ...]
    problems: int
    draws: int
    seed: int
    temperature: float
    processes: int
    device: str

    def __post_init__(self) -> None:
        for name in ("problems", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"eval_{name}: it must be at least 1, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Scored:
    """A checkpoint's scores on its own task and on the others."""

    own: TaskScore
    broad: Mapping[str, TaskScore]


def score_piece(pieces: Pieces, name: str, folder: Path, how: Scoring, *, direct: bool = False) -> Scored:
    """Score the checkpoint in `folder`, as the piece `score-NAME`. `direct` asks for the answer alone."""

    def work(stem: Path) -> Piece:
        started, repeated, told = time.time(), lost(stem), time.monotonic()

        def tell(done: Work) -> None:
            nonlocal told
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                states.tell(stem, repeated + done)

        found, done = score(
            folder,
            [how.task, *how.broad],
            problems=how.problems,
            draws=how.draws,
            seed=how.seed,
            temperature=how.temperature,
            direct=direct,
            processes=how.processes,
            device=how.device,
            tell=tell,
        )
        device = described(how.device, how.processes)
        detail = {"problems": how.problems, "draws": how.draws, "tasks": list(found)}
        rows = [
            stage_row("evaluation", part, each, model=name, device=device, started=started, detail=detail)
            for part, each in ((None, done), ("repeated", repeated))
            if each.examples
        ]
        return Piece({task: each.to_json() for task, each in found.items()}, rows)

    result = pieces.do(f"score-{name}", work)
    scores = {task: TaskScore.from_json(value) for task, value in result.items()}
    return Scored(scores[how.task], {task: scores[task] for task in how.broad})
