"""Whatever is changed behind the ledger's back is found, and the right row is named."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ponder.core import Answer, Usage
from ponder.errors import InputError, LedgerCorrupt, LedgerError
from ponder.ledger import (
    AnswerRow,
    CallRow,
    EventRow,
    GradeRow,
    Ledger,
    ProblemRow,
    RunRow,
    SampleRow,
    StageRow,
    TextRow,
    checkpoint,
    verify,
)
from ponder.ledger.chain import genesis, next_entry
from ponder.ledger.schema import ENTRIES, TYPED
from tests.ledger.places import RAW_ERRORS, Location, Raw, copied
from tests.ledger.places import raw as raw_at
from tests.postgres import PostgresServer

TABLES = list(TYPED)


@contextmanager
def tampered(full: Location) -> Iterator[tuple[Location, Raw]]:
    """A copy to change, and a raw connection that checks nothing."""
    with copied(full) as place, raw_at(place) as raw:
        yield place, raw


def name_of(raw: Raw, seq: int) -> str:
    return " ".join(raw.execute("SELECT kind, key FROM entries WHERE seq = ?", (seq,)).fetchone())


def seqs(raw: Raw, table: str) -> list[int]:
    return [seq for (seq,) in raw.execute(f"SELECT seq FROM {table} ORDER BY seq").fetchall()]


def size(raw: Raw) -> int:
    return raw.execute("SELECT max(seq) FROM entries").fetchone()[0]


def refused(path: Location, name: str) -> tuple[str, int]:
    """What is said of the first bad row, and how many entries hold."""
    verdict = verify(path)
    assert not verdict.ok
    assert verdict.first_bad is not None
    assert name in verdict.first_bad
    assert verdict.first_bad.endswith(".")
    assert "\n" not in verdict.first_bad
    return verdict.first_bad, verdict.entries


def test_the_chain_is_what_the_design_says(full: Location) -> None:
    with raw_at(full) as raw:
        ledger_id = dict(raw.execute("SELECT key, value FROM meta").fetchall())["ledger_id"]
        entries = raw.execute("SELECT * FROM entries ORDER BY seq").fetchall()
        rows = {row["seq"]: (table, row) for table in TABLES for row in raw.dicts(table)}
    prev = hashlib.sha256(f"ponder ledger {ledger_id}".encode()).hexdigest()
    assert len(entries) == len(rows) == verify(full).entries

    def text(value: Any) -> str:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    for place, (seq, kind, key, row_digest, linked, own) in enumerate(entries, 1):
        table, row = rows[seq]
        if table == "texts":
            assert hashlib.sha256(row.pop("text").encode()).hexdigest() == row["hash"]
        assert (seq, kind, linked) == (place, table, prev)
        assert row_digest == hashlib.sha256(text(row).encode()).hexdigest()
        prev = hashlib.sha256((prev + text([seq, kind, key, row_digest])).encode()).hexdigest()
        assert own == prev
    assert verify(full).head == prev


VALUES = st.one_of(
    st.none(),
    st.integers(-2, 400),
    st.floats(allow_nan=False),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.sampled_from(["[]", "{}", "\x01json:", '\x01json:"x"', "0" * 64]),
)


def changed(full: Location, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        table = data.draw(st.sampled_from([*TYPED.values(), ENTRIES]))
        seq = data.draw(st.sampled_from(seqs(raw, table.name)))
        column = data.draw(st.sampled_from(table.columns.keys()))
        slot = data.draw(st.sampled_from(["?", "CAST(? AS TEXT)"]))
        name, before = name_of(raw, seq), raw.shown(table.name)
        try:
            raw.execute(f"UPDATE {table} SET {column} = {slot} WHERE seq = ?", (data.draw(VALUES), seq))
        except RAW_ERRORS:
            assume(False)  # the database itself refuses the value
        assume(raw.shown(table.name) != before)
        found, held = refused(path, name if (table.name, column) != ("events", "seq") else "events ")
        assert held < size(raw), found


def deleted(full: Location, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        seq = data.draw(st.integers(1, size(raw)))
        name, table = name_of(raw, seq), name_of(raw, seq).split()[0]
        what = data.draw(st.sampled_from(["row", "entry"]))
        raw.execute(f"DELETE FROM {table if what == 'row' else 'entries'} WHERE seq = ?", (seq,))
        refused(path, name)


def planted(full: Location, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        table = data.draw(st.sampled_from(TABLES))
        seq = data.draw(st.sampled_from(seqs(raw, table)))
        free = data.draw(st.sampled_from([-7, 0, size(raw) + 1, 10**6]))
        own = {"seq": str(free)}
        if table != "events":
            last = TYPED[table].info["key"][-1]
            own[last] = f"{last} + 1000" if last in ("id", "position", "call_id") else "'planted'"
            if table == "runs":
                own["id"] = "'planted'"
        picked = ", ".join(own.get(column, column) for column in TYPED[table].columns.keys())  # noqa: SIM118
        raw.execute(f"INSERT INTO {table} SELECT {picked} FROM {table} WHERE seq = {seq}")
        key = ", ".join(TYPED[table].info["key"])
        row = raw.execute(f"SELECT {key} FROM {table} WHERE seq = {free}").fetchone()
        name = json.dumps(list(row), separators=(",", ":"), ensure_ascii=False)
        refused(path, f"{table} {name} is not in the chain")


def swapped(full: Location, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        table = data.draw(st.sampled_from([*TABLES, "entries"]))
        places = seqs(raw, table)
        first, second = sorted(
            data.draw(st.lists(st.sampled_from(places), min_size=2, max_size=2, unique=True))
        )
        name = name_of(raw, first)
        for was, now in ((first, -1), (second, first), (-1, second)):
            raw.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (now, was))
        refused(path, name)


@settings(max_examples=200)
@given(data=st.data())
def test_any_changed_field_is_found(full_file: Location, data: st.DataObject) -> None:
    changed(full_file, data)


@settings(max_examples=60)
@given(data=st.data())
def test_any_deleted_row_or_entry_is_found(full_file: Location, data: st.DataObject) -> None:
    deleted(full_file, data)


@settings(max_examples=60)
@given(data=st.data())
def test_any_row_beside_the_chain_is_found(full_file: Location, data: st.DataObject) -> None:
    planted(full_file, data)


@settings(max_examples=60)
@given(data=st.data())
def test_any_two_swapped_are_found(full_file: Location, data: st.DataObject) -> None:
    swapped(full_file, data)


@settings(max_examples=40)
@given(tamper=st.sampled_from([changed, deleted, planted, swapped]), data=st.data())
def test_any_tampering_is_found_on_postgres(
    full_postgres: Location, tamper: Any, data: st.DataObject
) -> None:
    tamper(full_postgres, data)


def test_a_row_that_vanished_with_its_entry_is_found(full: Location) -> None:
    with tampered(full) as (path, raw):
        seq = seqs(raw, "samples")[2]
        raw.execute("DELETE FROM samples WHERE seq = ?", (seq,))
        raw.execute("DELETE FROM entries WHERE seq = ?", (seq,))
        found, _ = refused(path, name_of(raw, seq + 1))
        assert found.startswith(f"Entry {seq} and its row are missing")


def test_another_ledgers_id_is_found(full: Location) -> None:
    with tampered(full) as (path, raw):
        raw.execute("UPDATE meta SET value = 'x' WHERE key = 'ledger_id'")
        refused(path, "Entry 1 ")


def cut(raw: Raw, keep: int) -> None:
    for table in (*TABLES, "entries"):
        raw.execute(f"DELETE FROM {table} WHERE seq > ?", (keep,))


@pytest.mark.parametrize("keep", [0, 1, 20])
def test_a_cut_tail_needs_a_checkpoint(full: Location, keep: int) -> None:
    before = json.loads(json.dumps(checkpoint(full)))
    with tampered(full) as (path, raw):
        cut(raw, keep)
        assert verify(path).ok
        assert verify(path).entries == keep
        verdict = verify(path, checkpoint=before)
        ends = f"The ledger ends at entry {keep} but the checkpoint names {before['size']}"
        assert verdict.first_bad == f"{ends}: its tail was cut off."


def rewrite(raw: Raw) -> None:
    """Make the whole chain anew over whatever the rows say now."""
    rows = [(row["seq"], table, row) for table in TABLES for row in raw.dicts(table)]
    head = genesis(raw.execute("SELECT value FROM meta WHERE key = 'ledger_id'").fetchone()[0])
    for seq, table, row in sorted(rows, key=lambda each: each[0]):
        entry = next_entry(head, TYPED[table], row)
        head = entry.hash
        raw.execute(
            "UPDATE entries SET key = ?, digest = ?, prev = ?, hash = ? WHERE seq = ?", (*entry[2:], seq)
        )


def test_a_rewrite_needs_a_checkpoint(full: Location) -> None:
    before = checkpoint(full)
    assert verify(full, checkpoint=before).ok
    with tampered(full) as (path, raw):
        raw.execute("UPDATE grades SET correct = 1 - correct")
        refused(path, "grades ")
        rewrite(raw)
        assert verify(path).ok
        verdict = verify(path, checkpoint=before)
        assert verdict.first_bad is not None
        assert verdict.first_bad.startswith(f"Entry {before['size']} has another hash than the checkpoint")


def test_a_checkpoint_stays_true_while_the_ledger_grows(
    path: Location, places: Callable[[str], Location]
) -> None:
    with Ledger.open(path, write=True) as ledger:
        start = checkpoint(path)
        assert start["size"] == 0
        ledger.run("r", {}, [])
        middle = checkpoint(path)
        assert middle["head"] == ledger.head()
        ledger.run("s", {}, [])
        for taken in (start, middle, checkpoint(path)):
            assert verify(path, checkpoint=taken).ok
    with Ledger.open(places("other"), write=True):
        verdict = verify(places("other"), checkpoint=start)
        assert verdict.first_bad is not None
        assert "another ledger" in verdict.first_bad


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"size": -1}, "size"),
        ({"size": True}, "size"),
        ({"size": "3"}, "size"),
        ({"head": None}, "head"),
        ({"ledger": 3}, "ledger"),
    ],
)
def test_a_checkpoint_that_is_none_is_refused(full: Location, broken: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"checkpoint: {field} must be"):
        verify(full, checkpoint=checkpoint(full) | broken)


def test_a_writer_does_not_go_on_after_a_broken_end(full: Location) -> None:
    with tampered(full) as (path, raw):
        raw.execute("UPDATE entries SET digest = 'x' WHERE seq = (SELECT max(seq) FROM entries)")
        with pytest.raises(LedgerCorrupt, match="does not fit its chain"):
            Ledger.open(path, write=True)
        raw.execute("DELETE FROM entries WHERE seq = 3")
        Ledger.open(path, write=False).close()


def test_windows_join(full: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = verify(full)
    windows = (1, 2, 7, whole.entries - 1, whole.entries, whole.entries + 1)
    for window in windows if isinstance(full, Path) else windows[2:5:2]:
        monkeypatch.setattr("ponder.ledger.audit._WINDOW", window)
        assert verify(full) == whole
        with tampered(full) as (path, raw):
            last = name_of(raw, size(raw))
            raw.execute("INSERT INTO texts VALUES (10000, 'h', 't')")
            refused(path, 'texts ["h"]')
            raw.execute("UPDATE events SET detail = '{}' WHERE seq = (SELECT max(seq) FROM events)")
            refused(path, last)


def test_a_damaged_file_is_found(full_file: Location) -> None:
    with tampered(full_file) as (path, raw):
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("DELETE FROM sqlite_master WHERE name = 'calls_of_run'")
        raw.connection.close()
        verdict = verify(path)
        assert verdict.first_bad is not None
        assert "the file is damaged" in verdict.first_bad


# ---------------------------------------------------------------- any rows at all

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=6)
COUNT = st.none() | st.integers(0, 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY_TEXT, inner, max_size=2),
    max_leaves=4,
)
DETAIL = st.dictionaries(ANY_TEXT, JSON, max_size=2)


def stage(run: str, place: int) -> st.SearchStrategy[StageRow]:
    some, real = st.none() | ANY_TEXT, st.none() | FINITE
    counts, costs = [COUNT] * 3, (real, some, real, real, some, real)
    return st.builds(
        StageRow, st.just(run), st.just(place), st.just("sft"), some, ANY_TEXT, *counts, *costs, DETAIL
    )


@st.composite
def ledgers(draw: st.DrawFn) -> list[Any]:
    """Rows that refer to one another as they should, with any values else."""
    run, problem, stream = draw(ANY_TEXT), draw(ANY_TEXT), draw(ANY_TEXT)
    texts = [TextRow.of(text) for text in draw(st.lists(ANY_TEXT, min_size=1, max_size=3, unique=True))]
    text = st.sampled_from([row.hash for row in texts])
    of = st.just(run), st.just(problem)
    some, whole, real = st.none() | ANY_TEXT, st.integers(0, 2**63 - 1), st.none() | FINITE
    names = st.just(stream), ANY_TEXT, some, ANY_TEXT
    spent = real, some, real, FINITE, FINITE, some
    call = st.builds(CallRow, st.just(1), *of, *names, *[whole] * 3, *[COUNT] * 4, *spent, DETAIL, text)
    logprobs = st.none() | st.lists(FINITE, max_size=3).map(tuple)
    sample = st.tuples(
        text, st.none() | text, st.none() | ANY_TEXT, COUNT, st.none() | FINITE, logprobs, ANY_TEXT
    )
    samples = draw(st.lists(sample, max_size=3))
    answer = st.builds(Answer, st.none() | ANY_TEXT, ANY_TEXT, st.none() | FINITE)
    return [
        *texts,
        draw(st.builds(RunRow, st.just(run), FINITE, DETAIL, ANY_TEXT)),
        draw(st.builds(ProblemRow, *of, st.just(0), text, st.none() | text)),
        draw(call),
        *(SampleRow(1, run, problem, stream, place, *rest) for place, rest in enumerate(samples)),
        draw(st.builds(GradeRow, *of, st.just(stream), st.integers(0, 9), ANY_TEXT, st.booleans())),
        draw(st.builds(AnswerRow, *of, ANY_TEXT, answer, st.none() | ANY_TEXT, st.just(Usage(flop=None)))),
        *(draw(stage(run, place)) for place in range(draw(st.integers(0, 2)))),
        draw(st.builds(EventRow, st.just(run), FINITE, ANY_TEXT, DETAIL)),
    ]


def come_back(path: Location, rows: list[Any]) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.append(rows).result(30)
        ledger.append(rows[:-1]).result(30)  # the same again changes nothing, but an event is new
        run = next(row.id for row in rows if isinstance(row, RunRow))
        kinds = {
            CallRow: ledger.calls,
            GradeRow: ledger.grades,
            AnswerRow: ledger.answers,
            EventRow: ledger.events,
            StageRow: ledger.stages,
        }
        for kind, read in kinds.items():
            assert read(run) == [row for row in rows if isinstance(row, kind)]
        drawn = [
            row for row in rows if isinstance(row, SampleRow) and row.finish not in ("cancelled", "failed")
        ]
        texts = {row.hash: row.text for row in rows if isinstance(row, TextRow)}
        back = [stored.sample for stored in ledger.samples(run)]
        assert [(s.text, s.choice, s.tokens, s.logprob, s.logprobs) for s in back] == [
            (texts[row.text_hash], row.choice, row.tokens, row.logprob, row.logprobs) for row in drawn
        ]
    assert verify(path).ok
    assert verify(path).entries == len(rows)


@settings(max_examples=60)
@given(rows=ledgers())
def test_any_rows_come_back_exactly_and_verify(rows: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        come_back(Path(folder) / "l.db", rows)


@settings(max_examples=15)
@given(rows=ledgers())
def test_any_rows_come_back_exactly_from_postgres(postgres: PostgresServer, rows: list[Any]) -> None:
    come_back(postgres.url(), rows)


def test_no_ledger_to_verify(path: Location) -> None:
    with pytest.raises(LedgerError, match="There is no ledger at"):
        verify(path)
