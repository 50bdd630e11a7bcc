"""Scores of held-out problems: many samples of each, graded as a measurement grades them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder import verifiers
from ponder.core import Prompt
from ponder.engines._torch_text import Text
from ponder.errors import ModelUnsupported
from ponder.measure.estimators import coverage
from ponder.measure.intervals import Estimate, resample, resample_differences
from ponder.tasks import Problem, extract

__all__ = ["Score", "Verifier", "changes", "estimates", "raw_prompt"]

LEVEL = 0.9
_LONGEST_BEGINNING = 32  # characters of a token such as <|begin_of_text|>
_POWERS = (1, 4, 16, 64, 256, 1024)


@dataclass(frozen=True, slots=True)
class Score:
    """`right` counts each problem's right answers among `samples` draws. `length` is the mean of a reply in
    tokens, `cut` the share that ended at the limit, `ungraded` the samples that the grader could not tell of
    (they count as wrong)."""

    right: tuple[int, ...]
    samples: int
    length: float
    cut: float
    ungraded: int

    @property
    def ks(self) -> tuple[int, ...]:
        """The numbers of samples that pass@k is told at."""
        return tuple(sorted({1, self.samples, *(k for k in _POWERS if k < self.samples)}))

    def passed(self, ks: Sequence[int]) -> NDArray[np.float64]:
        """[P, K]: each problem's unbiased pass@k (Chen et al. 2021, arXiv 2107.03374 §2.1)."""
        correct = np.arange(self.samples)[None, :] < np.array(self.right)[:, None]
        return coverage(correct, ks)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "right": list(self.right)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Score:
        return cls(**{**value, "right": tuple(value["right"])})


def estimates(score: Score, *, seed: int) -> dict[int, Estimate]:
    """pass@k with 90 % intervals."""
    passed = score.passed(score.ks)
    low, high = resample(passed, level=LEVEL, rng=np.random.default_rng(seed))
    return {
        k: Estimate(*map(float, each))
        for k, *each in zip(score.ks, passed.mean(axis=0), low, high, strict=True)
    }


def changes(before: Score, after: Score, *, seed: int) -> dict[int, Estimate]:
    """What pass@k gained or lost on the same problems, with 90 % intervals of the paired differences."""
    ks = [k for k in before.ks if k <= after.samples]
    gained = after.passed(ks) - before.passed(ks)
    low, high = resample_differences(gained, level=LEVEL, rng=np.random.default_rng(seed))
    rows = zip(ks, gained.mean(axis=0), low, high, strict=True)
    return {k: Estimate(*map(float, each)) for k, *each in rows}


class Verifier:
    """A task's grader over texts of its problems. Each answer of a problem is graded once. `close()` it."""

    def __init__(self, name: str) -> None:
        self._grader = verifiers.grader(name)
        self._decided: dict[tuple[str, str], bool | None] = {}

    def choice(self, problem: Problem, text: str) -> str | None:
        """The answer that a text gives, by the question's own rule."""
        return extract.choice(problem.question, text)

    def right(self, problem: Problem, choice: str | None) -> bool | None:
        """Whether it is the right one; None where the grader cannot tell."""
        if choice is None:
            return False
        place = (problem.question.id, choice)
        if place not in self._decided:
            self._decided[place] = self._grader.grade(problem.question, problem.key, choice, problem.handle)
        return self._decided[place]

    def forget(self) -> None:
        """Let go of the answers that were graded."""
        self._decided.clear()

    def close(self) -> None:
        self._grader.close()


def raw_prompt(text: Text, problem: Problem) -> str:
    """A problem's prompt as one raw text that is encoded to the same tokens: a chat without the token that
    the tokenizer puts before every raw text. Raises ModelUnsupported where there is none."""
    prompt = problem.question.prompt
    if prompt.text is not None:
        return prompt.text
    rendered, wanted = text.render(prompt), text.encode(prompt)
    for begin in range(_LONGEST_BEGINNING):
        if text.encode(Prompt((), rendered[begin:])) == wanted:
            return rendered[begin:]
    raise ModelUnsupported(
        "model: its chat template cannot be given as raw text: use a task with a raw prompt."
    )
