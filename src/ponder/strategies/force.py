"""Budget forcing (s1, Muennighoff et al. 2025, arXiv 2501.19393 §3): end the thinking, or prolong it."""

from __future__ import annotations

from random import Random

from ponder.core import Draw, Question, Sample, Strategy, Wave
from ponder.errors import InputError
from ponder.strategies._steps import draw, majority


def force(
    question: Question, rng: Random, *, waits: int = 1, limit: int = 512, closing: int = 24
) -> Strategy:
    """Think for at most `limit` tokens. Where the thought would have ended, append the question's word to go
    on (s1's "Wait"), `waits` times at most; where it was cut short, append the word to conclude ("Answer:")
    and let it close in `closing` tokens. The last stated answer counts; a thought that was cut short states
    none unless no other did."""
    words, text, stated, left = question.forcing, "", list[Sample](), limit
    if waits and words.prolong is None:
        raise InputError(f"strategy: no word prolongs a thought on {question.task}; write force:waits=0.")
    for turn in range(waits + 1):
        text += (words.prolong or "") if turn else ""
        reply = yield Wave((Draw(prefix=text, max_tokens=min(left, question.max_tokens)),))
        if not reply.samples[0]:
            break
        thought = reply.samples[0][0]
        cut, text = thought.finish == "length", text + thought.text
        stated.insert(0 if cut else len(stated), thought)
        left -= thought.tokens or 0  # where an engine does not count, each turn has the limit to itself
        if cut and not reply.final and words.conclude is not None:
            stated += yield from draw(1, prefix=text + words.conclude, max_tokens=closing)
        if cut or reply.final or left < 1:
            break
    return majority([sample for sample in stated if sample.choice is not None][-1:], rng)
