"""The meter of a budget: it reserves the worst case before a call and settles after.

What is known may be None; what is charged never is: an unknown is charged at its reservation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, fields

from ponder.core import Budget, Engine, Request, Usage
from ponder.errors import BudgetError
from ponder.flop import call_flop, call_usd

__all__ = ["Charge", "Meter", "prompt_reads", "worst_case"]


@dataclass(frozen=True, slots=True)
class Charge:
    """What a budget is charged. `seconds` is not here: it is a deadline, not a sum."""

    samples: int = 0
    tokens: int = 0
    flop: float = 0.0
    usd: float = 0.0

    def __add__(self, other: Charge) -> Charge:
        return Charge(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __sub__(self, other: Charge) -> Charge:
        return Charge(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(self)))


def prompt_reads(engine: Engine, request: Request) -> int:
    """How often the prompt is read for `request.n` samples, at most.

    Once a call where the engine reads it once; greedy, watched and heard samples need a call of their own.
    """
    watched = request.halt is not None or request.heard is not None
    if watched or request.sampling.temperature == 0 or not engine.capabilities.prompt_once:
        return request.n
    return -(-request.n // engine.capabilities.samples_per_call)


def worst_case(engine: Engine, request: Request, budget: Budget) -> Charge:
    """The most that one attempt of a call can cost, in the budget's units.

    Raises BudgetError for a unit that has no bound with this engine.
    """
    name = engine.model.name
    needs_tokens = any(limit is not None for limit in (budget.tokens, budget.flop, budget.usd))
    prompt = engine.prompt_tokens_bound(request.prompt, request.prefix) if needs_tokens else 0
    if prompt is None:
        raise BudgetError(f"budget: the prompt tokens of {name} have no bound; limit samples or seconds.")
    reads = prompt_reads(engine, request)
    once = Usage(prompt_tokens=prompt, completion_tokens=0)
    per_sample = Usage(prompt_tokens=0, completion_tokens=request.max_tokens)
    flop = usd = 0.0
    if budget.flop is not None:
        single = call_flop(engine.model, once, (request.max_tokens,)).flop
        prefill = call_flop(engine.model, once, ()).flop
        if single is None or prefill is None:
            raise BudgetError(
                f"budget: the shape of {name} is unknown, so FLOP cannot be bounded; "
                f'limit tokens, or state its shape in the configuration under [models."{name}"].'
            )
        flop = prefill * reads + (single - prefill) * request.n
    if budget.usd is not None:
        read, write = call_usd(engine.model.price, once), call_usd(engine.model.price, per_sample)
        if read is None or write is None:
            raise BudgetError(
                f"budget: {name} has no price; limit tokens, or state its price in the configuration "
                f'under [models."{name}"].'
            )
        usd = read * reads + write * request.n
    return Charge(request.n, prompt * reads + request.max_tokens * request.n, flop, usd)


class Meter:
    """One budget, shared by everything that spends from it."""

    def __init__(self, budget: Budget, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.budget = budget
        self._clock, self._began = clock, clock()
        self.spent, self._held = Charge(), Charge()
        self.overrun = False

    @property
    def untouched(self) -> bool:
        """Whether nothing was spent or is held."""
        return self.spent == Charge() == self._held

    @property
    def seconds_left(self) -> float:
        """Until the deadline; infinite without one."""
        if self.budget.seconds is None:
            return math.inf
        return self.budget.seconds - (self._clock() - self._began)

    def stopped_by(self, worst: Charge) -> str | None:
        """The unit that has no room for `worst`, or None when it fits. After a call that used more than its
        worst case no bound can be trusted, and nothing fits: "overrun"."""
        if self.overrun:
            return "overrun"
        total = self.spent + self._held + worst
        for unit in ("samples", "tokens", "flop", "usd"):
            limit = getattr(self.budget, unit)
            if limit is not None and getattr(total, unit) > limit:
                return unit
        return "seconds" if self.seconds_left <= 0 else None

    def reserve(self, worst: Charge) -> bool:
        """Hold `worst` if it fits."""
        if self.stopped_by(worst) is not None:
            return False
        self._held += worst
        return True

    def settle(self, held: Charge, usage: Usage, samples: int, *, worst: Charge | None = None) -> None:
        """Release a reservation and charge what was used; what is unknown is charged at the worst case,
        which is the reservation unless another is given."""
        worst = held if worst is None else worst
        actual = Charge(
            samples,
            worst.tokens if usage.tokens is None else usage.tokens,
            worst.flop if usage.flop is None else usage.flop,
            worst.usd if usage.usd is None else usage.usd,
        )
        self._held -= held
        self.spent += actual
        for unit in self.budget.to_json():
            if unit != "seconds" and getattr(actual, unit) > getattr(worst, unit) * (1 + 1e-9):
                self.overrun = True
