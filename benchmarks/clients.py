"""What a request to an endpoint costs here: ponder's client beside the API's own SDK, on the same upstream
that answers at once, in turns.

    python -m benchmarks.clients
"""

from __future__ import annotations

import asyncio
import json
import platform
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
from benchmarks.serve.child import started

from ponder.engines._http_client import Address, Client

RESULT = Path(__file__).parent / "results" / "clients.json"
ROUNDS, REQUESTS = 7, 300
BODY: dict[str, Any] = {
    "model": "M",
    "messages": [{"role": "user", "content": "What is 9 + 4?"}],
    "max_tokens": 16,
}


async def _processor_ms(ask: Callable[[], Awaitable[object]]) -> float:
    """Of this process, a request."""
    began = time.process_time()
    for _ in range(REQUESTS):
        await ask()
    return 1000 * (time.process_time() - began) / REQUESTS


async def measure(address: str) -> dict[str, Any]:
    base = f"{address}/v1"
    own = Client(Address.parse(base), None, {})
    sdk = openai.AsyncOpenAI(base_url=base, api_key="none", max_retries=0)
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "ponder": lambda: own.post("/chat/completions", BODY),
        "sdk": lambda: sdk.chat.completions.with_raw_response.create(**BODY),
    }
    found: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(ROUNDS + 1):
        for name, ask in asks.items():
            took = await _processor_ms(ask)
            if turn:  # the first one warms up
                found[name].append(took)
    await own.close()
    await sdk.close()
    ratios = [b / a for a, b in zip(found["ponder"], found["sdk"], strict=True)]
    return {
        "processor_ms_a_request": {name: round(statistics.median(each), 3) for name, each in found.items()},
        "sdk_over_ponder": {
            "median": round(statistics.median(ratios), 2),
            "lowest": round(min(ratios), 2),
            "highest": round(max(ratios), 2),
        },
        "rounds": ROUNDS,
        "requests_a_round": REQUESTS,
        "openai": openai.__version__,
        "python": platform.python_version(),
        "at": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def main() -> None:
    with started(module="benchmarks.serve.upstream") as upstream:
        found = asyncio.run(measure(upstream.address))
    RESULT.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
