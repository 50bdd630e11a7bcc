"""A client for an endpoint that nobody vouches for: one key and no other, bounded bodies, no repetitions.

It is aiohttp and not the API's own SDK, because the time that a client takes is added to every sample, and
the SDK's is several times as long.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from ponder._version import __version__
from ponder.engines._http_errors import BodyTooLarge, Broken, Refused, Unasked, Unreached
from ponder.engines.carried import HEADERS
from ponder.errors import BadResponse, ConfigError

__all__ = ["Address", "Answer", "Client", "parse_body"]

MOST_BYTES = 64 << 20
CONNECT_SECONDS = 10.0
_ELSEWHERE = (301, 302, 303, 307, 308)


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


@dataclass(frozen=True, slots=True)
class Answer:
    """A response that has begun. Reading raises Broken and BodyTooLarge."""

    response: aiohttp.ClientResponse

    @property
    def streamed(self) -> bool:
        """Whether it comes as server-sent events."""
        return self.response.content_type.lower() == "text/event-stream"

    async def pieces(self) -> AsyncGenerator[bytes]:
        """The body as it comes. Compressed ones are refused (none was asked for): a small one can unpack
        into any size."""
        if self.response.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
            raise BodyTooLarge("its answer is compressed, which was not asked for")
        size = 0
        with _told_apart():
            async for piece in self.response.content.iter_any():
                size += len(piece)
                if size > MOST_BYTES:
                    raise BodyTooLarge(f"its answer is longer than {MOST_BYTES >> 20} MiB")
                yield piece

    async def whole(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])


class Client:
    """The connections of one event loop to an address. Made in the running loop."""

    def __init__(self, address: Address, key: str | None, headers: Mapping[str, str]) -> None:
        own = {"Accept-Encoding": "identity", "User-Agent": f"ponder/{__version__}"}
        if key is not None:
            own["Authorization"] = f"Bearer {key}"
        elif address.login is not None:
            own["Authorization"] = "Basic " + base64.b64encode(address.login.encode()).decode()
        self._base, self._query = address.base, f"?{urlencode(address.query)}" if address.query else ""
        self._proxy = _proxy(address.base)
        # `trust_env` would take a password from ~/.netrc, which is meant for others.
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the caller counts what is in flight
            headers={**own, **headers},
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),  # and keeps the deadline
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def get(self, path: str) -> bytes:
        """The body that an address under the base has. Raises as `open` does."""
        async with self.open("GET", path) as answer:
            return await answer.whole()

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of the answer to a JSON object. Raises as `open` does."""
        async with self.open("POST", path, body) as answer:
            return await answer.whole()

    @asynccontextmanager
    async def open(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> AsyncIterator[Answer]:
        """One request; `path` is under the base, or a whole address. Redirections are not followed. Raises
        Unreached, Unasked, Broken, BodyTooLarge, UnicodeError, and Refused for an answer of 400 and more."""
        url = (path if "://" in path else self._base + path) + self._query
        sent, kind = (None, {}) if body is None else (_json(body), {"Content-Type": "application/json"})
        own = {**HEADERS.get(), **kind}
        with _told_apart():
            response = await self._session.request(
                method, url, data=sent, headers=own, proxy=self._proxy, allow_redirects=False
            )
        async with response:
            answer = Answer(response)
            if response.status in _ELSEWHERE:
                # It would be told the prompts, and whatever else the headers hold than the key.
                where = response.headers.get("location", "").partition("?")[0]
                raise Unasked(f"it sends on to {where or 'nowhere'}; name that, if it is meant")
            if response.status >= 400:
                raise Refused(response.status, response.headers, await _words(answer))
            yield answer

    @property
    def closed(self) -> bool:
        return self._session.closed

    async def close(self) -> None:
        await self._session.close()


async def _words(refusal: Answer) -> bytes:
    """What is said with a status that says enough; nothing where it cannot be read."""
    try:
        return await refusal.whole()
    except (BodyTooLarge, Broken):
        return b""


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _proxy(base: str) -> str | None:
    """What the environment says (HTTP_PROXY, HTTPS_PROXY, NO_PROXY)."""
    parts = urlsplit(base)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


@contextmanager
def _told_apart() -> Iterator[None]:
    """aiohttp's exceptions as those that say what a failure can have cost."""
    try:
        yield
    except aiohttp.ClientSSLError as error:
        raise Unasked(_untrusted(error.os_error)) from error
    except aiohttp.ClientConnectorError as error:
        number = error.os_error.errno or 0
        raise Unreached(os.strerror(number) if number > 0 else str(error.os_error)) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise Unreached(f"no connection within {CONNECT_SECONDS:g} s") from error
    except aiohttp.ClientHttpProxyError as error:
        raise Unreached(f"the proxy answered {error.status}") from error
    except aiohttp.InvalidURL as error:
        raise Unasked("its address is no URL") from error  # which holds the query, and that may hold a key
    except aiohttp.ClientResponseError as error:  # so does this one
        raise Broken(f"no HTTP: {error.message.partition(chr(10))[0].rstrip(':. ')}") from error
    except ValueError as error:
        raise Unasked(str(error)) from error
    except (aiohttp.ClientError, ConnectionError) as error:
        raise Broken(str(error) or type(error).__name__) from error


def _untrusted(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({error.verify_message}); SSL_CERT_FILE can name its authority"
        )
    return f"it does not speak TLS as is known here ({getattr(error, 'reason', None) or error})"


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
