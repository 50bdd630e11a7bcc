"""Callers that leave."""

import asyncio
import contextlib
import json
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ponder.ledger import verify
from tests.serve.serving import key_file, serving, settled_runs, written
from tests.serve.test_purse import charges

ASKED: dict[str, Any] = {
    "model": "ponder",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "reasoning_effort": "minimal",
}


class Patient:
    """An upstream that never answers, be it that it begins to, and notices when it is left."""

    def __init__(self) -> None:
        self.asked, self.left = asyncio.Event(), asyncio.Event()
        self.begun = self.working = 0

    async def __aenter__(self) -> "Patient":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1#M"
        return self

    async def __aexit__(self, *problem: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):  # it left before it had asked
            writer.close()
            return
        if head.startswith(b"GET"):
            body = json.dumps({"object": "list", "data": [{"id": "M"}]}).encode()
            heading = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
            writer.write(heading.encode() + b"connection: close\r\n\r\n" + body)
            await writer.drain()
        else:
            self.asked.set()
            self.begun, self.working = self.begun + 1, self.working + 1
            if self.begun % 2 == 0:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
            with contextlib.suppress(ConnectionError):  # so it leaves who does not wait for an end
                while await reader.read(65536):
                    pass
            self.working -= 1
            self.left.set()
        writer.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_callers_may_leave_at_any_moment(tmp_path: Path, stream: bool) -> None:
    """While they are written down, while their request is sent on, and while it is worked on."""
    moments, asked = Random(0), written({**ASKED, "reasoning_effort": "none", "stream": stream})

    async def leave(port: int, *, early: bool) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked)
        if not early:
            await asyncio.wait_for(upstream.asked.wait(), 10)
        await asyncio.sleep(moments.uniform(0, 0.03))
        writer.close() if moments.random() < 0.5 else writer.transport.abort()

    async with Patient() as upstream:
        running = serving(tmp_path, model=upstream.address)
        served = await asyncio.to_thread(running.__enter__)
        try:
            port, house = int(served.address.rpartition(":")[2]), served.server.house
            for _ in range(5):
                upstream.asked.clear()
                await asyncio.gather(*(leave(port, early=early) for early in (True, True, False, False)))
                gone = time.monotonic()
                while (upstream.working or house.jobs) and time.monotonic() - gone < 10:
                    await asyncio.sleep(0.01)
                assert (upstream.working, len(house.jobs), house.purse.running) == (0, 0, 0)
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    assert upstream.begun >= 5
    assert set(settled_runs(served.ledger)) == {"interrupted"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_who_leaves_ends_the_upstreams_work(tmp_path: Path, stream: bool) -> None:
    path, keys = key_file(tmp_path, alice="user 1000000tok")
    async with Patient() as upstream:
        running = serving(tmp_path, keys=path, model=upstream.address)
        served = await asyncio.to_thread(running.__enter__)
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(served.address.rpartition(":")[2]))
            writer.write(written({**ASKED, "stream": stream}, f"authorization: Bearer {keys['alice']}"))
            await asyncio.wait_for(upstream.asked.wait(), 10)
            writer.close()
            began = time.monotonic()
            await asyncio.wait_for(upstream.left.wait(), 5)
            took = time.monotonic() - began
            for _ in range(100):
                if settled_runs(served.ledger) == ["interrupted"]:
                    break
                await asyncio.sleep(0.05)
            held = served.server.house.purse.accounts[next(iter(served.server.house.purse.accounts))]
            running_now = served.server.house.purse.running
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)
    assert took < 1.0
    assert settled_runs(served.ledger) == ["interrupted"]
    assert running_now == 0
    assert all(tally.held == 0 for tally in held.tallies.values())
    (charge,) = charges(served.ledger)
    assert charge["charged"]["tokens"] > 0  # what was cancelled may have been spent
    assert verify(served.ledger).ok
