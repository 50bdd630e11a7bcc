"""Speed of the calculators of governance: a million draws of each closed form, ten thousand of each
simulation, and the share of bare numpy's speed on the same expressions.

"Bare" is what one would write by hand: normal draws from one generator, turned into each input's
distribution, the calculator's own expression over whole arrays (one number where an input is a point), and
`np.quantile` of each output. The frame adds a stream an input, the tornado, tables, notes and assumptions.
`by hand` is the same for a buffer's formula that calls nothing of ponder's. Times are of the processor, the
best of a few rounds that alternate, so that other work on the machine counts less; it still takes cache and
memory, so the result has the load before and after, and what ran beside it.

Run it with `python -m benchmarks.govern [--beside WORDS]`; it writes benchmarks/results/govern.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from scipy.special import ndtri

from ponder.govern import calculator, names
from ponder.govern.calculator import Calculator, Input, Output
from ponder.govern.outcome import evaluate
from ponder.govern.scenario import Case, read, resolve

RESULT = Path(__file__).parent / "results" / "govern.json"
DRAWS, SIMULATED, ROUNDS = 1_000_000, 10_000, 3
SIMULATIONS = ("economy",)
MUST: dict[str, dict[str, Any]] = {"scale": {"chips": "10000"}}
TARGETS = {"closed_seconds": 1.0, "simulation_seconds": 5.0, "of_bare": 0.9}
LEVELS = (0.05, 0.5, 0.95)
Z = float(ndtri(0.95))

BUFFER = Calculator(
    name="formula",
    title="A line with a buffer.",
    inputs=(
        Input("capability", "FLOP", "Training compute of concern", "5e25..2e26"),
        Input("gain", "", "What enhancement is worth", "3..30"),
        Input("months", "month", "Until the review", "12±3"),
        Input("doubling", "month", "Of algorithms", "4.5..14.3"),
    ),
    outputs=(Output("line", "FLOP", "The line"),),
    compute=lambda x, about: {"line": x["capability"] / (x["gain"] * np.exp2(x["months"] / x["doubling"]))},
)


def by_hand(draws: int) -> np.ndarray[Any, Any]:
    """BUFFER with numpy alone."""
    rng = np.random.default_rng(0)

    def between(low: float, high: float) -> Any:
        middle, spread = np.log(low * high) / 2, np.log(high / low) / (2 * Z)
        return np.exp(rng.normal(middle, spread, draws))

    capability, gain, doubling = between(5e25, 2e26), between(3, 30), between(4.5, 14.3)
    line = capability / (gain * 2.0 ** (rng.normal(12, 3 / Z, draws) / doubling))
    return np.quantile(line, LEVELS)


def bare(case: Case, draws: int) -> None:
    """A case's inputs, outputs and quantiles, with nothing of the frame."""
    rng = np.random.default_rng(0)
    x: dict[str, Any] = {}
    for each in case.assumptions:
        q = each.quantity
        if q is None or q.certain:
            x[each.name] = np.array([np.nan if q is None else q.value])
            continue
        low, middle, high = np.log([q.low, q.value, q.high]) if q.scale == "log" else (q.low, q.value, q.high)
        z = rng.standard_normal(draws)
        spread = (high - middle) / Z
        even = np.isclose(high - middle, middle - low)
        number = middle + z * (spread if even else np.where(z < 0, (middle - low) / Z, spread))
        x[each.name] = np.exp(number) if q.scale == "log" else number
    with np.errstate(all="ignore"):
        for out in case.calculator.compute(x, case.about).values():
            known = out[~np.isnan(out)] if np.isnan(out).any() else out
            if known.size:
                np.quantile(known, LEVELS)


def best(*works: Callable[[], Any]) -> list[float]:
    """Each work's least processor time of a few rounds, one after the other in each."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, seen in zip(works, times, strict=True):
            start = time.process_time()
            work()
            seen.append(time.process_time() - start)
    return [min(each) for each in times]


def measure(of: Calculator, hand: Callable[[int], Any] | None = None) -> dict[str, Any]:
    """The times of one calculator."""
    simulated = of.name in SIMULATIONS
    draws = SIMULATED if simulated else DRAWS
    case = resolve(of, read(of, MUST.get(of.name, {})))
    plain = (lambda: hand(draws)) if hand is not None else (lambda: bare(case, draws))
    whole, alone = best(lambda: evaluate(case, draws=draws), plain)
    target = TARGETS["simulation_seconds" if simulated else "closed_seconds"]
    row = {
        "kind": "simulation" if simulated else "closed form",
        "draws": draws,
        "uncertain_inputs": sum(
            each.quantity is not None and not each.quantity.certain for each in case.assumptions
        ),
        "outputs": len(of.outputs_for(case.about)),
        "seconds": whole,
        "bare_seconds": alone,
        "of_bare": alone / whole,
        "in_time": whole < target,
    }
    print(f"{of.name}: {whole:.3f} s for {draws:,} draws, {alone / whole:.2f} of bare numpy", flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the calculators' speed.")
    parser.add_argument("--beside", default="nothing that is known", help="what else ran on the machine")
    beside, before = parser.parse_args().beside, os.getloadavg()[0]
    rows = {name: measure(calculator(name)) for name in names()}
    rows["by hand"] = measure(BUFFER, by_hand)
    machine = {
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "load_before": before,
        "load_after": os.getloadavg()[0],
        "beside": beside,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    result = {"targets": TARGETS, "rounds": ROUNDS, "calculators": rows, "machine": machine}
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
