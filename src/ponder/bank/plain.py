"""Plain JSON lines, one sample each.

    {"question": "6 × 7?", "sample": "It is 42.", "choice": "42", "correct": true, "tokens": 5}

Of `question` and `id` one is needed, and of `correct` and `answer`: the key, which the choice is compared
with (as a number where it is one). Without a `choice` it is read from the `sample`. Optional are `task`,
`model`, `options`, `reasoning`, `prompt_tokens`, `tokens`, `flop` and `finish` ("stop", "length").
`ponder bank export` writes such lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ponder.bank import told
from ponder.bank.files import Bounds, lines, mapping, parse
from ponder.bank.foreign import Asked, Foreign, Tokens, Wanted
from ponder.bank.scores import ScoreReader
from ponder.core import Message, Prompt, Question, digest
from ponder.errors import BankFileError
from ponder.tasks import extract
from ponder.verifiers import grader

__all__ = ["read_lines"]

_FLOP = 1e40


def read_lines(path: Path, wanted: Wanted, bounds: Bounds) -> Iterator[Foreign]:
    """The samples of a file, in its order. Raises BankFileError."""
    scores = ScoreReader(str(path), wanted)
    for number, line in lines(path, bounds):
        where = f"{path}, line {number}"
        row = mapping(parse(line, where), where)
        yield _graded(_sample(row, path.stem, where), row, scores, wanted, where)
    scores.finish()


def _sample(row: Mapping[str, Any], task: str, where: str) -> Foreign:
    question, identity = told.text(row, "question", where), told.name_of(row, "id", where)
    if not (question or "").strip() and identity is None:
        raise BankFileError(f"{where}: question is missing; add it, or an id, as a string.")
    asked = Asked(
        told.name_of(row, "task", where) or task,
        identity or digest(question)[:16],
        question or identity or "",
        told.text(row, "answer", where),
        told.texts(row, "options", where),
    )
    finish = row.get("finish") or "stop"
    if finish not in ("stop", "length"):
        raise BankFileError(f'{where}: finish is {str(finish)[:40]!r}; write "stop" or "length".')
    return Foreign(
        asked=asked,
        where=where,
        model=told.name_of(row, "model", where),
        text=told.text(row, "sample", where) or "",
        reasoning=told.text(row, "reasoning", where),
        choice=(told.text(row, "choice", where) or "").strip() or None,
        tokens=Tokens(told.count(row, "prompt_tokens", where), told.count(row, "tokens", where)),
        flop=told.amount(row, "flop", where, most=_FLOP),
        finish="length" if finish == "length" else "stop",
    )


def _graded(
    sample: Foreign, row: Mapping[str, Any], scores: ScoreReader, wanted: Wanted, where: str
) -> Foreign:
    """With what the wanted field says, or else with the key's word on the choice."""
    field = wanted.score or "correct"
    if field in row:
        found = scores.read({field: row[field]}, where)
        return replace(sample, score=field, correct=found[1] if found else None)
    if wanted.score is not None:
        raise BankFileError(f"{where}: it has no field {wanted.score[:80]!r}; choose another with --score.")
    key = sample.asked.key
    if key is None:
        raise BankFileError(f"{where}: correct is missing; add it (true or false), or the right answer.")
    question = _question(sample.asked)
    choice = sample.choice or extract.choice(question, sample.text)
    by = grader("numeric" if extract.canonical_number(key) is not None else "exact")
    right = choice is not None and by.grade(question, key, choice) is True
    return replace(sample, choice=choice, correct=right, score="answer")


def _question(asked: Asked) -> Question:
    prompt = Prompt((Message("user", asked.text),))
    rule = "choice" if asked.options else "answer"
    return Question(asked.id, asked.text, prompt, prompt, extract=rule, data={"options": list(asked.options)})
