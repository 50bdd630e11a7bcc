"""An answer written down in the form that was asked for: one further call to the model, under a budget of its
own. The thought before it is free, since a form would forbid to think."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ponder.core import Budget, Engine, Message, Prompt, Question, Sample
from ponder.errors import BudgetError, CallFailed
from ponder.serve.formatting import Format
from ponder.serve.summarizing import most_of_a_call
from ponder.serve.tracing import spanned
from ponder.solve import Meter, Solver
from ponder.strategies import plan

__all__ = ["INSTRUCTION", "Writing", "write_down"]

INSTRUCTION = (
    "Now write this answer down as JSON in the form that is required, without changing what it says. "
    "Reply with the JSON alone."
)

_ANSWER_BYTES = 8
"""Of an answer, a generated token: more than any script takes, but not than a model can if it tries."""

_PLAN = plan("direct")


@dataclass(frozen=True, slots=True)
class Writing:
    """What one answer's writing down may take at most: `most` in the units that were asked for, and as a
    budget."""

    most: dict[str, float]
    budget: Budget

    @classmethod
    def of(
        cls, engine: Engine, messages: Sequence[Message], max_tokens: int, units: Sequence[str]
    ) -> Writing:
        """Of an answer and of JSON of so many tokens each, after these messages."""
        before = engine.prompt_tokens_bound(_prompt(messages, ""))
        assert before is not None, "a model whose prompts have no bound was refused with the budget"
        room = before + _ANSWER_BYTES * max_tokens
        most = most_of_a_call(engine, units, room, max_tokens)
        tokens, flop, usd = room + max_tokens, most.get("flop"), most.get("usd")
        return cls(most, Budget(samples=1, tokens=tokens, flop=flop or None, usd=usd or None))


def _prompt(messages: Sequence[Message], answer: str) -> Prompt:
    return Prompt((*messages, Message("assistant", answer), Message("user", INSTRUCTION)))


@spanned("write")
async def write_down(
    solver: Solver, question: Question, messages: Sequence[Message], answer: str, form: Format, meter: Meter
) -> Sample:
    """The answer to these messages in the form, as the model wrote it: not yet fit to be shown.

    Raises ApiError for an answer that is too long for it, EngineError as `Solver.run` does.
    """
    prompt = _prompt(messages, answer)
    asked = replace(question, prompt=prompt, direct=prompt, response_format=form.text)
    try:
        solution = await solver.run(_PLAN, asked, meter)
    except BudgetError:
        raise form.not_kept() from None
    if not solution.samples:
        raise CallFailed(f"The budget of {solution.stopped_by} has no room to write the answer down again.")
    return solution.samples[0]
