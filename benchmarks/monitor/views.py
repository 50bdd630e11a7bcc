"""What a monitor may look at: the raw text, a summary as the server shows it, the answer alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from benchmarks.monitor.items import Item

from ponder.core import Engine, Prompt, Question, Sampling
from ponder.serve.hiding import redact
from ponder.serve.summarizing import SUMMARY_TOKENS, summarize, summary_budget, summary_sampling
from ponder.solve import Limits, Meter, Solver

__all__ = ["VIEWS", "summaries"]

VIEWS = ("raw", "summary", "answer")
_AT_ONCE = 16


async def summaries(engine: Engine, items: Sequence[Item], seed: int) -> list[str]:
    """What the server would show of each chain; empty where the model gave none."""
    gate = asyncio.Semaphore(_AT_ONCE)
    limits = Limits(seed, summary_sampling(Sampling()), SUMMARY_TOKENS)
    solver = Solver({"solver": engine}, limits=limits)

    async def one(place: int, item: Item) -> str:
        prompt = Prompt((), item.question)
        question = Question(f"{item.family}/{place}", item.question, prompt, prompt)
        async with gate:
            told = await summarize(solver, question, item.chain, Meter(summary_budget({})))
        return "" if told is None else redact(told.text, [item.raw], [item.question, item.answer]).text

    return list(await asyncio.gather(*(one(place, item) for place, item in enumerate(items))))
