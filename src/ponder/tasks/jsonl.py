"""Problems from a JSON-lines file: `{"question": ..., "answer": ..., "id": ...}` on each line.

`id` is optional, and so are `extract`, which names the rule that reads a choice from a text, `grader`, the
same on every line, and `options`, the texts of a multiple-choice question from A on. `tests` stand in place
of an answer where a program is asked for: Python with asserts, or a list of {"input": ..., "output": ...}.
Other fields are left out, so that nothing in them can reach a model, and a note names them. Every error names
the file and the line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

from ponder.core import Message, Prompt, Question, canonical_json
from ponder.core.checking import is_whole
from ponder.errors import TaskFileError
from ponder.tasks import extract
from ponder.tasks.options import LETTERS, chosen
from ponder.tasks.problems import Problem, ProblemSet, Questions
from ponder.tasks.prompts import PLACEHOLDER, PromptOverride, free_form, overridden, shown_text

__all__ = ["STANDARD_INPUT", "is_file", "problem_set", "questions"]

STANDARD_INPUT = "-"
_LINE_BYTES = 1 << 20
_ID_CHARACTERS = 200
_MAX_TOKENS = 512
_GENERAL = "answer"
# The rule that reads what a grader compares, unless the line states another.
_RULES = {"choice": "choice", "code": "code", "exact": _GENERAL, "math": "math", "numeric": _GENERAL}
_PROGRAM_TOKENS = 1024
_FIELDS = ("question", "answer", "id", "extract", "grader", "options", "tests")
_MOST_NAMED = 5
_NAME_CHARACTERS = 40
_WORKED_PROGRAM = "Think step by step, then write the program in Python, in one block between ``` fences."
_DIRECT_PROGRAM = "Reply with the program alone, in Python, in one block between ``` fences."


class _Number(str):
    """A JSON number by its own digits: no rounding, and no `int` of a million digits."""


@dataclass(frozen=True, slots=True)
class _Row:
    id: str
    question: str
    answer: str | None
    grader: str | None
    rule: str
    options: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def is_file(spec: str) -> bool:
    """Whether a task's spec names a JSON-lines file, or standard input."""
    return spec == STANDARD_INPUT or spec.endswith(".jsonl")


def problem_set(spec: str, *, problems: int, prompt: PromptOverride | None = None) -> ProblemSet:
    """The first `problems` problems of the file `spec` ("-": standard input), all when it has fewer.

    The whole file is checked. Where it states no grader the answers decide it (all numbers: as numbers, else
    exactly), and nothing that a strategy sees: choices are read by the rule of the grader that the file
    states, by the general one, or by the one that the line states. Raises TaskFileError.
    """
    rows, source = _read(spec, keyed=True)
    return _problem_set(rows, source, problems, prompt)


def questions(spec: str, *, problems: int | None = None) -> Questions:
    """The first `problems` questions of the file `spec`, all unless stated; keys are optional in it.

    They are read as `problem_set` reads them. Raises TaskFileError.
    """
    rows, source = _read(spec, keyed=False)
    found = tuple(_question(source.name, row, row.question) for row in rows[:problems])
    keys = sum(row.answer is not None for row in rows[:problems])
    known = [row for row in rows if row.answer is not None]
    keyed = _problem_set(known, source, keys, None) if keys else None
    return Questions(found, keyed, _notes(rows, source))


@dataclass(frozen=True, slots=True)
class _Source:
    """A file by the name that its problems get, and as it is called in a sentence."""

    name: str
    shown: str


def _problem_set(
    rows: Sequence[_Row], source: _Source, problems: int, prompt: PromptOverride | None
) -> ProblemSet:
    """Of rows that all have an answer."""
    answers = [row.answer or "" for row in rows]
    found = tuple(
        Problem(overridden(_question(source.name, row, row.question), prompt), answer)
        for row, answer in zip(rows[:problems], answers, strict=False)
    )
    example = overridden(_question(source.name, rows[0], PLACEHOLDER), prompt)
    numeric = all(extract.canonical_number(answer) is not None for answer in answers)
    return ProblemSet(
        source.name,
        f"Problems from {source.shown}",
        found,
        rows[0].grader or ("numeric" if numeric else "exact"),
        shown_text(example.prompt),
        _notes(rows, source),
    )


def _notes(rows: Sequence[_Row], source: _Source) -> tuple[str, ...]:
    """A sentence on the fields that were left out, where there are any."""
    unread = list(dict.fromkeys(name for row in rows for name in row.unread))
    if not unread:
        return ()
    named = ", ".join(repr(name[:_NAME_CHARACTERS]) for name in unread[:_MOST_NAMED])
    more = f" and {len(unread) - _MOST_NAMED} more" if len(unread) > _MOST_NAMED else ""
    fields = ", ".join(_FIELDS)
    return (f"{source.shown}: fields that are not read: {named}{more}; those that are: {fields}.",)


def _question(name: str, row: _Row, asked: str) -> Question:
    listed = zip(LETTERS, row.options, strict=False)
    text = "\n".join([asked, *(f"{letter}) {option}" for letter, option in listed)])
    program = row.grader == "code"
    return Question(
        id=f"{name}/{row.id}",
        text=text,
        prompt=_program(text, _WORKED_PROGRAM) if program else free_form(text, worked=True),
        direct=_program(text, _DIRECT_PROGRAM) if program else free_form(text, worked=False),
        task=name,
        max_tokens=_PROGRAM_TOKENS if program else _MAX_TOKENS,
        extract=row.rule,
        data=MappingProxyType({"options": list(row.options)} if row.options else {}),
    )


def _program(text: str, instruction: str) -> Prompt:
    return Prompt((Message("user", f"{text}\n\n{instruction}"),))


def _read(spec: str, *, keyed: bool) -> tuple[list[_Row], _Source]:
    """At least one row; `keyed`: each must have an answer."""
    if spec == STANDARD_INPUT:
        source = _Source("stdin", "standard input")
        rows = _rows(sys.stdin.buffer, source.shown, keyed)
    else:
        source = _Source(Path(spec).stem, spec)
        try:
            with Path(spec).open("rb") as file:
                rows = _rows(file, source.shown, keyed)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TaskFileError(f"{spec}: {reason}; give the path of a JSON-lines file.") from None
    if not rows:
        raise TaskFileError(
            f'{source.shown}: no problem in it; write one {{"question": ..., "answer": ...}} a line.'
        )
    return rows, source


def _rows(file: BinaryIO, shown: str, keyed: bool) -> list[_Row]:
    rows: list[_Row] = []
    first: _Row | None = None
    lines: dict[str, int] = {}
    for number, raw in _lines(file, shown):
        row = _row(raw, number, f"{shown}, line {number}", keyed)
        if row.id in lines:
            raise TaskFileError(
                f"{shown}: lines {lines[row.id]} and {number} have the same id {row.id!r}; make it unique."
            )
        first = first or (row if row.answer is not None else None)
        if first is not None and row.answer is not None and row.grader != first.grader:
            stated, here = first.grader or "none", row.grader or "none"
            raise TaskFileError(
                f"{shown}: the first problem's grader is {stated} and that of line {number} is {here}; "
                f"state the same on every line, or use two files."
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


def _row(raw: str, number: int, where: str, keyed: bool) -> _Row:
    value = _object(raw, where)
    question = _text(value, "question", where, numbers=False)
    identity = _text(value, "id", where, numbers=True) if "id" in value else f"line-{number}"
    if len(identity) > _ID_CHARACTERS:
        raise TaskFileError(f"{where}: id is over {_ID_CHARACTERS} characters; shorten it.")
    options = _options(value, where)
    grader = _grader(value, where)
    answer = _answer(value, grader, where) if keyed or value.keys() & {"answer", "tests"} else None
    if options and answer is not None and chosen(dict(zip(LETTERS, options, strict=False)), answer) is None:
        raise TaskFileError(f"{where}: answer names none of the options; write its letter or its text.")
    usual = _GENERAL if grader is None else _RULES[grader]
    rule = _text(value, "extract", where, numbers=False) if "extract" in value else usual
    if rule not in extract.RULES:
        raise TaskFileError(
            f"{where}: extract is {rule[:40]!r}; write one of {', '.join(sorted(extract.RULES))}."
        )
    unread = tuple(name for name in value if name not in _FIELDS)
    return _Row(identity, question, answer, grader, rule, options, unread)


def _object(raw: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(raw, parse_int=_Number, parse_float=_Number, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise TaskFileError(f"{where}: not JSON ({reason}); write one object a line.") from None
    if not isinstance(value, dict):
        raise TaskFileError(f"{where}: not a JSON object; write {{...}} with question and answer.")
    return value


def _answer(value: dict[str, Any], grader: str | None, where: str) -> str:
    return _tests(value, where) if grader == "code" else _text(value, "answer", where, numbers=True)


def _grader(value: dict[str, Any], where: str) -> str | None:
    """The grader that a line states, or that its tests or options imply."""
    implied = "code" if "tests" in value else "choice" if "options" in value else None
    if "grader" not in value:
        return implied
    stated = _text(value, "grader", where, numbers=False)
    if stated not in _RULES:
        raise TaskFileError(f"{where}: grader is {stated[:40]!r}; write one of {', '.join(_RULES)}.")
    if (stated == "code") != ("tests" in value):
        raise TaskFileError(f"{where}: the grader code goes with tests, and no other does; correct the line.")
    return stated


def _options(value: dict[str, Any], where: str) -> tuple[str, ...]:
    if "options" not in value:
        return ()
    found = value["options"]
    wanted = f"a list of 2 to {len(LETTERS)} different texts"
    if not isinstance(found, list) or not 2 <= len(found) <= len(LETTERS):
        raise TaskFileError(f"{where}: options must be {wanted}.")
    texts = tuple(_text({"options": option}, "options", where, numbers=True) for option in found)
    if len({text.casefold() for text in texts}) < len(texts):
        raise TaskFileError(f"{where}: options must be {wanted}.")
    return texts


def _tests(value: dict[str, Any], where: str) -> str:
    """The tests as the grader code takes them: Python as it is, pairs of input and output as JSON."""
    found = value["tests"]
    if isinstance(found, str):
        return _text(value, "tests", where, numbers=False)
    wanted = 'Python with asserts, or a list of {"input": ..., "output": ...} of texts'
    if not isinstance(found, list) or not found:
        raise TaskFileError(f"{where}: tests must be {wanted}.")
    pairs = []
    for test in found:
        given, printed = (test.get(k) if isinstance(test, dict) else None for k in ("input", "output"))
        if type(given) is not str or type(printed) is not str:
            raise TaskFileError(f"{where}: tests must be {wanted}.")
        pairs.append({"input": given, "output": printed})
    return canonical_json(pairs)


def _text(value: dict[str, Any], field: str, where: str, *, numbers: bool) -> str:
    wanted = "a string or a number" if numbers else "a string"
    if field not in value:
        raise TaskFileError(f"{where}: {field} is missing; add it as {wanted}.")
    found = value[field]
    if not isinstance(found, str) or (isinstance(found, _Number) and not numbers):
        raise TaskFileError(f"{where}: {field} must be {wanted}.")
    if not is_whole(found):
        raise TaskFileError(f"{where}: {field} has half a surrogate pair; write whole characters.")
    text = str(found).strip()
    if not text:
        raise TaskFileError(f"{where}: {field} is empty; fill it in or remove the line.")
    return text
