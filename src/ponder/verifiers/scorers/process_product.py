"""Process rewards, multiplied: the chance that every step is right (Lightman et al. 2023, arXiv 2305.20050
appendix F)."""

from __future__ import annotations

import math

from ponder.verifiers._judging import Asking
from ponder.verifiers.scorers.process import process

__all__ = ["create"]


def create() -> Asking:
    """The product of the rewards of all steps, in [0, 1]; it falls with the number of steps."""
    return process("process_product", math.prod)
