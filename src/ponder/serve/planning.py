"""From what was asked to a strategy, a budget and the questions, within the server's ceiling and before
anything is paid for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ponder.api import require_scorer
from ponder.config import Effort
from ponder.core import Budget, Engine, Message, Prompt, Question, Request, Scorer, digest
from ponder.serve.asking import Asked
from ponder.serve.failing import ApiError
from ponder.solve import Solver, worst_case
from ponder.solve.probe import Needs, probe
from ponder.strategies import Plan, plan
from ponder.tasks.prompts import free_form

__all__ = ["Planned", "Planner", "least", "most_of", "questions"]

_REMEMBERED = 1000
_EFFORT_FIELDS = {"chat": "reasoning_effort", "responses": "reasoning.effort"}

INSTRUCTION = (
    'Think step by step first. Then write "Answer:" and after it your whole reply; '
    "only what stands after it will be seen."
)


@dataclass(frozen=True, slots=True)
class Planned:
    """How a request is answered. `budget` is each choice's own. `direct`: the model is asked for its answer
    alone, so that nothing of its text is thought. `steady`: nothing else than the question's own prompts is
    asked, so that no prompt grows."""

    effort: str | None
    plan: Plan
    budget: Budget
    direct: bool
    steady: bool


def least(first: Budget, second: Budget) -> Budget:
    """The tighter of both in every unit."""
    both = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(Budget)}
    kept = {unit: min((a for a in pair if a is not None), default=None) for unit, pair in both.items()}
    return Budget(**kept)


@dataclass(slots=True)
class Planner:
    """What requests are planned by. `usual`: the effort of one that states none. `ceiling`: what no budget
    may pass; it must bound samples and tokens."""

    efforts: Mapping[str, Effort]
    usual: str
    ceiling: Budget
    engines: Mapping[str, Engine]
    scorers: Mapping[str, Scorer]
    _strategies: dict[str, tuple[Plan, Needs]] = field(default_factory=dict)

    def plan(self, asked: Asked) -> Planned:
        """The strategy and the budget in force. A stated strategy without an effort word has the ceiling as
        its budget. Raises InputError that names the field, and ApiError where the model can be held to no
        format."""
        if asked.format is not None and not self.engines["solver"].capabilities.response_format:
            raise asked.format.unable()
        word = asked.effort or (self.usual if asked.strategy is None else None)
        if word is not None and word not in self.efforts:
            name = _EFFORT_FIELDS.get(asked.api, "effort")
            known = ", ".join(self.efforts)
            raise ApiError(400, f"{name}: it must be one of {known}.", code="invalid_value", param=name)
        row = Effort("direct") if word is None else self.efforts[word]
        budget = Budget.parse(row.budget) if row.budget and asked.budget is None else asked.budget or Budget()
        chosen, needs = self._known(asked.strategy or row.strategy)
        direct = needs.bank and needs.forms == {"direct"}
        return Planned(word, chosen, least(budget, self.ceiling), direct, needs.bank)

    def _known(self, stated: str) -> tuple[Plan, Needs]:
        """A strategy and what it asks for, which is the same for every free question.

        Raises InputError for one that the models here cannot serve."""
        if stated not in self._strategies:
            chosen = plan(stated)
            usual = Asked("chat", (Message("user", "?"),), {})
            question = _question(usual, 0, direct=False, max_tokens=1)
            require_scorer(chosen, question, self.scorers)
            Solver(self.engines, scorers=self.scorers).require(chosen, question, Budget())
            if len(self._strategies) >= _REMEMBERED:
                self._strategies.clear()
            self._strategies[stated] = chosen, probe(chosen, question, self.scorers)
        return self._strategies[stated]


def questions(asked: Asked, planned: Planned, *, max_tokens: int) -> list[Question]:
    """One question for each choice. With a seed equal requests have equal questions, and so equal samples."""
    return [
        _question(asked, choice, direct=planned.direct, max_tokens=max_tokens) for choice in range(asked.n)
    ]


def _question(asked: Asked, choice: int, *, direct: bool, max_tokens: int) -> Question:
    told = [[m.role, m.content] for m in asked.messages]
    return Question(
        id=f"ask/{digest(told)[:16]}/{choice}",
        text=asked.messages[-1].content,
        prompt=_worked(asked.messages),
        direct=Prompt(asked.messages),
        # A stop string is meant for what is seen. In a thought it would end the thinking.
        stop=asked.stop if direct else (),
        max_tokens=max_tokens,
        # A thought is free; of what it came to the answer is written down in the form.
        response_format=asked.format.text if direct and asked.format is not None else None,
    )


def _worked(messages: tuple[Message, ...]) -> Prompt:
    *before, last = messages
    if not before:
        return free_form(last.content, worked=True)
    return Prompt((*before, replace(last, content=f"{last.content}\n\n{INSTRUCTION}")))


def most_of(engine: Engine, question: Question, planned: Planned, units: Iterable[str]) -> Budget:
    """The budget with an amount in each of the units: what it states, or what its samples may take at most,
    each with a prompt of its own. Where prompts grow, each may take twice as much.

    Raises BudgetError for a unit that cannot be bounded.
    """
    wanted = [unit for unit in units if unit != "requests"]
    assert planned.budget.samples is not None, "the server's ceiling has samples"
    samples = planned.budget.samples * (1 if planned.steady else 2)
    priced = Budget(**{unit: 1 for unit in wanted if unit != "samples"})
    prompt = question.direct if planned.direct else question.prompt
    one = worst_case(engine, Request(prompt, max_tokens=question.max_tokens), priced)
    amounts: dict[str, Any] = {}
    for unit in wanted:
        stated, bound = getattr(planned.budget, unit), getattr(one, unit) * samples
        amount = bound if stated is None or unit == "samples" else min(bound, stated)
        if amount > 0:  # a model without a price to speak of costs nothing, and no budget is 0
            amounts[unit] = amount
    return replace(planned.budget, **{**amounts, "samples": planned.budget.samples})
