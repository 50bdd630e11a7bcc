"""Real tokens/s of the engine `transformers` and of `Sampler`, as ratios to bare `generate`.

All three sample the same prompts, as often, from the same random weights, in one run, taking turns. The bare
side is Hugging Face's `generate` at its best batch size, with its own defaults of threads and cache. Tokens
count up to each sample's end: what `generate` computes for rows that have ended is not counted for it, and
what a cohort computes for them is not counted for ponder. Writes benchmarks/results/sampling.json.

    python -m benchmarks.sampling [--rounds 5] [--model NAME] [--out FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.engines import tiny

from ponder.core import Prompt, Request, Sampling
from ponder.engines.torch_sampling import Sampler
from ponder.engines.transformers import TransformersEngine

RESULT = Path(__file__).parent / "results" / "sampling.json"
WARM = Sampling(1.0)


class Setting:
    """A model's sizes, and how much is sampled from it in a round."""

    def __init__(
        self, prompts: int, n: int, tokens: int, batches: tuple[int, ...], *, ends: bool, **sizes: int
    ) -> None:
        self.n, self.tokens, self.batches, self.ends, self.sizes = n, tokens, batches, ends, sizes
        self.prompts = [f"{at % 25} {at // 25 % 25} 7 9={at % 90 + 10}:" for at in range(prompts)]


_SMALL = {
    "hidden_size": 64,
    "intermediate_size": 168,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
SETTINGS = {
    # No sample ends early: nothing that `generate` computes is wasted.
    "small": Setting(256, 16, 48, (256, 512, 1024, 2048), ends=False, **_SMALL),
    "small, ending": Setting(256, 16, 48, (256, 512, 1024, 2048), ends=True, **_SMALL),
    "smollm2": Setting(
        8,
        8,
        24,
        (32, 64),
        ends=False,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
    ),
}


def write_model(folder: Path, setting: Setting) -> int:
    """Random weights of these sizes behind the tests' tokenizer: the number of parameters."""
    words = tiny.tokenizer()
    options: dict[str, Any] = {"vocab": len(words), "initializer_range": 0.1} | setting.sizes
    if not setting.ends:
        words.eos_token, options["eos_token_id"] = None, None
    model = tiny.model(**options)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return int(model.num_parameters())


class Bare:
    """`generate` on left-padded batches."""

    def __init__(self, folder: Path, setting: Setting) -> None:
        from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

        self._model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self._words = PreTrainedTokenizerFast.from_pretrained(folder, padding_side="left")
        self._setting = setting

    def speed(self, batch: int) -> float:
        """Real tokens a second at this batch size."""
        setting, tokens = self._setting, 0
        texts = [prompt for prompt in setting.prompts for _ in range(setting.n)]
        began = time.perf_counter()
        for first in range(0, len(texts), batch):
            given = self._words(texts[first : first + batch], return_tensors="pt", padding=True)
            drawn = self._model.generate(
                input_ids=given.input_ids,
                attention_mask=given.attention_mask,
                do_sample=True,
                top_k=0,
                max_new_tokens=setting.tokens,
            )[:, given.input_ids.shape[1] :]
            tokens += drawn.numel() if not setting.ends else _up_to_the_end(drawn)
        return tokens / (time.perf_counter() - began)


def _up_to_the_end(drawn: Any) -> int:
    """Tokens up to and including each row's first end token."""
    ended = (drawn == tiny.END).cumsum(-1)
    return int(((ended == 0) | ((ended == 1) & (drawn == tiny.END))).sum())


async def engine_speed(engine: TransformersEngine, setting: Setting, seed: int) -> float:
    """Real tokens a second of calls in flight together, as many as the engine says are worth it."""
    room = asyncio.Semaphore(max(1, engine.capabilities.parallel // setting.n))

    async def call(at: int) -> int:
        async with room:
            asked = Prompt((), setting.prompts[at])
            request = Request(asked, setting.n, setting.tokens, WARM, seed=seed * 10_000 + at)
            generation = await engine.start(request).result()
        assert generation.error is None
        return sum(output.tokens or 0 for output in generation.outputs)

    began = time.perf_counter()
    tokens = await asyncio.gather(*map(call, range(len(setting.prompts))))
    return sum(tokens) / (time.perf_counter() - began)


def sampler_speed(sampler: Sampler, setting: Setting, seed: int) -> float:
    """Real tokens a second of one bulk call."""
    began = time.perf_counter()
    found = sampler.sample(setting.prompts, setting.n, sampling=WARM, max_tokens=setting.tokens, seed=seed)
    tokens = sum(output.tokens or 0 for _, outputs in found for output in outputs)
    return tokens / (time.perf_counter() - began)


async def measure(name: str, rounds: int) -> dict[str, Any]:
    setting = SETTINGS[name]
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        count = write_model(folder, setting)
        bare = Bare(folder, setting)
        by_batch = {batch: bare.speed(batch) for batch in setting.batches}
        best = max(by_batch, key=by_batch.__getitem__)
        engine = TransformersEngine(folder, device="cpu")
        await engine_speed(engine, setting, 0)
        await _until_ready(engine)
        turns: dict[str, list[float]] = {"generate": [], "engine": [], "sampler": []}
        with Sampler.open(folder, processes=cores) as sampler:
            sampler_speed(sampler, setting, 0)
            for turn in range(1, rounds + 1):
                turns["generate"].append(bare.speed(best))
                turns["engine"].append(await engine_speed(engine, setting, turn))
                turns["sampler"].append(sampler_speed(sampler, setting, turn))
                print(name, {key: round(values[-1]) for key, values in turns.items()}, flush=True)
        await engine.close()
    return {
        "parameters": count,
        "sizes": setting.sizes,
        "samples": len(setting.prompts) * setting.n,
        "max_tokens": setting.tokens,
        "samples_end_early": setting.ends,
        "generate_by_batch": by_batch,
        "generate_batch": best,
        "tokens_per_second": turns,
        **{f"{key}_ratio": _ratio(turns, key) for key in ("engine", "sampler")},
    }


async def _until_ready(engine: TransformersEngine) -> None:
    """Wait for the processes that the engine has started."""
    while not all(seat.ready for seat in engine._seats):
        await asyncio.sleep(0.1)


def _ratio(turns: dict[str, list[float]], key: str) -> dict[str, float]:
    ratios = [ours / bare for ours, bare in zip(turns[key], turns["generate"], strict=True)]
    summaries: dict[str, Callable[[list[float]], float]] = {
        "median": statistics.median,
        "lowest": min,
        "highest": max,
    }
    return {name: summary(ratios) for name, summary in summaries.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", choices=SETTINGS, action="append")
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    models = {name: asyncio.run(measure(name, given.rounds)) for name in given.model or SETTINGS}
    result = {
        "what": "real tokens/s over those of Hugging Face's generate at its best batch size",
        "goals": {"engine": 0.95, "sampler": 1.5},
        "cores": len(os.sched_getaffinity(0)),
        "models": models,
    }
    given.out.parent.mkdir(exist_ok=True)
    given.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for name, each in models.items():
        ratios = {key: round(each[f"{key}_ratio"]["median"], 2) for key in ("engine", "sampler")}
        print(f"{name}: median ratios {ratios}, in {given.out}")


if __name__ == "__main__":
    main()
