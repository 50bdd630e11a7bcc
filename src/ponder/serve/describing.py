"""The OpenAPI document of the server's API, of version 3.2, which has words for streams of events. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ponder._version import __version__
from ponder.serve.monitoring import OUTCOMES
from ponder.serve.shapes import chat_request, erasure, reference, replies, responses_request, text, whole

__all__ = ["openapi"]

_WHY = {
    400: "The request; the sentence names the field.",
    401: "No key in force.",
    403: "The key's role, another Host or another Origin.",
    404: "There is no such thing.",
    409: "It is still thought about.",
    408: "The body did not come.",
    413: "The body is too long.",
    415: "The body is not said to be JSON.",
    429: "A key's limit, or too many requests at once.",
    500: "The server failed.",
    502: "The model behind the server failed.",
    503: "The server is closing, or cannot write its record.",
    504: "The model behind the server took too long.",
}
_ALWAYS = (400, 403, 500, 503)
_ASKED = (401, 404, 408, 413, 415, 429, 502, 504)


def openapi(efforts: Iterable[str], *, keys: bool) -> dict[str, Any]:
    """The document of a server with these words of effort. `keys`: it asks for one."""
    words = list(efforts)
    schemas = {
        "ChatRequest": chat_request(words),
        "ResponsesRequest": responses_request(words),
        "Erasure": erasure(),
        **replies(),
    }
    bearer = {"type": "http", "scheme": "bearer", "description": "A key of `ponder keys add`."}
    return {
        "openapi": "3.2.0",
        "info": {
            "title": "ponder",
            "version": __version__,
            "description": "A model that thinks before it answers, by OpenAI's chat and responses APIs.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}] if keys else [],
        "paths": _paths(),
        "components": {"schemas": schemas, "securitySchemes": {"key": bearer}},
    }


def _paths() -> dict[str, Any]:
    audit, operator = "/v1/audit", "/v1/operator"
    return {
        "/v1/chat/completions": {"post": _asking("ChatRequest", "ChatCompletion", "Answer a conversation.")},
        "/v1/responses": {"post": _asking("ResponsesRequest", "Response", "Answer an input.")},
        "/v1/models": {"get": _read("Models", "The one model.", 401)},
        "/v1/models/{name}": {"get": _read("Model", "One model.", 401, 404, path="name")},
        "/v1/usage": {"get": _read("Usage", "What the key has spent, and what is left.", 401)},
        f"{audit}/requests": {"get": _read("Requests", "Requests, newest first.", 401, query=_search())},
        f"{audit}/requests/{{id}}": {"get": _read("Record", "A request whole.", 401, 404, path="id")},
        f"{audit}/export": {"get": _read(None, "Every request whole, a JSON line each.", 401)},
        f"{audit}/checkpoint": {"get": _read("Checkpoint", "The ledger's present state.", 401)},
        f"{operator}/keys": {"get": _read("List", "Who may ask, without a hash.", 401)},
        f"{operator}/limits": {"get": _read("Any", "What holds, and what it has room for.", 401)},
        f"{operator}/usage": {"get": _read("List", "What each key was charged.", 401)},
        f"{operator}/requests": {"get": _read("List", "What is in flight.", 401)},
        f"{operator}/rules": {"get": _read("Any", "The rules, and what each says of every key.", 401)},
        f"{operator}/alerts": {"get": _read("List", "Alerts, newest first.", 401, query=_newest())},
        f"{operator}/report": {"get": _read("Any", "Who used how much.", 401, query=_span())},
        f"{operator}/erasures": {
            "get": _read("List", "Orders to erase, newest first.", 401, query=_newest()),
            "post": _erasing(),
        },
        "/metrics": {"get": _metrics()},
        "/healthz": {"get": _open("Health", "Whether the server is there.")},
        "/openapi.json": {"get": _open(None, "This document.")},
    }


def _search() -> dict[str, Any]:
    return {
        "before": text(description="A request's id."),
        "text": text(description="Stands in a question, a sample or a thought."),
        "monitor": {"enum": list(OUTCOMES)},
        "limit": whole(1, 200),
    }


def _newest() -> dict[str, Any]:
    return {"limit": whole(1, 1000)}


def _span() -> dict[str, Any]:
    moment = text(description="A date, a time or seconds since the epoch.", examples=["2026-11-26"])
    return {"since": moment, "until": moment}


def _metrics() -> dict[str, Any]:
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": "What Prometheus reads.", "responses": _answers(content, *_ALWAYS, 401)}


def _json(name: str | None) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object"} if name is None else reference(name)}}


def _answers(content: dict[str, Any], *statuses: int) -> dict[str, Any]:
    told = {str(status): {"description": _WHY[status], "content": _json("Error")} for status in statuses}
    return {"200": {"description": "As asked.", "content": content}, **told}


def _asking(sent: str, told: str, what: str) -> dict[str, Any]:
    content = _json(told) | {"text/event-stream": {"itemSchema": reference("Event")}}
    return {
        "summary": what,
        "requestBody": {"required": True, "content": _json(sent)},
        "responses": _answers(content, *_ALWAYS, *_ASKED),
    }


def _erasing() -> dict[str, Any]:
    return {
        "summary": "Take a request's texts out of the ledger.",
        "requestBody": {"required": True, "content": _json("Erasure")},
        "responses": _answers(_json("Any"), *_ALWAYS, 401, 404, 408, 409, 413, 415),
    }


def _read(
    told: str | None, what: str, *more: int, path: str | None = None, query: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`told` None: lines of JSON."""
    content = {"application/x-ndjson": {"itemSchema": {"type": "object"}}} if told is None else _json(told)
    parameters = [{"name": name, "in": "query", "schema": shape} for name, shape in (query or {}).items()]
    if path is not None:
        parameters.append({"name": path, "in": "path", "required": True, "schema": text(minLength=1)})
    operation = {"summary": what, "responses": _answers(content, *_ALWAYS, *more)}
    return {**operation, "parameters": parameters} if parameters else operation


def _open(told: str | None, what: str) -> dict[str, Any]:
    """What is read without a key."""
    return {"summary": what, "security": [], "responses": _answers(_json(told), *_ALWAYS)}
