"""What a model thinks of an answer, from 0 to 1 (LLM as a judge, Zheng et al. 2023, arXiv 2306.05685 §3.1,
single answer grading).

The answer is untrusted, and so are the judge's words: the answer stands in a frame that it cannot end, and
only a last line with the frame's mark, which the answer does not hold, is a verdict. That keeps a verdict
from being forged; it does not keep a judge from being talked round. How often that happens is measured by
benchmarks/judge_flips.py.
"""

from __future__ import annotations

from ponder.core import Draw, Question, Sample
from ponder.strategies._talk import judging, mark_of, verdict
from ponder.verifiers._judging import Asking

__all__ = ["create"]

VERDICT_TOKENS = 32
MOST = 10
TASK = (
    "How sure are you that the answer is correct, from 0 (surely wrong) to 10 (surely correct)? "
    'Reply with one line, "Verdict {mark}: " and the number.'
)
REPLIES = ("Verdict {mark}: 10", "Verdict {mark}: 0")


def create() -> Asking:
    """A greedy judge's mark out of 10, divided by 10; None where it gave none in the form asked for."""
    return Asking("judge", _ask, _read)


def _ask(question: Question, text: str) -> Draw:
    prompt = judging(question, text, TASK, REPLIES)
    return Draw(role="judge", prompt=prompt, max_tokens=VERDICT_TOKENS, temperature=0.0)


def _read(question: Question, text: str, reply: Sample) -> float | None:
    told = verdict(reply, mark_of(question.text, text), "[0-9]|10")
    return None if told is None else int(told) / MOST
