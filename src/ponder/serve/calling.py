"""Whose request it is, and its body."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from ponder.errors import ConfigError
from ponder.serve.failing import ApiError
from ponder.serve.house import House
from ponder.serve.keys import Key

__all__ = ["MOST_BYTES", "caller", "page_limit", "read_body"]

MOST_BYTES = 4 << 20
"""Of a request's body."""

BODY_SECONDS = 60.0


async def caller(house: House, request: Request, *roles: str) -> Key | None:
    """Whose request it is; None without keys, where everybody on this machine is a user.

    Raises ApiError: 401 without a key in force, 403 for another role than these, 503 when the keys cannot be
    read.
    """
    if house.keyring is None:
        if "user" in roles:
            return None
        raise ApiError(403, "This needs a key; start the server with --keys.", code="no_keys")
    scheme, _, presented = request.headers.get("authorization", "").partition(" ")
    try:
        key = await house.keyring.find(presented.strip()) if scheme.lower() == "bearer" else None
    except ConfigError:
        raise ApiError(503, "The keys cannot be read; tell the operator.", code="no_keys") from None
    if key is None:
        raise ApiError(
            401, "Send a key that is in force as `Authorization: Bearer KEY`.", code="invalid_api_key"
        )
    if key.role not in roles:
        raise ApiError(403, f"A key of the role {key.role} may not do this.", code="role")
    return key


async def read_body(request: Request) -> bytes:
    """The body. Raises ApiError: 413 as soon as it is too long, 408 where it does not come."""
    size, pieces = 0, []
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated[:20]) > MOST_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > MOST_BYTES:
                    raise _too_large()
                pieces.append(piece)
    except TimeoutError:
        raise ApiError(408, "The body took too long to come; send it again.", code="slow_body") from None
    return b"".join(pieces)


def _too_large() -> ApiError:
    return ApiError(413, f"The body is over {MOST_BYTES >> 20} MiB; send less.", code="too_large")


def page_limit(stated: str | None, default: int, most: int) -> int:
    """How many rows a page of a list has. Raises ApiError (400) for anything but 1 to `most`."""
    if stated is None:
        return default
    if not (stated.isascii() and stated.isdecimal() and len(stated) <= 9 and 1 <= int(stated) <= most):
        raise ApiError(
            400, f"limit: it must be a whole number from 1 to {most}.", code="invalid_value", param="limit"
        )
    return int(stated)
