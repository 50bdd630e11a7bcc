"""Whose request it is."""

from __future__ import annotations

from starlette.requests import Request

from ponder.errors import ConfigError
from ponder.serve.failing import ApiError
from ponder.serve.house import House
from ponder.serve.keys import Key

__all__ = ["caller"]


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
