"""Draw the bank: `ponder measure` records the samples in a ledger, which is then written as the file that
is committed.

    python -m benchmarks.peers.drawing LEDGER [FILE]    write FILE from a ledger that is drawn

A draw that was interrupted is continued; what is drawn already is bought no second time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.peers.bank import COMMITTED, SAMPLES, Banked, save

from ponder.core import Message, Prompt, Sample
from ponder.ledger import Ledger

__all__ = ["DRAWS", "BankDraw", "draw", "recorded"]


@dataclass(frozen=True, slots=True)
class BankDraw:
    """One run of `ponder measure` that fills a part of the bank."""

    run: str
    tasks: tuple[str, ...]
    problems: int
    seed: int

    def command(self, ledger: Path) -> list[str]:
        """The command that draws it, or continues to."""
        named = [part for task in self.tasks for part in ("--task", task)]
        return [
            *(sys.executable, "-m", "ponder", "measure", *named),
            *("--strategy", "vote", "--strategy", "best:by=likelihood", "--no-report"),
            *("--problems", str(self.problems), "--samples", str(SAMPLES), "--seed", str(self.seed)),
            *("--run", self.run, "--ledger", str(ledger)),
        ]


# Over 2,000 problems in all; the second draw adds some of the tasks that have more than the first one took.
DRAWS = (
    BankDraw("peers-bank", ("chain_sum", "chain_sum3", "lcm", "addition2", "products", "countdown"), 350, 11),
    BankDraw("peers-bank-more", ("addition2", "countdown"), 300, 12),
)


def draw(ledger: Path, draws: Iterable[BankDraw] = DRAWS) -> None:
    """Draw what is missing, with the embedded model, at low priority."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    for each in draws:
        if not _finished(ledger, each.run):
            print(f"drawing {each.run} into {ledger} ...", flush=True)
            subprocess.run(["nice", "-n", "10", *each.command(ledger)], check=True)


def _finished(ledger: Path, run: str) -> bool:
    if not ledger.exists():
        return False
    with Ledger.open(ledger, write=False) as opened:
        return any(row.id == run and row.finished for row in opened.runs())


def recorded(path: Path) -> list[Banked]:
    """The problems of a ledger's runs, finished or not, whose samples are all there; each text once."""
    found: dict[str, Banked] = {}
    with Ledger.open(path, write=False) as ledger:
        for row in ledger.runs():
            for banked in _of_run(ledger, row.id):
                found.setdefault(banked.text, banked)
    return list(found.values())


def _of_run(ledger: Ledger, run: str) -> Iterable[Banked]:
    samples: dict[str, list[Sample]] = {}
    for stored in ledger.samples(run):
        samples.setdefault(stored.problem_id, []).append(stored.sample)
    prompts = {call.problem_id: call.prompt_tokens for call in ledger.calls(run) if call.prompt_tokens}
    for question, key in ledger.problems(run):
        drawn = samples.get(question.id, [])
        text, tokens = question.prompt.text, prompts.get(question.id)
        if len(drawn) == SAMPLES and text is not None and tokens is not None and key is not None:
            shown = replace(question, prompt=Prompt((Message("user", text),), text))
            yield Banked(shown, key, tokens, tuple(drawn))


def main(ledger: str, file: str = str(COMMITTED)) -> None:
    problems = recorded(Path(ledger))
    save(problems, Path(file))
    print(f"{file}: {len(problems):,} problems, {Path(file).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
