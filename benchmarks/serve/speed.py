"""Speed as ratios within one run: the server beside its bare upstream, beside optillm, and beside itself
with the barest record there can be and without one. Every round measures all of them one after the other; a
figure is the rounds' median with its extremes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from benchmarks.peers.environments import VERSIONS, python
from benchmarks.serve.asking import BODY, Client, rate
from benchmarks.serve.child import Child, started

__all__ = ["speed"]

_START_SECONDS = 120.0
_CLIENTS = 16
_MODEL_SECONDS = 0.25
_RECORDS = ("ledger", "barest", "none")


def speed(*, small: bool) -> dict[str, Any]:
    rounds, calls, seconds, streams = (2, 50, 1.0, 100) if small else (5, 400, 3.0, 1000)
    with _servers(0.0) as addresses, _optillm(f"{addresses['upstream']}/v1") as peer:
        measured = asyncio.run(_rounds(addresses | {"optillm": peer}, rounds, calls, seconds))
    with _servers(_MODEL_SECONDS) as addresses:
        slow = asyncio.run(_slow_rounds(addresses, rounds, seconds))
    return {**measured, "with_a_model_that_takes_its_time": slow, "open_streams": _open_streams(streams)}


@contextlib.contextmanager
def _servers(seconds: float) -> Iterator[dict[str, str]]:
    """The addresses of an upstream that takes so long, and of the servers before it, by what they record."""
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(
            started("--seconds", str(seconds), module="benchmarks.serve.upstream")
        ).address
        addresses = {"upstream": upstream}
        for record in _RECORDS:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            server = started(folder, "--model", f"{upstream}/v1#M", "--record", record)
            addresses[record] = stack.enter_context(server).address
        yield addresses


@contextlib.contextmanager
def _optillm(address: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(python("optillm").with_name("optillm"))
    flags = ["--base-url", address, "--host", "127.0.0.1", "--port", str(port), "--approach", "none"]
    quiet = subprocess.DEVNULL
    environment = os.environ | {"OPENAI_API_KEY": "sk-x"}
    with subprocess.Popen([program, *flags], env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            until = time.monotonic() + _START_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("optillm did not start")
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def _clients(address: str, count: int, **fields: Any) -> AsyncIterator[list[Client]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Client(address, {**BODY, **fields})) for _ in range(count)]


async def _rounds(addresses: dict[str, str], rounds: int, calls: int, seconds: float) -> dict[str, Any]:
    """The first round warms up and does not count."""
    rates: dict[str, list[float]] = {name: [] for name in addresses}
    added: dict[str, list[float]] = {record: [] for record in _RECORDS}
    for turn in range(rounds + 1):
        latencies = {name: await _latency(addresses[name], calls) for name in ("upstream", *added)}
        for name, address in addresses.items():
            # optillm closes after each answer.
            rated = await (_rate_of_short(address, seconds) if name == "optillm" else _rate(address, seconds))
            if turn:
                rates[name].append(rated)
        if turn:
            for name, found in added.items():
                found.append(1000 * (latencies[name] - latencies["upstream"]))
    ratios = [a / b for a, b in zip(rates["ledger"], rates["optillm"], strict=True)]
    return {
        "added_latency_p50_ms": {record: _spread(found) for record, found in added.items()},
        "requests_per_second": {name: _spread(found) for name, found in rates.items()},
        "times_optillm": _spread(ratios),
        "optillm": VERSIONS["optillm"],
        "share_of_throughput_that_the_record_takes": _shares_lost(rates),
        "clients": _CLIENTS,
    }


async def _slow_rounds(addresses: dict[str, str], rounds: int, seconds: float) -> dict[str, Any]:
    """As `_rounds`, of what the record takes where the model is what is waited for."""
    rates: dict[str, list[float]] = {record: [] for record in _RECORDS}
    for turn in range(rounds + 1):
        for name, found in rates.items():
            measured = await _rate(addresses[name], seconds)
            if turn:
                found.append(measured)
    return {
        "seconds": _MODEL_SECONDS,
        "requests_per_second": {name: _spread(found) for name, found in rates.items()},
        "share_of_throughput_that_the_record_takes": _shares_lost(rates),
    }


def _shares_lost(rates: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """By record, of the throughput without one in the same round."""
    return {
        record: _spread([1 - a / b for a, b in zip(rates[record], rates["none"], strict=True)])
        for record in ("ledger", "barest")
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    figures = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
    return {name: round(value, 4) for name, value in figures.items()}


async def _latency(address: str, calls: int) -> float:
    async with _clients(address, 1) as (client,):
        return statistics.median([await client.ask() for _ in range(calls)])


async def _rate(address: str, seconds: float) -> float:
    async with _clients(address, _CLIENTS) as clients:
        return await rate(clients, seconds)


async def _rate_of_short(address: str, seconds: float) -> float:
    """With a connection for each request."""
    until, answered, began = time.perf_counter() + seconds, 0, time.perf_counter()

    async def work() -> None:
        nonlocal answered
        while time.perf_counter() < until:
            async with Client(address, {**BODY, "model": "M"}) as client:
                await client.ask()
            answered += 1

    await asyncio.gather(*(work() for _ in range(_CLIENTS)))
    return answered / (time.perf_counter() - began)


def _open_streams(count: int) -> dict[str, Any]:
    """The server's resident memory before and while so many streams are open, and how long it takes to end
    from SIGTERM on, each stream told and each request settled."""
    with (
        tempfile.TemporaryDirectory() as folder,
        started(folder, "--seconds", "600", "--concurrency", "5000") as ponder,
    ):
        before = ponder.resident_mib
        during, seconds = asyncio.run(_hold(ponder, count))
    return {
        "streams": count,
        "resident_mib": round(during, 1),
        "resident_mib_without": round(before, 1),
        "seconds_from_sigterm_to_end": round(seconds, 2),
    }


async def _hold(ponder: Child, count: int) -> tuple[float, float]:
    async with _clients(ponder.address, count, stream=True, reasoning_effort="medium") as clients:
        for at in range(0, count, 50):
            await asyncio.gather(*(client.begin() for client in clients[at : at + 50]))
        await asyncio.sleep(5)
        resident, began = ponder.resident_mib, time.perf_counter()
        ponder.process.send_signal(signal.SIGTERM)
        rest = await asyncio.gather(*(client.rest() for client in clients))
        await asyncio.to_thread(ponder.process.wait)
        seconds = time.perf_counter() - began
    if not all(b"closing" in text for text in rest):
        raise RuntimeError("a stream was cut off without a word")
    return resident, seconds
