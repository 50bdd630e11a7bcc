"""Countdown: reach a target with the given numbers. Its answers are checked exactly without a key.

The rule is the television game's: each given number at most once, so not all need be used, joined by
+ - * / and parentheses; every intermediate value is an exact fraction. An unused number is no fault, and
neither a sign in front of a number nor digits glued together are allowed.

With `steps=true` the same problems are answered one operation a line, so that a search can see every step.
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
from ponder.tasks import countdown_steps, extract
from ponder.tasks.problems import Problem, ProblemSet
from ponder.tasks.prompts import PromptOverride, few_shot, overridden, shown_text

__all__ = ["DEAD_END", "LEGAL", "REACHABLE", "SOLVED", "TITLE", "checks", "evaluate", "problem_set"]

TITLE = "Countdown: reach the target"
SOLVED, LEGAL, ILLEGAL = 1.0, 0.5, 0.0
REACHABLE, DEAD_END = 0.75, 0.25  # of an unfinished chain: what a further step can, or cannot, lead to

# 100 characters nest at most 50 deep, far from the interpreter's recursion limit.
_EXPRESSION_CHARACTERS = 100
_LARGEST_TARGET = 100
_TOKEN = re.compile(r" *(?:([0-9]{1,4})|([-+*/()]))")
DEFAULTS: dict[str, Any] = {"numbers": 3, "largest": 9, "steps": False}
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
_STEPS_REPLY, _STEP_TOKENS = "Steps:", 16
# The full stop ends the last line and with it the answer: a model that ends its steps with a blank line has
# to be asked once more for nothing. A note of the numbers that are left ("(left: 5 12)") costs half as much
# again and made SmolLM2-135M-Instruct's second steps no better: 7 against 10 % right (24 problems, 16 each).
_STEPS_SHOTS = (
    ("Make 17 from 3, 4, 5", "3 * 4 = 12;\n12 + 5 = 17."),
    ("Make 6 from 9, 2, 1", "9 - 2 = 7;\n7 - 1 = 6."),
    ("Make 16 from 6, 2, 8", "6 + 2 = 8;\n8 + 8 = 16."),
    ("Make 9 from 7, 5, 3", "7 + 5 = 12;\n12 - 3 = 9."),
    ("Make 25 from 4, 3, 7", "3 * 7 = 21;\n21 + 4 = 25."),
    ("Make 10 from 8, 6, 4", "8 + 6 = 14;\n14 - 4 = 10."),
    ("Make 33 from 5, 8, 7", "5 * 8 = 40;\n40 - 7 = 33."),
    ("Make 20 from 9, 9, 2", "9 + 9 = 18;\n18 + 2 = 20."),
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


def checks(question: Question, text: str, *, finished: bool = True) -> float | None:
    """How good the answer in `text` is: 1.0 it hits the target, 0.5 it is legal but misses, 0.0 it is
    illegal or there is none. None when the question is not from Countdown. Needs no key.

    `finished` false: the text is the beginning of an answer in steps. Legal so far, it is worth 0.75 where
    further steps can still hit the target and 0.25 where none can, by exhaustive search: a chain that has
    hit it and goes on must hit it again. Of a search what it has left so far is judged, as if no step more
    were taken back. A one-line expression is judged as it stands.
    """
    if question.data.get("checks") != "countdown":
        return None
    answer, target = extract.choice(question, text), question.data["target"]
    if answer is None and question.extract == countdown_steps.SEARCH_RULE and not finished:
        answer = extract.remaining(text)  # all may be taken back, and is then legal
    if answer is None:
        return ILLEGAL
    if question.extract in (countdown_steps.RULE, countdown_steps.SEARCH_RULE):
        return _check_steps(answer, question.data["numbers"], target, finished)
    value = evaluate(answer, question.data["numbers"])
    return ILLEGAL if value is None else SOLVED if value == target else LEGAL


def _check_steps(chain: str, numbers: Sequence[int], target: int, finished: bool) -> float:
    left = countdown_steps.walk(chain, numbers)
    if left is None:
        return ILLEGAL
    if finished:
        return SOLVED if left[-1] == target else LEGAL
    # Also at the target: another step will follow, and its result is the answer.
    return REACHABLE if countdown_steps.reachable(left, target) else DEAD_END


def _random_solution(rng: Random, numbers: Sequence[int]) -> tuple[str, str]:
    """An expression that uses all the numbers, and the same in steps."""
    parts = [(str(n), n) for n in numbers]
    chain = []
    while len(parts) > 1:
        (left, a), (right, b) = (parts.pop(rng.randrange(len(parts))) for _ in range(2))
        operator = rng.choice("+-*")
        value = a + b if operator == "+" else a - b if operator == "-" else a * b
        parts.append((f"({left} {operator} {right})", value))
        chain.append(f"{a} {operator} {b} = {value}")
    return parts[0][0][1:-1], "; ".join(chain)


def _instance(rng: Random, count: int, largest: int) -> tuple[tuple[int, ...], int, tuple[str, str]]:
    """Numbers, a target that is none of them, and one solution that uses them all, in both forms."""
    while True:
        numbers = tuple(rng.randint(1, largest) for _ in range(count))
        solution = _random_solution(rng, numbers)
        value = evaluate(solution[0], numbers)
        if value is not None and 0 < value <= _LARGEST_TARGET and value not in numbers:
            return numbers, int(value), solution


def _settings(parameters: Mapping[str, Any]) -> tuple[int, int, bool]:
    for name, value in parameters.items():
        if name not in DEFAULTS:
            known = "numbers, largest and steps"
            raise InputError(f"task: countdown has no parameter {name!r}; known are {known}.")
        if name == "steps":
            if not isinstance(value, bool):
                raise InputError(f"task: countdown's steps must be true or false, not {value!r}.")
            continue
        low, high = _BOUNDS[name]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InputError(
                f"task: countdown's {name} must be a whole number from {low} to {high}, not {value!r}."
            )
    merged = {**DEFAULTS, **parameters}
    return merged["numbers"], merged["largest"], merged["steps"]


def problem_set(
    name: str, parameters: Mapping[str, Any], *, problems: int, seed: int, prompt: PromptOverride | None
) -> ProblemSet:
    """`problems` different solvable instances. Parameters: `numbers` (how many, 2 to 6, default 3), `largest`
    (of the numbers, 5 to 100, default 9) and `steps` (true: one operation a line; the problems are the same).

    Fewer come back when chance finds no more new ones. Raises InputError for a parameter out of range.
    """
    count, largest, steps = _settings(parameters)
    rng = Random(f"countdown/{count}/{largest}/{seed}")
    ask = _question_in_steps if steps else _question
    shown = {text for text, _ in _SHOTS}
    found: dict[str, Problem] = {}
    for _ in range(20 * problems + 100):
        if len(found) == problems:
            break
        numbers, target, solution = _instance(rng, count, largest)
        text = f"Make {target} from {', '.join(map(str, numbers))}"
        if text not in found and text not in shown:
            question = ask(f"{name}/{seed}-{len(found):04d}", name, text, numbers, target)
            found[text] = Problem(overridden(question, prompt), solution[steps])
    example = overridden(ask("", name, "{question}", (), 0), prompt)
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


def _question_in_steps(identity: str, task: str, text: str, numbers: Sequence[int], target: int) -> Question:
    """Its answer is the chain of its steps, so that there is no shorter, direct form."""
    prompt = few_shot(text, _STEPS_SHOTS, ask=_ASK, reply=_STEPS_REPLY)
    return Question(
        id=identity,
        text=text,
        prompt=prompt,
        direct=prompt,
        task=task,
        stop=(".",),
        max_tokens=_STEP_TOKENS * max(1, len(numbers) - 1),
        extract=countdown_steps.RULE,
        data={"checks": "countdown", "numbers": list(numbers), "target": target},
    )
