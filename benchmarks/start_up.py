"""Start-up: `import ponder` and `ponder --help`, as ratios to limits measured beside the bare interpreter.

Limits: 0.3 s and 0.5 s. Writes benchmarks/results/start_up.json.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

RESULT = Path(__file__).parent / "results" / "start_up.json"
REPEATS = 15
COMMANDS = {
    "bare interpreter": ([sys.executable, "-c", "pass"], None),
    "import ponder": ([sys.executable, "-c", "import ponder"], 0.3),
    "ponder --help": ([sys.executable, "-m", "ponder", "--help"], 0.5),
}


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    rows = {}
    for name, (command, limit) in COMMANDS.items():
        median = statistics.median(seconds(command) for _ in range(REPEATS))
        rows[name] = {"seconds_median": median, "limit": limit, "share_of_limit": limit and median / limit}
        print(f"{name}: {median:.3f} s" + (f", {median / limit:.0%} of its limit" if limit else ""))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
