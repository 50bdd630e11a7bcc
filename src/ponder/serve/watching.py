"""The server's monitor at work: one inspection a reply, with its own budget, which never breaks an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Protocol

from ponder.core import Answer, Budget, Draw, Engine, Question, Recorder, Sample, Sampling, Strategy, Wave
from ponder.errors import BudgetError, CallFailed
from ponder.serve.judging import Judge
from ponder.serve.monitoring import Ask, Case, Finding, Monitor
from ponder.serve.rules import Rules, read_rules
from ponder.serve.summarizing import most_of_a_call
from ponder.serve.tracing import spanned
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import Plan

__all__ = ["JUDGE_ROLE", "Watch", "judge_address", "open_watch", "stated_rules"]

JUDGE_ROLE = "monitor"
"""The role of a model that is named for the monitor alone."""

_JUDGE = "judge"


class Spending(Protocol):
    """A request as its monitor sees it: where calls are recorded, and what pays for them."""

    @property
    def tape(self) -> Recorder: ...

    def meter(self, budget: Budget) -> Meter: ...


@dataclass(frozen=True, slots=True)
class Watch:
    """A monitor and the model that it asks."""

    monitor: Monitor
    engine: Engine

    def most(self, units: Sequence[str]) -> dict[str, float]:
        """What one inspection may take at most, in those of the units in which that is known."""
        call = self.monitor.call
        if call is None:
            return {}
        return most_of_a_call(self.engine, units, call.prompt_tokens, call.completion_tokens)

    def budget(self, units: Sequence[str]) -> Budget:
        """An inspection's own budget: what is reserved for it. Raises BudgetError where its model's FLOP or
        price are unknown and a limit is stated in them."""
        call, seconds = self.monitor.call, self.monitor.seconds
        if call is None:
            return Budget(seconds=seconds)
        most = self.most(units)
        unknown = [unit for unit in units if unit in ("flop", "usd") and unit not in most]
        if unknown:
            raise BudgetError(f"budget: what {self.engine.model.name} takes in {unknown[0]} is unknown.")
        tokens = call.prompt_tokens + call.completion_tokens
        flop, usd = most.get("flop"), most.get("usd")
        return Budget(samples=1, tokens=tokens, flop=flop or None, usd=usd or None, seconds=seconds)

    @spanned("monitor")
    async def look(self, question: Question, case: Case, spending: Spending, units: Sequence[str]) -> Finding:
        """Inspect a reply of a request that is limited in `units`. Whatever goes wrong becomes a finding that
        says so."""
        try:
            ask = self._ask(question, spending.meter(self.budget(units)), spending.tape)
            async with asyncio.timeout(self.monitor.seconds):
                return await self.monitor.inspect(case, ask)
        except TimeoutError:
            return _failed(f"it took more than {self.monitor.seconds:g} s")
        except Exception as error:
            return _failed(f"{type(error).__name__}: {error}")

    def _ask(self, question: Question, meter: Meter, recorder: Recorder) -> Ask:
        async def ask(draw: Draw) -> Sample:
            def once(question: Question, rng: Random) -> Strategy:
                yield Wave((draw,))
                return Answer(None)

            asked = replace(question, stop=())
            solver = Solver({_JUDGE: self.engine}, limits=Limits(0, Sampling()), recorder=recorder)
            solution = await solver.run(Plan("inspect", once), asked, meter)
            if not solution.samples:
                raise CallFailed(f"the monitor's budget of {solution.stopped_by} has no room for it")
            return solution.samples[0]

        return ask


def _failed(reason: str) -> Finding:
    return Finding(None, False, unread=(f"the monitor failed: {reason}",))


def judge_address(stated: str) -> str | None:
    """The model that "judge=MODEL" names; None where the text names none."""
    kind, _, address = stated.partition("=")
    return address if kind == _JUDGE and address else None


def stated_rules(stated: str) -> Rules | None:
    """The rules of the file that a monitor is stated as; None for "judge" or "judge=MODEL". Raises
    ConfigError."""
    return None if stated == _JUDGE or judge_address(stated) is not None else read_rules(Path(stated))


def open_watch(rules: Rules | None, engines: Mapping[str, Engine]) -> Watch:
    """The monitor of these rules; without any, of the model that judges."""
    engine = engines.get(JUDGE_ROLE) or engines.get(_JUDGE) or engines["solver"]
    return Watch(Judge(engine.prompt_tokens_bound) if rules is None else rules, engine)
