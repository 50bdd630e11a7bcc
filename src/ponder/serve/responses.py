"""The responses API: its request to `Asked`, `Told` to its body or its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ponder.core import Message
from ponder.serve.asking import (
    MODEL,
    MOST_TOKENS,
    ROLES,
    SEEDS,
    Asked,
    Fields,
    check_conversation,
    check_model,
)
from ponder.serve.failing import ApiError, unsupported
from ponder.serve.following import Api, Events, Stream
from ponder.serve.formatting import Format
from ponder.serve.telling import Progress, Told, pieces

__all__ = ["API", "INCLUDED", "SUMMARIES", "read"]

SUMMARIES = ("auto", "concise", "detailed")
INCLUDED = ("reasoning.encrypted_content",)
"""Clients ask for this of any server; there is none here to include, encrypted or not."""


def read(sent: Mapping[str, Any]) -> Asked:
    """Raises ApiError (400, 404) that names the field."""
    fields = Fields(sent)
    check_model(fields.text("model"))
    instructions = fields.text("instructions")
    before = [] if not instructions else [Message("system", instructions)]
    asked: dict[str, Any] = {
        "api": "responses",
        "body": sent,
        "messages": check_conversation([*before, *_input(fields)], "input"),
        "temperature": fields.number("temperature", 0, 2),
        "top_p": fields.top_p(),
        "max_tokens": fields.whole("max_output_tokens", 1, MOST_TOKENS),
        "stream": fields.flag("stream") or False,
        "summary": False,
        "format": _format(fields.table("text")),
    }
    if (reasoning := fields.table("reasoning")) is not None:
        asked["effort"] = reasoning.text("effort")
        asked["summary"] = _wants_summary(reasoning)
        reasoning.done()
    if (own := fields.table("ponder")) is not None:
        asked |= own.own()
        asked["seed"] = own.whole("seed", *SEEDS)
        own.done()
    _unsupported(fields)
    return Asked(**asked)


def _format(text: Fields | None) -> Format | None:
    """It is flat in this API. The chat API's words are what is passed on."""
    stated = None if text is None else text.table("format")
    if text is not None:
        text.only("verbosity", "medium")
        text.done()
    if stated is None:
        return None
    kind = stated.kind()
    schema = {"json_schema": stated.schema()} if kind == "json_schema" else {}
    stated.done()
    return None if kind == "text" else Format.of({"type": kind, **schema}, "text.format")


def _wants_summary(reasoning: Fields) -> bool:
    """`generate_summary` is the older name."""
    wanted = False
    for name in ("summary", "generate_summary"):
        value = reasoning.text(name)
        if value is not None and value not in SUMMARIES:
            raise reasoning.wrong(name, f"one of {', '.join(SUMMARIES)}")
        wanted = wanted or value is not None
    return wanted


def _input(fields: Fields) -> list[Message]:
    value = fields.take("input")
    if isinstance(value, str):
        return [Message("user", value)]
    if not isinstance(value, list):
        raise fields.wrong("input", "a string or a list of messages")
    read_ = [_item(item, f"input[{at}]") for at, item in enumerate(value)]
    return [message for message in read_ if message is not None]


def _item(item: Any, where: str) -> Message | None:
    """One item of the conversation; the reasoning items that this server sent say nothing more to it."""
    if not isinstance(item, dict):
        raise ApiError(400, f"{where}: it must be an object.", code="invalid_value", param=where)
    fields = Fields(item, where)
    kind = fields.text("type") or "message"
    if kind == "reasoning":
        return None
    if kind != "message":
        raise unsupported(where, "send messages", f"an item of type {kind[:40]!r}")
    role = fields.text("role")
    if role not in ROLES:
        raise fields.wrong("role", f"one of {', '.join(ROLES)}")
    content = fields.content("input_text", "output_text", "text")
    for name in ("id", "status", "phase"):
        fields.text(name)
    fields.done()
    return Message(ROLES[role], content)


def _unsupported(fields: Fields) -> None:
    """Fields that may state what is the case anyway, or that are the caller's own affair."""
    fields.metadata()
    for name in ("user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"):
        fields.text(name)
    fields.only("background", False)
    fields.only("include", [], *([each] for each in INCLUDED))
    fields.only("service_tier", "auto", "default")
    fields.only("store", True, False)
    fields.no_tools()
    fields.only("top_logprobs", 0)
    fields.only("truncation", "disabled")
    if (options := fields.table("stream_options")) is not None:
        options.only("include_obfuscation", False)
        options.done()
    fields.done()


# ---------------------------------------------------------------- writing


def _usage(told: Told) -> dict[str, Any]:
    """In the API's words; what is unknown is null."""
    used = told.usage
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {"cached_tokens": used.cached_tokens},
        "output_tokens": used.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": told.reasoning_tokens},
        "total_tokens": used.tokens,
    }


def _response(identity: str, created: float, asked: Asked, status: str, **more: Any) -> dict[str, Any]:
    return {
        "id": identity,
        "object": "response",
        "created_at": int(created),
        "status": status,
        "model": MODEL,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": asked.body.get("instructions"),
        "max_output_tokens": asked.max_tokens,
        "metadata": asked.body.get("metadata") or {},
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": asked.effort, "summary": "auto" if asked.summary else None},
        "store": False,
        "temperature": asked.temperature,
        "text": {"format": (asked.body.get("text") or {}).get("format") or {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": asked.top_p,
        "truncation": "disabled",
        "usage": None,
        **more,
    }


def _reasoning_item(identity: str, summary: str | None) -> dict[str, Any]:
    parts = [] if summary is None else [{"type": "summary_text", "text": summary}]
    return {"id": f"rs_{identity}", "type": "reasoning", "summary": parts}


def _message_item(told: Told) -> dict[str, Any]:
    whole = told.choices[0].finish == "stop"
    content = [_text_part(told.choices[0].content)]
    return _message(told.id, "completed" if whole else "incomplete", content)


def _message(identity: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"msg_{identity}",
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def body(told: Told, asked: Asked) -> dict[str, Any]:
    """A response: a reasoning item with the summary, then the message."""
    whole = told.choices[0].finish == "stop"
    return _response(
        told.id,
        told.created,
        asked,
        "completed" if whole else "incomplete",
        output=[_reasoning_item(told.id, told.choices[0].summary), _message_item(told)],
        incomplete_details=None if whole else {"reason": "max_output_tokens"},
        reasoning={"effort": told.planned.effort, "summary": "auto" if asked.summary else None},
        usage=_usage(told),
        ponder=told.ponder,
    )


@dataclass(slots=True)
class _Events(Stream):
    """Typed events with a running number. The reasoning item comes first, with its summary in parts; without
    one where the answer goes out while it is written. `_written`: the characters that did, None before the
    first."""

    id: str
    created: float
    asked: Asked
    _number: int = field(default=0)
    _written: int | None = field(default=None)

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        self._number += 1
        return {"type": f"response.{kind}", "sequence_number": self._number - 1, **more}

    def _plain(self, status: str, **more: Any) -> dict[str, Any]:
        return _response(self.id, self.created, self.asked, status, **more)

    def begin(self) -> Iterator[dict[str, Any]]:
        yield self._event("created", response=self._plain("in_progress"))
        yield self._event("in_progress", response=self._plain("in_progress"))

    def progress(self, now: Progress) -> dict[str, Any]:
        response = self._plain("in_progress", ponder={"progress": now.to_json()})
        return self._event("in_progress", response=response)

    def written(self, index: int, text: str) -> Iterator[dict[str, Any]]:
        if self._written is None:
            yield from self._reasoning(_reasoning_item(self.id, None))
            yield from self._open_message()
        self._written = (self._written or 0) + len(text)
        yield self._event("output_text.delta", **self._place, delta=text, logprobs=[])

    def finish(self, told: Told) -> Iterator[dict[str, Any]]:
        if self._written is None:
            yield from self._reasoning(_reasoning_item(told.id, told.choices[0].summary))
            yield from self._open_message()
        yield from self._close_message(_message_item(told))
        whole = body(told, self.asked)
        yield self._event(whole["status"], response=whole)

    def fail(self, error: ApiError) -> Iterator[dict[str, Any]]:
        known = "rate_limit_exceeded" if error.status == 429 else "server_error"
        response = self._plain("failed", error={"code": known, "message": str(error)})
        yield self._event("failed", response=response)

    def _reasoning(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        empty = {**item, "summary": []}
        yield self._event("output_item.added", output_index=0, item=empty)
        for index, part in enumerate(item["summary"]):
            place = {"item_id": item["id"], "output_index": 0, "summary_index": index}
            nothing = {"type": "summary_text", "text": ""}
            yield self._event("reasoning_summary_part.added", **place, part=nothing)
            for piece in pieces(part["text"]):
                yield self._event("reasoning_summary_text.delta", **place, delta=piece)
            yield self._event("reasoning_summary_text.done", **place, text=part["text"])
            yield self._event("reasoning_summary_part.done", **place, part=part)
        yield self._event("output_item.done", output_index=0, item=item)

    @property
    def _place(self) -> dict[str, Any]:
        return {"item_id": f"msg_{self.id}", "output_index": 1, "content_index": 0}

    def _open_message(self) -> Iterator[dict[str, Any]]:
        empty = _message(self.id, "in_progress", [])
        yield self._event("output_item.added", output_index=1, item=empty)
        yield self._event("content_part.added", **self._place, part=_text_part(""))

    def _close_message(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        (part,), place = item["content"], self._place
        for piece in pieces(part["text"][self._written or 0 :]):
            yield self._event("output_text.delta", **place, delta=piece, logprobs=[])
        yield self._event("output_text.done", **place, text=part["text"], logprobs=[])
        yield self._event("content_part.done", **place, part=part)
        yield self._event("output_item.done", output_index=1, item=item)


API = Api(read, body, Events(_Events, named=True))
