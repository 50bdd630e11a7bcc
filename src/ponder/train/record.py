"""Record checkpoints: many draws to each of a task's held-out problems, kept as counts.

Drawn in pieces of a block of problems and a stretch of draws, so that a kill costs one piece. A recording
that is there is continued: 4,096 draws begin where 256 ended. All work is booked as `evaluation`.
"""

from __future__ import annotations

import math
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ponder import tasks
from ponder.core import Output, digest
from ponder.engines._torch_folder import read_folder
from ponder.engines.reward_folder import FORM
from ponder.errors import InputError, ModelUnsupported, RunChanged
from ponder.ledger import Ledger
from ponder.tasks import Problem, ProblemSet, chars
from ponder.tasks.spec import parse
from ponder.train.devices import choose, processes_on
from ponder.train.held_out import Verifier
from ponder.train.models import TRAINING, read_training, require_training
from ponder.train.piece_drawing import PieceDrawer
from ponder.train.pieces import Piece, Pieces, pieces_in
from ponder.train.recorded import Recorded, Tally, load, save

__all__ = [
    "RecordSettings",
    "Recorded",
    "checkpoints_in",
    "file_name",
    "load",
    "record",
    "training_flop",
    "training_tokens",
]

_BLOCK = 64  # problems
_STRETCH = 256  # draws
_LEARNING = frozenset({"pretrain", "sft", "rl_update"})  # stages that change the model's own weights


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """What to record: `draws` of the checkpoint in `folder` to each of at most `problems` held-out ones."""

    folder: Path
    task: str
    problems: int = 300
    draws: int = 256
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("problems", "draws"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: it must be at least 1, not {getattr(self, name)}.")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature: it must be a positive number, not {self.temperature:g}.")


def checkpoints_in(path: Path, task: str) -> dict[str, Path]:
    """The checkpoint at `path`, or all below it that were trained on such texts as `task` asks for, by name.

    Raises InputError where there is none.
    """
    if (path / "config.json").is_file():
        return {path.resolve().name: path}
    below = sorted(
        each.parent for each in path.glob("**/" + TRAINING) if (each.parent / "config.json").is_file()
    )
    found = {
        "-".join(folder.relative_to(path).parts): folder
        for folder in below
        if _learned(read_training(folder), task)
    }
    if not found:
        raise InputError(f"checkpoint: {path} holds none that was trained for {task}; give another folder.")
    return found


def _learned(training: Mapping[str, Any], task: str) -> bool:
    """Whether a checkpoint answers, and has seen texts of the task's kind in its mode, as far as it tells."""
    texts = training.get("texts")
    if FORM in training:
        return False
    if not isinstance(texts, list) or parse(task).name not in chars.FAMILIES:
        return True
    wanted = parse(task).name, chars.family(task).mode
    return any((parse(str(spec)).name, mode) == wanted for spec, mode, _ in texts)


def file_name(checkpoint: str, task: str) -> str:
    """What a recording is called by default."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", task).strip("-")
    return f"{checkpoint}.{slug}.jsonl.xz"


def training_flop(training: Mapping[str, Any]) -> float | None:
    """FLOP of the stages that `ponder.json` tells, evaluation left out; None where one is unknown."""
    stages = training.get("stages")
    if not isinstance(stages, list) or not stages:
        return None
    amounts = [stage.get("flop") for stage in stages if stage.get("stage") != "evaluation"]
    return None if any(each is None for each in amounts) else math.fsum(amounts)


def training_tokens(training: Mapping[str, Any]) -> int | None:
    """Tokens that the model learnt from in all stages that `ponder.json` tells, each as often as it was read,
    padding left out; None where one is unknown."""
    stages = training.get("stages")
    amounts = (
        [stage.get("tokens") for stage in stages if stage.get("stage") in _LEARNING]
        if isinstance(stages, list)
        else []
    )
    return None if not amounts or any(each is None for each in amounts) else sum(amounts)


def record(
    settings: RecordSettings,
    *,
    ledger: Ledger,
    out: Path,
    run: str | None = None,
    processes: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> Recorded:
    """Draw what the recording at `out` lacks, write it there, and book the work on `ledger`.

    An answer that a recording does not name any more, and that is drawn again by its continuation, counts as
    another one. Raises MissingExtra, CheckpointInvalid, InputError, RunChanged for a recording of something
    else, OutOfMemory, LedgerError.
    """
    require_training()
    model = read_folder(settings.folder).model
    if model.shape is None:
        raise ModelUnsupported(f"model: the layout of {settings.folder} is unknown; take another checkpoint.")
    asked = tasks.load(settings.task, problems=settings.problems, seed=settings.seed)
    about = _about(settings, asked) | {"weights": model.fingerprint, "shape": asdict(model.shape)}
    before = load(out) if out.exists() else None
    if before is not None:
        _same(before.about, about, out)
        if before.draws >= settings.draws:
            return before
    config = {"kind": "train", "verb": "record", **about}
    where = choose(device)
    pieces_folder = out.with_name(f".{out.name}.pieces")
    with pieces_in(pieces_folder, config, ledger, run or f"record-{digest(config)[:8]}") as pieces:
        work = _Work(settings, pieces, asked, where, processes_on(where, processes), tell)
        tallies = work.tallies(before)
        save(out, about, tallies)
        pieces.recorder.event("finished", {"verb": "record", "file": str(out), "draws": settings.draws})
    shutil.rmtree(pieces_folder)
    return load(out)


def _about(settings: RecordSettings, asked: ProblemSet) -> dict[str, Any]:
    """The first line of the file, but for the model. It has no word of how many draws there are."""
    training = read_training(settings.folder) if (settings.folder / TRAINING).is_file() else {}
    kept = ("size", "mixture", "recipe", "seed", "start", "rl")
    return {
        "name": str(training.get("name", settings.folder.resolve().name)),
        "task": asked.name,
        "problems": len(asked.problems),
        "temperature": settings.temperature,
        "seed": settings.seed,
        "training_flop": training_flop(training),
        "training_tokens": training_tokens(training),
        "training": {name: training[name] for name in kept if name in training},
        "max_tokens": max(problem.question.max_tokens for problem in asked.problems),
    }


def _same(before: Mapping[str, Any], about: Mapping[str, Any], out: Path) -> None:
    for name, value in about.items():
        if before.get(name) != value:
            raise RunChanged(
                f"{name}: {out} was recorded with {before.get(name)!r:.60}, not {value!r:.60}: repeat the "
                "old settings, or give another file with --out."
            )


class _Work:
    """A recording under way."""

    def __init__(
        self,
        settings: RecordSettings,
        pieces: Pieces,
        asked: ProblemSet,
        device: str,
        processes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.pieces, self.asked = settings, pieces, asked
        self.device, self.processes, self.tell = device, processes, tell

    def tallies(self, before: Recorded | None) -> list[Tally]:
        """Of all problems, what was there before included."""
        problems, found = self.asked.problems, list[Tally]()
        with PieceDrawer(self.settings.folder, processes=self.processes, device=self.device) as drawer:
            for first in range(0, len(problems), _BLOCK):
                some = problems[first : first + _BLOCK]
                there = [] if before is None else before.tallies[first : first + _BLOCK]
                sums: dict[str, Tally] = {tally.id: tally for tally in there}
                for begin, end in _stretches(before.draws if before else 0, self.settings.draws):
                    for tally in self._piece(drawer, first // _BLOCK, some, begin, end):
                        sums[tally.id] = sums[tally.id] + tally if tally.id in sums else tally
                found += [sums[problem.question.id] for problem in some]
                self.tell(f"{len(found):,} of {len(problems):,} problems recorded.")
        return found

    def _piece(
        self, drawer: PieceDrawer, block: int, problems: Sequence[Problem], begin: int, end: int
    ) -> Iterator[Tally]:
        name = f"draws-{block:03d}-{begin:06d}-{end:06d}"
        result = self.pieces.do(name, lambda stem: self._draw(drawer, name, problems, end - begin, stem))
        return (Tally.from_json(value) for value in result["tallies"])

    def _draw(self, drawer: PieceDrawer, name: str, problems: Sequence[Problem], n: int, stem: Path) -> Piece:
        drawer.begin(stem)
        # Every piece has random numbers of its own.
        seed = int(digest([self.settings.seed, name])[:12], 16)
        found: dict[int, Tally] = {}
        verifier = Verifier(self.asked.grader)
        try:
            drawn = drawer.draw(problems, n, temperature=self.settings.temperature, seed=seed)
            for at, outputs in drawn:
                found[at] = _tally(verifier, problems[at], drawer.prompt_tokens(problems[at]), outputs)
        finally:
            verifier.close()
        detail = {"task": self.asked.name, "problems": len(problems), "draws": n}
        rows = drawer.end("evaluation", detail)
        return Piece({"tallies": [found[at].to_json() for at in range(len(problems))]}, rows)


def _stretches(begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Draws in stretches that end at multiples of the usual length, whatever was asked for before."""
    while begin < end:
        until = min(end, (begin // _STRETCH + 1) * _STRETCH)
        yield begin, until
        begin = until


def _tally(verifier: Verifier, problem: Problem, prompt_tokens: int, outputs: Sequence[Output]) -> Tally:
    given, marks = Counter[str](), dict[str, bool | None]()
    lengths: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}
    for output in outputs:
        choice = verifier.choice(problem, output.text)
        right = verifier.right(problem, choice)
        lengths[right is True][output.tokens or 0] += 1
        if choice is not None:
            given[choice] += 1
            marks[choice] = right
    return Tally(
        id=problem.question.id,
        prompt_tokens=prompt_tokens,
        draws=len(outputs),
        right=sum(lengths[True].values()),
        silent=len(outputs) - sum(given.values()),
        ungraded=sum(count for choice, count in given.items() if marks[choice] is None),
        cut=sum(output.finish == "length" for output in outputs),
        choices={choice: (count, marks[choice] is True) for choice, count in given.items()},
        lengths_right=lengths[True],
        lengths_wrong=lengths[False],
    )
