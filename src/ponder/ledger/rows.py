"""The typed rows of a ledger, and how their values are stored and read back exactly.

A stored value is a string, a 64-bit integer, a finite double or nothing, in every database alike.
Strings that SQL cannot hold (a lone surrogate, NUL) are stored as JSON behind a marker.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from sqlalchemy import Column, Double, Table, Text

from ponder.core import Answer, Sample, Usage, canonical_json
from ponder.errors import LedgerErased, LedgerError
from ponder.ledger.chain import text_hash
from ponder.ledger.schema import TYPED

__all__ = [
    "ERASED",
    "AnswerRow",
    "CallRow",
    "EventRow",
    "GradeRow",
    "ProblemRow",
    "Row",
    "RunRow",
    "SampleRow",
    "Stage",
    "StageRow",
    "StoredSample",
    "TextRow",
    "load_row",
    "load_text",
    "store_row",
    "store_text",
]

Stored = str | int | float | None
Stage = Literal[
    "pretrain", "sft", "synthetic_data", "rollouts", "rl_update", "reward_model", "evaluation", "imported"
]


@dataclass(frozen=True, slots=True)
class TextRow:
    """A text under the SHA-256 of its UTF-8, stored once however often it occurs."""

    table: ClassVar[str] = "texts"
    hash: str
    text: str

    @classmethod
    def of(cls, text: str) -> TextRow:
        return cls(text_hash(text), text)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run: `created` in seconds since the epoch, `config_hash` the digest of `config`."""

    table: ClassVar[str] = "runs"
    id: str
    created: float
    config: Mapping[str, Any]
    config_hash: str


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """A problem of a run, at its place from 0. The hashes name the question's JSON and the key."""

    table: ClassVar[str] = "problems"
    run_id: str
    problem_id: str
    position: int
    question_hash: str
    key_hash: str | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """One attempt of a call, failed and cancelled ones too. `attempt` counts from 1; `flop_method` is
    None where nothing ran or the engine counted by itself; `request` leaves the prompt out."""

    table: ClassVar[str] = "calls"
    id: int
    run_id: str
    problem_id: str
    stream: str
    role: str
    model: str | None
    status: str
    attempt: int
    requested: int
    samples: int
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    reasoning_tokens: int | None
    flop: float | None
    flop_method: str | None
    usd: float | None
    seconds: float
    started: float
    error: str | None
    request: Mapping[str, Any]
    prompt_hash: str


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One draw. `position` is `Sample.index`; a position drawn again has a row for each call."""

    table: ClassVar[str] = "samples"
    call_id: int
    run_id: str
    problem_id: str
    stream: str
    position: int
    text_hash: str
    reasoning_hash: str | None
    choice: str | None
    tokens: int | None
    logprob: float | None
    logprobs: tuple[float, ...] | None
    finish: str


@dataclass(frozen=True, slots=True)
class GradeRow:
    """What a grader, which knows the key, said of one sample."""

    table: ClassVar[str] = "grades"
    run_id: str
    problem_id: str
    stream: str
    position: int
    grader: str
    correct: bool


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What a strategy answered to a problem, and what it used. `stopped_by` names a budget's unit."""

    table: ClassVar[str] = "answers"
    run_id: str
    problem_id: str
    strategy: str
    answer: Answer
    stopped_by: str | None
    usage: Usage


@dataclass(frozen=True, slots=True)
class EventRow:
    """Something that happened to a run: started, resumed, interrupted, finished, ..."""

    table: ClassVar[str] = "events"
    run_id: str
    at: float
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StageRow:
    """A piece of a training run's work, at its place from 0 among the run's pieces.

    `part` tells pieces of one stage apart ("kept", "discarded", "reference"); `model` names the model that
    ran. `tokens` are real ones, `padded_tokens` the positions computed. `flop` are by formula on the
    positions computed, `flop_counted` by an operation counter, scaled from the steps that it saw; `started`
    is in seconds since the epoch. None is unknown.
    """

    table: ClassVar[str] = "stages"
    run_id: str
    position: int
    stage: Stage
    part: str | None
    model: str
    samples: int | None
    tokens: int | None
    padded_tokens: int | None
    flop: float | None
    flop_method: str | None
    flop_counted: float | None
    seconds: float | None
    device: str | None
    started: float | None
    detail: Mapping[str, Any]


Row = TextRow | RunRow | ProblemRow | CallRow | SampleRow | GradeRow | AnswerRow | EventRow | StageRow


@dataclass(frozen=True, slots=True)
class StoredSample:
    """A finished draw with its texts, as a strategy would see it."""

    problem_id: str
    stream: str
    call_id: int
    sample: Sample


# ---------------------------------------------------------------- values

_MARK = "\x01json:"
ERASED = f"{_MARK}null"
"""What stands in place of a text that was taken out: no text is ever stored so."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def store_text(text: str) -> str:
    """The text itself, or its JSON behind a marker where a database could not hold it."""
    if _UNSTORABLE.search(text) or text.startswith(_MARK):
        return _MARK + json.dumps(text)
    return text


def load_text(stored: str) -> str:
    """Undo `store_text`. Raises LedgerErased for a text that was taken out, ValueError for a marker with no
    JSON string behind it."""
    if not stored.startswith(_MARK):
        return stored
    if stored == ERASED:
        raise LedgerErased(
            "The texts of this run were erased by order; `ponder ledger verify` tells by whose."
        )
    text = json.loads(stored[len(_MARK) :])
    if not isinstance(text, str):
        raise ValueError("not a string")
    return text


def _store_json(value: Any) -> str:
    if isinstance(value, Answer):
        value = {"choice": value.choice, "text": value.text, "agreement": value.agreement}
    elif isinstance(value, Usage):
        value = value.to_json()
    elif isinstance(value, Mapping):
        value = dict(value)
    return store_text(canonical_json(value))


def _store_string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a string")
    return store_text(value)


def _store_real(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number + 0.0  # SQLite would turn -0.0 into 0.0


def _store_whole(value: Any) -> int:
    number = int(value)
    if number != value or not -(2**63) <= number < 2**63:
        raise ValueError("not a 64-bit whole number")
    return number


def _storer(column: Column[Any]) -> tuple[Callable[[Any], Stored], str]:
    if column.info.get("json"):
        return _store_json, "a JSON value with finite numbers"
    if isinstance(column.type, Text):
        return _store_string, "a string"
    if isinstance(column.type, Double):
        return _store_real, "a finite number"
    return _store_whole, "a whole number below 2**63"


def _load_json(stored: str) -> Any:
    return json.loads(load_text(stored))


def _loader(table: Table, column: Column[Any]) -> Callable[[Any], Any]:
    if (table.name, column.name) == ("answers", "answer"):
        return lambda stored: Answer(**_load_json(stored))
    if (table.name, column.name) == ("answers", "usage"):
        return lambda stored: Usage(**_load_json(stored))
    if (table.name, column.name) == ("samples", "logprobs"):
        return lambda stored: tuple(_load_json(stored))
    if column.info.get("json"):
        return _load_json
    if column.info.get("bool"):
        return bool
    return load_text if isinstance(column.type, Text) else _same


def _same(value: Any) -> Any:
    return value


_STORERS = {
    name: [(c.name, c.nullable, *_storer(c)) for c in table.columns if c.name != "seq"]
    for name, table in TYPED.items()
}
_LOADERS = {
    name: {c.name: _loader(table, c) for c in table.columns if c.name != "seq"}
    for name, table in TYPED.items()
}


def store_row(row: Row) -> dict[str, Stored]:
    """The row's columns as they are stored, but for `seq`. Raises LedgerError naming a bad field."""
    stored: dict[str, Stored] = {}
    for name, nullable, convert, wanted in _STORERS[row.table]:
        value = getattr(row, name)
        if value is None and nullable:
            stored[name] = None
            continue
        try:
            stored[name] = convert(value)
        except (TypeError, ValueError, OverflowError) as error:
            message = f"{row.table}.{name} must be {wanted}, not {value!r:.80}."
            raise LedgerError(message) from error
    return stored


def load_row(kind: type[Any], stored: Mapping[Any, Any]) -> Any:
    """A row of the dataclass `kind` from its stored columns; others are passed over."""
    loaders = _LOADERS[kind.table]
    return kind(**{n: None if stored[n] is None else load(stored[n]) for n, load in loaders.items()})
