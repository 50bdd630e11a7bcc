"""Whether the laws' 90 % intervals keep their promise, how far they forecast, and how fast they are refitted.

make calibration, or python -m benchmarks.calibration [--trials N] [--only NAME] [--workers N] [--more]

Runs the experiments of tests/laws, each on as many made-up data sets, and writes how often each interval held
the truth to benchmarks/results/calibration.json, with the share's own 95 % interval. What is there for other
experiments is kept. With --more an experiment goes on from the trials that are there, up to --trials in all;
the same code must have made them.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special
from tests.laws import draw_experiments, experiments
from tests.laws.populations import beta

from ponder.laws import fit
from ponder.laws.coverage import COVERAGE_LAWS, BetaBinomial, PowerLaw

RESULT = Path(__file__).parent / "results" / "calibration.json"
BATCH = 25  # trials of a process at a time
Held = Mapping[str, bool]
FIGURES = "figures"
TAILS = ((0.3, 3.0, 32), (0.5, 50.0, 32), (1.0, 100.0, 100))
"""Beta's a and b of problems with a heavy tail near 0, and the draws of each."""


def trial_of(kind: str, name: str, trial: int) -> Held:
    """One trial of an experiment that is named, so that it can be run by another process."""
    if kind == "ladder":
        return {"interval": experiments.EXPERIMENTS[name](trial)}
    table = draw_experiments.FLAGS if kind == "flags" else draw_experiments.EXPERIMENTS
    return table[name](trial)


def counted(
    run: Callable[[int], Held], trials: int, pool: ProcessPoolExecutor, before: Mapping[str, Any]
) -> dict[str, Any]:
    """How often each quantity's interval held the truth, with the Clopper-Pearson interval of that share.
    What was counted `before` were the first trials."""
    begun = min((each["trials"] for each in before.values()), default=0)
    rows = list(pool.map(run, range(begun, trials), chunksize=BATCH))
    out = dict(before)
    for name in rows[0] if rows else ():
        hits = sum(row[name] for row in rows)
        if begun:
            hits += round(before[name]["share"] * begun)
        low = float(special.betaincinv(hits, trials - hits + 1, 0.025)) if hits else 0.0
        high = float(special.betaincinv(hits + 1, trials - hits, 0.975)) if hits < trials else 1.0
        out[name] = {"share": hits / trials, "low": low, "high": high, "trials": trials}
    return out


def far_forecast(a: float, b: float, draws: int, problems: int, data_sets: int = 100) -> dict[str, Any]:
    """The relative error of -log pass@k at 100 times more samples than drawn, by law: its median over so many
    data sets, and how many times lower it is than by least squares on pass@k."""
    at = np.array([100.0 * draws])
    truth = -np.log(BetaBinomial().at(np.array([[a, b]]), at)[0, 0])
    laws = (BetaBinomial(), PowerLaw(), PowerLaw(on_shares=True))
    errors: dict[str, list[float]] = {law.name: [] for law in laws}
    for seed in range(data_sets):
        data = beta(np.random.default_rng(seed), a, b, problems=problems, draws=draws)
        for law in laws:
            found = law.solve(data, np.ones((1, problems)))
            errors[law.name].append(abs(float(-np.log(law.at(found, at)[0, 0]) / truth) - 1.0))
    told = {name: float(np.median(each)) for name, each in errors.items()}
    made = {"a": a, "b": b, "draws": draws, "problems": problems, "data_sets": data_sets}
    return made | {
        "median_relative_error": told,
        "times_lower": told[PowerLaw(on_shares=True).name] / told[BetaBinomial().name],
    }


def speed() -> dict[str, float]:
    """Processor seconds of 10,000 refits on 500 problems of 1,000 draws, by law."""
    data = beta(np.random.default_rng(0), 0.3, 5.0, problems=500, draws=1000)
    out = {}
    for law in COVERAGE_LAWS:
        began = time.process_time()
        fit(data, law, draws=10_000)
        out[law.name] = round(time.process_time() - began, 2)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument(
        "--only", action="append", help="an experiment's name, or figures; may be given again"
    )
    parser.add_argument("--workers", type=int, help="processes at once; default: cores")
    parser.add_argument("--more", action="store_true", help="go on from the trials that are there")
    stated = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    result: dict[str, Any] = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
    tables = {
        "draws": draw_experiments.EXPERIMENTS,
        "flags": draw_experiments.FLAGS,
        "ladder": experiments.EXPERIMENTS,
    }
    if stated.only is None or FIGURES in stated.only:
        result["seconds_of_10000_refits"] = speed()
        result["far_forecast"] = [far_forecast(*tail, problems) for tail in TAILS for problems in (500, 5000)]
        RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    with ProcessPoolExecutor(stated.workers) as pool:
        for kind, table in tables.items():
            for name in table:
                if stated.only is None or name in stated.only:
                    before = result.get(kind, {}).get(name, {}) if stated.more else {}
                    told = counted(partial(trial_of, kind, name), stated.trials, pool, before)
                    result.setdefault(kind, {})[name] = told
                    print(name, {quantity: each["share"] for quantity, each in told.items()}, flush=True)
                    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
