"""How a server is opened, from what is stated to what is kept open until its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack

from ponder import verifiers
from ponder.config import Settings, efforts
from ponder.core import Engine
from ponder.engines import open_engine
from ponder.laws import counts_of
from ponder.ledger import Ledger
from ponder.serve.alerting import Alerts
from ponder.serve.asking import MODEL
from ponder.serve.factors import rules
from ponder.serve.house import House, Options
from ponder.serve.keys import Keyring
from ponder.serve.metrics import Metrics
from ponder.serve.planning import Planner
from ponder.serve.purse import Purse
from ponder.serve.tracing import open_traces
from ponder.serve.watching import JUDGE_ROLE, judge_address, open_watch, stated_rules

__all__ = ["open_house"]


@contextlib.asynccontextmanager
async def open_house(
    settings: Settings,
    options: Options,
    keyring: Keyring | None = None,
    *,
    engine: Engine | None = None,
    roles: Mapping[str, str] | None = None,
) -> AsyncIterator[House]:
    """Open the models and the ledger, read back what keys have spent; all is closed at the end.

    An `engine` that is given stays open. Raises PonderError in one sentence.
    """
    async with AsyncExitStack() as stack:
        # What is stated wrongly is told of before any model is opened, which may take long.
        alerting = rules(options.alerts)
        monitoring = None if options.monitor is None else stated_rules(options.monitor)
        traces = None if options.traces is None else open_traces(options.traces)
        if traces is not None:
            stack.push_async_callback(traces.close)
        ledger = stack.enter_context(Ledger.open(settings.ledger, write=True))
        law = options.law
        counts = () if law is None else await asyncio.to_thread(counts_of, law, settings.ledger)
        engines = await _open_engines(stack, settings, options, engine, roles or {})
        if traces is not None:
            engines = {role: traces.engine(each) for role, each in engines.items()}
        purse = await Purse.open(ledger, concurrency=options.concurrency)
        scorers = {name: verifiers.scorer(name) for name in verifiers.scorer_names()}
        planner = Planner(efforts(settings), options.usual, options.ceiling, engines, scorers)
        watch = None if options.monitor is None else open_watch(monitoring, engines)
        keys = () if keyring is None else keyring.keys
        alerts = await Alerts.open(ledger, alerting, purse.accounts, keys)
        metrics = Metrics(engines["solver"].model.name, MODEL, lambda: purse.running)
        house = House(
            settings,
            options,
            engines,
            scorers,
            ledger,
            purse,
            planner,
            alerts,
            metrics,
            keyring,
            watch,
            traces,
            counts,
        )
        house.room.watch(ledger)
        yield house
        await house.drain(0.0)


async def _open_engines(
    stack: AsyncExitStack,
    settings: Settings,
    options: Options,
    solver: Engine | None,
    roles: Mapping[str, str],
) -> dict[str, Engine]:
    """The engines by role. What is opened here the stack closes; a `solver` that is given stays open."""
    judge = judge_address(options.monitor or "")
    monitors = {} if judge is None else {JUDGE_ROLE: judge}
    engines: dict[str, Engine] = {}
    for role, spec in {"solver": settings.model, **settings.roles, **roles, **monitors}.items():
        if role == "solver" and solver is not None:
            engines[role] = solver
            continue
        engines[role] = await open_engine(spec, settings)
        stack.push_async_callback(engines[role].close)
    return engines
