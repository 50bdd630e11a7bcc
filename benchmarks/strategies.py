"""Every strategy's own curve: what `docs/strategies.md` shows, on the embedded model.

    python benchmarks/strategies.py [answers|longer|steps]

It goes on where it was killed, and writes results/strategies/.
Half an hour on two cores. A curve is at 1, 2, 4, ... up to the scale written below; its cost is what it
really took, prompts, critiques and judges included.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import ponder
from ponder.measure import Progress

FOLDER = Path(__file__).parent / "results" / "strategies"
PROBLEMS, SAMPLES, SEED = 40, 16, 20261124

CAMPAIGNS = {
    "answers": (
        ("addition2", "products"),
        (
            "direct",
            "vote:n=16",
            "best:by=likelihood,n=16",
            "weighted_vote:n=16",
            "weighted_vote:n=16,by=likelihood",
            "confident_vote:n=16",
            "adaptive_vote:n=16",
            "probability_vote:n=16",
            "halting_vote:n=16",
            "revise:rounds=2",
            "judge_vote:n=4",
            "verify:n=4",
            "best:by=judge,n=4",
            "best:by=p_true,n=4",
        ),
    ),
    "longer": (
        ("addition2", "products"),
        ("vote:n=16", "force:waits=4", "mixture:n=4,roles=solver"),
    ),
    "steps": (
        ("countdown:steps=true", "countdown:steps=true,numbers=4"),
        (
            "vote:n=16",
            "best:by=checks,n=16",
            "beam:n=16",
            "diverse_beam:n=16",
            "particles:n=16",
            "tree:n=16",
            "adaptive_tree:n=16",
        ),
    ),
}


def say(progress: Progress) -> None:
    print(f"\r{progress.done:,} of {progress.total:,} samples", end="", file=sys.stderr, flush=True)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    ledger = Path(tempfile.gettempdir()) / "ponder-strategies" / "ledger.sqlite"
    settings = ponder.Settings(ledger=str(ledger), seed=SEED)
    for name in sys.argv[1:] or CAMPAIGNS:
        tasks, strategies = CAMPAIGNS[name]
        result = ponder.measure_tasks(
            tasks,
            strategies=strategies,
            problems=PROBLEMS,
            samples=SAMPLES,
            settings=settings,
            run=f"strategies-{name}",
            watch=say,
        )
        (FOLDER / f"{name}.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", "utf-8")
        print(f"\n{name}: done")


if __name__ == "__main__":
    main()
