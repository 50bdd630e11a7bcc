"""ponder: `ponder.ask` with the endpoint as its model, as a user would call it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.peers.workers.lines import Answered, Job, arguments, serve

LANES = 8


async def main() -> None:
    import ponder
    from ponder.config import Settings
    from ponder.core import Question
    from ponder.engines import open_engine

    address, chosen = arguments()
    model = f"{address}#M"
    with tempfile.TemporaryDirectory() as folder:
        # One process writes a ledger at a time, so each question that is asked beside others has its own.
        free: asyncio.Queue[Path] = asyncio.Queue()
        for lane in range(LANES):
            free.put_nowait(Path(folder) / f"{lane}.sqlite")
        settings = Settings(model=model, temperature=0.8, samples=64)
        engine = await open_engine(model, settings)

        async def answer(job: Job) -> Answered:
            ledger = await free.get()
            try:
                solution = await ponder.ask_async(
                    Question.from_json(job.question),
                    strategy=chosen["strategy"],
                    budget=chosen.get("budget"),
                    engine=engine,
                    settings=settings.model_copy(update={"ledger": str(ledger), "seed": job.seed}),
                )
            finally:
                free.put_nowait(ledger)
            usage = solution.usage
            return Answered(solution.answer.text, usage.completion_tokens, usage.prompt_tokens)

        try:
            await serve(answer)
        finally:
            await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
