"""The problems with their recorded samples: drawn once by `ponder measure`, served to every system.

A draw that was interrupted is continued; what is drawn already is bought no second time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from ponder import tasks
from ponder.core import Message, Prompt, Question, Sample
from ponder.ledger import Ledger

__all__ = ["DRAWS", "HELD_OUT", "SAMPLES", "TEMPERATURE", "BankDraw", "Banked", "draw", "grader_of", "load"]

SAMPLES = 64
TEMPERATURE = 0.8

# Nothing here or in ponder was tuned on these: their prompts, strategies and settings are as they were
# before the first comparison.
HELD_OUT = ("products", "countdown")


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


# The second draw adds problems of the tasks that have more of them than the first one took.
DRAWS = (
    BankDraw("peers-bank", ("chain_sum", "chain_sum3", "lcm", "addition2", "products", "countdown"), 350, 11),
    BankDraw("peers-bank-more", ("chain_sum3", "addition2", "countdown"), 300, 12),
)


@dataclass(frozen=True, slots=True)
class Banked:
    """A problem with its samples in the order drawn. `question.prompt` is one user message that holds the
    raw text which the samples continue, so that every client sends the same; `prompt_tokens` is its length.
    """

    question: Question
    key: str
    prompt_tokens: int
    samples: tuple[Sample, ...]

    @property
    def text(self) -> str:
        """What the model is shown."""
        return self.question.prompt.messages[0].content


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


def load(path: Path, draws: Iterable[BankDraw] = DRAWS) -> list[Banked]:
    """The problems whose samples are all there, in their order, each text once."""
    found: dict[str, Banked] = {}
    with Ledger.open(path, write=False) as ledger:
        known = {row.id for row in ledger.runs()}
        for each in draws:
            for banked in _of_run(ledger, each.run) if each.run in known else ():
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


def grader_of(task: str) -> str:
    """The name of the task's grader."""
    return tasks.describe(task.partition(":")[0]).grader
