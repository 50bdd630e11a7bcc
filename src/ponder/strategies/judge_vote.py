"""Voting by judges (Zheng et al. 2023, arXiv 2306.05685; as a panel: Verga et al. 2024, arXiv 2404.18796)."""

from __future__ import annotations

from functools import partial
from random import Random

from ponder.core import Draw, Message, Prompt, Question, Sample, Strategy, Wave
from ponder.strategies._steps import majority
from ponder.strategies._talk import candidates, frame, guard, mark_of, plain, verdict

LABELS = "ABCDEFGH"
VERDICT_TOKENS = 32


def judge_vote(question: Question, rng: Random, *, n: int = 4, judges: int = 5) -> Strategy:
    """Sample n answers, show the distinct ones to `judges` judges, each in an order of its own against
    position bias (Zheng et al. §3.3), and return what most of them choose.

    Where the samples agree, or no judge can be read, it is the vote of the samples.
    """
    reply = yield Wave((Draw(n),))
    drawn = reply.samples[0]
    shown = candidates(drawn, len(LABELS), rng)
    if reply.final or len(shown) < 2:
        return majority(drawn, rng)
    mark = mark_of(question.text, *(plain(s.text) for s in shown))
    orders = [rng.sample(shown, len(shown)) for _ in range(judges)]
    prompts = [ballot(question, order, mark) for order in orders]
    read = partial(verdict, mark=mark, values=f"[{LABELS[: len(shown)]}]")
    asks = [Draw(role="judge", prompt=p, max_tokens=VERDICT_TOKENS, read=read) for p in prompts]
    reply = yield Wave(tuple(asks))
    named: list[Sample] = []
    for order, told in zip(orders, reply.samples, strict=True):
        label = read(told[0]) if told else None
        named += [order[LABELS.index(label)]] if label else []
    return majority(named or drawn, rng)


def ballot(question: Question, order: list[Sample], mark: str) -> Prompt:
    """The prompt that shows the answers under letters, after a ballot that was cast."""
    shown = _paper(question.text, [plain(sample.text) for sample in order], mark)
    example = _paper("What is 9 - 4?", ["9 - 4 = 6", "9 - 4 = 5"], mark)
    cast = Message("assistant", f"Verdict {mark}: B")
    return Prompt((Message("user", example), cast, Message("user", shown)))


def _paper(asked: str, texts: list[str], mark: str) -> str:
    shown = "\n\n".join(frame(f"answer {a}", t, mark) for a, t in zip(LABELS, texts, strict=False))
    return (
        f"Question:\n{asked}\n\n{shown}\n\n{guard(mark)}\n"
        f'Which answer is correct? Reply with one line, "Verdict {mark}: " and its letter.'
    )
