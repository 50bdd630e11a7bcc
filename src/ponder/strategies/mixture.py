"""Mixture of agents (Wang et al. 2024, arXiv 2406.04692 §2): several models propose, one aggregates."""

from __future__ import annotations

from random import Random

from ponder.core import Draw, Prompt, Question, Sample, Strategy, Wave
from ponder.strategies._steps import majority
from ponder.strategies._talk import chat, closing, frame, guard, mark_of, plain, room

AGGREGATE = "Some of these answers may be wrong. Weigh them, then write the one right answer to the question."


def mixture(
    question: Question,
    rng: Random,
    *,
    n: int = 1,
    layers: int = 1,
    roles: str = "solver+large",
    aggregator: str = "judge",
) -> Strategy:
    """Each of `roles` (joined by "+") proposes n answers, in every further one of `layers` after reading all
    answers of the layer before; `aggregator` reads the last layer's and writes the answer.

    Where that cannot be read, it is the vote of the last proposals.
    """
    prompt, tokens, proposed = None, None, list[Sample]()
    for _ in range(layers):
        reply = yield Wave(tuple(Draw(n, role=r, prompt=prompt, max_tokens=tokens) for r in roles.split("+")))
        proposed = [sample for told in reply.samples for sample in told] or proposed
        if reply.final or not proposed:
            return majority(proposed, rng)
        prompt, tokens = aggregation(question, rng.sample(proposed, len(proposed))), room(question)
    reply = yield Wave((Draw(role=aggregator, prompt=prompt, max_tokens=tokens),))
    answer = majority(reply.samples[0], rng)
    return answer if answer.choice is not None else majority(proposed, rng)


def aggregation(question: Question, proposed: list[Sample]) -> Prompt:
    """The prompt that shows the proposals, each distinct text once."""
    texts = list(dict.fromkeys(plain(sample.text) for sample in proposed))
    mark = mark_of(question.text, *texts)
    shown = "\n\n".join(frame("answer", text, mark) for text in texts)
    return chat(f"Question:\n{question.text}\n\n{shown}\n\n{guard(mark)}\n{AGGREGATE} {closing(question)}")
