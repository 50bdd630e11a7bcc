from collections.abc import Mapping, Sequence

import pytest

from ponder.core import (
    FINISHED,
    Attempt,
    Message,
    Model,
    Price,
    Prompt,
    Question,
    Request,
    Sample,
    Shape,
    Spent,
    Usage,
)

QUESTION = Question(
    "q1",
    "What is 3 + 4?",
    prompt=Prompt((Message("user", "What is 3 + 4?"),), "Q: What is 3 + 4?\nA:"),
    direct=Prompt((Message("user", "3 + 4"),), "3 + 4 ="),
    extract="number",
    max_tokens=8,
)
MODEL = Model("m", "f", shape=Shape(2, 8, 4, 2, 2, 16, 10), price=Price(1.0, 10.0))


def spent(n: int, usage: Usage) -> Spent:
    """An attempt of an earlier start that asked for n samples of the question."""
    return Spent("s", "solver", Request(QUESTION.prompt, n, QUESTION.max_tokens), usage)


class MemoryRecorder:
    """A recorder without a ledger."""

    def __init__(self) -> None:
        self.samples: dict[str, dict[int, Sample]] = {}
        self.attempts: list[Attempt] = []
        self.calls: list[Spent] = []
        self.earlier: list[Spent] = []

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        return self.samples.get(stream, {})

    def spent(self, question: Question) -> Sequence[Spent]:
        return self.earlier

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        self.attempts += attempts
        self.calls += [Spent(stream, role, request, attempt.usage) for attempt in attempts]
        done = {s.index: s for s in samples if s.finish in FINISHED}
        self.samples.setdefault(stream, {}).update(done)

    def restart(self) -> None:
        """What a later start finds."""
        self.earlier += self.calls
        self.attempts, self.calls = [], []


@pytest.fixture
def recorder() -> MemoryRecorder:
    return MemoryRecorder()
