"""Problems from a JSON-lines file: `{"question": ..., "answer": ..., "id": ...}` on each line.

`id` is optional, and so is `extract`, which names the rule that reads a choice from a text. Other fields are
left out, so that nothing in them can reach a model. Every error names the file and the line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ponder.core import Question
from ponder.errors import TaskFileError
from ponder.tasks import extract
from ponder.tasks.problems import Problem, ProblemSet
from ponder.tasks.prompts import PLACEHOLDER, PromptOverride, free_form, overridden, shown_text

__all__ = ["STANDARD_INPUT", "problem_set"]

STANDARD_INPUT = "-"
_LINE_BYTES = 1 << 20
_ID_CHARACTERS = 200
_MAX_TOKENS = 512
_GENERAL = "answer"


class _Number(str):
    """A JSON number by its own digits: no rounding, and no `int` of a million digits."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    question: str
    answer: str
    rule: str


def problem_set(spec: str, *, problems: int, prompt: PromptOverride | None = None) -> ProblemSet:
    """The first `problems` problems of the file `spec` ("-": standard input), all when it has fewer.

    The whole file is checked. The answers decide the grader alone (all numbers: as numbers, else exactly)
    and nothing that a strategy sees: choices are read by the general rule, or by the one that the line
    states. Raises TaskFileError.
    """
    shown = "standard input" if spec == STANDARD_INPUT else spec
    name = "stdin" if spec == STANDARD_INPUT else Path(spec).stem
    rows = _read(spec, shown)
    found = tuple(
        Problem(overridden(_question(name, row.id, row.question, row.rule), prompt), row.answer)
        for row in rows[:problems]
    )
    example = overridden(_question(name, "", PLACEHOLDER, _GENERAL), prompt)
    numeric = all(extract.canonical_number(row.answer) is not None for row in rows)
    return ProblemSet(
        name,
        f"Problems from {shown}",
        found,
        "numeric" if numeric else "exact",
        shown_text(example.prompt),
    )


def _question(name: str, identity: str, text: str, rule: str) -> Question:
    return Question(
        id=f"{name}/{identity}",
        text=text,
        prompt=free_form(text, worked=True),
        direct=free_form(text, worked=False),
        task=name,
        max_tokens=_MAX_TOKENS,
        extract=rule,
    )


def _read(spec: str, shown: str) -> list[_Row]:
    if spec == STANDARD_INPUT:
        rows = _rows(sys.stdin.buffer, shown)
    else:
        try:
            with Path(spec).open("rb") as file:
                rows = _rows(file, shown)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TaskFileError(f"{shown}: {reason}; give the path of a JSON-lines file.") from None
    if not rows:
        raise TaskFileError(
            f'{shown}: no problem in it; write one {{"question": ..., "answer": ...}} a line.'
        )
    return rows


def _rows(file: BinaryIO, shown: str) -> list[_Row]:
    rows: list[_Row] = []
    lines: dict[str, int] = {}
    for number, raw in _lines(file, shown):
        row = _row(raw, number, f"{shown}, line {number}")
        if row.id in lines:
            raise TaskFileError(
                f"{shown}: lines {lines[row.id]} and {number} have the same id {row.id!r}; make it unique."
            )
        lines[row.id] = number
        rows.append(row)
    return rows


def _lines(file: BinaryIO, shown: str) -> Iterator[tuple[int, str]]:
    number = 0
    while raw := file.readline(_LINE_BYTES + 1):
        number += 1
        if len(raw) > _LINE_BYTES:
            raise TaskFileError(f"{shown}, line {number}: over 1 MiB; shorten it.")
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise TaskFileError(f"{shown}, line {number}: not UTF-8 text; save the file as UTF-8.") from None
        if text:
            yield number, text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _row(raw: str, number: int, where: str) -> _Row:
    try:
        value = json.loads(raw, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise TaskFileError(f"{where}: not JSON ({reason}); write one object a line.") from None
    if not isinstance(value, dict):
        raise TaskFileError(f"{where}: not a JSON object; write {{...}} with question and answer.")
    question = _text(value, "question", where, numbers=False)
    answer = _text(value, "answer", where, numbers=True)
    identity = _text(value, "id", where, numbers=True) if "id" in value else f"line-{number}"
    if len(identity) > _ID_CHARACTERS:
        raise TaskFileError(f"{where}: id is over {_ID_CHARACTERS} characters; shorten it.")
    rule = _text(value, "extract", where, numbers=False) if "extract" in value else _GENERAL
    if rule not in extract.RULES:
        raise TaskFileError(
            f"{where}: extract is {rule[:40]!r}; write one of {', '.join(sorted(extract.RULES))}."
        )
    return _Row(identity, question, answer, rule)


def _text(value: dict[str, Any], field: str, where: str, *, numbers: bool) -> str:
    wanted = "a string or a number" if numbers else "a string"
    if field not in value:
        raise TaskFileError(f"{where}: {field} is missing; add it as {wanted}.")
    found = value[field]
    if not isinstance(found, str) or (isinstance(found, _Number) and not numbers):
        raise TaskFileError(f"{where}: {field} must be {wanted}.")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise TaskFileError(f"{where}: {field} has half a surrogate pair; write whole characters.") from None
    text = str(found).strip()
    if not text:
        raise TaskFileError(f"{where}: {field} is empty; fill it in or remove the line.")
    return text
