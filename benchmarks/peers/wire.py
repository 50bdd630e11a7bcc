"""A small HTTP/1.1 server on loopback that notices at once when a client hangs up.

That is what it is for: the tokens of a cancelled request count up to the disconnect, so its handler must be
cancelled then and not at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Incoming", "Refused", "Server"]

MOST_BYTES = 8 << 20
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 500: "Internal Server Error", 502: "Bad Gateway"}


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request. `body` is its JSON object, empty when there is none."""

    method: str
    path: str
    body: dict[str, Any]


class Refused(Exception):
    """A request that is answered with an error in OpenAI's form."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


Handler = Callable[[Incoming], Awaitable[dict[str, Any]]]


class Server:
    """Serves JSON on 127.0.0.1. `handler` is cancelled when its client has gone."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.address = ""

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1024)
        self.address = "http://127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            early = b""
            while (incoming := await _read(reader, early)) is not None:
                status, payload, early = await self._answered(incoming, reader)
                writer.write(_response(status, payload))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, _GoneError, ValueError):
            pass  # the client, or the test, has ended it
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answered(
        self, incoming: Incoming, reader: asyncio.StreamReader
    ) -> tuple[int, dict[str, Any], bytes]:
        """Status, payload and what the client has sent early of its next request."""
        work = asyncio.ensure_future(_guarded(self._handler, incoming))
        watch = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            early = watch.result() if watch.done() else b""
            if watch.done() and not early and not work.done():
                raise _GoneError
            status, payload = await work
            if not early and watch.done():
                early = watch.result()
            return status, payload, early
        finally:
            for task in (work, watch):
                task.cancel()
            await asyncio.gather(work, watch, return_exceptions=True)


class _GoneError(Exception):
    """The client has hung up."""


async def _guarded(handler: Handler, incoming: Incoming) -> tuple[int, dict[str, Any]]:
    try:
        return 200, await handler(incoming)
    except Refused as refused:
        kind = "invalid_request_error" if refused.status < 500 else "server_error"
        return refused.status, {"error": {"message": refused.message, "type": kind, "code": refused.status}}


async def _read(reader: asyncio.StreamReader, early: bytes) -> Incoming | None:
    """The next request of a connection, None when it is over. Raises ValueError for what is no HTTP."""
    try:
        head = early + await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)}
    size = int(headers.get("content-length", "0"))
    if not 0 <= size <= MOST_BYTES:
        raise ValueError(f"a body of {size} bytes")
    raw = await reader.readexactly(size)
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = None
    return Incoming(method, path.partition("?")[0], body if isinstance(body, dict) else {})


def _response(status: int, payload: dict[str, Any]) -> bytes:
    body = json.dumps(payload).encode()
    head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
