"""Process rewards, the worst step counting (Lightman et al. 2023, arXiv 2305.20050 appendix F)."""

from __future__ import annotations

from ponder.verifiers._judging import Asking
from ponder.verifiers.scorers.process import process

__all__ = ["create"]


def create() -> Asking:
    """The least reward of a step, in [0, 1]."""
    return process("process_min", min)
