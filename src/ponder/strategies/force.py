"""Budget forcing (s1, Muennighoff et al. 2025, arXiv 2501.19393 §3): end the thinking, or prolong it."""

from __future__ import annotations

from random import Random

from ponder.core import Draw, Question, Sample, Strategy, Wave
from ponder.strategies._steps import majority

WAIT, CONCLUDE = "\nWait,", "\nAnswer:"


def force(
    question: Question, rng: Random, *, waits: int = 1, limit: int = 512, closing: int = 24
) -> Strategy:
    """Think for at most `limit` tokens; `waits` times append "Wait" and let it think on; where it was cut
    short, append "Answer:" and let it close in `closing` tokens. The last stated answer counts."""
    text, answered, final = "", list[Sample](), False
    cap = min(limit, question.max_tokens)
    for turn in range(waits + 1):
        prefix = text + WAIT if turn else ""
        reply = yield Wave((Draw(prefix=prefix, max_tokens=cap),))
        final = reply.final
        if not reply.samples[0]:
            break
        thought = reply.samples[0][0]
        text = prefix + thought.text
        answered += [thought] if thought.choice is not None else []
        if thought.finish == "length" and not final:
            reply = yield Wave((Draw(prefix=text + CONCLUDE, max_tokens=closing),))
            final = reply.final
            answered += [s for s in reply.samples[0] if s.choice is not None]
        if final:
            break
    return majority(answered[-1:], rng)
