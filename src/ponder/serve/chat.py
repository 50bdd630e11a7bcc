"""The chat completions API: its request to `Asked`, `Told` to its body or its events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.core import Message
from ponder.serve.asking import (
    MODEL,
    MOST_CHOICES,
    MOST_TOKENS,
    ROLES,
    SEEDS,
    Asked,
    Fields,
    check_conversation,
    check_model,
)
from ponder.serve.failing import ApiError
from ponder.serve.following import Api, Events, Stream
from ponder.serve.formatting import Format
from ponder.serve.telling import Progress, Told, pieces

__all__ = ["API", "read"]


def read(sent: Mapping[str, Any]) -> Asked:
    """Raises ApiError (400, 404) that names the field."""
    fields = Fields(sent)
    check_model(fields.text("model"))
    asked: dict[str, Any] = {
        "api": "chat",
        "body": sent,
        "messages": check_conversation(_messages(fields), "messages"),
        "effort": fields.text("reasoning_effort"),
        "n": fields.whole("n", 1, MOST_CHOICES) or 1,
        "stop": fields.stops(),
        "seed": fields.whole("seed", *SEEDS),
        "temperature": fields.number("temperature", 0, 2),
        "top_p": fields.top_p(),
        "max_tokens": _most_tokens(fields),
        "stream": fields.flag("stream") or False,
        "format": _format(fields.table("response_format")),
    }
    if (options := fields.table("stream_options")) is not None:
        asked["stream_usage"] = options.flag("include_usage") or False
        options.only("include_obfuscation", False)
        options.done()
    if (own := fields.table("ponder")) is not None:
        asked |= own.own()
        summary = own.flag("summary")
        asked["summary"] = True if summary is None else summary
        own.done()
    _unsupported(fields)
    return Asked(**asked)


def _most_tokens(fields: Fields) -> int | None:
    """`max_tokens` is the older name."""
    new = fields.whole("max_completion_tokens", 1, MOST_TOKENS)
    old = fields.whole("max_tokens", 1, MOST_TOKENS)
    if None not in (new, old) and new != old:
        raise ApiError(
            400,
            f"max_tokens: it says {old}, and max_completion_tokens, which means the same, says {new}; "
            "send one of them.",
            code="invalid_value",
            param="max_tokens",
        )
    return old if new is None else new


def _format(stated: Fields | None) -> Format | None:
    if stated is None:
        return None
    kind = stated.kind()
    told: dict[str, Any] = {"type": kind}
    if kind == "json_schema":
        named = stated.table("json_schema")
        if named is None:
            raise stated.wrong("json_schema", "an object with a name and a schema")
        told["json_schema"] = named.schema()
        named.done()
    stated.done()
    return None if kind == "text" else Format.of(told, "response_format")


def _messages(fields: Fields) -> list[Message]:
    rows = fields.take("messages")
    if not isinstance(rows, list):
        raise fields.wrong("messages", "a list of messages")
    return [_message(rows[at], f"messages[{at}]") for at in range(len(rows))]


def _message(row: Any, where: str) -> Message:
    if not isinstance(row, dict):
        raise ApiError(400, f"{where}: it must be an object.", code="invalid_value", param=where)
    fields = Fields(row, where)
    role = fields.text("role")
    if role not in ROLES:
        raise fields.wrong("role", f"one of {', '.join(ROLES)}")
    content = fields.content("text")
    fields.text("name")
    # What this server sent as an assistant's message comes back with the conversation.
    for name in ("reasoning_content", "reasoning"):
        fields.text(name)
    for name in ("refusal", "audio", "function_call"):
        fields.only(name)
    fields.only("tool_calls", [])
    fields.only("annotations", [])
    fields.done()
    return Message(ROLES[role], content)


def _unsupported(fields: Fields) -> None:
    """Fields that may state what is the case anyway, or that are the caller's own affair."""
    fields.metadata()
    for name in ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"):
        fields.text(name)
    fields.only("frequency_penalty", 0, 0.0)
    fields.only("presence_penalty", 0, 0.0)
    fields.only("logit_bias", {})
    fields.only("logprobs", False)
    fields.only("top_logprobs", 0)
    fields.no_tools("functions", "function_call")
    fields.only("modalities", ["text"])
    fields.only("service_tier", "auto", "default")
    fields.only("store", True, False)
    fields.only("verbosity", "medium")
    fields.done()


# ---------------------------------------------------------------- writing


def usage(told: Told) -> dict[str, Any]:
    """In the API's words; what is unknown is null."""
    used = told.usage
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.completion_tokens,
        "total_tokens": used.tokens,
        "prompt_tokens_details": {"cached_tokens": used.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": told.reasoning_tokens},
    }


def body(told: Told, asked: Asked) -> dict[str, Any]:
    """A chat completion. The summary stands in `reasoning_content` and `reasoning`, where clients look."""
    choices = []
    for index, choice in enumerate(told.choices):
        message: dict[str, Any] = {"role": "assistant", "content": choice.content, "refusal": None}
        if choice.summary is not None:
            message |= {"reasoning_content": choice.summary, "reasoning": choice.summary}
        choices.append({"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish})
    return {
        "id": told.id,
        "object": "chat.completion",
        "created": int(told.created),
        "model": MODEL,
        "choices": choices,
        "usage": usage(told),
        "ponder": told.ponder,
    }


@dataclass(frozen=True, slots=True)
class _Chunks(Stream):
    """Summaries, then answers, then what they took. `_written`: the characters of each answer that went
    out while it was written."""

    id: str
    created: float
    asked: Asked
    _written: Counter[int] = field(default_factory=Counter)

    def begin(self) -> Iterator[dict[str, Any]]:
        for index in range(self.asked.n):
            yield self._delta(index, {"role": "assistant", "content": ""})

    def progress(self, now: Progress) -> dict[str, Any]:
        return self._delta(0, {}, ponder={"progress": now.to_json()})

    def written(self, index: int, text: str) -> Iterator[dict[str, Any]]:
        self._written[index] += len(text)
        yield self._delta(index, {"content": text})

    def finish(self, told: Told) -> Iterator[dict[str, Any]]:
        for index, choice in enumerate(told.choices):
            for piece in pieces(choice.summary or ""):
                yield self._delta(index, {"reasoning_content": piece, "reasoning": piece})
            for piece in pieces(choice.content[self._written[index] :]):
                yield self._delta(index, {"content": piece})
        for index, choice in enumerate(told.choices):
            own = {"ponder": told.ponder} if index == len(told.choices) - 1 else {}
            yield self._delta(index, {}, choice.finish, **own)
        if self.asked.stream_usage:
            yield self._chunk([], usage=usage(told))

    def fail(self, error: ApiError) -> Iterator[dict[str, Any]]:
        yield error.to_json()

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": int(self.created),
            "model": MODEL,
            "choices": choices,
            **more,
        }

    def _delta(
        self, index: int, delta: dict[str, Any], finish: str | None = None, **more: Any
    ) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice], **more)


API = Api(read, body, Events(_Chunks, end=b"data: [DONE]\n\n"))
