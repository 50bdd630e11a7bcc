"""Bulk replies to learn from: drawn from a checkpoint, marked by the task's verifier, kept in files.

Drawn shard by shard, so that a kill costs one shard at most. Everything drawn is booked as `synthetic_data`,
what is learned from as "kept" and the rest as "discarded", each with its FLOP.
"""

from __future__ import annotations

import json
import lzma
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ponder import flop
from ponder.core import Output, Shape, digest
from ponder.errors import CheckpointInvalid, InputError
from ponder.tasks import Problem
from ponder.tasks.chars import ALPHABET, END, Example
from ponder.train import state as states
from ponder.train.devices import described
from ponder.train.drawing import Drawer
from ponder.train.held_out import Verifier
from ponder.train.models import CONTEXT
from ponder.train.pieces import Piece, Pieces, lost, stage_row
from ponder.train.sides import key_of
from ponder.train.state import Work

__all__ = ["Attempt", "Choice", "Drawn", "How", "Labels", "Reply", "draw_replies"]

Labels = Literal["verifier", "majority", "own"]
"""Who says which replies are learned from: the task's verifier, the most common answer among a problem's own
replies (self-consistency; Huang et al. 2022, arXiv 2210.11610), or nobody, so that every answer is."""

_SHARD_SAMPLES = 16_384
_TELL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class How:
    """How replies are drawn: `samples` a problem."""

    samples: int
    temperature: float
    seed: int
    processes: int
    device: str

    def __post_init__(self) -> None:
        for name in ("samples", "processes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: it must be at least 1, not {getattr(self, name)}.")
        if not 0 < self.temperature < math.inf:
            raise InputError(f"temperature: it must be a positive number, not {self.temperature:g}.")


@dataclass(frozen=True, slots=True)
class Reply:
    """`text` is without its full stop. `choice` is the answer it gives, `right` the verifier's word on it
    (None where it could not tell), `whole` whether it ended by itself and can be learned from."""

    text: str
    choice: str | None
    right: bool | None
    whole: bool
    tokens: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """A problem of the train side with its replies. The split goes by `key`."""

    prompt: str
    key: str
    replies: tuple[Reply, ...]

    def example(self, reply: Reply) -> Example:
        return Example(self.prompt, reply.text + END, self.key)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which replies are learned from: by whose word, and, with `edge`, only of problems of which a share
    between its two ends is right by that word."""

    labels: Labels
    edge: tuple[float, float] | None = None

    def marks(self, attempt: Attempt) -> list[bool]:
        """For each reply whether it is learned from."""
        marks = self._right(attempt)
        if self.edge is not None and not self.edge[0] <= sum(marks) / len(marks) <= self.edge[1]:
            return [False] * len(marks)
        return marks

    def _right(self, attempt: Attempt) -> list[bool]:
        """Of equally common answers the first drawn one counts."""
        if self.labels == "verifier":
            return [r.whole and r.right is True for r in attempt.replies]
        answers = [r.choice for r in attempt.replies if r.choice is not None]
        common = Counter(answers).most_common(1)[0][0] if answers and self.labels == "majority" else None
        return [r.whole and r.choice is not None and common in (None, r.choice) for r in attempt.replies]


@dataclass(frozen=True)
class Drawn:
    """All replies to a set of problems and what they took; `work` leaves out what kills made repeated."""

    attempts: tuple[Attempt, ...]
    choice: Choice
    shape: Shape
    work: Work

    def texts(self, first: int | None = None) -> list[Example]:
        """The different texts to learn from, of each problem's first so many replies."""
        found: dict[tuple[str, str], Example] = {}
        for attempt, marks in self._marked():
            for reply, mark in list(zip(attempt.replies, marks, strict=True))[:first]:
                if mark:
                    found.setdefault((attempt.prompt, reply.text), attempt.example(reply))
        return list(found.values())

    @property
    def kept(self) -> int:
        """How many replies are learned from."""
        return sum(sum(marks) for _, marks in self._marked())

    @property
    def kept_right(self) -> int:
        """How many of those are right by the verifier, whether it chose them or not."""
        return sum(
            reply.right is True
            for attempt, marks in self._marked()
            for reply, mark in zip(attempt.replies, marks, strict=True)
            if mark
        )

    @property
    def chosen(self) -> list[Attempt]:
        """The problems with a reply that is learned from."""
        return [attempt for attempt, marks in self._marked() if any(marks)]

    def flop(self, first: int | None = None) -> tuple[float, float]:
        """FLOP of the kept and of the discarded ones among each problem's first so many replies."""
        scale = self.work.flop / math.fsum(sum(_costs(self.shape, a, None)) for a in self.attempts)
        parts = [0.0, 0.0]
        for attempt, marks in self._marked():
            for cost, mark in zip(_costs(self.shape, attempt, first), marks[:first], strict=True):
                parts[0 if mark else 1] += cost * scale
        return parts[0], parts[1]

    def _marked(self) -> Iterator[tuple[Attempt, list[bool]]]:
        for attempt in self.attempts:
            yield attempt, self.choice.marks(attempt)


def _costs(shape: Shape, attempt: Attempt, first: int | None) -> list[float]:
    """FLOP of each of the first so many replies, the prompt's reading shared among them."""
    replies, prompt = attempt.replies[:first], len(attempt.prompt)
    read = flop.prefill_flop(shape, prompt) / len(replies)
    return [read + flop.decode_flop(shape, prompt, reply.tokens) for reply in replies]


# ---------------------------------------------------------------- drawing


def draw_replies(
    pieces: Pieces,
    name: str,
    folder: Path,
    problems: Sequence[Problem],
    how: How,
    *,
    grader: str,
    choice: Choice,
    tell: Callable[[str], None] = lambda line: None,
) -> Drawn:
    """Replies of the checkpoint in `folder` to `problems`, as pieces of a campaign: what is there is read.

    The shards are `NAME-000.jsonl.xz` and so on in the campaign's folder. Raises InputError for no problems,
    CheckpointInvalid for a shard that cannot be read, and what `Drawer` raises.
    """
    if not problems:
        raise InputError(f"problems: there are none to draw {name} for; give more.")
    size = max(1, _SHARD_SAMPLES // how.samples)
    attempts: list[Attempt] = []
    total, shape = Work(), None
    with ExitStack() as opened:
        hand = _Hand(folder, how, grader, choice, opened)
        for number, first in enumerate(range(0, len(problems), size)):
            shard = f"{name}-{number:03d}"
            some = problems[first : first + size]
            result = pieces.do(shard, partial(hand.shard, pieces.folder, shard, some))
            attempts += _read(pieces.folder / f"{shard}.jsonl.xz", len(some), how.samples)
            total, shape = total + Work.from_json(result["work"]), Shape(**result["shape"])
            tell(f"{name}: {len(attempts):,} of {len(problems):,} problems drawn.")
    assert shape is not None
    return Drawn(tuple(attempts), choice, shape, total)


class _Hand:
    """Draws shards, and loads the model when the first one is wanted."""

    def __init__(self, folder: Path, how: How, grader: str, choice: Choice, opened: ExitStack) -> None:
        self.folder, self.how, self.grader, self.choice = folder, how, grader, choice
        self._opened = opened
        self._drawer: Drawer | None = None

    @property
    def drawer(self) -> Drawer:
        if self._drawer is None:
            drawer = Drawer(self.folder, processes=self.how.processes, device=self.how.device)
            self._drawer = self._opened.enter_context(drawer)
        return self._drawer

    def shard(self, out: Path, name: str, problems: Sequence[Problem], stem: Path) -> Piece:
        """Draw one shard, write its file, and say what it took."""
        drawer, repeated = self.drawer, lost(stem)
        started, before = time.time(), drawer.work
        told = time.monotonic()
        found: dict[int, Attempt] = {}
        # Every shard has random numbers of its own.
        seed = int(digest([self.how.seed, name])[:12], 16)
        verifier = Verifier(self.grader)
        try:
            drawn = drawer.draw(problems, self.how.samples, temperature=self.how.temperature, seed=seed)
            for at, outputs in drawn:
                found[at] = _attempt(verifier, problems[at], outputs)
                if time.monotonic() - told > _TELL_SECONDS:
                    told = time.monotonic()
                    states.tell(stem, repeated + drawer.work - before)
        except BaseException:
            states.tell(stem, repeated + drawer.work - before)
            raise
        finally:
            verifier.close()
        attempts = tuple(found[at] for at in range(len(problems)))
        _write(out / f"{name}.jsonl.xz", attempts)
        assert drawer.model.shape is not None
        marked = Drawn(attempts, self.choice, drawer.model.shape, drawer.work - before)
        about = {
            "model": drawer.model.name,
            "device": described(self.how.device, self.how.processes),
            "started": started,
        }
        return _piece(marked, repeated, name, about)


def _piece(drawn: Drawn, repeated: Work, name: str, about: Mapping[str, Any]) -> Piece:
    """The rows of a shard: kept, discarded, and what had been lost."""
    flop_kept, _ = drawn.flop()
    good = _part(drawn.work, drawn.kept, flop_kept / drawn.work.flop)
    detail = {"file": f"{name}.jsonl.xz", "labels": drawn.choice.labels, "problems": len(drawn.attempts)}
    parts = (("kept", good), ("discarded", drawn.work - good), ("repeated", repeated))
    rows = [
        stage_row("synthetic_data", part, work, **about, detail=detail)
        for part, work in parts
        if work.examples or work.flop
    ]
    return Piece({"work": drawn.work.to_json(), "shape": asdict(drawn.shape)}, rows)


def _part(work: Work, examples: int, share: float) -> Work:
    """A part of the work by its share of the FLOP, with so many of the replies."""
    return Work(
        work.steps,
        examples,
        round(work.tokens * share),
        round(work.positions * share),
        work.flop * share,
        work.seconds * share,
    )


_LETTERS = frozenset(ALPHABET)


def _attempt(verifier: Verifier, problem: Problem, outputs: Sequence[Output]) -> Attempt:
    prompt = problem.question.prompt.text or ""
    return Attempt(
        prompt, key_of(problem.question), tuple(_reply(verifier, problem, output) for output in outputs)
    )


def _reply(verifier: Verifier, problem: Problem, output: Output) -> Reply:
    choice = verifier.choice(problem, output.text)
    fits = len(problem.question.prompt.text or "") + len(output.text) < CONTEXT - 1
    whole = output.finish == "stop" and output.stopped_by == END and fits and _LETTERS.issuperset(output.text)
    return Reply(output.text, choice, verifier.right(problem, choice), whole, output.tokens or 0)


# ---------------------------------------------------------------- files


def _write(path: Path, attempts: Sequence[Attempt]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    with lzma.open(fresh, "wt", encoding="utf-8") as file:
        for attempt in attempts:
            replies = [[r.text, r.choice, r.right, r.whole, r.tokens] for r in attempt.replies]
            line = {"prompt": attempt.prompt, "key": attempt.key, "replies": replies}
            file.write(json.dumps(line) + "\n")
    fresh.replace(path)


def _read(path: Path, problems: int, samples: int) -> list[Attempt]:
    """Raises CheckpointInvalid for a file that is not what `_write` wrote."""
    try:
        with lzma.open(path, "rt", encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        found = [Attempt(v["prompt"], v["key"], tuple(Reply(*r) for r in v["replies"])) for v in lines]
        if len(found) != problems or any(len(a.replies) != samples for a in found):
            raise ValueError("not as many replies as were drawn")
    except (OSError, EOFError, lzma.LZMAError, ValueError, KeyError, TypeError) as error:
        raise CheckpointInvalid(
            f"out: {path} cannot be read ({str(error)[:80]}): remove it and the file of its name in "
            f"{path.parent / 'pieces'} to have it drawn again."
        ) from None
    return found
