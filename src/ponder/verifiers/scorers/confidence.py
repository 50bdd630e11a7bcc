"""How sure the model was of a sample's tokens: their geometric mean probability, in (0, 1].

Unlike the likelihood it does not fall with length, so that it can weigh votes (Wang et al. 2022, arXiv
2203.11171 §3.1, "normalized").
"""

from __future__ import annotations

import math

from ponder.core import Question, Sample
from ponder.verifiers._looking import Looking

__all__ = ["create"]


def create() -> Looking:
    """exp of the mean log-probability of a sample's tokens under the untempered model; None where unknown."""
    return Looking("confidence", _confidence)


def _confidence(question: Question, sample: Sample) -> float | None:
    if sample.logprob is None or not sample.tokens:
        return None
    return math.exp(sample.logprob / sample.tokens)
