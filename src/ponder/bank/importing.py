"""Bring other people's samples onto the ledger: a run for each model, a problem with all its samples.

A run is bound to its files by their hashes, so that the same import adds nothing twice, and one that was
interrupted goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ponder.bank.files import BOUNDS, Bounds, sha256
from ponder.bank.foreign import EVERYTHING, Foreign, Wanted
from ponder.bank.formats import READERS, detect
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
    task's, with a mark of the settings where the model's samples of it were drawn in several ways."""

    name: str
    settings: Mapping[str, Any]
    problems: Mapping[str, Sequence[Foreign]]

    @property
    def scores(self) -> tuple[str, ...]:
        """The names of the scores that were read."""
        return tuple(sorted({each.score for drawn in self.problems.values() for each in drawn if each.score}))

    def count(self) -> dict[str, int]:
        """How many samples there are, right ones, ones without a verdict, and draws that failed."""
        every = [each for drawn in self.problems.values() for each in drawn]
        drawn = [each for each in every if each.error is None]
        return {
            "problems": len({each.asked.id for each in drawn}),
            "samples": len(drawn),
            "right": sum(each.correct is True for each in drawn),
            "ungraded": sum(each.correct is None for each in drawn),
            "failed": len(every) - len(drawn),
        }


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
                    **task.count(),
                    "content": digest(
                        [_identity(each) for drawn in task.problems.values() for each in drawn]
                    ),
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
    read = [(source, each) for source in sources for each in _read(source, wanted, bounds)]
    kept = _once(read)
    notes = _notes(paths, sources, read, kept)
    if not any(each.error is None for _, each in kept):
        raise BankFileError(f"{paths[0]}: no sample in it; give a log of an evaluation that drew some.")
    models = _models([each for _, each in kept], wanted.model)
    found = []
    for model, name in models.items():
        own = [(source, each) for source, each in kept if each.model == model]
        used = {source.sha256 for source, _ in own}
        tasks = _tasks([each for _, each in own])
        found.append(Gathered(name, tasks, tuple(each for each in sources if each.sha256 in used)))
    return found, notes


def _read(source: Source, wanted: Wanted, bounds: Bounds) -> list[Foreign]:
    found = list(READERS[source.format](source.path, wanted, bounds))
    return sorted(found, key=lambda each: each.epoch)


def _identity(sample: Foreign) -> list[Any]:
    return [
        sample.asked.id,
        digest([sample.text, sample.reasoning, sample.choice]),
        sample.correct,
        sample.error,
    ]


def _once(read: Iterable[tuple[Source, Foreign]]) -> list[tuple[Source, Foreign]]:
    seen: set[str] = set()
    kept = []
    for source, each in read:
        if each.uid is None or each.uid not in seen:
            kept.append((source, each))
        if each.uid is not None:
            seen.add(each.uid)
    return kept


def _models(samples: Iterable[Foreign], stated: str | None) -> dict[str | None, str | None]:
    """The models in the files, and the name of each. Raises InputError for several under one stated name."""
    found = list(dict.fromkeys(each.model for each in samples))
    if stated is None:
        return {model: model for model in found}
    if len(found) > 1:
        names = ", ".join(sorted(name or "one without a name" for name in found))[:300]
        raise InputError(f"model: the files hold samples of several models ({names}); import each by itself.")
    return {found[0]: stated}


def _tasks(samples: Sequence[Foreign]) -> tuple[TaskSamples, ...]:
    """By task and settings, in the order of the tasks' names."""
    by_task: dict[str, dict[str, list[Foreign]]] = {}
    for each in samples:
        by_task.setdefault(each.asked.task, {}).setdefault(canonical_json(dict(each.settings)), []).append(
            each
        )
    found = []
    for name, ways in sorted(by_task.items()):
        for told, drawn in sorted(ways.items()):
            shown = name if len(ways) == 1 else f"{name}@{digest(told)[:6]}"
            found.append(TaskSamples(shown, drawn[0].settings, _problems(shown, drawn)))
    return tuple(found)


def _problems(task: str, samples: Sequence[Foreign]) -> dict[str, list[Foreign]]:
    """By id, in the order of the ids: logs have them in the order in which they ended.

    Raises BankFileError where one id names two questions, or a question has two keys.
    """
    found: dict[str, list[Foreign]] = {}
    for each in samples:
        asked = replace(each.asked, task=task)
        drawn = found.setdefault(asked.id, [])
        if drawn and drawn[0].asked != asked:
            raise BankFileError(
                f"{each.where}: the problem {asked.id[:80]!r} is another one in {drawn[0].where}; give "
                "each problem an id of its own, or import the files as runs of their own, each with --run."
            )
        drawn.append(replace(each, asked=asked))
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def _place(identity: str) -> tuple[int, str]:
    """Numbers as numbers: shorter ones first."""
    return len(identity) if identity.isdecimal() else 1 << 30, identity


def _notes(
    paths: Sequence[Path],
    sources: Sequence[Source],
    read: Sequence[tuple[Source, Foreign]],
    kept: Sequence[tuple[Source, Foreign]],
) -> list[str]:
    notes = []
    if len(sources) < len(paths):
        notes.append(f"{len(paths) - len(sources)} of {len(paths)} files were given twice and read once.")
    if len(kept) < len(read):
        notes.append(f"{len(read) - len(kept):,} samples are in several logs; each counts once.")
    failed = Counter(each.error[:60] for _, each in kept if each.error is not None)
    if failed:
        most, _ = failed.most_common(1)[0]
        notes.append(
            f"{failed.total():,} draws failed or are invalid (most often: {most}) and are no samples."
        )
    unread = sum(each.error is None and each.correct is None for _, each in kept)
    if unread:
        notes.append(f"{unread:,} samples have no score; they have no grade on the ledger.")
    return notes
