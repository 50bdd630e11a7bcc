"""ponder: spend inference compute well, measure what it buys, account for what it means.

    import ponder
    solution = ponder.ask("What is 8 + 7?", strategy="vote", budget="2000tok")
    batch = ponder.solve_many(["What is 8 + 7?", "What is 9 - 4?"], budget="4000tok")
    result = ponder.measure_tasks(["chain_sum", "lcm"], samples=32, problems=32)
    law = ponder.fit(result.tasks[0].curves[0], "sigmoid")

`ask_async` and `measure_tasks_async` are the same for code that runs in an event loop.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ponder._version import __version__

if TYPE_CHECKING:
    from ponder.api import ask, ask_async, measure_tasks, measure_tasks_async, solve_many, solve_many_async
    from ponder.config import Settings
    from ponder.core import Answer, Budget, Draw, Question, Reply, Sample, Score, Strategy, Usage, Wave
    from ponder.engines import open_engine
    from ponder.errors import PonderError
    from ponder.laws.fit import Fit
    from ponder.laws.named import fit
    from ponder.ledger import Ledger
    from ponder.measure import Measurement
    from ponder.solve import Solution
    from ponder.solve.many import Batch

_HOMES = {
    "Answer": "core",
    "Batch": "solve.many",
    "Budget": "core",
    "Draw": "core",
    "Fit": "laws.fit",
    "Ledger": "ledger",
    "Measurement": "measure",
    "PonderError": "errors",
    "Question": "core",
    "Reply": "core",
    "Sample": "core",
    "Score": "core",
    "Settings": "config",
    "Solution": "solve",
    "Strategy": "core",
    "Usage": "core",
    "Wave": "core",
    "ask": "api",
    "ask_async": "api",
    "fit": "laws.named",
    "measure_tasks": "api",
    "measure_tasks_async": "api",
    "open_engine": "engines",
    "solve_many": "api",
    "solve_many_async": "api",
}

__all__ = [
    "Answer",
    "Batch",
    "Budget",
    "Draw",
    "Fit",
    "Ledger",
    "Measurement",
    "PonderError",
    "Question",
    "Reply",
    "Sample",
    "Score",
    "Settings",
    "Solution",
    "Strategy",
    "Usage",
    "Wave",
    "__version__",
    "ask",
    "ask_async",
    "fit",
    "measure_tasks",
    "measure_tasks_async",
    "open_engine",
    "solve_many",
    "solve_many_async",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import ponder` is quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'ponder' has no attribute {name!r}")
    return getattr(importlib.import_module(f"ponder.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
