"""A small bank by hand, served on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.peers.bank import Banked
from benchmarks.peers.endpoint import Endpoint

from ponder.core import Message, Prompt, Question, Sample

CAP = 24
STOP = "\n\nQuestion"

MakeBank = Callable[..., Banked]


async def until(endpoint: Endpoint, problem: Banked, *, samples: int = 0, in_flight: int) -> None:
    """Wait until client "one" has begun so many samples, and has had so many requests in flight at once."""
    truth = endpoint.books["one", problem.question.id]
    async with asyncio.timeout(60):
        while truth.samples < samples or truth.most_in_flight < in_flight:
            await asyncio.sleep(0.01)


@pytest.fixture
def banked() -> MakeBank:
    """Makes a problem from its answers: sample i says the i-th of them in `tokens[i]` tokens."""

    def make(
        answers: Sequence[str],
        *,
        key: str = "9",
        tokens: Sequence[int] | None = None,
        name: str = "sum/0",
        task: str = "chain_sum",
    ) -> Banked:
        text = f"Question: What is 3 + 5?\nAnswer: 8\n\nQuestion: What is {name}?\nAnswer:"
        prompt = Prompt((Message("user", text),), text)
        question = Question(
            name, name, prompt, prompt, task=task, stop=(STOP,), max_tokens=CAP, extract="number"
        )
        lengths = tokens or [2] * len(answers)
        samples = tuple(
            Sample(
                f" = {answer}" if answer else " nothing",
                choice=answer or None,
                index=i,
                tokens=length,
                logprobs=(-0.5,) * length,
            )
            for i, (answer, length) in enumerate(zip(answers, lengths, strict=True))
        )
        return Banked(question, key, 20, samples)

    return make
