"""Process rewards: a reward model's mark for each step, the last step's counting (Lightman et al. 2023,
arXiv 2305.20050; the last step: Snell et al. 2024, arXiv 2408.03314 §5.1).

The role "reward" is asked, for which open `pooling+http://HOST:PORT#MODEL`. See `process_min` and
`process_product` for the other ways to make one score of many.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ponder.core import Draw, Message, Prompt, Question, Sample
from ponder.strategies._talk import whole
from ponder.verifiers._judging import Asking

__all__ = ["create", "process", "steps"]


def create() -> Asking:
    """The reward of the last step, in [0, 1]: of the whole path where the model was trained on outcomes."""
    return process("process", lambda rewards: rewards[-1])


def process(name: str, aggregate: Callable[[Sequence[float]], float]) -> Asking:
    """A scorer that makes one score of the rewards of all steps (never none, each in [0, 1]).

    None for a text that is too long to be shown as a whole: a step that is left out has no reward.
    """

    def read(question: Question, text: str, reply: Sample) -> float | None:
        rewards = _rewards(reply.text)
        return aggregate(rewards) if len(rewards) == len(steps(text)) else None

    return Asking(name, _ask, read, shown=whole)


def steps(text: str) -> list[str]:
    """The steps of a text: its lines, without the blank ones. A longer path keeps the steps that it has."""
    return [line.strip() for line in text.split("\n") if line.strip()]


def _ask(question: Question, text: str) -> Draw:
    turns = [Message("user", question.text), *(Message("assistant", step) for step in steps(text))]
    return Draw(role="reward", prompt=Prompt(tuple(turns)), max_tokens=1, temperature=0.0)


def _rewards(text: str) -> list[float]:
    """The numbers of a JSON list; none unless all are in [0, 1]."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(found, list):
        return []
    sound = all(type(reward) in (int, float) and 0 <= reward <= 1 for reward in found)
    return [float(reward) for reward in found] if sound else []
