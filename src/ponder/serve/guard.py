"""The outermost layer, pure ASGI: whom a request is for, where it comes from, and headers on every answer.

Any page in a browser on this machine can reach a server on loopback. It cannot state another Host than the
one it asked for, nor hide its Origin.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from types import TracebackType

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponder.serve.failing import ApiError, outside

__all__ = ["Guard", "answer_error"]

_LOG = logging.getLogger("ponder.serve")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)
_NOTHING = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")


class Guard:
    """`hosts`: the names under which the server may be asked for, besides loopback's; None is any."""

    def __init__(self, app: ASGIApp, *, hosts: Iterable[str] | None = ()) -> None:
        self._app = app
        self._hosts = None if hosts is None else {*_LOOPBACK, *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = list(message["headers"])
                stated = {name for name, _ in headers}
                headers += [each for each in (*_ALWAYS, _NOTHING) if each[0] not in stated]
                message = {**message, "headers": headers}
            await send(message)

        try:
            _check_framing(scope)
            self._check(scope["method"], Headers(scope=scope))
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            return  # nobody is there to be told
        except Exception as error:
            answer = answer_error(error)
            if isinstance(error, _Ambiguous):
                answer.headers["connection"] = "close"
            if not begun:
                await answer(scope, receive, sending)

    def _check(self, method: str, headers: Headers) -> None:
        """Raises ApiError (400, 403)."""
        host = headers.get("host", "").lower()
        if self._hosts is not None and _name(host) not in self._hosts:
            raise ApiError(
                403, "This server is not asked for by that Host; use its own address.", code="host"
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise ApiError(403, "Requests from another origin are refused.", code="origin")
        # A link from elsewhere may be followed: it reads a page, which then stands by itself.
        followed = method in ("GET", "HEAD") and headers.get("sec-fetch-dest") == "document"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not followed:
            raise ApiError(403, "Requests from another site are refused.", code="origin")


class _Ambiguous(ApiError):
    """Where the request ends is not certain, so nothing after it may be read as another one."""


def _check_framing(scope: Scope) -> None:
    """A proxy in front may see another end of the body than we do. Raises ApiError (400)."""
    headers, version = Headers(scope=scope), scope["http_version"]
    if version not in ("1.0", "1.1"):
        raise _Ambiguous(400, "Send the request as HTTP/1.1.", code="http_version")
    if "transfer-encoding" in headers and ("content-length" in headers or version == "1.0"):
        raise _Ambiguous(400, "State the body's length in the one way of HTTP/1.1.", code="body_length")


def _name(host: str) -> str:
    """The host without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


def answer_error(error: Exception) -> JSONResponse:
    """An error as a response. What nobody foresaw is logged without its words, which may hold anything."""
    allowed: Mapping[str, str] = {}
    if isinstance(error, HTTPException):
        allowed = error.headers or {}
        words = {
            404: "There is nothing at this path; GET /openapi.json lists the paths of the API.",
            405: f"This path takes {allowed.get('Allow', 'another method')} alone.",
        }
        error = ApiError(error.status_code, words.get(error.status_code, "The request cannot be served."))
    told = outside(error)
    if told.code == "internal":
        _LOG.error("a request failed: %s", type(error).__name__, exc_info=_without_words(error))
    return JSONResponse(told.to_json(), status_code=told.status, headers={**allowed, **told.headers})


def _without_words(error: Exception) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """Where it happened, with the words left out."""
    return type(error), Exception("its words are left out"), error.__traceback__
