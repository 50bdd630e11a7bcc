"""Break one line at a time and see that a test fails: a budget check, a tie-break, an order, an unknown.

    python benchmarks/mutants.py            every mutant, in copies of the tree; writes results/mutants.json

Each mutant runs the tests that are meant to catch it, nothing else, so that what is shown is that these tests
can fail.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULT = ROOT / "benchmarks" / "results" / "mutants.json"


@dataclass(frozen=True)
class Mutant:
    """One change to one file, and the tests that must notice."""

    about: str
    file: str
    old: str
    new: str
    tests: str


CONTROL = Mutant(
    "nothing is changed",
    "solve/meter.py",
    "self.overrun = False",
    "self.overrun = False",
    "tests/solve tests/strategies/test_strategies.py tests/strategies/test_voting.py",
)
MUTANTS = (
    Mutant(
        "the budget is not checked before a call",
        "solve/meter.py",
        "if limit is not None and getattr(total, unit) > limit:",
        "if limit is not None and getattr(total, unit) > 2 * limit:",
        "tests/solve/test_budget.py",
    ),
    Mutant(
        "what is in flight is not held against the budget",
        "solve/meter.py",
        "total = self.spent + self._held + worst",
        "total = self.spent + worst",
        "tests/solve/test_budget.py",
    ),
    Mutant(
        "an unknown usage is charged as nothing",
        "solve/meter.py",
        "worst.tokens if usage.tokens is None else usage.tokens",
        "0 if usage.tokens is None else usage.tokens",
        "tests/solve/test_budget.py",
    ),
    Mutant(
        "an overrun does not end the spending",
        "solve/meter.py",
        "                self.overrun = True",
        "                self.overrun = False",
        "tests/solve/test_budget.py",
    ),
    Mutant(
        "a retry is not admitted by the budget",
        "solve/flight.py",
        "if self.purse.meter.reserve(self.held):",
        "if self.purse.meter.reserve(self.held) or True:",
        "tests/solve/test_budget.py",
    ),
    Mutant(
        "ties go to the first in the alphabet",
        "strategies/_steps.py",
        "choice = rng.choice(sorted(c for c, total in sums.items() if total == most))",
        "choice = min(c for c, total in sums.items() if total == most)",
        "tests/strategies/test_strategies.py tests/strategies/test_voting.py",
    ),
    Mutant(
        "ties go to the last that was drawn",
        "strategies/_steps.py",
        "choice = rng.choice(sorted(c for c, total in sums.items() if total == most))",
        "choice = [c for c, total in sums.items() if total == most][-1]",
        "tests/strategies/test_strategies.py tests/strategies/test_voting.py",
    ),
    Mutant(
        "no answer votes",
        "strategies/_steps.py",
        "if sample.choice is not None and weight is not None and weight > 0:",
        "if weight is not None and weight > 0:",
        "tests/strategies/test_strategies.py tests/strategies/test_voting.py",
    ),
    Mutant(
        "an unknown score is a score of 0",
        "strategies/_steps.py",
        "scored = [(v, s) for s, v in zip(samples, scores, strict=True) if v is not None and s.choice",
        "scored = [(v or 0, s) for s, v in zip(samples, scores, strict=True) if s.choice",
        "tests/strategies/test_strategies.py tests/strategies/test_voting.py",
    ),
    Mutant(
        "a vote stops at the first leader",
        "strategies/_posterior.py",
        "ahead = [(leader - rival, rival + SEEN) for rival in rivals] + [(leader, UNSEEN)]",
        "ahead = [(leader - rival, rival + SEEN) for rival in rivals]",
        "tests/strategies/test_voting.py",
    ),
    Mutant(
        "samples behind a gap are told",
        "solve/driver.py",
        "            if ask.missing:\n                break\n        return wave.until",
        "        return wave.until",
        "tests/solve",
    ),
    Mutant(
        "a strategy that needs what the engine lacks is begun all the same",
        "solve/driver.py",
        "if not getattr(engine.capabilities, name):",
        "if False:",
        "tests/solve",
    ),
)


def killed(mutant: Mutant) -> bool:
    """Whether the tests fail on the mutant."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for part in ("src", "tests", "pyproject.toml", "README.md", "LICENSE"):
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, tree / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, tree / part)
        path = tree / "src" / "ponder" / mutant.file
        text = path.read_text("utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(
                f"mutants: {mutant.file} holds {mutant.old!r} {text.count(mutant.old)} times, not once."
            )
        path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *mutant.tests.split(),
        ]
        done = subprocess.run(
            command,
            cwd=tree,
            env={"PYTHONPATH": str(tree / "src"), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"mutants: the tests of {mutant.about!r} did not run:\n{done.stdout[-2000:]}")
        return done.returncode == 1


def main() -> int:
    if killed(CONTROL):
        raise SystemExit("mutants: the tests fail on the tree as it is; mend them first.")
    rows = []
    for mutant in MUTANTS:
        caught = killed(mutant)
        rows.append({"mutant": mutant.about, "file": mutant.file, "tests": mutant.tests, "caught": caught})
        print(f"{'caught' if caught else 'MISSED':7} {mutant.about}", flush=True)
    RESULT.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return 0 if all(row["caught"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
