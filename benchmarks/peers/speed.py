"""Tokens a second while 64 samples are in flight: each client over the engine's own best.

Live on llama.cpp's server, where its best is a bare client with the same samples in flight, and on the
embedded engine, where it is the bare pipeline. All take turns in every round, on the same problems.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import httpx2
from benchmarks.peers.bank import SAMPLES, TEMPERATURE, Banked
from benchmarks.peers.campaign import worker
from benchmarks.peers.endpoint import Endpoint
from benchmarks.peers.live import Upstream
from benchmarks.peers.llama import SLOTS, serving
from benchmarks.peers.systems import System, named

from ponder.config import Settings, model_card
from ponder.core import Budget, Sampling
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import ensure, locate_with_hash
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan

__all__ = ["speed"]

ROUNDS, PROBLEMS = 4, 8
BARE = "bare-client"

# Each with how many problems side by side make 64 samples in flight.
CLIENTS = (("vote:n=64", 1), ("its_hub voting 64", 1), ("optillm voting 16", 4))


async def speed(problems: Sequence[Banked], result: Path) -> None:
    """Measure both and write them to `result`, unless they are there."""
    if result.exists():
        return
    live = await _live(problems[: ROUNDS * PROBLEMS])
    embedded = await _embedded(problems[: ROUNDS * PROBLEMS])
    told = {"live": live, "embedded": embedded, "ratios": _ratios(live, embedded)}
    result.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _ratios(live: dict[str, list[float]], embedded: dict[str, list[float]]) -> dict[str, float]:
    """Medians over the rounds of each client's tokens/s over the bare one's in the same round."""

    def ratio(own: Sequence[float], other: Sequence[float]) -> float:
        return statistics.median(a / b for a, b in zip(own, other, strict=True))

    ratios = {
        f"live, {name} over a bare client": ratio(own, live[BARE])
        for name, own in live.items()
        if name != BARE
    }
    ratios["embedded, vote:n=64 over the bare pipeline"] = ratio(embedded["vote:n=64"], embedded["bare"])
    return ratios


async def _live(problems: Sequence[Banked]) -> dict[str, list[float]]:
    rates: dict[str, list[float]] = defaultdict(list)
    clients = {system.name: system for system in named(tuple(name for name, _ in CLIENTS))}
    with serving(ensure("smollm2")) as address:
        upstream = Upstream(address, problems)
        async with Endpoint(upstream, problems) as endpoint:
            for number in range(ROUNDS):
                some = problems[number * PROBLEMS : (number + 1) * PROBLEMS]
                # In turns, so that none always finds the prompts of the others in the server's cache.
                turns = [(BARE, 1), *CLIENTS]
                for name, width in turns[number % len(turns) :] + turns[: number % len(turns)]:
                    if name == BARE:
                        rates[name].append(await _bare(endpoint, some))
                    else:
                        rates[name].append(await _client(endpoint, clients[name], some, width))
                    print(f"speed, round {number + 1}: {name}, {rates[name][-1]:,.0f} tokens/s", flush=True)
        await upstream.close()
    return dict(rates)


async def _client(endpoint: Endpoint, system: System, problems: Sequence[Banked], width: int) -> float:
    """True tokens a second of a system, its start not counted."""
    name = f"speed-{system.name}".replace(" ", "_")
    waiting = iter(problems[1:])
    tokens = 0
    async with worker(system, endpoint.address(name)) as running:

        async def lane() -> None:
            nonlocal tokens
            for banked in waiting:
                endpoint.begin(name, banked.question.id)
                await running.ask(banked, 0)
                tokens += (await endpoint.end(name, banked.question.id)).completion_tokens

        endpoint.begin(name, problems[0].question.id)
        await running.ask(problems[0], 0)
        await endpoint.end(name, problems[0].question.id)
        began = time.perf_counter()
        await asyncio.gather(*(lane() for _ in range(width)))
        return tokens / (time.perf_counter() - began)


async def _bare(endpoint: Endpoint, problems: Sequence[Banked]) -> float:
    """A client that does nothing but ask: four requests of sixteen choices for each problem."""
    tokens = 0
    async with httpx2.AsyncClient(timeout=None) as client:
        began = time.perf_counter()
        for banked in problems[1:]:
            endpoint.begin(BARE, banked.question.id)
            body = {
                "model": "M",
                "messages": [{"role": "user", "content": banked.text}],
                "n": SLOTS,
                "max_tokens": banked.question.max_tokens,
                "temperature": TEMPERATURE,
                "stop": list(banked.question.stop),
            }
            url = f"{endpoint.address(BARE)}/chat/completions"
            asked = [client.post(url, json=body) for _ in range(SAMPLES // SLOTS)]
            for answer in await asyncio.gather(*asked):
                answer.raise_for_status()
            tokens += (await endpoint.end(BARE, banked.question.id)).completion_tokens
        return tokens / (time.perf_counter() - began)


async def _embedded(problems: Sequence[Banked]) -> dict[str, list[float]]:
    path, fingerprint = locate_with_hash("smollm2", Settings())
    engine = EmbeddedEngine(path, model_card("smollm2", fingerprint))
    rates: dict[str, list[float]] = {"bare": [], "vote:n=64": []}
    try:
        for number in range(ROUNDS):
            some = problems[number * PROBLEMS : (number + 1) * PROBLEMS]
            for ours in (number % 2 == 0, number % 2 == 1):
                if ours:
                    rates["vote:n=64"].append(await _solved(engine, some, number))
                else:
                    rates["bare"].append(await asyncio.to_thread(_pipeline_alone, engine, some, number))
            shown = ", ".join(f"{name} {own[-1]:,.0f}" for name, own in rates.items())
            print(f"speed, embedded, round {number + 1}: {shown} tokens/s", flush=True)
    finally:
        await engine.close()
    return rates


async def _solved(engine: EmbeddedEngine, problems: Sequence[Banked], seed: int) -> float:
    """Generated tokens a second of ponder's driver, one problem after another."""
    solver = Solver({"solver": engine}, limits=Limits(seed, Sampling(TEMPERATURE)))
    tokens = 0
    began = time.perf_counter()
    for banked in problems:
        solution = await solver.run(plan(f"vote:n={SAMPLES}"), banked.question, Meter(Budget()))
        tokens += solution.usage.completion_tokens or 0
    return tokens / (time.perf_counter() - began)


def _pipeline_alone(engine: EmbeddedEngine, problems: Sequence[Banked], seed: int) -> float:
    """Generated tokens a second of the library alone, on the same problems."""
    pipeline = engine._pipeline
    tokens = 0
    began = time.perf_counter()
    for number, banked in enumerate(problems):
        config = pipeline.get_config()
        config.max_new_tokens = banked.question.max_tokens
        config.num_return_sequences = SAMPLES
        config.do_sample, config.temperature, config.top_p, config.top_k = True, TEMPERATURE, 1.0, 0
        config.rng_seed, config.apply_chat_template = 1000 * seed + number, False
        config.stop_strings, config.include_stop_str_in_output = set(banked.question.stop), True
        ids = engine._tokenizer.encode(banked.text, add_special_tokens=False).input_ids
        handle = pipeline.add_request(1_000_000_000 + 1000 * seed + number, ids, config)
        while handle.get_status() == engine._genai.GenerationStatus.RUNNING:
            pipeline.step()
        tokens += sum(len(output.generated_ids) for output in handle.read_all())
    return tokens / (time.perf_counter() - began)
