"""What the question itself lets one check: 1.0 solved, 0.5 legal, 0.0 neither; None where nothing can be."""

from __future__ import annotations

from ponder.tasks import checks
from ponder.verifiers._looking import Looking

__all__ = ["create"]


def create() -> Looking:
    """Scores samples by the task's keyless check of their texts."""
    return Looking("checks", lambda question, sample: checks(question, sample.text))
