"""What the question itself lets one check: 1.0 solved, 0.5 legal, 0.0 neither; None where nothing can be.

Of an unfinished answer in steps: 0.75 the target can still be hit, 0.25 it cannot, 0.0 a step is illegal.
That is a perfect process verifier, since it searches exhaustively; a learned one will be worse.
"""

from __future__ import annotations

from ponder.core import Question, Sample
from ponder.tasks import checks
from ponder.verifiers._looking import Looking

__all__ = ["create"]


def create() -> Looking:
    """Scores samples by the task's keyless check of their texts; finish "step" says that more will come."""
    return Looking("checks", _check)


def _check(question: Question, sample: Sample) -> float | None:
    return checks(question, sample.text, finished=sample.finish != "step")
