"""`python -m benchmarks.serve [PART ...]` measures, and writes results/serve.json and its table in the README
here. With --small it rehearses: it prints what it found and writes nothing.
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

from benchmarks.serve.hostile import hostile
from benchmarks.serve.leak import leak
from benchmarks.serve.overspend import overspend
from benchmarks.serve.speed import speed
from benchmarks.serve.table import write_table
from benchmarks.serve.tamper import tamper

RESULT = Path(__file__).parents[1] / "results" / "serve.json"
PARTS: dict[str, Callable[..., dict[str, Any]]] = {
    "leak": leak,
    "overspend": overspend,
    "tamper": tamper,
    "hostile": hostile,
    "speed": speed,
}


def measured(part: str, *, small: bool, beside: str) -> dict[str, Any]:
    """A part's figures, with when and beside what they were measured."""
    before, began = os.getloadavg(), time.time()
    found = PARTS[part](small=small)
    return {
        **found,
        "measured": {
            "at": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(began)),
            "seconds": round(time.time() - began, 1),
            "cores": os.cpu_count(),
            "load_before": [round(each, 2) for each in before],
            "load_after": [round(each, 2) for each in os.getloadavg()],
            "beside": beside,
            "python": platform.python_version(),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--small", action="store_true", help="a rehearsal of a minute or two")
    parser.add_argument("--beside", default="what else ran is not stated", help="what else ran")
    stated = parser.parse_args()
    results = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for part in stated.parts or PARTS:
        results[part] = measured(part, small=stated.small, beside=stated.beside)
        print(json.dumps({part: results[part]}, indent=2), flush=True)
        if not stated.small:
            RESULT.write_text(json.dumps(results, indent=2) + "\n")
            write_table(results)


if __name__ == "__main__":
    main()
