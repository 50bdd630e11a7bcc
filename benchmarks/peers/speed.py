"""Tokens a second while 64 samples are in flight, over the engine's own best.

All run on one embedded engine and take turns in every round, on the same problems: the bare pipeline, which
is the engine's own best; ponder's driver in the engine's process; and through the endpoint a bare client,
which does nothing but ask, and each system.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx2
from benchmarks.peers.bank import SAMPLES, TEMPERATURE, Banked
from benchmarks.peers.campaign import job, worker
from benchmarks.peers.endpoint import MOST_CHOICES, Endpoint
from benchmarks.peers.live import EngineProcess, Live, engine_process
from benchmarks.peers.systems import System, named

__all__ = ["speed"]

ROUNDS, PROBLEMS = 6, 4
PIPELINE, DRIVER, CLIENT = "bare pipeline", "vote:n=64, no HTTP", "bare client"

# Each with how many problems side by side make 64 samples in flight.
SYSTEMS = (("vote:n=64", 1), ("its_hub voting 64", 1), ("optillm voting 16", 4))


async def speed(problems: Sequence[Banked], result: Path) -> None:
    """Measure and write to `result`, unless it is there."""
    if result.exists():
        return
    rates: dict[str, list[float]] = defaultdict(list)
    chosen = problems[: ROUNDS * PROBLEMS]
    async with engine_process() as engine, Endpoint(Live(engine, chosen), chosen) as endpoint:
        for number in range(ROUNDS):
            some = chosen[number * PROBLEMS : (number + 1) * PROBLEMS]
            await _read_prompts(engine, some)
            turns = [PIPELINE, DRIVER, CLIENT, *(name for name, _ in SYSTEMS)]
            for name in turns[number % len(turns) :] + turns[: number % len(turns)]:
                rates[name].append(await _rate(name, engine, endpoint, some, number))
                print(f"speed, round {number + 1}: {name}, {rates[name][-1]:,.0f} tokens/s", flush=True)
    told = {"tokens_per_second": dict(rates), "ratios": _ratios(rates)}
    result.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _ratios(rates: Mapping[str, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    """Each one's tokens/s over those of the bare pipeline, and of the bare client, in the same round: the
    median over the rounds, the lowest, the highest."""
    told: dict[str, dict[str, list[float]]] = {}
    for best in (PIPELINE, CLIENT):
        for name, own in rates.items():
            over = [a / b for a, b in zip(own, rates[best], strict=True)]
            told.setdefault(name, {})[best] = [statistics.median(over), min(over), max(over)]
    return told


async def _rate(
    name: str, engine: EngineProcess, endpoint: Endpoint, problems: Sequence[Banked], seed: int
) -> float:
    """True tokens a second of one of them on these problems."""
    if name in (PIPELINE, DRIVER):
        questions = [banked.question.to_json() for banked in problems]
        do = "bare" if name == PIPELINE else "vote"
        _, answer = engine.begin(do, questions=questions, seed=seed)
        rate: float = (await answer)["tokens_per_second"]
        return rate
    if name == CLIENT:
        return await _client(endpoint, problems)
    return await _system(endpoint, named((name,))[0], problems, dict(SYSTEMS)[name])


async def _read_prompts(engine: EngineProcess, problems: Sequence[Banked]) -> None:
    """Put the prompts into the engine's cache, so that whoever comes first does not read them for all."""
    sampling = {"temperature": TEMPERATURE, "top_p": 1.0, "logprobs": False, "stop": [], "schema": None}
    for banked in problems:
        _, answer = engine.begin("sample", messages=[], text=banked.text, n=1, max_tokens=1, **sampling)
        await answer


async def _system(endpoint: Endpoint, system: System, problems: Sequence[Banked], width: int) -> float:
    """The system's, its start not counted: it answers the first problem once before."""
    name = f"speed-{system.name}".replace(" ", "_")
    tokens = 0
    async with worker(system, endpoint.address(name)) as running:

        async def ask(banked: Banked) -> int:
            endpoint.begin(name, banked.question.id)
            row = await running.begin(job(banked, 0))
            truth = await endpoint.end(name, banked.question.id)
            if row.get("error"):
                raise RuntimeError(f"{system.name}: {row['error']}")
            return truth.completion_tokens

        async def lane() -> None:
            nonlocal tokens
            while free := [banked for banked in waiting if banked.question.id not in busy]:
                waiting.remove(free[0])
                busy.add(free[0].question.id)
                tokens += await ask(free[0])
                busy.remove(free[0].question.id)

        await ask(problems[0])
        # Where a problem takes fewer than 64 samples, it is asked as much more often.
        waiting, busy = [*problems] * width, set[str]()
        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(width)))
        return tokens / (time.perf_counter() - began)


async def _client(endpoint: Endpoint, problems: Sequence[Banked]) -> float:
    """A client that does nothing but ask: four requests of sixteen choices for each problem."""
    name = CLIENT.replace(" ", "-")
    tokens = 0
    async with httpx2.AsyncClient(timeout=None) as client:
        began = time.perf_counter()
        for banked in problems:
            endpoint.begin(name, banked.question.id)
            body = {
                "model": "M",
                "messages": [{"role": "user", "content": banked.text}],
                "n": MOST_CHOICES,
                "max_tokens": banked.question.max_tokens,
                "temperature": TEMPERATURE,
                "stop": list(banked.question.stop),
            }
            url = f"{endpoint.address(name)}/chat/completions"
            asked = [client.post(url, json=body) for _ in range(SAMPLES // MOST_CHOICES)]
            for answer in await asyncio.gather(*asked):
                answer.raise_for_status()
            tokens += (await endpoint.end(name, banked.question.id)).completion_tokens
        return tokens / (time.perf_counter() - began)
