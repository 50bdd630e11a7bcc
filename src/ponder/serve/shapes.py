"""The shapes of requests and replies as JSON Schemas, for the OpenAPI document. Pure.

They say what `chat`, `responses` and `asking` read and write; tests hold them to it by sending what fits a
shape and what does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ponder.serve.asking import (
    MODEL,
    MOST_CHOICES,
    MOST_MESSAGES,
    MOST_STOP_CHARACTERS,
    MOST_STOPS,
    MOST_TOKENS,
    ROLES,
    SEEDS,
)
from ponder.serve.formatting import NAME
from ponder.serve.responses import INCLUDED, SUMMARIES

__all__ = ["chat_request", "erasure", "replies", "responses_request"]

Shape = dict[str, Any]


# ---------------------------------------------------------------- words


def table(fields: Mapping[str, Shape], *required: str, more: bool = False) -> Shape:
    """An object. `more`: it may have other fields too."""
    named: Shape = {"type": "object", "properties": dict(fields), "additionalProperties": more}
    return {**named, "required": list(required)} if required else named


def maybe(shape: Shape) -> Shape:
    """Or null, which is as if the field were absent."""
    return {"anyOf": [shape, {"type": "null"}]}


def only(*values: Any) -> Shape:
    """A field that may state what is the case anyway."""
    return {"enum": [*values, None]}


def text(**more: Any) -> Shape:
    return {"type": "string", **more}


def whole(least: int, most: int) -> Shape:
    return {"type": "integer", "minimum": least, "maximum": most}


def number(least: float, most: float) -> Shape:
    return {"type": "number", "minimum": least, "maximum": most}


def above_zero(most: float) -> Shape:
    return {"type": "number", "exclusiveMinimum": 0, "maximum": most}


def listed(items: Shape, **more: Any) -> Shape:
    return {"type": "array", "items": items, **more}


def reference(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


_EMPTY: Shape = {"type": "array", "maxItems": 0}
_FLAG: Shape = {"type": "boolean"}
_ANY: Shape = {"type": "object"}
_COUNT = maybe({"type": "integer", "minimum": 0})
_AMOUNT = maybe({"type": "number", "minimum": 0})


# ---------------------------------------------------------------- requests


def _budget() -> Shape:
    units = {
        "samples": maybe(whole(1, 10**9)),
        "tokens": maybe(whole(1, 10**15)),
        "flop": maybe(above_zero(1e300)),
        "seconds": maybe(above_zero(1e9)),
        "usd": maybe(above_zero(1e15)),
    }
    stated = text(examples=["2000tok", "8samples,30s"])
    return {"anyOf": [stated, table(units), {"type": "null"}], "description": "Of each choice."}


def _own(**more: Shape) -> Shape:
    """What is ponder's own in a request."""
    fields = {
        "strategy": maybe(text(examples=["vote:n=8"])),
        "budget": _budget(),
        "progress": maybe(_FLAG),
        **more,
    }
    return maybe(table(fields))


def _content(*kinds: str) -> Shape:
    part = table({"type": {"enum": list(kinds)}, "text": text()}, "type", "text", more=True)
    return {"anyOf": [text(), listed(part), {"type": "null"}]}


def _schema() -> dict[str, Shape]:
    """What names a schema."""
    return {
        "name": text(pattern=NAME),
        "description": maybe(text()),
        "strict": maybe(_FLAG),
        "schema": {**_ANY, "description": "A JSON Schema; each $ref begins with #."},
    }


def _formats(named: Shape) -> Shape:
    """The form of an answer; `named` is the shape of one by a schema."""
    others = (table({"type": {"const": kind}}, "type") for kind in ("json_object", "text"))
    what = "Needs a model behind the server that can be held to it."
    return {"anyOf": [named, *others, {"type": "null"}], "description": what}


def _shared() -> dict[str, Shape]:
    """The fields that both APIs have."""
    return {
        "model": {"const": MODEL},
        "temperature": maybe(number(0, 2)),
        "top_p": maybe(above_zero(1)),
        "stream": maybe(_FLAG),
        "metadata": maybe(_ANY),
        "user": maybe(text()),
        "safety_identifier": maybe(text()),
        "prompt_cache_key": maybe(text()),
        "prompt_cache_retention": maybe(text()),
        "service_tier": only("auto", "default"),
        "store": maybe(_FLAG),
        "parallel_tool_calls": maybe(_FLAG),
        "tools": maybe(_EMPTY),
        "tool_choice": only("none", "auto"),
        "top_logprobs": only(0),
    }


def chat_request(efforts: Iterable[str]) -> Shape:
    """Of POST /v1/chat/completions."""
    message = {
        "role": {"enum": list(ROLES)},
        "content": _content("text"),
        "name": maybe(text()),
        "reasoning_content": maybe(text()),
        "reasoning": maybe(text()),
        "refusal": only(),
        "audio": only(),
        "function_call": only(),
        "tool_calls": maybe(_EMPTY),
        "annotations": maybe(_EMPTY),
    }
    stop = text(minLength=1, maxLength=MOST_STOP_CHARACTERS)
    schema = table(_schema(), "name", "schema")
    by_schema = table({"type": {"const": "json_schema"}, "json_schema": schema}, "type", "json_schema")
    older = "The older name of max_completion_tokens. Where both are stated they must be equal."
    fields = {
        **_shared(),
        "messages": listed(table(message, "role"), minItems=1, maxItems=MOST_MESSAGES),
        "reasoning_effort": only(*efforts),
        "n": maybe(whole(1, MOST_CHOICES)),
        "stop": {"anyOf": [stop, listed(stop, maxItems=MOST_STOPS), {"type": "null"}]},
        "seed": maybe(whole(*SEEDS)),
        "max_completion_tokens": maybe(whole(1, MOST_TOKENS)),
        "max_tokens": {**maybe(whole(1, MOST_TOKENS)), "description": older},
        "stream_options": maybe(table({"include_usage": maybe(_FLAG), "include_obfuscation": only(False)})),
        "ponder": _own(summary=maybe(_FLAG)),
        "frequency_penalty": only(0),
        "presence_penalty": only(0),
        "logit_bias": only({}),
        "logprobs": only(False),
        "response_format": _formats(by_schema),
        "functions": maybe(_EMPTY),
        "function_call": only("none", "auto"),
        "modalities": only(["text"]),
        "verbosity": only("medium"),
    }
    return table(fields, "model", "messages")


def responses_request(efforts: Iterable[str]) -> Shape:
    """Of POST /v1/responses."""
    message = {
        "type": only("message"),
        "role": {"enum": list(ROLES)},
        "content": _content("input_text", "output_text", "text"),
        "id": maybe(text()),
        "status": maybe(text()),
        "phase": maybe(text()),
    }
    thought = table({"type": {"const": "reasoning"}}, "type", more=True)
    items = listed({"anyOf": [table(message, "role"), thought]}, minItems=1)
    by_schema = table({"type": {"const": "json_schema"}, **_schema()}, "type", "name", "schema")
    reasoning = {
        "effort": only(*efforts),
        "summary": only(*SUMMARIES),
        "generate_summary": only(*SUMMARIES),
    }
    fields = {
        **_shared(),
        "input": {"anyOf": [text(minLength=1), items]},
        "instructions": maybe(text()),
        "max_output_tokens": maybe(whole(1, MOST_TOKENS)),
        "reasoning": maybe(table(reasoning)),
        "ponder": _own(seed=maybe(whole(*SEEDS))),
        "background": only(False),
        "include": only([], *([each] for each in INCLUDED)),
        "text": maybe(table({"format": _formats(by_schema), "verbosity": only("medium")})),
        "truncation": only("disabled"),
        "stream_options": maybe(table({"include_obfuscation": only(False)})),
    }
    return table(fields, "model", "input")


# ---------------------------------------------------------------- replies


def _reply(fields: Mapping[str, Shape]) -> Shape:
    """An object with all of these fields, and perhaps others."""
    return table(fields, *fields, more=True)


def erasure() -> Shape:
    """An operator's order to take a request's texts out."""
    return table(
        {"request": text(minLength=1), "reason": text(minLength=1, maxLength=500)}, "request", "reason"
    )


def replies() -> dict[str, Shape]:
    """All that is answered, by name."""
    error = {"message": text(), "type": text(), "param": maybe(text()), "code": maybe(text())}
    return {
        "Error": _reply({"error": _reply(error)}),
        **_answers(),
        "Event": table({"data": text(), "event": text()}, "data", more=True),
        **_books(),
        "Health": _reply({"status": {"const": "ok"}}),
        "List": _reply({"object": {"const": "list"}, "data": listed(_ANY)}),
        "Any": _ANY,
    }


def _answers() -> dict[str, Shape]:
    """To questions, by both APIs."""
    tokens = {"prompt_tokens": _COUNT, "completion_tokens": _COUNT, "total_tokens": _COUNT}
    message = table(
        {
            "role": {"const": "assistant"},
            "content": text(),
            "reasoning_content": text(description="A summary of the thought."),
        },
        *("role", "content"),
        more=True,
    )
    choice = {
        "index": whole(0, MOST_CHOICES),
        "message": message,
        "finish_reason": {"enum": ["stop", "length"]},
    }
    return {
        "Spent": _reply(
            {
                "effort": maybe(text()),
                "strategy": text(),
                "budget": _ANY,
                "samples": {"type": "integer"},
                "agreement": maybe(number(0, 1)),
                "flop": _AMOUNT,
                "usd": _AMOUNT,
                "seconds": {"type": "number"},
                "stopped_by": maybe(text()),
            }
        ),
        "ChatCompletion": _reply(
            {
                "id": text(),
                "object": {"const": "chat.completion"},
                "created": {"type": "integer"},
                "model": {"const": MODEL},
                "choices": listed(_reply(choice), minItems=1),
                "usage": _reply(tokens),
                "ponder": reference("Spent"),
            }
        ),
        "Response": _reply(
            {
                "id": text(),
                "object": {"const": "response"},
                "created_at": {"type": "integer"},
                "status": {"enum": ["completed", "incomplete"]},
                "model": {"const": MODEL},
                "output": listed(_reply({"type": {"enum": ["reasoning", "message"]}, "id": text()})),
                "usage": _reply({"input_tokens": _COUNT, "output_tokens": _COUNT, "total_tokens": _COUNT}),
                "ponder": reference("Spent"),
            }
        ),
    }


def _books() -> dict[str, Shape]:
    """What there is to read: the model, one's own use, the record."""
    model = {"id": {"const": MODEL}, "object": {"const": "model"}, "created": whole(0, 0), "owned_by": text()}
    limit = {"unit": text(), "window": text(), "limit": {"type": "number"}, "left": {"type": "number"}}
    checkpoint = {"size": {"type": "integer"}, "head": text(), "at": {"type": "number"}, "ledger": text()}
    return {
        "Model": _reply(model),
        "Models": _reply({"object": {"const": "list"}, "data": listed(reference("Model"))}),
        "Usage": _reply(
            {"name": maybe(text()), "role": text(), "limits": listed(_reply(limit)), "spent": _ANY}
        ),
        "Requests": _reply(
            {
                "object": {"const": "list"},
                "data": listed(_reply({"id": text(), "created": {"type": "number"}, "state": text()})),
                "next": maybe(text()),
            }
        ),
        "Record": _reply(
            {name: listed(_ANY) for name in ("questions", "calls", "samples", "answers", "events")}
            | {"id": text(), "created": {"type": "number"}, "asked": _ANY, "usage": _ANY}
        ),
        "Checkpoint": _reply(checkpoint),
    }
