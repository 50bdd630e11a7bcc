"""The roofline against the embedded engine: decode at several batches, on measured arithmetic and bandwidth.

Arithmetic is that of OpenVINO's own matrix products in the engine's precision, bandwidth that of reading a
table far larger than the caches on all threads, both in the same rounds as the engine, so that whatever else
the machine does weighs on all of them. A roofline bounds from above: the share of it that the engine reaches
is what `compute_use` and `bandwidth_use` of `ponder govern scale` stand for. Writes
benchmarks/results/roofline.json.

    python -m benchmarks.roofline
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from ponder.config import Settings, model_card
from ponder.core import Shape
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import locate_with_hash
from ponder.flop import attention_flop, parameters
from ponder.govern.roofline import Links, Machine, Served, grouped_cache_bytes, step_seconds

ROUNDS = 3
BATCHES = (1, 4, 16, 64)
SHORT, LONG = 16, 80  # generated tokens; their difference leaves the prompt out
PROMPT = "Question: What is 3 - 8?\nAnswer: 3 - 8 = -5\n\n" * 6
TABLE_BYTES = 1 << 28
SECONDS = 1.0  # of each measurement of the machine
RESULT = Path(__file__).parent / "results" / "roofline.json"
THROUGHPUT = Path(__file__).parent / "results" / "throughput.json"


def repeated(work: Callable[[], object]) -> float:
    """Seconds of one piece of work, the mean over about a second."""
    work()
    began, done = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < SECONDS:
        work()
        done += 1
    return spent / done


def arithmetic(precision: str, shape: Shape, rows: int) -> Callable[[], float]:
    """Measures FLOP/s of products [rows, d_model] x [d_model, d_ff], the largest of the model."""
    wide, deep = shape.d_ff, shape.d_model
    given = ops.parameter([rows, deep], dtype=np.float32)
    weights = np.random.default_rng(0).standard_normal((deep, wide)).astype(np.float32)
    model = ov.Model([ops.matmul(given, ops.constant(weights), False, False)], [given])
    hint = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", hint).create_infer_request()
    values = np.ones((rows, deep), dtype=np.float32)
    return lambda: 2.0 * rows * wide * deep / repeated(lambda: request.infer({0: values}))


def bandwidth() -> Callable[[], float]:
    """Measures bytes/s that all threads read together."""
    threads = os.cpu_count() or 1
    tables = np.ones((threads, TABLE_BYTES // 8 // threads))
    pool = ThreadPoolExecutor(threads)
    return lambda: tables.nbytes / repeated(lambda: list(pool.map(np.max, tables)))


def generate(engine: EmbeddedEngine, batch: int, tokens: int, number: int) -> float:
    """Seconds of a request of `batch` samples of so many tokens each."""
    pipeline = engine._pipeline
    config = pipeline.get_config()
    config.num_return_sequences, config.max_new_tokens, config.ignore_eos = batch, tokens, True
    config.do_sample, config.temperature, config.rng_seed = True, 1.0, number
    config.apply_chat_template = False
    prompt = engine._tokenizer.encode(PROMPT, add_special_tokens=False).input_ids
    began = time.perf_counter()
    handle = pipeline.add_request(number, prompt, config)
    while handle.get_status() == engine._genai.GenerationStatus.RUNNING:
        pipeline.step()
    return time.perf_counter() - began


def decode_rate(engine: EmbeddedEngine, batch: int, number: int) -> float:
    """Generated tokens/s of `batch` streams, their prompt left out."""
    short = generate(engine, batch, SHORT, number)
    return batch * (LONG - SHORT) / (generate(engine, batch, LONG, number + 1) - short)


def served(shape: Shape, weight_bytes: float) -> Served:
    """The embedded model, with the bytes that its file keeps of a parameter, and a cache of 16 bits."""
    count = float(parameters(shape))
    attention = float(attention_flop(shape, 1))
    cache = grouped_cache_bytes(shape.layers, shape.kv_heads, shape.d_head, 2.0)
    return Served(count, count, weight_bytes / count, shape.layers, attention, attention, cache)


async def main() -> None:
    path, fingerprint = locate_with_hash("smollm2", Settings())
    card = model_card("smollm2", fingerprint)
    assert card.shape is not None
    engine = EmbeddedEngine(path, card)
    precision = engine._precision
    prompt = len(engine._tokenizer.encode(PROMPT, add_special_tokens=False).input_ids.data[0])
    model, context = served(card.shape, path.stat().st_size), prompt + (SHORT + LONG) / 2.0
    flop, read = arithmetic(precision, card.shape, max(BATCHES)), bandwidth()
    rounds = [_round(engine, model, context, flop, read, place) for place in range(ROUNDS)]
    await engine.close()
    seen = json.loads(THROUGHPUT.read_text("utf-8"))["rounds"] if THROUGHPUT.exists() else []
    result: dict[str, Any] = {
        "what": "decode tokens/s of the embedded engine over the roofline's, by batch",
        "goal": "at most 1; the rest is what the engine does beside multiplying and reading",
        "share_median": {
            str(batch): statistics.median(each["batches"][str(batch)]["share"] for each in rounds)
            for batch in BATCHES
        },
        "context": context,
        "precision": precision,
        "weight_bytes": path.stat().st_size,
        "measured_elsewhere_tokens_per_second": [each["bare"] for each in seen],
        "rounds": rounds,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"shares of the roofline by batch: {result['share_median']}, in {RESULT}")


def _round(
    engine: EmbeddedEngine,
    model: Served,
    context: float,
    flop: Callable[[], float],
    read: Callable[[], float],
    place: int,
) -> dict[str, Any]:
    machine = Machine(flop(), read(), float(1 << 34))
    batches = {}
    for at, batch in enumerate(BATCHES):
        rate = decode_rate(engine, batch, 1000 * place + 2 * at)
        bound = batch / float(step_seconds(model, machine, Links(0.0, 0.0), 1, batch, context))
        batches[str(batch)] = {"seen": rate, "roofline": bound, "share": rate / bound}
        print(f"batch {batch}: {rate:,.0f} of {bound:,.0f} tok/s", flush=True)
    return {"flop_per_second": machine.flop_per_second, "bytes_per_second": machine.bytes_per_second,
            "batches": batches}  # fmt: skip


if __name__ == "__main__":
    asyncio.run(main())
