"""The questions that a ledger answers, each one short query over an open connection."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, Table, func, select

from ponder.core import Prompt, Question, Request, Sample, Sampling, Spent, Usage
from ponder.errors import UnknownName
from ponder.ledger.chain import genesis
from ponder.ledger.rows import (
    ERASED,
    EventRow,
    Row,
    RunRow,
    StageRow,
    StoredSample,
    load_row,
    load_text,
    store_text,
)
from ponder.ledger.schema import ENTRIES, META, TYPED, typed_tables

__all__ = [
    "ENDED",
    "SERVE",
    "SERVED",
    "UNFINISHED",
    "Head",
    "RunSummary",
    "RunUse",
    "Served",
    "draws",
    "events_before",
    "events_since",
    "find_run",
    "get_run",
    "head",
    "load_sample",
    "problems",
    "request_usage",
    "rows_of",
    "runs",
    "runs_between",
    "samples",
    "served",
    "spent",
    "stages",
    "tables",
    "usage",
    "uses_between",
    "uses_of",
]

SERVE = "serve-"
"""What the names of a server's runs begin with."""

SERVED = (f"{SERVE}0", f"{SERVE}g")
"""Requests' runs are named serve-HEX: from the first of these names on, and before the second."""

ENDED = ("finished", "failed", "interrupted")
"""Kinds of the last event of a request that has come to an end with all its calls on the ledger."""

UNFINISHED = ("cancelled", "failed")
_STATES = ("started", "resumed", "interrupted", "finished")
_COUNTED = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
_AMOUNTS = ("flop", "usd")
_SUMMED = (*_COUNTED, *_AMOUNTS)

R = TypeVar("R", bound=Row)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One line of a list of runs. `kind` says what made it: measure, ask, solve, train. `samples` counts
    finished ones, `tokens` prompt and generated tokens of all calls and those of all training stages (None:
    unknown). `created` is in seconds since the epoch."""

    id: str
    kind: str
    created: float
    tasks: tuple[str, ...]
    finished: bool
    samples: int
    tokens: int | None


class RunUse(NamedTuple):
    """A run, the kinds of its events in their order, and what each of its calls used."""

    run: RunRow
    events: list[str]
    calls: list[Usage]

    @property
    def last(self) -> str | None:
        """The kind of its last event; None: it has none."""
        return self.events[-1] if self.events else None

    @property
    def usage(self) -> Usage:
        """What its calls used together."""
        names = (*_SUMMED, "samples", "seconds")
        return _sum([{name: getattr(call, name) for name in names} for call in self.calls])


def request_usage(usage: Usage, last: str | None) -> Usage:
    """What a request used, by the kind of its run's last event: where that is no end, calls of it may be
    missing, so its amounts are unknown and its counts are what is known of it."""
    if last in ENDED:
        return usage
    generated = replace(usage, completion_tokens=None, reasoning_tokens=None)
    return replace(generated, prompt_tokens=None, cached_tokens=None, flop=None, usd=None)


class Served(NamedTuple):
    """How many requests were served, and when the first and the last began, in seconds since the epoch."""

    requests: int
    first: float
    last: float


class Head(NamedTuple):
    """The end of the chain: how many entries, the last hash (the genesis hash of none), the ledger's id."""

    size: int
    hash: str
    ledger_id: str


def head(connection: Connection) -> Head:
    last = connection.execute(
        select(ENTRIES.c.seq, ENTRIES.c.hash).order_by(ENTRIES.c.seq.desc()).limit(1)
    ).one_or_none()
    ledger_id = connection.scalars(select(META.c.value).where(META.c.key == "ledger_id")).one()
    return Head(0, genesis(ledger_id), ledger_id) if last is None else Head(last.seq, last.hash, ledger_id)


def tables(connection: Connection) -> dict[str, Table]:
    """The typed tables of this ledger, whose schema may be an older one."""
    version = connection.scalars(select(META.c.value).where(META.c.key == "schema_version")).one()
    return typed_tables(int(version))


def find_run(connection: Connection, run_id: str) -> RunRow | None:
    runs = TYPED["runs"]
    rows = _fetch(connection, RunRow, select(runs).where(runs.c.id == store_text(run_id)))
    return rows[0] if rows else None


def _fetch(connection: Connection, kind: type[R], query: Any) -> list[R]:
    return [load_row(kind, stored) for stored in connection.execute(query).mappings()]


def rows_of(connection: Connection, kind: type[R], run_id: str) -> list[R]:
    """All rows of one kind of a run, in the order written. Raises UnknownName for an unknown run."""
    get_run(connection, run_id)
    table = TYPED[kind.table]
    return _fetch(
        connection, kind, select(table).where(table.c.run_id == store_text(run_id)).order_by(table.c.seq)
    )


def events_since(connection: Connection, run_id: str, kind: str) -> list[EventRow]:
    """The events of a run from the last one of this kind on, all where there is none. Raises UnknownName."""
    get_run(connection, run_id)
    table = TYPED[EventRow.table]
    own = table.c.run_id == store_text(run_id)
    last = connection.scalar(select(func.max(table.c.seq)).where(own, table.c.kind == store_text(kind)))
    return _fetch(
        connection, EventRow, select(table).where(own, table.c.seq >= (last or 0)).order_by(table.c.seq)
    )


def events_before(
    connection: Connection, run_id: str, kind: str, *, holding: str, before: str | None, limit: int
) -> list[EventRow]:
    """The last events of this kind of a run that have this text in their detail's canonical JSON, last first.
    `before`: only those written before the run of this name was begun."""
    events, runs = TYPED[EventRow.table], TYPED["runs"]
    query = select(events).where(
        events.c.run_id == store_text(run_id),
        events.c.kind == store_text(kind),
        events.c.detail.contains(holding, autoescape=True),
    )
    if before is not None:
        begun = select(runs.c.seq).where(runs.c.id == store_text(before)).scalar_subquery()
        query = query.where(events.c.seq < begun)
    return _fetch(connection, EventRow, query.order_by(events.c.seq.desc()).limit(limit))


def get_run(connection: Connection, run_id: str) -> RunRow:
    """The run of this name. Raises UnknownName with those that there are."""
    found = find_run(connection, run_id)
    if found is None:
        names = TYPED["runs"].c.id
        # Nobody means one of a server's many requests by a name that is not like theirs.
        meant = (
            select(names) if run_id.startswith(SERVE) else select(names).where(names.not_like(f"{SERVE}%"))
        )
        raise UnknownName("run", run_id, map(load_text, connection.scalars(meant)))
    return found


def stages(connection: Connection, run_id: str) -> list[StageRow]:
    """The run's training stages by position; a ledger from before there were any has none."""
    if StageRow.table not in tables(connection):
        get_run(connection, run_id)
        return []
    return sorted(rows_of(connection, StageRow, run_id), key=lambda row: row.position)


def problems(connection: Connection, run_id: str) -> list[tuple[Question, str | None]]:
    """The run's questions with their keys, in their order."""
    get_run(connection, run_id)
    table, question, key = TYPED["problems"], TYPED["texts"].alias(), TYPED["texts"].alias()
    query = (
        select(question.c.text, key.c.text)
        .select_from(table)
        .join(question, table.c.question_hash == question.c.hash)
        .outerjoin(key, table.c.key_hash == key.c.hash)
        .where(table.c.run_id == store_text(run_id))
        .order_by(table.c.position)
    )
    return [
        (Question.from_json(json.loads(load_text(q))), None if k is None else load_text(k))
        for q, k in connection.execute(query)
    ]


def samples(connection: Connection, run_id: str) -> list[StoredSample]:
    """Every finished draw of a run, by problem, stream and position.

    Where a position was drawn again (its first draw lay behind a gap when the run was interrupted),
    the last one counts: it is the one that a strategy was told.
    """
    told = (drawn for drawn in draws(connection, run_id) if drawn.sample.finish not in UNFINISHED)
    return list({(d.problem_id, d.stream, d.sample.index): d for d in told}.values())


def draws(connection: Connection, run_id: str) -> list[StoredSample]:
    """Every draw of a run, unfinished ones and repetitions too, by problem, stream and position."""
    get_run(connection, run_id)
    table, problem = TYPED["samples"], TYPED["problems"]
    text, reasoning = TYPED["texts"].alias(), TYPED["texts"].alias()
    same_problem = (table.c.run_id == problem.c.run_id) & (table.c.problem_id == problem.c.problem_id)
    query = (
        select(table, text.c.text.label("text"), reasoning.c.text.label("reasoning"))
        .join(problem, same_problem)
        .join(text, table.c.text_hash == text.c.hash)
        .outerjoin(reasoning, table.c.reasoning_hash == reasoning.c.hash)
        .where(table.c.run_id == store_text(run_id))
        .order_by(problem.c.position, table.c.stream, table.c.position, table.c.seq)
    )
    return [load_sample(stored) for stored in connection.execute(query).mappings()]


def runs_between(
    connection: Connection,
    first: str,
    end: str,
    *,
    limit: int,
    holding: str | None = None,
    event: str | None = None,
) -> list[RunRow]:
    """The runs with an id from `first` on and before `end`, last id first. `holding`: with this text in a
    question, a sample or its reasoning, in any case of ASCII letters. `event`: with one of this kind."""
    table = TYPED["runs"]
    query = select(table).where(table.c.id >= store_text(first), table.c.id < store_text(end))
    if holding is not None:
        texts, problem, drawn = TYPED["texts"], TYPED["problems"], TYPED["samples"]
        there = texts.c.text.icontains(store_text(holding), autoescape=True), texts.c.text != ERASED
        hashes = select(texts.c.hash).where(*there)
        within = drawn.c.text_hash.in_(hashes) | drawn.c.reasoning_hash.in_(hashes)
        asked = select(problem.c.run_id).where(problem.c.question_hash.in_(hashes))
        query = query.where(table.c.id.in_(asked) | table.c.id.in_(select(drawn.c.run_id).where(within)))
    if event is not None:
        events = TYPED["events"]
        query = query.where(table.c.id.in_(select(events.c.run_id).where(events.c.kind == event)))
    return _fetch(connection, RunRow, query.order_by(table.c.id.desc()).limit(limit))


def uses_between(connection: Connection, first: str, end: str, *, limit: int) -> list[RunUse]:
    """What the runs with an id from `first` on and before `end` used, last id first; failed and cancelled
    calls too."""
    rows = runs_between(connection, first, end, limit=limit)
    if not rows:
        return []
    low, high = store_text(rows[-1].id), store_text(rows[0].id)
    # Not BETWEEN: PostgreSQL takes no COLLATE between its bounds.
    return _uses(connection, rows, lambda run: (run >= low) & (run <= high))


def uses_of(connection: Connection, run_ids: Sequence[str]) -> list[RunUse]:
    """What those of these runs that there are used, in the order given."""
    names, runs = [store_text(run) for run in run_ids], TYPED["runs"]
    rows = {row.id: row for row in _fetch(connection, RunRow, select(runs).where(runs.c.id.in_(names)))}
    there = [rows[run] for run in run_ids if run in rows]
    return _uses(connection, there, lambda run: run.in_(names))


def _uses(
    connection: Connection, rows: Sequence[RunRow], within: Callable[[ColumnElement[str]], Any]
) -> list[RunUse]:
    """What these runs used; `within`: the condition that a row is of one of them."""
    found = {row.id: RunUse(row, [], []) for row in rows}
    events, calls = TYPED["events"], TYPED["calls"]
    kinds = select(events.c.run_id, events.c.kind).where(within(events.c.run_id)).order_by(events.c.seq)
    for run, kind in connection.execute(kinds):
        found[load_text(run)].events.append(load_text(kind))
    columns = [calls.c[name] for name in ("run_id", *_SUMMED, "samples", "seconds")]
    query = select(*columns).where(within(calls.c.run_id)).order_by(calls.c.id)
    for call in connection.execute(query).mappings():
        found[load_text(call["run_id"])].calls.append(_sum([call]))
    return list(found.values())


def load_sample(stored: Mapping[Any, Any]) -> StoredSample:
    """A row of samples with its texts."""
    logprobs, reasoning, choice = stored["logprobs"], stored["reasoning"], stored["choice"]
    sample = Sample(
        text=load_text(stored["text"]),
        choice=None if choice is None else load_text(choice),
        index=stored["position"],
        reasoning=None if reasoning is None else load_text(reasoning),
        tokens=stored["tokens"],
        logprob=stored["logprob"],
        logprobs=None if logprobs is None else tuple(json.loads(logprobs)),
        finish=stored["finish"],
    )
    return StoredSample(
        load_text(stored["problem_id"]), load_text(stored["stream"]), stored["call_id"], sample
    )


def _total(values: Sequence[float | None], *, exact: bool) -> Any:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    return sum(known) if exact else math.fsum(known)


def _sum(calls: Iterable[Any]) -> Usage:
    """One pass, which keeps no rows: a run may have millions of calls. Sums of floats are rounded once."""
    counts: dict[str, int | None] = dict.fromkeys(_COUNTED, 0)
    amounts: dict[str, array[float] | None] = {name: array("d") for name in _AMOUNTS}
    number, samples, seconds = 0, 0, array("d")
    for row in calls:
        number += 1
        samples += row["samples"]
        seconds.append(row["seconds"])
        for name, count in counts.items():
            counts[name] = None if count is None or row[name] is None else count + row[name]
        for name, amount in amounts.items():
            if row[name] is None:
                amounts[name] = None
            elif amount is not None:
                amount.append(row[name])
    sums = {name: None if amount is None else math.fsum(amount) for name, amount in amounts.items()}
    return Usage(
        calls=number,
        samples=samples,
        seconds=math.fsum(seconds),
        flop=sums["flop"],
        usd=sums["usd"],
        **counts,
    )


def _spent(connection: Connection, run_id: str) -> Usage:
    calls = TYPED["calls"]
    columns = [calls.c[name] for name in (*_SUMMED, "samples", "seconds")]
    return _sum(connection.execute(select(*columns).where(calls.c.run_id == store_text(run_id))).mappings())


def spent(connection: Connection, run_id: str, before: int) -> dict[str, list[Spent]]:
    """What the attempts with an id below `before` asked for and used, by problem id."""
    get_run(connection, run_id)
    calls, texts = TYPED["calls"], TYPED["texts"]
    names = ("problem_id", "stream", "role", "status", "requested", "request", *_SUMMED, "samples", "seconds")
    query = (
        select(*(calls.c[name] for name in names), texts.c.text.label("prompt"))
        .join(texts, calls.c.prompt_hash == texts.c.hash)
        .where(calls.c.run_id == store_text(run_id), calls.c.id < before)
        .order_by(calls.c.id)
    )
    by_problem: dict[str, list[Spent]] = {}
    for call in connection.execute(query).mappings():
        row = Spent(
            load_text(call["stream"]),
            load_text(call["role"]),
            _request(call),
            _sum([call]),
            ok=call["status"] == "ok",
        )
        by_problem.setdefault(load_text(call["problem_id"]), []).append(row)
    return by_problem


def _request(call: Mapping[Any, Any]) -> Request:
    """As much of what was asked as the worst case of its cost needs."""
    asked = json.loads(load_text(call["request"]))
    return Request(
        Prompt.from_json(json.loads(load_text(call["prompt"]))),
        n=call["requested"],
        max_tokens=asked["max_tokens"],
        sampling=Sampling(**asked["sampling"]),
        prefix=asked["prefix"],
    )


def usage(connection: Connection, run_id: str) -> Usage:
    """What all attempts of a run used, failed and cancelled ones too; an unknown part makes a sum unknown.

    Sums of floats are rounded once, so they do not depend on the order in which calls ended.
    """
    get_run(connection, run_id)
    return _spent(connection, run_id)


def served(connection: Connection) -> Served | None:
    """The served requests together; None without any."""
    created, name = TYPED["runs"].c.created, TYPED["runs"].c.id
    within = name >= SERVED[0], name < SERVED[1]
    query = select(func.count(), func.min(created), func.max(created)).where(*within)
    count, first, last = connection.execute(query).one()
    return Served(count, first, last) if count else None


def runs(connection: Connection, *, requests: bool) -> list[RunSummary]:
    """All runs in the order of their making, with or without those of served requests."""
    table, drawn, event = TYPED["runs"], TYPED["samples"], TYPED["events"]
    summaries = []
    query = select(table).order_by(table.c.seq)
    if not requests:
        query = query.where((table.c.id < SERVED[0]) | (table.c.id >= SERVED[1]))
    for stored in connection.execute(query).mappings():
        row: RunRow = load_row(RunRow, stored)
        last = connection.scalars(
            select(event.c.kind)
            .where(event.c.run_id == store_text(row.id), event.c.kind.in_(_STATES))
            .order_by(event.c.seq.desc())
            .limit(1)
        ).one_or_none()
        places = (
            select(drawn.c.problem_id, drawn.c.stream, drawn.c.position)
            .where(drawn.c.run_id == store_text(row.id), drawn.c.finish.not_in(UNFINISHED))
            .distinct()
            .subquery()
        )
        count = connection.scalar(select(func.count()).select_from(places)) or 0
        worked = [stage.tokens for stage in stages(connection, row.id)]
        tokens = _total([_spent(connection, row.id).tokens, *worked], exact=True)
        kind, tasks = str(row.config.get("kind", "measure")), task_names(row.config)
        summaries.append(RunSummary(row.id, kind, row.created, tasks, last == "finished", count, tokens))
    return summaries


def task_names(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The tasks named in a configuration: `task` or `tasks`, each a name or a mapping that has it
    under `name` or `task`."""
    named = config.get("tasks", config.get("task", ()))
    each = named if isinstance(named, list | tuple) else [named]
    names = [t.get("name", t.get("task")) if isinstance(t, Mapping) else t for t in each]
    return tuple(str(name) for name in names if name is not None)
