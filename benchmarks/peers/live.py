"""The embedded engine behind the same endpoint: every sample is drawn anew, and is counted by the engine,
also as far as a request had come that its client gave up.

What ends in a problem's text is continued as raw text, as in the bank; anything else, such as a judge's
question, goes through the model's chat template.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.peers.bank import Banked
from benchmarks.peers.campaign import Plan, run
from benchmarks.peers.endpoint import MOST_CHOICES, Asked, Choice, Endpoint, Served
from benchmarks.peers.environments import folder
from benchmarks.peers.outcomes import Outcomes
from benchmarks.peers.processes import LineProcess, asked
from benchmarks.peers.systems import System
from benchmarks.peers.truth import Truth
from benchmarks.peers.wire import Refused

__all__ = ["FIRST_CHOICE", "EngineProcess", "Live", "engine_process", "live"]

FIRST_CHOICE = "first choice"  # the stage of a server whose usage states the first choice's tokens only

UNCAPPED_TOKENS = 256  # what a request may take that names no cap
ROLES = ("system", "user", "assistant")


class EngineProcess:
    """The engine's process (see `engine`)."""

    def __init__(self, process: LineProcess) -> None:
        self._process = process
        self._numbers = itertools.count(1)

    def begin(self, do: str, **job: Any) -> tuple[int, asyncio.Future[dict[str, Any]]]:
        """Send a job: its number, and the answer to wait for. Raises RuntimeError when the process has
        ended."""
        number = next(self._numbers)
        return number, self._process.begin({"id": number, "do": do, **job})

    def cancel(self, number: int) -> None:
        """End a request; its answer then holds what was generated until now."""
        self._process.tell({"id": next(self._numbers), "do": "cancel", "of": number})


@contextlib.asynccontextmanager
async def engine_process() -> AsyncIterator[EngineProcess]:
    """The engine's process, started and ended. It loads its model while it is asked for the first time."""
    command = [sys.executable, "-m", "benchmarks.peers.engine"]
    async with asked(command, folder() / "engine.log") as process:
        yield EngineProcess(process)


class Live:
    """The engine as a source. `counts_all` False: usage states the first choice's tokens only."""

    def __init__(self, engine: EngineProcess, problems: Iterable[Banked], *, counts_all: bool = True) -> None:
        self._engine, self._counts_all = engine, counts_all
        self._problems = {each.question.id: each for each in problems}

    def begin(self, client: str, problem: str) -> None:
        """Nothing to set back: every sample is drawn anew."""

    async def serve(self, asked: Asked, truth: Truth) -> Served:
        if asked.n > MOST_CHOICES:
            raise Refused(400, f"n must be at most {MOST_CHOICES}")
        number, answer = self._engine.begin("sample", **self._job(asked))
        try:
            told = await asyncio.shield(answer)
        except asyncio.CancelledError:
            self._engine.cancel(number)
            _count(await answer, truth)
            raise
        choices = _count(told, truth)
        if told["error"] is not None:
            raise Refused(400, told["error"])
        counted = choices if self._counts_all else choices[:1]
        return Served(choices, told["prompt_tokens"], sum(choice.tokens for choice in counted))

    def _job(self, asked: Asked) -> dict[str, Any]:
        body, banked = asked.body, self._problems.get(asked.problem)
        given = body.get("stop") or []
        stop = [given] if isinstance(given, str) else list(given)
        raw = asked.api == "completions"
        if banked is not None and asked.text.endswith(banked.text):
            raw = True
            stop += [each for each in banked.question.stop if each not in stop]
        return {
            "messages": [] if raw else _messages(body),
            "text": asked.text if raw else None,
            "n": asked.n,
            "max_tokens": asked.max_tokens or UNCAPPED_TOKENS,
            "temperature": _number(body, "temperature"),
            "top_p": _number(body, "top_p"),
            "stop": stop,
            "logprobs": asked.logprobs,
            "schema": _schema(body),
        }


def _number(body: Mapping[str, Any], name: str) -> float:
    """A field whose default is 1 in OpenAI's API."""
    value = body.get(name)
    return 1.0 if value is None else float(value)


def _messages(body: Mapping[str, Any]) -> list[list[str]]:
    rows = body.get("messages", [])
    return [[m["role"], m["content"]] for m in rows if m.get("role") in ROLES and m.get("content")]


def _schema(body: Mapping[str, Any]) -> str | None:
    wanted = body.get("response_format") or {}
    return json.dumps(wanted["json_schema"]["schema"]) if wanted.get("type") == "json_schema" else None


def _count(told: Mapping[str, Any], truth: Truth) -> tuple[Choice, ...]:
    """Write what a request took into `truth`; its choices."""
    choices = tuple(
        Choice(text, tokens, finish, None if logprobs is None else tuple(logprobs))
        for text, tokens, finish, logprobs in told.get("choices", ())
    )
    cut = [choice for choice in choices if choice.finish == "cancelled"]
    if told.get("prompt_tokens"):
        truth.begin_request(told["prompt_tokens"])
    truth.samples += len(choices)
    truth.completion_tokens += sum(choice.tokens for choice in choices)
    truth.cancelled_samples += len(cut)
    truth.cancelled_tokens += sum(choice.tokens for choice in cut)
    return choices


async def live(
    systems: Sequence[System],
    problems: Sequence[Banked],
    outcomes: Outcomes,
    *,
    width: int,
    counts_all: bool = True,
) -> None:
    """The systems that are marked so, on the live engine: side by side, but for one that cancels."""
    own = [system for system in systems if system.live]
    stage = "live" if counts_all else FIRST_CHOICE
    async with engine_process() as engine:
        source = Live(engine, problems, counts_all=counts_all)
        async with Endpoint(source, problems) as endpoint:
            for cancels, lanes in ((False, width), (True, 1)):
                chosen = [system for system in own if system.cancels == cancels]
                await run(Plan(stage, chosen, problems, width=lanes), endpoint, outcomes)
