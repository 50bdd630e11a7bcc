"""The README's picture: the demo's tasks with more problems and samples, on the embedded model.

Needs about ten minutes on two cores; killed and started again it continues. Writes the picture, the
measurement and a checkpoint of its ledger to benchmarks/results/picture/.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import ponder
from ponder.cli.measure import DEMO_TASKS
from ponder.ledger import checkpoint, verify
from ponder.measure import Progress
from ponder.report import write_report

FOLDER = Path(__file__).parent / "results" / "picture"
PROBLEMS, SAMPLES, SEED = 64, 64, 20261124


def say(progress: Progress) -> None:
    print(f"\r{progress.done:,} of {progress.total:,} samples", end="", file=sys.stderr, flush=True)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    # Outside the results: the ledger is large, and made again by this command.
    ledger = Path(tempfile.gettempdir()) / "ponder-picture" / "ledger.sqlite"
    settings = ponder.Settings(ledger=str(ledger), seed=SEED)
    result = ponder.measure_tasks(
        DEMO_TASKS, problems=PROBLEMS, samples=SAMPLES, settings=settings, watch=say
    )
    assert verify(ledger).ok
    with tempfile.TemporaryDirectory() as scratch:
        written = write_report(result, Path(scratch))
        shutil.copy(written.png, FOLDER / "curve.png")
        shutil.copy(written.svg, FOLDER / "curve.svg")
    (FOLDER / "measurement.json").write_text(json.dumps(result.to_json(), indent=1) + "\n", "utf-8")
    (FOLDER / "checkpoint.json").write_text(json.dumps(checkpoint(ledger), indent=1) + "\n", "utf-8")
    print(f"\n{FOLDER}")


if __name__ == "__main__":
    main()
