"""What a task gives: problems, each a question and, kept apart from it, its key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ponder.core import Question

__all__ = ["Problem", "ProblemSet", "Questions"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A question and its reference answer. The key is for a grader, never for a strategy; so is `handle`,
    by which a grader may have the problem generated again, and with it the key."""

    question: Question
    key: str
    handle: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class ProblemSet:
    """Problems of one kind. `grader` names who compares an answer with the key; `prompt_text` is the
    worked prompt as a reader should see it, with `{question}` in place of the question; `notes` are sentences
    that a reader must see."""

    name: str
    title: str
    problems: tuple[Problem, ...]
    grader: str
    prompt_text: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Questions:
    """Questions to be answered, and those of them that have a key (`keyed`; None: none has)."""

    questions: tuple[Question, ...]
    keyed: ProblemSet | None
    notes: tuple[str, ...] = ()
