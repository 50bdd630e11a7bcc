"""What laws of draws take, beside the least that it could be: drawing the resampling weights themselves.

OMP_NUM_THREADS=1 python -m benchmarks.law_speed     writes benchmarks/results/law_speed.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ponder.laws import Ballot, Counts, fit
from ponder.laws.draws import study_draws
from ponder.laws.fit import resampling

RESULT = Path(__file__).parent / "results" / "law_speed.json"
REFITS, PROBLEMS = 10_000, 500
GOALS = {"refits": 5.0, "study": 10.0}
"""Seconds: of so many refits of a coverage law, and of all laws of 1,000 problems with 1,000 samples each."""

_ANSWERS, _CONCENTRATION = 40, 0.3


def made(rng: np.random.Generator, problems: int) -> Counts:
    """Problems with 1,000 draws each, whose chances of a right one are Beta(0.3, 3)."""
    right = rng.binomial(1000, rng.beta(0.3, 3.0, problems)).astype(np.int64)
    spread = np.full(_ANSWERS, _CONCENTRATION)
    wrong = [rng.multinomial(1000 - each, rng.dirichlet(spread)) for each in right]
    mark = np.arange(_ANSWERS + 1) == 0
    ballots = tuple(Ballot(np.append(one, other), mark) for one, other in zip(right, wrong, strict=True))
    return Counts("made", "made", tuple(map(str, range(problems))), np.full(problems, 1000), right, ballots)


def seconds(work: Callable[[], object]) -> float:
    """Of processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    rng = np.random.default_rng(0)
    few, many = made(rng, PROBLEMS), made(rng, 1000)
    taken = {
        "weights": seconds(lambda: resampling((PROBLEMS,), REFITS, rng)),
        "refits": seconds(lambda: fit(few, "beta-binomial", draws=REFITS)),
        "study": seconds(lambda: study_draws(many)),
    }
    result: dict[str, Any] = {
        name: {"seconds": taken[name], "goal": goal, "times_the_weights": taken[name] / taken["weights"]}
        for name, goal in GOALS.items()
    }
    result["weights"] = {"seconds": taken["weights"], "refits": REFITS, "problems": PROBLEMS}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
