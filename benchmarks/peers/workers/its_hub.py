"""its_hub: its algorithms by module and class, with ponder's extraction as their projection."""

from __future__ import annotations

import asyncio
import importlib
import random
import warnings
from collections.abc import Callable
from typing import Any

from benchmarks.peers.workers.lines import Answered, Job, arguments, serve

from ponder.core import Question
from ponder.tasks import extract


def _of(module: str, name: str) -> Any:
    """A class of the library, which is not there where this file is checked."""
    return getattr(importlib.import_module(f"its_hub.core.{module}"), name)


def _model(address: str, **options: Any) -> Any:
    kind = _of("lms.openai_lm", "OpenAICompatibleLanguageModel")
    return kind(endpoint=address, api_key="x", model_name="M", **options)


def _algorithm(chosen: dict[str, Any], address: str, extracted: Callable[[str], str | None]) -> Any:
    # With a bound below its budget BetaSelfConsistency waits for ever.
    orchestrator = _of("orchestrator", "LMOrchestrator")(max_concurrency=-1)
    module, name = chosen["algorithm"].split(".")
    kind = _of(f"algorithms.{module}", name)
    if name == "BestOfN":
        judge = _of("reward_models.llm_judge", "LLMJudge")
        judging = _model(address, temperature=0.0, max_completion_tokens=64)
        return kind(judge(judging), orchestrator=orchestrator)
    return kind(consistency_space_projection_func=extracted, orchestrator=orchestrator, **chosen["options"])


async def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    address, chosen = arguments()

    async def answer(job: Job) -> Answered:
        question = Question.from_json(job.question)
        random.seed(f"{job.seed}/{job.id}")  # its ties
        model = _model(
            address, temperature=0.8, max_completion_tokens=question.max_tokens, stop=question.stop[0]
        )
        algorithm = _algorithm(chosen, address, lambda text: extract.choice(question, text))
        try:
            result = await algorithm.ainfer(model, job.prompt, chosen["budget"], return_response_only=False)
        finally:
            await model.close()
        usage = result.usage
        return Answered(result.the_one.get("content") or "", usage.completion_tokens, usage.prompt_tokens)

    await serve(answer)


if __name__ == "__main__":
    asyncio.run(main())
