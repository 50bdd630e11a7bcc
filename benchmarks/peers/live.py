"""A live model behind the same endpoint: every request is streamed from it, so that each sample's tokens
are known, also those of a request that its client gives up.

The client is told what the server would have told it: llama.cpp states the tokens of the first choice only.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2
from benchmarks.peers.bank import Banked
from benchmarks.peers.campaign import Plan, run
from benchmarks.peers.endpoint import Asked, Choice, Endpoint, Served
from benchmarks.peers.llama import serving
from benchmarks.peers.outcomes import Outcomes
from benchmarks.peers.systems import System
from benchmarks.peers.truth import OUTSIDE, Truth
from benchmarks.peers.wire import Refused

from ponder.engines.weights import ensure

__all__ = ["Upstream", "live"]


@dataclass(slots=True)
class _Growing:
    """A choice as far as it has come. `counted`: its tokens by the server's word, None before its end."""

    text: str = ""
    pieces: int = 0
    finish: str | None = None
    counted: int | None = None
    logprobs: list[float] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        return self.pieces if self.counted is None else self.counted


class Upstream:
    """A server at `address`, as a source."""

    def __init__(self, address: str, problems: Iterable[Banked]) -> None:
        self._address = address
        self._prompt_tokens = {each.question.id: each.prompt_tokens for each in problems}
        # No connection is kept: the server would go on with a request whose connection lives.
        limits = httpx2.Limits(max_keepalive_connections=0, max_connections=None)
        self._client = httpx2.AsyncClient(timeout=None, limits=limits)

    def begin(self, client: str, problem: str) -> None:
        """Nothing to set back: every sample is drawn anew."""

    async def close(self) -> None:
        await self._client.aclose()

    async def serve(self, asked: Asked, truth: Truth) -> Served:
        growing = [_Growing() for _ in range(asked.n)]
        prompt: int | None = None
        last: _Growing | None = None
        try:
            async for event in self._events(asked):
                for row in event.get("choices", ()):
                    last = growing[row["index"]]
                    _grow(last, row)
                usage = event.get("usage")
                if usage and last is not None:  # a choice's usage follows its end
                    last.counted = usage["completion_tokens"]
                    prompt = usage["prompt_tokens"]
        finally:
            self._count(asked, truth, growing, prompt)
        choices = tuple(
            Choice(each.text, each.tokens, each.finish or "stop", tuple(each.logprobs) or None)
            for each in growing
        )
        return Served(choices, prompt or 0, growing[0].tokens)

    async def _events(self, asked: Asked) -> AsyncIterator[dict[str, Any]]:
        route = "chat/completions" if asked.api == "chat" else "completions"
        body = {**asked.body, "stream": True, "stream_options": {"include_usage": True}}
        async with self._client.stream("POST", f"{self._address}/v1/{route}", json=body) as answer:
            if answer.status_code != 200:
                raw = await answer.aread()
                raise Refused(answer.status_code, raw.decode("utf-8", "replace")[:500])
            async for line in answer.aiter_lines():
                if line.startswith("data: {"):
                    yield json.loads(line.removeprefix("data: "))

    def _count(self, asked: Asked, truth: Truth, growing: Sequence[_Growing], prompt: int | None) -> None:
        begun = [each for each in growing if each.pieces or each.finish]
        if not begun:
            return
        truth.samples += len(begun)
        truth.completion_tokens += sum(each.tokens for each in begun)
        cut = [each for each in begun if each.finish is None]
        truth.cancelled_samples += len(cut)
        truth.cancelled_tokens += sum(each.tokens for each in cut)
        if prompt is None and asked.problem != OUTSIDE:
            prompt = self._prompt_tokens[asked.problem]
        truth.begin_request(prompt or 0)


def _grow(choice: _Growing, row: Mapping[str, Any]) -> None:
    piece = row.get("text") if "text" in row else (row.get("delta") or {}).get("content")
    if piece:
        choice.text += piece
        choice.pieces += 1
    choice.finish = row.get("finish_reason") or choice.finish
    told = row.get("logprobs")
    if isinstance(told, dict):
        choice.logprobs += [token["logprob"] for token in told.get("content") or ()]


async def live(systems: Sequence[System], problems: Sequence[Banked], outcomes: Outcomes) -> None:
    """The systems that are marked so, on a live model, one problem at a time."""
    with serving(ensure("smollm2")) as address:
        upstream = Upstream(address, problems)
        async with Endpoint(upstream, problems) as endpoint:
            await run(Plan("live", [s for s in systems if s.live], problems, width=1), endpoint, outcomes)
        await upstream.close()
