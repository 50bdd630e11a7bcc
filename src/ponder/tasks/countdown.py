"""Countdown: reach a target with the given numbers. Its answers are checked exactly without a key.

The rule is the television game's: each given number at most once, so not all need be used, joined by
+ - * / and parentheses; every intermediate value is an exact fraction. An unused number is no fault, and
neither a sign in front of a number nor digits glued together are allowed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from random import Random
from typing import Any

from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import extract
from ponder.tasks.problems import Problem, ProblemSet
from ponder.tasks.prompts import PromptOverride, few_shot, overridden, shown_text

__all__ = ["LEGAL", "SOLVED", "TITLE", "checks", "evaluate", "problem_set"]

TITLE = "Countdown: reach the target"
SOLVED, LEGAL, ILLEGAL = 1.0, 0.5, 0.0

# 100 characters nest at most 50 deep, far from the interpreter's recursion limit.
_EXPRESSION_CHARACTERS = 100
_LARGEST_TARGET = 100
_TOKEN = re.compile(r" *(?:([0-9]{1,4})|([-+*/()]))")
DEFAULTS = {"numbers": 3, "largest": 9}
_BOUNDS = {"numbers": (2, 6), "largest": (5, 100)}

_ASK, _REPLY = "Problem: {question}", "Answer:"
# All use every number: shots that leave one out make a small model stop after two.
_SHOTS = (
    ("Make 17 from 3, 4, 5", "3 * 4 + 5"),
    ("Make 6 from 9, 2, 1", "9 - 2 - 1"),
    ("Make 16 from 6, 2, 8", "6 + 2 + 8"),
    ("Make 9 from 7, 5, 3", "7 + 5 - 3"),
    ("Make 25 from 4, 3, 7", "4 + 3 * 7"),
    ("Make 10 from 8, 6, 4", "8 + 6 - 4"),
    ("Make 33 from 5, 8, 7", "5 * 8 - 7"),
    ("Make 20 from 9, 9, 2", "9 + 9 + 2"),
)


class _IllegalError(Exception):
    """Not an expression of the game."""


def evaluate(expression: str, numbers: Sequence[int]) -> Fraction | None:
    """The exact value of an expression that uses each of `numbers` at most once; None if it is illegal.

    The text is untrusted: at most 100 characters, parsed by hand, never evaluated as code.
    """
    try:
        tokens = _tokens(expression)
        used = Counter(int(token) for token in tokens if token.isdigit())
        if used - Counter(numbers):
            return None
        value, end = _sum(tokens, 0)
    except (_IllegalError, ZeroDivisionError):
        return None
    return value if end == len(tokens) else None


def _tokens(expression: str) -> list[str]:
    if len(expression) > _EXPRESSION_CHARACTERS:
        raise _IllegalError
    tokens, at, text = [], 0, expression.rstrip(" ")
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _IllegalError
        tokens.append(match.group(1) or match.group(2))
        at = match.end()
    return tokens


def _sum(tokens: Sequence[str], at: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at)
    while at < len(tokens) and tokens[at] in "+-":
        operator = tokens[at]
        right, at = _product(tokens, at + 1)
        value = value + right if operator == "+" else value - right
    return value, at


def _product(tokens: Sequence[str], at: int) -> tuple[Fraction, int]:
    value, at = _operand(tokens, at)
    while at < len(tokens) and tokens[at] in "*/":
        operator = tokens[at]
        right, at = _operand(tokens, at + 1)
        value = value * right if operator == "*" else value / right
    return value, at


def _operand(tokens: Sequence[str], at: int) -> tuple[Fraction, int]:
    if at < len(tokens) and tokens[at].isdigit():
        return Fraction(int(tokens[at])), at + 1
    if at < len(tokens) and tokens[at] == "(":
        value, at = _sum(tokens, at + 1)
        if at < len(tokens) and tokens[at] == ")":
            return value, at + 1
    raise _IllegalError


def checks(question: Question, text: str) -> float | None:
    """How good the expression in `text` is: 1.0 it hits the target, 0.5 it is legal but misses, 0.0 it is
    illegal or there is none. None when the question is not from Countdown. Needs no key."""
    if question.data.get("checks") != "countdown":
        return None
    expression = extract.choice(question, text)
    value = None if expression is None else evaluate(expression, question.data["numbers"])
    if value is None:
        return ILLEGAL
    return SOLVED if value == question.data["target"] else LEGAL


def _random_expression(rng: Random, numbers: Sequence[int]) -> str:
    parts = [str(n) for n in numbers]
    while len(parts) > 1:
        left, right = (parts.pop(rng.randrange(len(parts))) for _ in range(2))
        parts.append(f"({left} {rng.choice('+-*')} {right})")
    return parts[0][1:-1]


def _instance(rng: Random, count: int, largest: int) -> tuple[tuple[int, ...], int, str]:
    """Numbers, a target that is none of them, and one solution that uses them all."""
    while True:
        numbers = tuple(rng.randint(1, largest) for _ in range(count))
        solution = _random_expression(rng, numbers)
        value = evaluate(solution, numbers)
        if value is not None and 0 < value <= _LARGEST_TARGET and value not in numbers:
            return numbers, int(value), solution


def _settings(parameters: Mapping[str, Any]) -> tuple[int, int]:
    for name, value in parameters.items():
        if name not in DEFAULTS:
            raise InputError(f"task: countdown has no parameter {name!r}; known are numbers and largest.")
        low, high = _BOUNDS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"task: countdown's {name} must be a whole number from {low} to {high}, not {value!r}."
            )
    merged = {**DEFAULTS, **parameters}
    return merged["numbers"], merged["largest"]


def problem_set(
    name: str, parameters: Mapping[str, Any], *, problems: int, seed: int, prompt: PromptOverride | None
) -> ProblemSet:
    """`problems` different solvable instances. Parameters: `numbers` (how many, 2 to 6, default 3) and
    `largest` (of the numbers, 5 to 100, default 9).

    Fewer come back when chance finds no more new ones. Raises InputError for a parameter out of range.
    """
    count, largest = _settings(parameters)
    rng = Random(f"countdown/{count}/{largest}/{seed}")
    shown = {text for text, _ in _SHOTS}
    found: dict[str, Problem] = {}
    for _ in range(20 * problems + 100):
        if len(found) == problems:
            break
        numbers, target, solution = _instance(rng, count, largest)
        text = f"Make {target} from {', '.join(map(str, numbers))}"
        if text not in found and text not in shown:
            question = _question(f"{name}/{seed}-{len(found):04d}", name, text, numbers, target)
            found[text] = Problem(overridden(question, prompt), solution)
    example = overridden(_question("", name, "{question}", (), 0), prompt)
    return ProblemSet(name, TITLE, tuple(found.values()), "own", shown_text(example.prompt))


def _question(identity: str, task: str, text: str, numbers: Sequence[int], target: int) -> Question:
    worked = [(shown, f"{expression} = {shown.split()[1]}") for shown, expression in _SHOTS]
    return Question(
        id=identity,
        text=text,
        prompt=few_shot(text, worked, ask=_ASK, reply=_REPLY),
        direct=few_shot(text, _SHOTS, ask=_ASK, reply=_REPLY),
        task=task,
        stop=("\n\nProblem",),
        max_tokens=32,
        extract="expression",
        data={"checks": "countdown", "numbers": list(numbers), "target": target},
    )
