"""Who looks at the page: a key is presented once, and a cookie stands for it until its holder signs out.

The cookie is a random token and not the key, so that the key is kept by no browser. Sessions are in memory:
they end with the server. The file of keys is asked in every request, so a revoked key ends its session at
once.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from ponder.errors import ConfigError
from ponder.serve.failing import ApiError
from ponder.serve.house import House
from ponder.serve.keys import Key

__all__ = ["COOKIE", "Sessions", "Visitor", "close_session", "open_session", "visitor"]

COOKIE = "ponder-session"
LIFE_SECONDS = 12 * 3600.0
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks: a key's role; "local" without keys, on this machine; "nobody" before signing in."""

    role: str
    key: Key | None = None


@dataclass(slots=True)
class Sessions:
    """The sessions in force, by the hash of their token: the key's id, its hash, and when they end."""

    clock: Callable[[], float] = time.time
    _open: dict[str, tuple[str, str, float]] = field(default_factory=dict)

    def open(self, key: Key) -> str:
        """A new session's token."""
        now = self.clock()
        self._open = {name: kept for name, kept in self._open.items() if kept[2] > now}
        while len(self._open) >= _MOST:
            del self._open[next(iter(self._open))]
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = key.id, key.hash, now + LIFE_SECONDS
        return token

    def find(self, token: str, house: House) -> Key | None:
        """The session's key, if both are in force. Raises ConfigError when the keys cannot be read."""
        kept = self._open.get(_digest(token))
        if kept is None or kept[2] <= self.clock() or house.keyring is None:
            return None
        of_id = (key for key in house.keyring.keys if key.id == kept[0])
        return next((key for key in of_id if key.hash == kept[1] and key.revoked is None), None)

    def close(self, token: str) -> None:
        self._open.pop(_digest(token), None)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def visitor(house: House, sessions: Sessions, request: Request) -> Visitor:
    """Raises ApiError (503) when the keys cannot be read."""
    if house.keyring is None:
        return Visitor("local")
    try:
        key = sessions.find(request.cookies.get(COOKIE, ""), house)
    except ConfigError:
        raise ApiError(503, "The keys cannot be read; tell the operator.", code="no_keys") from None
    return Visitor("nobody") if key is None else Visitor(key.role, key)


def open_session(sessions: Sessions, key: Key, request: Request, response: Response) -> None:
    """Put a new session's cookie on the response. Behind a proxy that speaks TLS, the Origin tells so."""
    close_session(sessions, request)
    response.set_cookie(
        COOKIE,
        sessions.open(key),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", request.url.scheme).startswith("https"),
    )


def close_session(sessions: Sessions, request: Request) -> None:
    sessions.close(request.cookies.get(COOKIE, ""))
