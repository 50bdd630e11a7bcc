"""Tokens/s of `ponder measure` as a ratio to a bare ContinuousBatchingPipeline loop.

Both sample the same prompts, as often, with the same settings, in one run, alternating. The bare loop
keeps as many requests in flight as ponder does; adding all of them at once is far slower, which is shown
too. ponder's side is everything between the first and the last sample: driver,
extraction, ledger on disk. Writes benchmarks/results/throughput.json.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from ponder.config import Settings, model_card
from ponder.core import Question
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import locate_with_hash
from ponder.ledger import Ledger
from ponder.measure import Spec, measure
from ponder.solve import Limits
from ponder.tasks import load
from ponder.verifiers import grader, scorer, scorer_names

ROUNDS, SAMPLES, PROBLEMS = 6, 32, 24
WINDOW = 16
TASKS = ("chain_sum", "lcm")
RESULT = Path(__file__).parent / "results" / "throughput.json"


def bare(engine: EmbeddedEngine, questions: list[Question], seed: int, window: int) -> float:
    """Generated tokens a second of the library alone, with `window` requests in flight."""
    pipeline = engine._pipeline
    waiting = [_request(engine, question, seed + i) for i, question in enumerate(questions)]
    number, generated, running = 1_000_000 * seed, 0, []
    began = time.perf_counter()
    while waiting or running:
        while waiting and len(running) < window:
            running.append(pipeline.add_request(number, *waiting.pop(0)))
            number += 1
        pipeline.step()
        still = []
        for handle in running:
            if handle.get_status() == engine._genai.GenerationStatus.RUNNING:
                still.append(handle)
            else:
                generated += sum(len(output.generated_ids) for output in handle.read_all())
        running = still
    return generated / (time.perf_counter() - began)


def _request(engine: EmbeddedEngine, question: Question, seed: int) -> tuple[Any, Any]:
    config = engine._pipeline.get_config()
    config.max_new_tokens = question.max_tokens
    config.num_return_sequences = SAMPLES
    config.do_sample, config.temperature, config.top_p, config.top_k = True, 0.8, 1.0, 0
    config.rng_seed, config.logprobs, config.apply_chat_template = seed, 1, False
    config.stop_strings, config.include_stop_str_in_output = set(question.stop), True
    text = question.prompt.text
    return engine._tokenizer.encode(text, add_special_tokens=False).input_ids, config


async def through_ponder(engine: EmbeddedEngine, spec: Spec, folder: Path) -> float:
    """Generated tokens a second of a measurement."""
    by_name = {name: scorer(name) for name in scorer_names()}
    with Ledger.open(folder / "ledger.sqlite", write=True) as ledger:
        result = await measure(spec, engine, ledger, scorers=by_name, graders=grader)
    assert result.tokens_per_second is not None
    return result.tokens_per_second


async def main() -> None:
    path, fingerprint = locate_with_hash("smollm2", Settings())
    engine = EmbeddedEngine(path, model_card("smollm2", fingerprint))
    sets = tuple(load(task, problems=PROBLEMS, seed=11) for task in TASKS)
    questions = [problem.question for each in sets for problem in each.problems]
    at_once = bare(engine, questions, 1, len(questions))
    print(f"bare, every request at once: {at_once:,.0f} tok/s", flush=True)
    pairs: list[dict[str, Any]] = []
    for i in range(ROUNDS):
        spec = Spec(sets, ("vote", "best:by=likelihood"), SAMPLES, Limits(seed=100 + i))
        with tempfile.TemporaryDirectory() as folder:
            # Taking turns, so that neither always finds the other's prompts in the cache.
            ours = await through_ponder(engine, spec, Path(folder)) if i % 2 else None
            library = bare(engine, questions, 50 + i, WINDOW)
            ours = ours or await through_ponder(engine, spec, Path(folder))
        pairs.append({"bare": library, "ponder": ours, "ratio": ours / library})
        print(
            f"round {i + 1}: bare {library:,.0f}, ponder {ours:,.0f} tok/s, ratio {ours / library:.3f}",
            flush=True,
        )
    await engine.close()
    ratios = [pair["ratio"] for pair in pairs]
    result = {
        "what": "generated tokens/s of ponder measure over a bare ContinuousBatchingPipeline loop",
        "goal": 0.95,
        "ratio_median": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "bare_with_every_request_at_once": at_once,
        "rounds": pairs,
        "samples": SAMPLES,
        "problems": len(questions),
        "facts": dict(engine.facts),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(f"median ratio {result['ratio_median']:.3f} (goal {result['goal']}), in {RESULT}")


if __name__ == "__main__":
    asyncio.run(main())
