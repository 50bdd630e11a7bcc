"""What goes wrong, as OpenAI's error object, and how much of it a user may be told.

What a user stated wrongly is answered by its own sentence. What went wrong inside is a fixed sentence: an
upstream's words may hold a trace, a path or an address.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ponder.errors import (
    CallTimeout,
    ConfigError,
    EngineError,
    InputError,
    LedgerError,
    RateLimited,
    UnknownName,
)

__all__ = ["ApiError", "outside", "unsupported", "word"]

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    429: "rate_limit_error",
}


class ApiError(Exception):
    """An answer to a request that cannot be served: its status and one sentence.

    `param` names the field, `code` is a word for programs, `retry_after` the seconds until it may be served.
    `again` False: clients shall not try again by themselves, as they do after a 429 or 5xx.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
        again: bool = True,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after
        self.again = again and status != 429

    @property
    def headers(self) -> dict[str, str]:
        final = {} if self.again else {"x-should-retry": "false"}
        headers = final if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return headers | ({"www-authenticate": "Bearer"} if self.status == 401 else {})

    def to_json(self) -> dict[str, Any]:
        kind = _KINDS.get(self.status, "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def _field(error: InputError) -> str | None:
    """The field that an error of ponder's own names."""
    if isinstance(error, UnknownName):
        return error.kind
    name = str(error).partition(":")[0]
    return name if name.isidentifier() else None


def unsupported(param: str, remedy: str = "leave it out", what: str = "it") -> ApiError:
    """A field, or what stands in it, that this server cannot do as asked."""
    return ApiError(
        400, f"{param}: {what} is not supported here; {remedy}.", code="unsupported_parameter", param=param
    )


def outside(error: BaseException) -> ApiError:
    """What a user is told of an error."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, InputError) and not isinstance(error, ConfigError):
        return ApiError(400, str(error), code="invalid_value", param=_field(error))
    if isinstance(error, RateLimited):
        return ApiError(503, "The model behind this server is busy; wait.", code="busy", retry_after=5)
    if isinstance(error, CallTimeout):
        return ApiError(
            504, "The model behind this server took too long; try again.", code="upstream_timeout"
        )
    if isinstance(error, EngineError):
        return ApiError(502, "The model behind this server failed; try again.", code="upstream_failed")
    if isinstance(error, LedgerError):
        return ApiError(
            503, "The record cannot be written, so nothing is answered; tell the operator.", code="no_record"
        )
    if isinstance(error, asyncio.CancelledError):
        return ApiError(503, "The server is closing; try again.", code="closing", retry_after=5)
    return ApiError(500, "The server failed; tell the operator.", code="internal")


def word(error: BaseException) -> str:
    """The class of an error, for what counts them."""
    return "interrupted" if isinstance(error, asyncio.CancelledError) else outside(error).code or "failed"
