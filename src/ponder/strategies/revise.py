"""Draft, critique, revise (Self-Refine, Madaan et al. 2023, arXiv 2303.17651 §2)."""

from __future__ import annotations

from functools import partial
from random import Random

from ponder.core import Draw, Prompt, Question, Sample, Strategy, Wave
from ponder.strategies._steps import majority, score
from ponder.strategies._talk import (
    TALK_TOKENS,
    case,
    chat,
    closing,
    favourite,
    frame,
    judging,
    mark_of,
    plain,
    room,
    verdict,
)

CRITIQUE = (
    "Look for the first error in the answer and say in one short paragraph what it is. Then end with a "
    'line of its own, "Verdict {mark}: correct" if there is no error or "Verdict {mark}: wrong" if there is.'
)
REPLIES = ("There is no error.\nVerdict {mark}: correct", "9 - 4 is 5, not 6.\nVerdict {mark}: wrong")


def revise(question: Question, rng: Random, *, rounds: int = 2, by: str = "judge") -> Strategy:
    """Draft an answer; up to `rounds` times have it criticised and revise it. A critique that finds no
    error ends it: with the last draft's choice, or where that has none the most common one of all drafts.
    Otherwise the draft that scorer `by` likes best is kept, of equal ones the most common:
    a revision may as well spoil an answer (Huang et al. 2023, arXiv 2310.01798)."""
    drafts: tuple[Sample, ...] = ()
    ask = Draw()
    for turn in range(rounds + 1):
        reply = yield Wave((ask,))
        drafts += reply.samples[0]
        if reply.final or not reply.samples[0]:
            return majority(drafts, rng)
        if turn == rounds:
            break
        text = plain(drafts[-1].text)
        critic = judging(question, text, CRITIQUE, REPLIES)
        read = partial(verdict, mark=mark_of(question.text, text), values="correct|wrong")
        reply = yield Wave((Draw(role="judge", prompt=critic, max_tokens=TALK_TOKENS, read=read),))
        critiques = reply.samples[0]
        if critiques and read(critiques[0]) == "correct":
            return majority(drafts[-1:] if drafts[-1].choice is not None else drafts, rng)
        if reply.final or not critiques:
            return majority(drafts, rng)
        ask = Draw(prompt=revision(question, text, plain(critiques[0].text)), max_tokens=room(question))
    scores = yield from score(drafts, by)
    return favourite(drafts, scores, rng)


def revision(question: Question, text: str, critique: str) -> Prompt:
    """The prompt that asks for a better answer."""
    mark = mark_of(question.text, text, critique)
    return chat(
        f"{case(question.text, text, mark)}{frame('critique', critique, mark)}\n\n"
        f"Write a better answer to the question. {closing(question)}"
    )
