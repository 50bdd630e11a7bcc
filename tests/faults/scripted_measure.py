"""A measurement on a scripted engine, as a program of its own that can be killed.

python scripted_measure.py LEDGER        prints "done" and the result's curves as JSON
"""

import asyncio
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from ponder.core import Model, Prompt, Request, Shape
from ponder.engines.scripted import ABLE, Faults, ScriptedCall, ScriptedEngine
from ponder.ledger import Ledger
from ponder.measure import Measurement, Spec, measure
from ponder.solve import Limits
from ponder.tasks import load
from ponder.verifiers import grader, scorer, scorer_names

MODEL = Model("scripted", "f", shape=Shape(2, 8, 4, 2, 2, 16, 10))


def weights(prompt: Prompt) -> dict[str, float]:
    # eight near-certain and uncertain problems, by the length of their text
    share = 0.1 * (len(prompt.messages[-1].content) % 8)
    return {"The answer is 1 + 1.": 1 - share, "The answer is 2 * 3.": share}


class Uneven(ScriptedEngine):
    """Calls take 0.05 to 0.35 s, so that they end out of order."""

    slower = 1.0

    def start(self, request: Request) -> ScriptedCall:
        seconds = 0.05 + (request.seed + 3 * request.offset) % 7 / 20
        self.faults = Faults(seconds=seconds * self.slower)
        return super().start(request)


async def run(ledger_path: Path) -> Measurement:
    # One sample a call, with calls that end out of order, leaves gaps when it is killed.
    able = replace(ABLE, samples_per_call=1, parallel=24)
    engine = Uneven.drawing(weights, model=MODEL, capabilities=able)
    spec = Spec((load("countdown", problems=10, seed=3),), samples=8, limits=Limits(seed=2))
    by_name = {name: scorer(name) for name in scorer_names()}
    with Ledger.open(ledger_path, write=True) as ledger:
        return await measure(spec, engine, ledger, scorers=by_name, graders=grader, run="killed")


if __name__ == "__main__":
    Uneven.slower = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    result = asyncio.run(run(Path(sys.argv[1])))
    print("done", json.dumps([asdict(task) for task in result.tasks]))
