"""Graders, which know the key and run after the answer, and scorers, which know none and guide a search.

Each is one file of `graders/` or `scorers/`, found by its name: adding one is adding a file with a
function `create()`.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol

from ponder import core
from ponder.core import Question, Sample
from ponder.errors import UnknownName

__all__ = ["Grader", "Scores", "grader", "grader_names", "look", "scorer", "scorer_names"]

Scores = tuple[float | None, ...]


class Grader(core.Grader, Protocol):
    """A grader that may hold a process; `close()` it when the grading is done."""

    def close(self) -> None: ...


def grader_names() -> tuple[str, ...]:
    """The names of all graders."""
    return _names("graders")


def scorer_names() -> tuple[str, ...]:
    """The names of all scorers."""
    return _names("scorers")


def grader(name: str) -> Grader:
    """The grader `name`. Raises UnknownName."""
    found: Grader = _create("grader", "graders", name)
    return found


def scorer(name: str) -> core.Scorer:
    """The scorer `name`. Raises UnknownName."""
    found: core.Scorer = _create("scorer", "scorers", name)
    return found


def look(scorer: core.Scorer, question: Question, samples: tuple[Sample, ...]) -> Scores | None:
    """The scores of a scorer that asks no engine; None of one that would."""
    scoring = scorer.score(question, samples)
    try:
        next(scoring)
    except StopIteration as end:
        scores: Scores = end.value
        return scores
    scoring.close()
    return None


def _names(folder: str) -> tuple[str, ...]:
    place = Path(__file__).parent / folder
    return tuple(sorted(module.name for module in pkgutil.iter_modules([str(place)])))


def _create(kind: str, folder: str, name: str) -> Any:
    known = _names(folder)
    if name not in known:
        raise UnknownName(kind, name, known)
    return importlib.import_module(f"ponder.verifiers.{folder}.{name}").create()
