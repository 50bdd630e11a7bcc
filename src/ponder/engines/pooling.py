"""Process rewards from vLLM's pooling endpoint (`vllm serve MODEL --runner pooling`, POST /pooling).

A request is a chat: the question, then each step of an answer as an assistant's turn of its own. The steps
are sent as one turn, each ended by the model's own step token; what comes back is one row a step, whose last
number is the probability that the step is right. An output's text is the JSON list of these numbers.

It is an HTTP engine in all but that: its calls, tries, errors and budgets are those of `HttpEngine`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from ponder.core import Capabilities, Message, Model, Prompt, Request
from ponder.engines._http_call import HttpCall
from ponder.engines._http_client import Address, parse_body
from ponder.engines._http_errors import FAULTS, ErrorInside, Refused, Where, diagnose
from ponder.engines._http_wire import Reading
from ponder.engines.http import HttpEngine
from ponder.errors import BadResponse

__all__ = ["PREFIX", "PoolingEngine", "rewards"]

PREFIX = "pooling+"
STEP_TOKEN = "<extra_0>"  # noqa: S105 it ends a step for Qwen2.5-Math-PRM
_ROUNDING = 1e-3


class PoolingEngine(HttpEngine):
    """A process reward model behind vLLM's pooling endpoint.

    `step_token` ends each step in the form that the model was trained with; in a text it is taken out, lest
    it make a step of its own. The options are those of `HttpEngine`.
    """

    def __init__(
        self, address: Address, model: Model, *, step_token: str = STEP_TOKEN, **options: Any
    ) -> None:
        super().__init__(address, model, **{**options, "api": "chat", "samples_per_call": 1})
        self.step_token = step_token

    @classmethod
    async def from_spec(
        cls,
        spec: str,
        *,
        model: Model | None = None,
        card: Callable[[str, str], Model] = Model,
        **options: Any,
    ) -> HttpEngine:
        """An engine for pooling+http://HOST:PORT#MODEL; without #MODEL the only one that is served there.

        Raises ConfigError, or EngineError when the name has to be asked for and cannot be.
        """
        address, mark, name = spec.removeprefix(PREFIX).partition("#")
        base, query, rest = address.partition("?")
        base = base.rstrip("/").removesuffix("/v1") + "/v1"
        return await super().from_spec(f"{base}{query}{rest}{mark}{name}", model=model, card=card, **options)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(parallel=super().capabilities.parallel)

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType({**super().facts, "engine": "pooling", "step_token": self.step_token})

    @property
    def where(self) -> Where:
        return replace(super().where, api="vLLM's pooling API")

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """An upper bound, without the tokenizer, as of `HttpEngine`."""
        turns = self._turns([{"role": m.role, "content": m.content} for m in prompt.messages])
        joined = Prompt(tuple(Message(turn["role"], turn["content"]) for turn in turns))
        return super().prompt_tokens_bound(joined, prefix)

    def start(self, request: Request) -> HttpCall:
        """Send it from the running event loop; returns at once."""
        call = _PoolingCall(self, request)
        self._calls.add(call)
        call.task.add_done_callback(lambda _: self._calls.discard(call))
        return call

    async def check(self) -> None:
        """As of `HttpEngine`, and whether the server has a pooling endpoint. Raises EngineError."""
        await super().check()
        try:
            await self.post({"model": self.model.name, "messages": []})
        except _NoEndpoint as error:
            raise diagnose(error, self.where).error from None
        except FAULTS:
            return  # a chat without turns is refused, at no cost

    async def post(self, sent: Mapping[str, Any]) -> dict[str, Any]:
        """One HTTP request, its rewards in the form of a chat completion."""
        turns = self._turns(sent["messages"])
        body = {"model": sent["model"], "messages": turns, "encoding_format": "float"}
        address = self.where.address.removesuffix("/v1") + "/pooling"
        try:
            content = await self.desk().client.post(address, body)
        except Refused as error:
            if error.status != 404 or "model" in error.message.lower():
                raise
            raise _NoEndpoint("it has no /pooling; serve a reward model with --runner pooling") from None
        payload = parse_body(content)
        problem = payload.get("error")
        if problem and not payload.get("data"):
            raise ErrorInside.of(problem)
        told = rewards(payload, sum(turn["role"] == "assistant" for turn in sent["messages"]))
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": json.dumps(told)}}
        return {"choices": [choice], "usage": payload.get("usage")}

    def _turns(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The chat with the steps as one turn, each ended by the step token, which no text can hold."""
        texts = [(str(m["role"]), _without(self.step_token, str(m["content"]))) for m in messages]
        turns: list[dict[str, Any]] = [{"role": r, "content": text} for r, text in texts if r != "assistant"]
        steps = "".join(text + self.step_token for role, text in texts if role == "assistant")
        return turns + ([{"role": "assistant", "content": steps}] if steps else [])


def _without(token: str, text: str) -> str:
    while token in text:  # taking one out can make another
        text = text.replace(token, "")
    return text


class _NoEndpoint(BadResponse):
    """The server knows nothing of pooling."""


class _PoolingCall(HttpCall):
    """Rewards are read, not generated."""

    def _keep(self, part: Any, told: Reading, began: float, seconds: float) -> None:
        super()._keep(part, told, began, seconds)
        last = part.attempts[-1]
        usage = replace(last.usage, completion_tokens=0, reasoning_tokens=0)
        part.attempts[-1] = replace(last, usage=usage)
        part.outputs = [replace(output, tokens=0) for output in part.outputs]


def rewards(payload: Mapping[str, Any], steps: int) -> list[float]:
    """One probability a step, from a pooling response with one row a step: [right] or [wrong, right].

    Raises BadResponse for any other form: vectors of hidden states, a row for every token, logits.
    """
    data = payload.get("data")
    row = data[0] if isinstance(data, list) and len(data) == 1 else None
    rows = row.get("data") if isinstance(row, dict) else None
    if not isinstance(rows, list):
        raise BadResponse("the answer has no list of rewards")
    if len(rows) != steps:
        raise BadResponse(f"it gave {len(rows)} rewards for {steps} steps; state the model's own step token")
    return [_reward(row) for row in rows]


def _reward(row: Any) -> float:
    value: Any = row[-1] if isinstance(row, list) and len(row) in (1, 2) else None
    if type(value) is not int and type(value) is not float:
        raise BadResponse("a reward is not one or two numbers; serve a process reward model")
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise BadResponse("a reward is not a probability; serve the model with its activation")
    return min(1.0, max(0.0, float(value)))
