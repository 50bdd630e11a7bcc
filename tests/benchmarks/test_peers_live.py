"""The counting proxy in front of a live server: true tokens from the stream, whatever the server states."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
import pytest
from benchmarks.peers.endpoint import Endpoint
from benchmarks.peers.live import Upstream

from tests.benchmarks.conftest import CAP, MakeBank

Send = Callable[[Any], Awaitable[None]]
Script = Callable[[dict[str, Any], Send], Awaitable[None]]


@contextlib.asynccontextmanager
async def streaming(script: Script) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that streams what `script` sends; its address and the bodies it was sent."""
    bodies: list[dict[str, Any]] = []
    served: list[asyncio.Task[Any]] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = next(int(ln.split(":")[1]) for ln in head.split("\r\n") if ln.lower().startswith("content-le"))
        bodies.append(json.loads(await reader.readexactly(size)))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")

        async def send(event: Any) -> None:
            writer.write(f"data: {json.dumps(event)}\n\n".encode())
            await writer.drain()

        served.extend(filter(None, [asyncio.current_task()]))
        with contextlib.suppress(ConnectionError):
            await script(bodies[-1], send)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}", bodies
    finally:
        server.close()
        await asyncio.gather(*served)


def piece(index: int, text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {"content": text}, "finish_reason": finish}]}


def usage(completion: int) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": completion}}


async def two_choices(body: dict[str, Any], send: Send) -> None:
    """As llama.cpp does: each choice's usage follows its end; the stop string's tokens are never shown."""
    for event in (
        piece(1, None),
        piece(1, " = 7"),
        piece(0, " ="),
        piece(1, None, "stop"),
        usage(5),
        piece(0, " 9"),
        piece(0, None, "length"),
        usage(8),
    ):
        await send(event)


async def endless(body: dict[str, Any], send: Send) -> None:
    for _ in range(200):
        await send(piece(0, " x"))
        await asyncio.sleep(0.02)


@pytest.fixture
def body(banked: MakeBank) -> dict[str, Any]:
    messages = [{"role": "user", "content": banked(["9"]).text}]
    return {"model": "M", "messages": messages, "max_tokens": CAP, "temperature": 0.8}


async def test_every_choice_is_counted_and_the_client_told_what_the_server_would_say(
    banked: MakeBank, body: dict[str, Any]
) -> None:
    problem = banked(["9"])
    async with streaming(two_choices) as (address, bodies):
        upstream = Upstream(address, [problem])
        async with Endpoint(upstream, [problem]) as endpoint, httpx2.AsyncClient() as http:
            endpoint.begin("one", problem.question.id)
            answer = await http.post(f"{endpoint.address('one')}/chat/completions", json={**body, "n": 2})
            truth = await endpoint.end("one", problem.question.id)
        await upstream.close()
    told = answer.json()
    assert [choice["message"]["content"] for choice in told["choices"]] == [" = 9", " = 7"]
    assert [choice["finish_reason"] for choice in told["choices"]] == ["length", "stop"]
    assert told["usage"]["completion_tokens"] == 8
    assert (truth.completion_tokens, truth.samples, truth.requests) == (13, 2, 1)
    assert (truth.prompt_tokens, truth.cancelled_tokens) == (20, 0)
    assert bodies[0]["stream"] is True


async def test_a_request_that_is_given_up_counts_what_came(banked: MakeBank, body: dict[str, Any]) -> None:
    problem = banked(["9"])
    async with streaming(endless) as (address, _):
        upstream = Upstream(address, [problem])
        async with Endpoint(upstream, [problem]) as endpoint:
            endpoint.begin("one", problem.question.id)
            async with httpx2.AsyncClient() as http:
                asked = asyncio.ensure_future(
                    http.post(f"{endpoint.address('one')}/chat/completions", json=body)
                )
                await asyncio.sleep(0.5)
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
            truth = await asyncio.wait_for(endpoint.end("one", problem.question.id), 5)
        await upstream.close()
    assert (truth.samples, truth.cancelled_samples) == (1, 1)
    assert 0 < truth.completion_tokens < 100
    assert truth.cancelled_tokens == truth.completion_tokens
    assert truth.prompt_tokens == 20


async def test_a_judges_request_is_the_problems_that_the_client_is_at(
    banked: MakeBank, body: dict[str, Any]
) -> None:
    problem = banked(["9"])
    body["messages"] = [{"role": "user", "content": f"Score: {problem.text} 9. Only a number."}]
    async with streaming(two_choices) as (address, _):
        upstream = Upstream(address, [problem])
        async with Endpoint(upstream, [problem]) as endpoint, httpx2.AsyncClient() as http:
            endpoint.begin("one", problem.question.id)
            await http.post(f"{endpoint.address('one')}/chat/completions", json={**body, "n": 2})
            truth = await endpoint.end("one", problem.question.id)
        await upstream.close()
    assert truth.completion_tokens == 13
