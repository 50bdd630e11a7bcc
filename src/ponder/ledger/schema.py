"""The tables of a ledger. Every typed table has `seq`, the place of its row in the one hash chain.

`info["key"]` names the columns that tell a row to a person; they are unique together, and `info["since"]`
is the schema version that brought the table. `info["json"]` and `info["bool"]` mark how a column is stored
(see `rows`). Nothing here depends on the database.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["ENTRIES", "META", "METADATA", "SCHEMA_VERSION", "TYPED", "typed_tables"]

SCHEMA_VERSION = 2
METADATA = MetaData()
# Only "INTEGER PRIMARY KEY" is SQLite's own row number, so that reading in chain order needs no sort.
_WHOLE = BigInteger().with_variant(Integer(), "sqlite")
# In the order of their bytes, as SQLite has them: a locale's order may change with the system beneath.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")


def _text(name: str, references: str | None = None, *, null: bool = False) -> Column[Any]:
    links = [ForeignKey(references)] if references else []
    return Column(name, _TEXT, *links, nullable=null)


def _whole(name: str, references: str | None = None, *, null: bool = False) -> Column[Any]:
    links = [ForeignKey(references)] if references else []
    return Column(name, _WHOLE, *links, nullable=null)


def _real(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, Double, nullable=null)


def _json(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, _TEXT, nullable=null, info={"json": True})


def _of_problem() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run_id", "problem_id"], ["problems.run_id", "problems.problem_id"])


def _typed(name: str, key: tuple[str, ...], *parts: Any, since: int = 1) -> Table:
    seq = Column("seq", _WHOLE, primary_key=True, autoincrement=False)
    return Table(name, METADATA, seq, *parts, UniqueConstraint(*key), info={"key": key, "since": since})


META = Table("meta", METADATA, Column("key", _TEXT, primary_key=True), Column("value", _TEXT, nullable=False))

ENTRIES = Table(
    "entries",
    METADATA,
    Column("seq", _WHOLE, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("key"),
    _text("digest"),
    _text("prev"),
    _text("hash"),
)

_TABLES = (
    _typed("texts", ("hash",), _text("hash"), _text("text")),
    _typed("runs", ("id",), _text("id"), _real("created"), _json("config"), _text("config_hash")),
    _typed(
        "problems",
        ("run_id", "problem_id"),
        _text("run_id", "runs.id"),
        _text("problem_id"),
        _whole("position"),
        _text("question_hash", "texts.hash"),
        _text("key_hash", "texts.hash", null=True),
    ),
    _typed(
        "calls",
        ("id",),
        _whole("id"),
        _text("run_id"),
        _text("problem_id"),
        _text("stream"),
        _text("role"),
        _text("model", null=True),
        _text("status"),
        _whole("attempt"),
        _whole("requested"),
        _whole("samples"),
        _whole("prompt_tokens", null=True),
        _whole("cached_tokens", null=True),
        _whole("completion_tokens", null=True),
        _whole("reasoning_tokens", null=True),
        _real("flop", null=True),
        _text("flop_method", null=True),
        _real("usd", null=True),
        _real("seconds"),
        _real("started"),
        _text("error", null=True),
        _json("request"),
        _text("prompt_hash", "texts.hash"),
        _of_problem(),
        Index("calls_of_run", "run_id"),
    ),
    _typed(
        "samples",
        ("run_id", "problem_id", "stream", "position", "call_id"),
        _whole("call_id", "calls.id"),
        _text("run_id"),
        _text("problem_id"),
        _text("stream"),
        _whole("position"),
        _text("text_hash", "texts.hash"),
        _text("reasoning_hash", "texts.hash", null=True),
        _text("choice", null=True),
        _whole("tokens", null=True),
        _real("logprob", null=True),
        _json("logprobs", null=True),
        _text("finish"),
        _of_problem(),
    ),
    _typed(
        "grades",
        ("run_id", "problem_id", "stream", "position", "grader"),
        _text("run_id"),
        _text("problem_id"),
        _text("stream"),
        _whole("position"),
        _text("grader"),
        Column("correct", Integer, nullable=False, info={"bool": True}),
        _of_problem(),
    ),
    _typed(
        "answers",
        ("run_id", "problem_id", "strategy"),
        _text("run_id"),
        _text("problem_id"),
        _text("strategy"),
        _json("answer"),
        _text("stopped_by", null=True),
        _json("usage"),
        _of_problem(),
    ),
    _typed(
        "events",
        ("run_id", "seq"),
        _text("run_id", "runs.id"),
        _real("at"),
        _text("kind"),
        _json("detail"),
    ),
    _typed(
        "stages",
        ("run_id", "position"),
        _text("run_id", "runs.id"),
        _whole("position"),
        _text("stage"),
        _text("part", null=True),
        _text("model"),
        _whole("samples", null=True),
        _whole("tokens", null=True),
        _whole("padded_tokens", null=True),
        _real("flop", null=True),
        _text("flop_method", null=True),
        _real("flop_counted", null=True),
        _real("seconds", null=True),
        _text("device", null=True),
        _real("started", null=True),
        _json("detail"),
        since=2,
    ),
)

# In an order in which no row comes before what it refers to.
TYPED: dict[str, Table] = {table.name: table for table in _TABLES}


def typed_tables(version: int) -> dict[str, Table]:
    """The typed tables that a ledger of this schema version has."""
    return {name: table for name, table in TYPED.items() if table.info["since"] <= version}
