"""What a worker reads and writes. Standard library only, for it runs in every environment."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Answered", "Job", "arguments", "serve"]


@dataclass(frozen=True, slots=True)
class Job:
    """A problem: `question` is the JSON of a `ponder.core.Question`."""

    id: str
    question: dict[str, Any]
    seed: int

    @property
    def prompt(self) -> str:
        """The one user message."""
        content: str = self.question["prompt"]["messages"][0][1]
        return content


@dataclass(frozen=True, slots=True)
class Answered:
    """The text that a library returned, and the tokens that it says it took; None where it says nothing."""

    text: str
    completion_tokens: int | None
    prompt_tokens: int | None = None


Handler = Callable[[Job], Awaitable[Answered]]


def arguments() -> tuple[str, dict[str, Any]]:
    """The address of the endpoint and the system's options."""
    return sys.argv[1], json.loads(sys.argv[2])


async def serve(handler: Handler) -> None:
    """Answer jobs side by side until the input ends. A failure is an answer, too: it names the error."""
    running: set[asyncio.Task[None]] = set()
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer

    async def one(line: str) -> None:
        job = Job(**json.loads(line))
        row: dict[str, Any] = {"id": job.id}
        try:
            answered = await handler(job)
            row["text"] = answered.text
            row["reported"] = {
                "completion_tokens": answered.completion_tokens,
                "prompt_tokens": answered.prompt_tokens,
            }
        except Exception as error:
            row["error"] = f"{type(error).__name__}: {error}"[:500]
        print(json.dumps(row), file=answers, flush=True)

    while line := await asyncio.to_thread(sys.stdin.readline):
        task = asyncio.ensure_future(one(line))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
