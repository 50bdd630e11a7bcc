"""`python -m benchmarks.upstream [SERVER ...]` installs real servers outside the tree, puts `ponder serve` in
front of each, and writes what came of it to results/upstream.json and the table in the README here.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.upstream import checks
from benchmarks.upstream.environments import KINDS, VERSIONS, install
from benchmarks.upstream.servers import Upstream

from ponder.engines.weights import ensure

FOLDER = Path(__file__).parents[1]
RESULT, README = FOLDER / "results" / "upstream.json", FOLDER / "README.md"
_BEGIN, _END = "<!-- upstream: begin -->", "<!-- upstream: end -->"


def observe(kind: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        upstream = Upstream(kind, ensure("smollm2"), folder / "log")
        upstream.start()
        try:
            (folder / "a").mkdir()
            (folder / "b").mkdir()
            with checks.bench(upstream, folder / "a", timeout=checks.TIMEOUT_SECONDS) as at:
                stopped = checks.paused(at)
            with checks.bench(upstream, folder / "b") as at:
                found = {
                    "usages": checks.usages(at),
                    "samplings": checks.samplings(at),
                    "left": [checks.left(at, streamed=each) for each in (True, False)],
                    "paused": stopped,
                    "killed": checks.killed(at),
                }
                return found | {"charges": at.charges()}
        finally:
            upstream.kill()


def table(results: Mapping[str, Any]) -> Iterator[str]:
    yield "| | " + " | ".join(results) + " |"
    yield "|---" * (len(results) + 1) + "|"
    rows = {
        "version": lambda of: of["version"],
        "requests whose generated tokens are told as the ledger has them": lambda of: _agreeing(of, "ledger"),
        "... and as the server counted them": lambda of: _agreeing(of, "upstream"),
        "a seed gives the same text again": lambda of: _word(of["samplings"]["seed_twice_the_same"]),
        "seconds until it rests when a caller leaves: streamed, not": lambda of: _left(of["left"]),
        "SIGSTOP in a request": lambda of: _seen(of["paused"]),
        "SIGKILL in a request": lambda of: _seen(of["killed"]["during"]),
        "while it is gone": lambda of: _seen(of["killed"]["after"]),
        "answers once it is back": lambda of: _word(of["killed"]["restarted"]),
        "requests, charged twice, never": lambda of: _charges(of["charges"]),
        "measured": lambda of: of["at"],
    }
    for name, cell in rows.items():
        yield f"| {name} | " + " | ".join(str(cell(of)) for of in results.values()) + " |"


def _agreeing(of: Mapping[str, Any], by: str) -> str:
    counted = [row for row in of["usages"] if row[by] is not None]
    agree = sum(row["told"] == row[by] for row in counted)
    return f"{agree} of {len(counted)}" if counted else "it counts none"


def _left(rows: list[Mapping[str, Any]]) -> str:
    return ", ".join("not within 20" if row["seconds"] is None else str(row["seconds"]) for row in rows)


def _seen(found: Mapping[str, Any]) -> str:
    return f"{found['status']} after {found['seconds']} s"


def _charges(found: Mapping[str, Any]) -> str:
    return f"{found['requests']}, {found['charged_twice']}, {found['never_charged']}"


def _word(holds: bool) -> str:
    return "yes" if holds else "no"


def write(results: Mapping[str, Any]) -> None:
    RESULT.write_text(json.dumps(results, indent=2) + "\n", "utf-8")
    before, _, rest = README.read_text("utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    README.write_text("\n".join([before + _BEGIN, *table(results), _END + after]), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("servers", nargs="*", choices=[*KINDS, []], help="default: all")
    for kind in parser.parse_args().servers or KINDS:
        install(kind)
        found = observe(kind)
        known = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {}
        stated = {"version": VERSIONS[kind], "at": time.strftime("%Y-%m-%d", time.gmtime())}
        known[kind] = stated | {"model": "SmolLM2 135M"} | found
        write({each: known[each] for each in KINDS if each in known})
        print(json.dumps(found["charges"]), flush=True)


if __name__ == "__main__":
    main()
