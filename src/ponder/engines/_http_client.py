"""The official SDK's client, made safe for an endpoint that nobody vouches for."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

import httpx2
import openai

from ponder.engines._http_errors import BodyTooLarge
from ponder.errors import BadResponse, ConfigError

__all__ = ["Address", "make_client", "parse_body"]

MOST_BYTES = 64 << 20
CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint is: `base` without credentials and query, `login` as in http://USER:PASSWORD@HOST."""

    base: str
    model: str | None
    query: Mapping[str, str]
    login: str | None

    @classmethod
    def parse(cls, spec: str) -> Address:
        """Read http://HOST:PORT/v1#MODEL. Raises ConfigError."""
        try:
            parts = urlsplit(spec.strip())
            port = parts.port
        except ValueError:
            raise ConfigError("model: the address has a bad host or port; " + _FORM) from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError("model: the address has no host; " + _FORM)
        name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        host, path = name if port is None else f"{name}:{port}", parts.path.rstrip("/")
        base = urlunsplit((parts.scheme, host, path, "", ""))
        login = unquote(f"{parts.username}:{parts.password or ''}") if parts.username else None
        return cls(base, unquote(parts.fragment) or None, dict(parse_qsl(parts.query)), login)


_FORM = "write http://HOST:PORT/v1#MODEL."


class _Bounded(httpx2.AsyncByteStream):
    """A response body that ends with an error when it grows beyond reason."""

    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream, self._most = stream, most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > self._most:
                raise BodyTooLarge(f"its answer is longer than {self._most >> 20} MiB")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    """Compressed bodies are refused (none was asked for): a small one can unpack into any size."""
    if response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise BodyTooLarge("its answer is compressed, which was not asked for")
    response.stream = _Bounded(cast(httpx2.AsyncByteStream, response.stream), MOST_BYTES)


async def _without_key(request: httpx2.Request) -> None:
    """The SDK wants a key; where there is none the server gets none."""
    request.headers.pop("authorization", None)


def make_client(address: Address, key: str | None, headers: Mapping[str, str]) -> openai.AsyncOpenAI:
    """A client that sends this key and no other, retries nothing and reads bounded bodies."""
    # The SDK would send the user's OpenAI key, organization and project from its environment variables
    # to whatever address this is.
    own: dict[str, Any] = {
        "OpenAI-Organization": openai.omit,
        "OpenAI-Project": openai.omit,
        "Accept-Encoding": "identity",
    }
    hooks: dict[str, list[Any]] = {"response": [_bound]}
    if key is None and address.login is not None:
        own["Authorization"] = "Basic " + base64.b64encode(address.login.encode()).decode()
    elif key is None:
        hooks["request"] = [_without_key]
    return openai.AsyncOpenAI(
        api_key=key or "none",
        admin_api_key="",
        base_url=address.base,
        default_query=dict(address.query) or None,
        default_headers={**own, **headers},
        max_retries=0,
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),  # the caller keeps the deadline
        http_client=openai.DefaultAsyncHttpx2Client(event_hooks=hooks),
    )


def parse_body(content: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises BadResponse."""
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        start = content[:64].lstrip().lower()
        if start.startswith((b"<!doctype", b"<html", b"<?xml")):
            raise BadResponse("it sent a web page; the address of an API usually ends in /v1") from None
        raise BadResponse("its answer is not JSON") from None
    if not isinstance(payload, dict):
        raise BadResponse("its answer is not a JSON object")
    return payload
