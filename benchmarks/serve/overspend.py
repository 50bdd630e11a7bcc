"""Keys' budgets under requests that come at once, and kills between reservations and settlements."""

from __future__ import annotations

import asyncio
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from benchmarks.serve.child import started
from tests.serve.serving import key_file, serving, thinker
from tests.serve.test_purse import BODY, at_once, charges

from ponder.ledger import Ledger, verify
from ponder.serve.purse import RUN

__all__ = ["overspend"]

_AT_ONCE = 64
# What one request may take at most, times ten: BODY's prompt and tokens on the made-up model.
_LIMITS = {"requests": "10requests/day", "samples": "10samples", "tokens": "200tok/day", "usd": "0.001usd"}


def overspend(*, small: bool) -> dict[str, Any]:
    rounds, kills = (1, 3) if small else (5, 40)
    return {
        "at_once": [_burst(unit, limit) for unit, limit in _LIMITS.items() for _ in range(rounds)],
        "killed": _killed(kills),
    }


def _burst(unit: str, limit: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        path, keys = key_file(Path(name), alice=f"user {limit}")
        with serving(Path(name), thinker(seconds=0.1), keys=path) as served:
            answers = asyncio.run(at_once(served, keys["alice"], _AT_ONCE, BODY))
            key = served.server.house.keyring.keys[0]  # type: ignore[union-attr]
            (stated,) = key.parsed
            charged = sum(charge["charged"][unit] for charge in charges(served.ledger))
    statuses = Counter(answer.status_code for answer in answers)
    return {
        "unit": unit,
        "limit": stated.amount,
        "answered": statuses[200],
        "refused": statuses[429],
        "other": _AT_ONCE - statuses[200] - statuses[429],
        "charged": charged,
        "overspent": charged > stated.amount,
    }


def _killed(kills: int) -> dict[str, Any]:
    """One ledger through so many kills, each with requests in flight; then what the key was charged."""
    with tempfile.TemporaryDirectory() as name:
        folder, chance = Path(name), random.Random(8)
        _, keys = key_file(folder, alice="user 100000requests")
        headers = {"authorization": f"Bearer {keys['alice']}"}
        for _ in range(kills):
            with started(name, "--seconds", "0.05") as server:
                asyncio.run(_flood(server.address, headers, chance.uniform(0.05, 1.0), server.kill))
        with started(name) as server:
            spent = httpx2.get(f"{server.address}/v1/usage", headers=headers).json()["spent"]["total"]
        place = folder / "ledger.sqlite"
        with Ledger.open(place, write=False) as ledger:
            events = ledger.events(RUN)
        reserved = Counter(e.detail["request"] for e in events if e.kind == "reserved")
        settled = Counter(e.detail["request"] for e in events if e.kind == "settled")
        killed = sum(e.detail["killed"] for e in events if e.kind == "settled")
        whole = verify(place).ok
    return {
        "kills": kills,
        "requests": len(reserved),
        "in_flight_at_a_kill": killed,
        "settled_twice": sum(count > 1 for count in settled.values()),
        "never_settled": len(reserved - settled),
        "charged_requests": spent["requests"],
        "ledger_whole": whole,
    }


async def _flood(address: str, headers: dict[str, str], seconds: float, kill: Any) -> None:
    """Requests side by side until the server is killed under them."""

    async def work(client: httpx2.AsyncClient) -> None:
        while True:
            await client.post(f"{address}/v1/chat/completions", json=BODY)

    async with httpx2.AsyncClient(headers=headers, timeout=10) as client:
        working = [asyncio.ensure_future(work(client)) for _ in range(8)]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(0.01)
        kill()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
