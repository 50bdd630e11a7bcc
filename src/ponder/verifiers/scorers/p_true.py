"""The probability that a model calls an answer true (P(True), Kadavath et al. 2022, arXiv 2207.05221 §4)."""

from __future__ import annotations

import math

from ponder.core import Draw, Question, Sample
from ponder.strategies._talk import judging
from ponder.verifiers._judging import Asking

__all__ = ["create"]

TASK = "Is the answer true or false? Reply with one word, True or False."


def create() -> Asking:
    """The probability of "True" as the judge's first token, in [0, 1]; None when it says something else.

    Engines tell the probability of the likeliest token alone. Where that is True, the score is exact;
    where it is False, the score is 1 minus its probability: at most that much is left for True.
    """
    return Asking("p_true", _ask, _read)


def _ask(question: Question, text: str) -> Draw:
    prompt = judging(question, text, TASK, ("True", "False"))
    return Draw(role="judge", prompt=prompt, max_tokens=1, temperature=0.0, logprobs=True)


def _read(question: Question, text: str, reply: Sample) -> float | None:
    word = reply.text.strip()
    if word not in ("True", "False") or reply.logprob is None:
        return None
    probability = math.exp(min(0.0, reply.logprob))
    return probability if word == "True" else 1.0 - probability
