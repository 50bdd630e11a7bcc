"""The task's own judgement, for problems with many right answers.

Countdown is checked exactly. A reasoning-gym problem is scored by reasoning-gym, in a child process that
can be killed, and is correct at the full score alone: its scorers pay partial credit for substrings.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ponder.child import Child
from ponder.core import Question
from ponder.errors import ChildCrashed, ChildError, ChildTimeout, InputError
from ponder.tasks import checks, countdown, gym

__all__ = ["Own", "create"]

TRIES = 2


class Own:
    """Grades by the task's own check. It holds a child process from the first reasoning-gym problem on.

    An answer on which the scorer raises is not correct. Where it dies or runs out of time, twice, nothing
    is known of the answer: None. A scorer that cannot even be started is an error (ChildError, or
    MissingExtra).
    """

    name = "own"

    def __init__(self) -> None:
        self._child: Child | None = None

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool | None:
        checked = checks(question, choice)
        if checked is not None:
            return checked == countdown.SOLVED
        if not handle:
            raise InputError(
                f"grader: the task {question.task!r} has no check of its own; use exact or numeric."
            )
        if self._child is None:
            self._child = gym.child()
        for _ in range(TRIES):
            self._child.start()
            try:
                return gym.score(self._child, handle, choice) >= 1.0
            except (ChildTimeout, ChildCrashed):
                continue
            except ChildError:
                return False
        return None

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None


def create() -> Own:
    return Own()
