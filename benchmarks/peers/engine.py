"""The embedded engine in a process of its own: `python -m benchmarks.peers.engine`.

A step of the engine holds Python's global lock, so beside the endpoint it would keep every client waiting.
Reads a JSON object a line from standard input and writes one a line when it is done:

    {"id": 1, "do": "sample", ...}   a request for choices, see `_request`
    {"id": 2, "do": "cancel", "of": 1}   end it; it is then answered with what was generated until then
    {"id": 3, "do": "bare" | "vote", "questions": [...], "seed": 0}   how fast the pipeline alone, or ponder's
        own driver, samples 64 times from each question, one after another, in tokens a second
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.bank import SAMPLES, TEMPERATURE

from ponder.config import Settings, model_card
from ponder.core import Budget, Call, Generation, Message, Prompt, Question, Request, Sampling
from ponder.engines.embedded import EmbeddedEngine
from ponder.engines.weights import ensure, locate_with_hash
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan

MODEL = "smollm2"


@dataclass(frozen=True, slots=True)
class FormedRequest(Request):
    """A request whose samples must be JSON of a schema, as servers do for `response_format`."""

    schema: str | None = None


class FormingEngine(EmbeddedEngine):
    """The embedded engine, which holds samples to a request's schema."""

    def _config(self, request: Request, first: int, sequences: int, max_tokens: int) -> Any:
        config = super()._config(request, first, sequences, max_tokens)
        if isinstance(request, FormedRequest) and request.schema is not None:
            config.structured_output_config = self._genai.StructuredOutputConfig(json_schema=request.schema)
        return config


class Bench:
    """Does what the lines ask for, side by side."""

    def __init__(self, engine: EmbeddedEngine) -> None:
        self._engine = engine
        self._calls: dict[int, Call] = {}
        self._requests = 0

    async def answer(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """What a job comes to. A cancellation has no answer: the request that it ends has one."""
        if job["do"] == "sample":
            return await self._sampled(job)
        questions = [Question.from_json(each) for each in job["questions"]]
        if job["do"] == "vote":
            rate = await self._voted(questions, job["seed"])
        else:
            rate = await asyncio.to_thread(self._bare, questions, job["seed"])
        return {"tokens_per_second": rate}

    def cancel(self, number: int) -> None:
        """End a request, if it has not ended."""
        if number in self._calls:
            self._calls[number].cancel()

    async def _sampled(self, job: Mapping[str, Any]) -> dict[str, Any]:
        self._requests += 1
        call = self._calls[job["id"]] = self._engine.start(_request(job, self._requests))
        try:
            return _told(await call.result())
        finally:
            del self._calls[job["id"]]

    async def _voted(self, questions: Sequence[Question], seed: int) -> float:
        """Generated tokens a second of ponder's driver."""
        solver = Solver({"solver": self._engine}, limits=Limits(seed, Sampling(TEMPERATURE)))
        tokens = 0
        began = time.perf_counter()
        for question in questions:
            solution = await solver.run(plan(f"vote:n={SAMPLES}"), question, Meter(Budget()))
            tokens += solution.usage.completion_tokens or 0
        return tokens / (time.perf_counter() - began)

    def _bare(self, questions: Sequence[Question], seed: int) -> float:
        """Generated tokens a second of the library alone. The engine's own thread waits meanwhile, for it has
        nothing to do."""
        pipeline, genai = self._engine._pipeline, self._engine._genai
        tokens = 0
        began = time.perf_counter()
        for number, question in enumerate(questions):
            config = pipeline.get_config()
            config.max_new_tokens = question.max_tokens
            config.num_return_sequences = SAMPLES
            config.do_sample, config.temperature, config.top_p, config.top_k = True, TEMPERATURE, 1.0, 0
            config.rng_seed, config.apply_chat_template = 1000 * seed + number, False
            config.stop_strings, config.include_stop_str_in_output = set(question.stop), True
            ids = self._engine._tokenizer.encode(question.prompt.text, add_special_tokens=False).input_ids
            handle = pipeline.add_request(1_000_000_000 + 1000 * seed + number, ids, config)
            while handle.get_status() == genai.GenerationStatus.RUNNING:
                pipeline.step()
            tokens += sum(len(output.generated_ids) for output in handle.read_all())
        return tokens / (time.perf_counter() - began)


def _request(job: Mapping[str, Any], number: int) -> FormedRequest:
    """What a line asks for. Each request has random numbers of its own."""
    messages = tuple(Message(role, content) for role, content in job["messages"])
    return FormedRequest(
        Prompt(messages, job["text"]),
        n=job["n"],
        max_tokens=job["max_tokens"],
        sampling=Sampling(job["temperature"], job["top_p"]),
        stop=tuple(job["stop"]),
        seed=number,
        logprobs=job["logprobs"],
        schema=job["schema"],
    )


def _told(generation: Generation) -> dict[str, Any]:
    """What came of a request. Counts are sums over its attempts."""
    usages = [attempt.usage for attempt in generation.attempts]
    return {
        "choices": [[o.text, o.tokens, o.finish, o.logprobs] for o in generation.outputs],
        "prompt_tokens": sum(usage.prompt_tokens or 0 for usage in usages),
        "error": None if generation.error is None else str(generation.error),
    }


async def main() -> None:
    ensure(MODEL)
    path, fingerprint = locate_with_hash(MODEL, Settings())
    bench = Bench(FormingEngine(path, model_card(MODEL, fingerprint)))
    running: set[asyncio.Task[None]] = set()

    async def one(job: dict[str, Any]) -> None:
        try:
            answer = await bench.answer(job)
        except Exception as error:  # whoever asked must not wait for ever
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": job["id"], **answer}), flush=True)

    while line := await asyncio.to_thread(sys.stdin.readline):
        job = json.loads(line)
        if job["do"] == "cancel":
            bench.cancel(job["of"])
            continue
        task = asyncio.ensure_future(one(job))
        running.add(task)
        task.add_done_callback(running.discard)


if __name__ == "__main__":
    asyncio.run(main())
