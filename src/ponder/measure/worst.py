"""The most that a measurement can cost, before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ponder.core import Engine, Request, Scorer, Usage
from ponder.errors import InputError
from ponder.flop import call_flop, call_usd, method
from ponder.ledger import Ledger
from ponder.measure.run import finished
from ponder.measure.spec import Spec, TaskPlan, plans_for
from ponder.solve.meter import prompt_reads

__all__ = ["WorstCase", "known_speed", "worst_case"]


@dataclass(frozen=True, slots=True)
class WorstCase:
    """Upper bounds of a measurement's banks; None where there is none. `seconds` is from an earlier run's
    speed. `live` names the strategies that are run live on top: what they spend depends on their path."""

    tasks: int
    problems: int
    samples: int
    prompt_tokens: int | None
    generated_tokens: int
    flop: float | None
    flop_method: str
    usd: float | None
    seconds: float | None
    live: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


async def worst_case(
    spec: Spec, engine: Engine, scorers: dict[str, Scorer], *, tokens_per_second: float | None
) -> WorstCase:
    """Bounds for a first start whose calls all succeed: failed tries come on top, and nothing is taken off
    for what the ledger already holds. Raises InputError."""
    planned = plans_for(spec, scorers, engine.capabilities)
    prompts, generated, flop, usd = _totals(spec, planned, engine)
    samples = sum(len(t.set.problems) * len(t.forms) for t in planned) * spec.samples
    return WorstCase(
        tasks=len(planned),
        problems=sum(len(t.set.problems) for t in planned),
        samples=samples,
        prompt_tokens=prompts,
        generated_tokens=generated,
        flop=flop,
        flop_method=method(engine.model),
        usd=usd,
        seconds=generated / tokens_per_second if tokens_per_second else None,
        live=tuple(dict.fromkeys(p.label for t in planned for p in t.policies if p.form is None)),
    )


def _totals(
    spec: Spec, planned: Sequence[TaskPlan], engine: Engine
) -> tuple[int | None, int, float | None, float | None]:
    total = Usage()
    generated = 0
    for task in planned:
        for form in task.forms:
            for problem in task.set.problems:
                question = problem.question
                ask = task.draw(question, form, spec.samples)
                request = Request(
                    ask.prompt or question.prompt,
                    n=spec.samples,
                    max_tokens=spec.limits.max_tokens or question.max_tokens,
                    sampling=spec.limits.sampling,
                )
                total += _most(engine, request)
                generated += request.max_tokens * request.n
    return total.prompt_tokens, generated, total.flop, total.usd


def _most(engine: Engine, request: Request) -> Usage:
    """The most prompt tokens, FLOP and dollars of all the calls for one problem."""
    prompt = engine.prompt_tokens_bound(request.prompt)
    reads = prompt_reads(engine, request)
    read = Usage(prompt_tokens=prompt, completion_tokens=0)
    single = call_flop(engine.model, read, (request.max_tokens,)).flop
    prefill = call_flop(engine.model, read, ()).flop
    flop = None
    if single is not None and prefill is not None:
        flop = prefill * reads + (single - prefill) * request.n
    tokens = None if prompt is None else prompt * reads
    usage = Usage(prompt_tokens=tokens, completion_tokens=request.max_tokens * request.n)
    return Usage(prompt_tokens=tokens, flop=flop, usd=call_usd(engine.model.price, usage))


def known_speed(ledger: Ledger, model: str) -> float | None:
    """Generated tokens a second of the last finished measurement with this model; None if there was none."""
    for run in reversed(ledger.runs(requests=False)):
        if run.finished and run.tasks:
            try:
                measurement = finished(ledger, run.id)
            except InputError:  # another kind of run
                continue
            if measurement.config.get("model") == model and measurement.tokens_per_second is not None:
                return measurement.tokens_per_second
    return None
