"""Generative verification (GenRM-CoT, Zhang et al. 2024, arXiv 2408.15240 §3): a model checks the answers."""

from __future__ import annotations

from functools import partial
from random import Random

from ponder.core import Draw, Question, Strategy, Wave
from ponder.strategies._steps import majority
from ponder.strategies._talk import TALK_TOKENS, candidates, favourite, judging, mark_of, plain, verdict

MOST = 16
CHECK = (
    "Check the answer step by step in one short paragraph. Then end with a line of its own, "
    '"Verdict {mark}: Yes" if it is correct or "Verdict {mark}: No" if it is not.'
)
REPLIES = ("2 + 5 is 7, as stated.\nVerdict {mark}: Yes", "9 - 4 is 5, not 6.\nVerdict {mark}: No")


def verify(question: Question, rng: Random, *, n: int = 4, checks: int = 4) -> Strategy:
    """Sample n answers, have each distinct one verified `checks` times by a chain of thought that ends in
    Yes or No, and return the one with the largest share of Yes; of equal ones the most common.

    Answers that all agree are not verified: there is nothing to choose.
    """
    reply = yield Wave((Draw(n),))
    drawn = reply.samples[0]
    shown = candidates(drawn, MOST, rng)
    if reply.final or len(shown) < 2:
        return majority(drawn, rng)
    texts = [plain(sample.text) for sample in shown]
    prompts = [judging(question, text, CHECK, REPLIES) for text in texts]
    reads = [partial(verdict, mark=mark_of(question.text, text), values="Yes|No") for text in texts]
    asks = [
        Draw(checks, "judge", p, max_tokens=TALK_TOKENS, read=r) for p, r in zip(prompts, reads, strict=True)
    ]
    reply = yield Wave(tuple(asks))
    shares: dict[str | None, float] = {}
    for sample, read, told in zip(shown, reads, reply.samples, strict=True):
        said = [v for t in told if (v := read(t)) is not None]
        if said:
            shares[sample.choice] = said.count("Yes") / len(said)
    return favourite(drawn, [shares.get(sample.choice) for sample in drawn], rng)
