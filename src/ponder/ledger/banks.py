"""A run's samples, a few problems at a time: so a reader's memory is small, however large the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, func, select

from ponder.core import Sample
from ponder.ledger.read import UNFINISHED, get_run, load_sample
from ponder.ledger.rows import GradeRow, load_row, load_text, store_text
from ponder.ledger.schema import TYPED

__all__ = ["PricedSample", "called", "grades", "priced_samples", "sizes"]

_ASKED = 500  # problems that one query names


@dataclass(frozen=True, slots=True)
class PricedSample:
    """A finished draw with the tokens of the prompt that its call read, and the FLOP, its share of the call's
    (None: unknown)."""

    problem_id: str
    stream: str
    sample: Sample
    prompt_tokens: int | None
    flop: float | None


def called(connection: Connection, run_id: str) -> set[str]:
    """The problems of a run that have a call."""
    get_run(connection, run_id)
    calls = TYPED["calls"]
    query = select(calls.c.problem_id).where(calls.c.run_id == store_text(run_id)).distinct()
    return {load_text(problem) for problem in connection.scalars(query)}


def sizes(connection: Connection, run_id: str) -> dict[tuple[str, str], int]:
    """How many finished draws there are, by problem and stream."""
    get_run(connection, run_id)
    samples = TYPED["samples"]
    query = (
        select(samples.c.problem_id, samples.c.stream, func.count(samples.c.position.distinct()))
        .where(samples.c.run_id == store_text(run_id), samples.c.finish.not_in(UNFINISHED))
        .group_by(samples.c.problem_id, samples.c.stream)
    )
    return {(load_text(problem), load_text(stream)): n for problem, stream, n in connection.execute(query)}


def priced_samples(connection: Connection, run_id: str, problems: Sequence[str]) -> list[PricedSample]:
    """The finished draws at these problems, those of each by stream and position; the last of a position."""
    get_run(connection, run_id)
    table, calls = TYPED["samples"], TYPED["calls"]
    text, reasoning = TYPED["texts"].alias(), TYPED["texts"].alias()
    query = (
        select(
            table,
            text.c.text.label("text"),
            reasoning.c.text.label("reasoning"),
            calls.c.prompt_tokens,
            calls.c.flop,
            calls.c.samples.label("shared"),
        )
        .join(calls, table.c.call_id == calls.c.id)
        .join(text, table.c.text_hash == text.c.hash)
        .outerjoin(reasoning, table.c.reasoning_hash == reasoning.c.hash)
        .where(table.c.run_id == store_text(run_id), table.c.finish.not_in(UNFINISHED))
        .order_by(table.c.stream, table.c.position, table.c.seq)
    )
    found: dict[tuple[str, str, int], PricedSample] = {}
    for some in _groups(problems):
        for row in connection.execute(query.where(table.c.problem_id.in_(some))).mappings():
            drawn = load_sample(row)
            flop = None if row["flop"] is None or not row["shared"] else row["flop"] / row["shared"]
            place = drawn.problem_id, drawn.stream, drawn.sample.index
            found[place] = PricedSample(*place[:2], drawn.sample, row["prompt_tokens"], flop)
    return list(found.values())


def grades(connection: Connection, run_id: str, problems: Sequence[str]) -> list[GradeRow]:
    """The grades at these problems, in the order written."""
    get_run(connection, run_id)
    table = TYPED["grades"]
    query = select(table).where(table.c.run_id == store_text(run_id)).order_by(table.c.seq)
    return [
        load_row(GradeRow, row)
        for some in _groups(problems)
        for row in connection.execute(query.where(table.c.problem_id.in_(some))).mappings()
    ]


def _groups(problems: Sequence[str]) -> Iterator[list[str]]:
    waiting = iter(problems)
    while group := [store_text(each) for each in islice(waiting, _ASKED)]:
        yield group
