"""A program is right when it passes its tests, run in isolated processes; off unless it is switched on.

The tests are the key, in one of two forms:

- Python with `assert`s ("assert add(1, 2) == 3"). The names that it uses and does not define are the
  program's functions. The tests run in a process of their own; a call of such a function goes to the process
  that holds the program, and plain data comes back (numbers, texts, lists, tuples, sets, dicts).
- A JSON list of {"input": ..., "output": ...}: what the program is given on its standard input, and what it
  must print, compared line by line without the blanks at their ends.

Either way the program runs where neither the tests nor the expected results are, so it cannot look them up,
change them or claim to have passed. An exit before the tests have ended, a limit that was hit, an exception,
a wrong result: all are not correct.
"""

from __future__ import annotations

import ast
import builtins
import functools
import json
import os
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ponder.core import Question
from ponder.errors import ChildCrashed, InputError
from ponder.verifiers._jail import JailLimits, escapes, run_script, run_tests

__all__ = ["ALLOW", "Code", "create"]

ALLOW = "PONDER_ALLOW_CODE"
_PROGRAM_CHARACTERS = 100_000


class Code:
    """Grades by running a program's tests. One time limit holds for Python tests together, and for each pair
    of input and output."""

    name = "code"

    def __init__(self, limits: JailLimits | None = None) -> None:
        self._limits = limits or JailLimits()

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool:
        """Raises InputError for tests that cannot be used, ChildCrashed when no process can be isolated."""
        if len(choice) > _PROGRAM_CHARACTERS:
            return False
        pairs = _pairs(key)
        if pairs is not None:
            # A list of tests is no program: another problem's key, tried as an answer to all of them.
            return _pairs(choice) is None and all(self._prints(choice, *pair) for pair in pairs)
        try:
            names = _functions(key)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            raise InputError(
                f"tests: those of {question.id} are not Python ({reason}); correct them."
            ) from None
        if not names:
            raise InputError(
                f"tests: those of {question.id} call no function of the program; write for example "
                f'"assert add(1, 2) == 3".'
            )
        if not all(re.search(rf"\b{re.escape(name)}\b", choice) for name in names):
            return False
        return run_tests(choice, key, names, self._limits)

    def close(self) -> None:
        """Holds nothing: every run ends its own processes."""

    def _prints(self, program: str, given: str, expected: str) -> bool:
        ended = run_script(program, given, self._limits)
        return ended.code == 0 and _lines(ended.output.decode(errors="replace")) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


@functools.lru_cache(maxsize=64)
def _pairs(key: str) -> tuple[tuple[str, str], ...] | None:
    """The inputs and outputs that a key lists, None for a key of another form."""
    try:
        rows = json.loads(key) if key.lstrip().startswith("[") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or not rows:
        return None
    found = []
    for row in rows:
        if not isinstance(row, dict) or not all(isinstance(row.get(k), str) for k in ("input", "output")):
            return None
        found.append((row["input"], row["output"]))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _functions(tests: str) -> tuple[str, ...]:
    """The names that tests use and neither define nor have from Python, sorted: the program's functions."""
    used: set[str] = set()
    own: set[str] = set()
    for node in ast.walk(ast.parse(tests)):
        if isinstance(node, ast.Name):
            (used if isinstance(node.ctx, ast.Load) else own).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.alias):
            own.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
            own.add(node.name)
    return tuple(sorted(used - own - set(dir(builtins)) - {"__name__", "__file__"}))


def create() -> Code:
    """Raises InputError where running programs is not switched on, or cannot be isolated on this machine."""
    if os.environ.get(ALLOW) != "1":
        raise InputError(
            f"grader: code runs the programs that a model writes, and is off; set {ALLOW}=1 to switch it on."
        )
    limits = JailLimits()
    try:
        able = escapes(limits)
    except ChildCrashed as error:
        able = [str(error)]
    if able:
        raise InputError(
            f"grader: code is refused, because this machine cannot isolate a program "
            f"({'; '.join(able)[:300]}); use Linux 5.13 or newer on x86-64, with seccomp and Landlock."
        )
    return Code(limits)
