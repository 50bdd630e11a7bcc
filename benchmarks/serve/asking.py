"""A client that costs little: requests over connections that stay open, timed one by one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

__all__ = ["BODY", "Client", "rate"]

BODY: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "none",
}


@dataclass
class Client:
    """One connection. `ask` returns the seconds until the whole answer was there."""

    address: str
    body: dict[str, Any] = field(default_factory=lambda: BODY)
    path: str = "/v1/chat/completions"

    async def __aenter__(self) -> Client:
        place = urlsplit(self.address)
        self._reader, self._writer = await asyncio.open_connection(place.hostname, place.port)
        body = json.dumps(self.body).encode()
        head = f"POST {self.path} HTTP/1.1\r\nhost: {place.netloc}\r\ncontent-type: application/json\r\n"
        self._sent = (
            f"{head}authorization: Bearer sk-x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
        )
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._writer.close()

    async def begin(self) -> None:
        """Ask, and wait for the answer's head alone."""
        self._writer.write(self._sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))

    async def rest(self) -> bytes:
        """All that still comes, until the server closes."""
        return await self._reader.read()

    async def ask(self) -> float:
        began = time.perf_counter()
        self._writer.write(self._sent)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode(errors="replace"))
        return time.perf_counter() - began


async def rate(clients: Sequence[Client], seconds: float) -> float:
    """Answers a second, with all clients asking again as soon as they are answered."""
    until, answered = time.perf_counter() + seconds, 0

    async def work(client: Client) -> None:
        nonlocal answered
        while time.perf_counter() < until:
            await client.ask()
            answered += 1

    began = time.perf_counter()
    await asyncio.gather(*map(work, clients))
    return answered / (time.perf_counter() - began)
