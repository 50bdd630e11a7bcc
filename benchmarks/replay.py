"""Replay speed: policy-problem evaluations a second of vote@k for every k, as a ratio to 10⁶ a second.

One evaluation is one policy (a k, on one subset of the samples) on one problem. Run it with
`python benchmarks/replay.py`; it writes benchmarks/results/replay.json.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ponder.measure.estimators import default_ks, vote_exact, vote_sampled

TARGET_PER_SECOND = 1e6
RESULT = Path(__file__).parent / "results" / "replay.json"
PROBLEMS, SAMPLES, CHOICES, ROUNDS = 128, 32, 12, 64


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The median of a few runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def main() -> None:
    rng = np.random.default_rng(0)
    choice = rng.integers(-1, CHOICES, (PROBLEMS, SAMPLES))
    correct = choice == 0
    ks = default_ks(SAMPLES)
    replayed = seconds(lambda: vote_sampled(choice, correct, ks, rng=rng, rounds=ROUNDS))
    exact = seconds(lambda: vote_exact(choice, correct, ks))
    evaluations = PROBLEMS * ROUNDS * SAMPLES * len(ks)
    gap = np.abs(vote_sampled(choice, correct, ks, rng=rng, rounds=ROUNDS) - vote_exact(choice, correct, ks))
    result = {
        "problems": PROBLEMS,
        "samples": SAMPLES,
        "choices": CHOICES,
        "evaluations": evaluations,
        "replay_seconds": replayed,
        "evaluations_per_second": evaluations / replayed,
        "ratio_to_target": evaluations / replayed / TARGET_PER_SECOND,
        "exact_seconds": exact,
        "exact_expectations_per_second": PROBLEMS * len(ks) / exact,
        "largest_gap_to_exact": float(gap.max()),
        "mean_gap_to_exact": float(gap.mean()),
        "machine": {
            "processor": platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"vote@k, all k of {SAMPLES}, {PROBLEMS} problems: {result['evaluations_per_second']:.3g} "
        f"evaluations/s, {result['ratio_to_target']:.1f} x the target of 1e6/s."
    )
    print(
        f"Exact over all subsets: {exact * 1e3:.0f} ms for {PROBLEMS} problems; "
        f"the replay differs from it by {gap.mean():.4f} on average."
    )


if __name__ == "__main__":
    main()
