"""Bring other people's samples onto the ledger: a run for each model, a problem with all its samples.

A run is bound to its files by their hashes, so that the same import adds nothing twice, and one that was
interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ponder.bank.files import BOUNDS, Bounds, sha256
from ponder.bank.foreign import EVERYTHING, Foreign, Wanted
from ponder.bank.formats import READERS, detect
from ponder.bank.spool import Part, Problems, Spool
from ponder.core import canonical_json, digest
from ponder.errors import BankFileError, InputError
from ponder.measure.stored import IMPORTED

__all__ = ["Gathered", "Source", "TaskSamples", "gather"]


@dataclass(frozen=True, slots=True)
class Source:
    """A file: its path, the hash of its bytes, and its format (a key of `formats.READERS`)."""

    path: Path
    sha256: str
    format: str


@dataclass(frozen=True, slots=True)
class TaskSamples:
    """All samples of one model on one task under one way of sampling, by the question's id. `name` is the
    task's, with a mark of the settings where the model's samples of it were drawn in several ways. `problems`
    lie on disk and are read when asked for.

    `scores` are the names of those that were read, `counts` how many problems and samples there are, right
    samples, ones without a verdict, and draws that failed; `content` is a digest of the samples.
    """

    name: str
    settings: Mapping[str, Any]
    problems: Problems
    scores: tuple[str, ...]
    counts: Mapping[str, int]
    content: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """One model's samples, and the files that they are from. `model` None: unknown."""

    model: str | None
    tasks: tuple[TaskSamples, ...]
    sources: tuple[Source, ...]

    def config(self) -> dict[str, Any]:
        """What the import is bound to: files by their hashes, and which score was read of them."""
        return {
            "kind": IMPORTED,
            "model": self.model,
            "tasks": [
                {
                    "task": task.name,
                    "settings": dict(task.settings),
                    "scores": list(task.scores),
                    **task.counts,
                    "content": task.content,
                }
                for task in self.tasks
            ],
            "files": [{"sha256": source.sha256, "format": source.format} for source in self.sources],
        }


def gather(
    paths: Sequence[Path], wanted: Wanted = EVERYTHING, bounds: Bounds = BOUNDS
) -> tuple[list[Gathered], list[str]]:
    """The samples of all files, a model at a time, and sentences on what a reader should know.

    A file that is given twice is read once, and so is a sample that several logs have (a retried evaluation
    takes over what was finished). Raises BankFileError and InputError in one sentence.
    """
    if not paths:
        raise InputError("files: give at least one log or file of samples.")
    by_hash = {sha256(path, bounds): path for path in reversed(paths)}
    # By hash: the order of the arguments must not decide the order of the samples.
    sources = [Source(path, key, detect(path, bounds)) for key, path in sorted(by_hash.items())]
    spool, seen = Spool(), _Seen()
    for place, source in enumerate(sources):
        for each in READERS[source.format](source.path, wanted, bounds):
            seen.add(each, new=spool.add(place, each))
    if not seen.drawn:
        raise BankFileError(f"{paths[0]}: no sample in it; give a log of an evaluation that drew some.")
    spool.sort()
    found = [
        Gathered(name, _tasks(spool, model), tuple(sources[place] for place in sorted(spool.sources(model))))
        for model, name in _models(spool.models, wanted.model).items()
    ]
    return found, _notes(len(paths), len(sources), seen)


class _Seen:
    """What there was in the files, for the notes."""

    def __init__(self) -> None:
        self.drawn = self.unread = self.repeated = 0
        self.failed: Counter[str] = Counter()

    def add(self, sample: Foreign, *, new: bool) -> None:
        """`new`: no other log had it."""
        if not new:
            self.repeated += 1
        elif sample.error is not None:
            self.failed[sample.error[:60]] += 1
        else:
            self.drawn += 1
            self.unread += sample.correct is None


def _identity(sample: Foreign) -> list[Any]:
    return [
        sample.asked.id,
        digest([sample.text, sample.reasoning, sample.choice]),
        sample.correct,
        sample.error,
    ]


def _models(found: Sequence[str | None], stated: str | None) -> dict[str | None, str | None]:
    """The models in the files, and the name of each. Raises InputError for several under one stated name."""
    if stated is None:
        return {model: model for model in found}
    if len(found) > 1:
        names = ", ".join(sorted(name or "one without a name" for name in found))[:300]
        raise InputError(f"model: the files hold samples of several models ({names}); import each by itself.")
    return {found[0]: stated}


def _tasks(spool: Spool, model: str | None) -> tuple[TaskSamples, ...]:
    """By task and settings, in the order of the tasks' names."""
    parts = spool.parts(model)
    ways = Counter(part.task for part in parts)
    return tuple(_task(spool, part, alone=ways[part.task] == 1) for part in parts)


def _task(spool: Spool, part: Part, *, alone: bool) -> TaskSamples:
    """Raises BankFileError where one id names two questions, or a question has two keys."""
    name = part.task if alone else f"{part.task}@{digest(part.settings)[:6]}"
    problems = spool.problems(part, name)
    scores: set[str] = set()
    counts = dict.fromkeys(("problems", "samples", "right", "ungraded", "failed"), 0)
    content = _ListDigest()
    for samples in problems.values():
        _require_one_question(samples)
        drawn = [each for each in samples if each.error is None]
        counts["problems"] += bool(drawn)
        counts["samples"] += len(drawn)
        counts["right"] += sum(each.correct is True for each in drawn)
        counts["ungraded"] += sum(each.correct is None for each in drawn)
        counts["failed"] += len(samples) - len(drawn)
        scores.update(each.score for each in samples if each.score)
        for each in samples:
            content.add(_identity(each))
    return TaskSamples(
        name, json.loads(part.settings), problems, tuple(sorted(scores)), counts, content.hexdigest()
    )


def _require_one_question(samples: Sequence[Foreign]) -> None:
    first = samples[0]
    for each in samples:
        if each.asked != first.asked:
            raise BankFileError(
                f"{each.where}: the problem {each.asked.id[:80]!r} is another one in {first.where}; give "
                "each problem an id of its own, or import the files as runs of their own, each with --run."
            )


class _ListDigest:
    """`digest` of a list, one value at a time."""

    def __init__(self) -> None:
        self._hash, self._between = hashlib.sha256(b"["), ""

    def add(self, value: Any) -> None:
        self._hash.update((self._between + canonical_json(value)).encode("utf-8", "surrogatepass"))
        self._between = ","

    def hexdigest(self) -> str:
        whole = self._hash.copy()
        whole.update(b"]")
        return whole.hexdigest()


def _notes(paths: int, sources: int, seen: _Seen) -> list[str]:
    notes = []
    if sources < paths:
        notes.append(f"Files that were given twice and read once: {paths - sources} of {paths}.")
    if seen.repeated:
        notes.append(f"Samples that are in several logs, each counted once: {seen.repeated:,}.")
    if seen.failed:
        most, _ = seen.failed.most_common(1)[0]
        total = seen.failed.total()
        notes.append(f"Draws that failed or are invalid, and are no samples: {total:,} (most often: {most}).")
    if seen.unread:
        notes.append(f"Samples without a score: {seen.unread:,}; they have no grade, and no part in figures.")
    return notes
