"""Scorers that only look at samples and ask nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ponder.core import Question, Sample, Scoring

__all__ = ["Looking"]


@dataclass(frozen=True, slots=True)
class Looking:
    """A scorer that is a function of the question and one sample."""

    name: str
    look: Callable[[Question, Sample], float | None]

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Scoring:
        yield from ()
        return tuple(self.look(question, sample) for sample in samples)
