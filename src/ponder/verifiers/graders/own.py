"""The task's own judgement, for problems with many right answers.

Countdown is checked exactly. A reasoning-gym problem is scored by reasoning-gym, in a child process that
can be killed, and is correct at the full score alone: its scorers pay partial credit for substrings.
"""

from __future__ import annotations

from ponder.child import Child
from ponder.core import Question
from ponder.errors import ChildError, InputError
from ponder.tasks import checks, countdown, gym

__all__ = ["Own", "create"]


class Own:
    """Grades by the task's own check. It holds a child process from the first reasoning-gym problem on.

    An answer on which the scorer fails or runs out of time is not correct. A scorer that cannot even be
    started is an error (ChildError, or MissingExtra): it says nothing about the answer.
    """

    name = "own"

    def __init__(self) -> None:
        self._child: Child | None = None

    def grade(self, question: Question, key: str, choice: str) -> bool:
        checked = checks(question, choice)
        if checked is not None:
            return checked == countdown.SOLVED
        if "generator" not in question.data:
            raise InputError(
                f"grader: the task {question.task!r} has no check of its own; use exact or numeric."
            )
        if self._child is None:
            self._child = gym.child()
        self._child.start()
        try:
            return gym.score(self._child, question, choice) >= 1.0
        except ChildError:
            return False

    def close(self) -> None:
        """End the child process, if there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None


def create() -> Own:
    return Own()
