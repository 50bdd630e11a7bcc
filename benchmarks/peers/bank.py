"""The problems with their recorded samples, as the file that is committed and served to every system.

A line of JSON a problem, after one that says what the file is, compressed. A problem's distinct samples stand
once, with the order in which they were drawn. Log-probabilities are rounded to thousandths of a nat.
`drawing` makes the file.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import fsum
from pathlib import Path
from typing import Any

from ponder import tasks
from ponder.core import Finish, Question, Sample
from ponder.tasks import extract

__all__ = [
    "COMMITTED",
    "HELD_OUT",
    "SAMPLES",
    "TEMPERATURE",
    "Banked",
    "by_task",
    "grader_of",
    "load",
    "save",
]

COMMITTED = Path(__file__).parents[1] / "results" / "peers_bank.jsonl.xz"
SAMPLES = 64
TEMPERATURE = 0.8
_STEP = 1000  # the steps of a rounded log-probability in one nat

# Nothing here or in ponder was tuned on these: their prompts, strategies and settings are as they were
# before the first comparison.
HELD_OUT = ("products", "countdown")


@dataclass(frozen=True, slots=True)
class Banked:
    """A problem with its samples in the order drawn. `question.prompt` is one user message that holds the
    raw text which the samples continue, so that every client sends the same; `prompt_tokens` is its length.
    `digest` tells it from the same problem with other samples.
    """

    question: Question
    key: str
    prompt_tokens: int
    samples: tuple[Sample, ...]
    digest: str = ""

    @property
    def text(self) -> str:
        """What the model is shown."""
        return self.question.prompt.messages[0].content


def grader_of(task: str) -> str:
    """The name of the task's grader."""
    return tasks.describe(task.partition(":")[0]).grader


def save(problems: Iterable[Banked], path: Path) -> None:
    """Write the file. Raises ValueError for a sample whose tokens or log-probabilities are unknown."""
    rows = [_row(banked) for banked in problems]
    head = {
        "what": "problems with their samples in the order drawn",
        "problems": len(rows),
        "samples": SAMPLES,
        "temperature": TEMPERATURE,
    }
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in (head, *rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress("\n".join(lines).encode() + b"\n", preset=9 | lzma.PRESET_EXTREME))


def load(path: Path = COMMITTED) -> list[Banked]:
    """The problems of a file, in its order. Raises ValueError, naming the line, for what is no bank."""
    return list(_read(path))


def by_task(problems: Iterable[Banked]) -> dict[str, list[Banked]]:
    """The problems of each task, in their order."""
    found: dict[str, list[Banked]] = {}
    for each in problems:
        found.setdefault(each.question.task, []).append(each)
    return found


def _row(banked: Banked) -> dict[str, Any]:
    places: dict[tuple[str, int, str, tuple[int, ...]], int] = {}
    order = [places.setdefault(_rounded(banked, sample), len(places)) for sample in banked.samples]
    return {
        "question": banked.question.to_json(),
        "key": banked.key,
        "prompt_tokens": banked.prompt_tokens,
        "distinct": [[text, tokens, finish, list(steps)] for text, tokens, finish, steps in places],
        "order": order,
    }


def _rounded(banked: Banked, sample: Sample) -> tuple[str, int, str, tuple[int, ...]]:
    if sample.tokens is None or sample.logprobs is None:
        raise ValueError(f"sample {sample.index} of {banked.question.id} has no tokens or log-probabilities")
    steps = tuple(round(-_STEP * logprob) for logprob in sample.logprobs)
    return sample.text, sample.tokens, sample.finish, steps


def _read(path: Path) -> Iterator[Banked]:
    with lzma.open(path, "rb") as lines:
        head = json.loads(next(lines, b"{}"))
        if (head.get("samples"), head.get("temperature")) != (SAMPLES, TEMPERATURE):
            raise ValueError(f"{path}: no bank of {SAMPLES} samples at temperature {TEMPERATURE}")
        for number, line in enumerate(lines, 2):
            try:
                yield _banked(line)
            except (ValueError, KeyError, TypeError, IndexError) as error:
                raise ValueError(f"{path}: line {number} is no problem with samples ({error!r})") from None


def _banked(line: bytes) -> Banked:
    row = json.loads(line)
    question = Question.from_json(row["question"])
    distinct = [_sample(question, *each) for each in row["distinct"]]
    samples = tuple(replace(distinct[place], index=index) for index, place in enumerate(row["order"]))
    digest = hashlib.sha256(line).hexdigest()[:12]
    return Banked(question, row["key"], row["prompt_tokens"], samples, digest)


def _sample(question: Question, text: str, tokens: int, finish: Finish, steps: Sequence[int]) -> Sample:
    logprobs = tuple(0.0 - step / _STEP for step in steps)
    choice = extract.choice(question, text)
    return Sample(text, choice, 0, None, tokens, fsum(logprobs), logprobs, finish)
