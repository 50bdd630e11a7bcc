"""What the question itself lets one check: 1.0 solved, 0.5 legal, 0.0 neither; None where nothing can be."""

from __future__ import annotations

from collections.abc import Sequence

from ponder.core import Question, Sample
from ponder.tasks import checks

__all__ = ["Checks", "create"]


class Checks:
    """Scores samples by the task's keyless check of their texts."""

    name = "checks"

    async def score(self, question: Question, samples: Sequence[Sample]) -> tuple[float | None, ...]:
        return tuple(checks(question, sample.text) for sample in samples)


def create() -> Checks:
    return Checks()
