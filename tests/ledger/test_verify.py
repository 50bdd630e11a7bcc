"""Whatever is changed behind the ledger's back is found, and the right row is named."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
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
from ponder.ledger.schema import TYPED

TABLES = list(TYPED)


@contextmanager
def tampered(full: Path) -> Iterator[tuple[Path, sqlite3.Connection]]:
    """A copy to change, and a raw connection that checks nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(full, folder))
        with closing(sqlite3.connect(path, isolation_level=None)) as raw:
            raw.execute("PRAGMA synchronous = OFF")
            yield path, raw


def name_of(raw: sqlite3.Connection, seq: int) -> str:
    return " ".join(raw.execute("SELECT kind, key FROM entries WHERE seq = ?", (seq,)).fetchone())


def seqs(raw: sqlite3.Connection, table: str) -> list[int]:
    return [seq for (seq,) in raw.execute(f"SELECT seq FROM {table} ORDER BY seq")]


def size(raw: sqlite3.Connection) -> int:
    return raw.execute("SELECT max(seq) FROM entries").fetchone()[0]


def refused(path: Path, name: str) -> tuple[str, int]:
    """What is said of the first bad row, and how many entries hold."""
    verdict = verify(path)
    assert not verdict.ok
    assert verdict.first_bad is not None
    assert name in verdict.first_bad
    assert verdict.first_bad.endswith(".")
    assert "\n" not in verdict.first_bad
    return verdict.first_bad, verdict.entries


def test_the_chain_is_what_the_design_says(full: Path) -> None:
    with closing(sqlite3.connect(full)) as raw:
        ledger_id = dict(raw.execute("SELECT key, value FROM meta"))["ledger_id"]
        entries = raw.execute("SELECT * FROM entries ORDER BY seq").fetchall()
        rows: dict[int, tuple[str, dict[str, Any]]] = {}
        for table in TABLES:
            cursor = raw.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            for values in cursor:
                rows[values[names.index("seq")]] = (table, dict(zip(names, values, strict=True)))
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


@settings(max_examples=200)
@given(data=st.data())
def test_any_changed_field_is_found(full: Path, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        table = data.draw(st.sampled_from([*TABLES, "entries"]))
        seq = data.draw(st.sampled_from(seqs(raw, table)))
        columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
        column = data.draw(st.sampled_from(columns))
        slot = data.draw(st.sampled_from(["?", "CAST(? AS TEXT)"]))
        name = name_of(raw, seq)
        raw.text_factory = bytes
        before = sorted(map(repr, raw.execute(f"SELECT * FROM {table}")))
        try:
            raw.execute(f"UPDATE {table} SET {column} = {slot} WHERE seq = ?", (data.draw(VALUES), seq))
        except sqlite3.IntegrityError:
            assume(False)  # SQLite itself refuses the value
        assume(sorted(map(repr, raw.execute(f"SELECT * FROM {table}"))) != before)
        found, held = refused(path, name if (table, column) != ("events", "seq") else "events ")
        assert held < size(raw), found


@settings(max_examples=60)
@given(data=st.data())
def test_any_deleted_row_or_entry_is_found(full: Path, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        seq = data.draw(st.integers(1, size(raw)))
        name, table = name_of(raw, seq), name_of(raw, seq).split()[0]
        what = data.draw(st.sampled_from(["row", "entry"]))
        raw.execute(f"DELETE FROM {table if what == 'row' else 'entries'} WHERE seq = ?", (seq,))
        refused(path, name)


@settings(max_examples=60)
@given(data=st.data())
def test_any_row_beside_the_chain_is_found(full: Path, data: st.DataObject) -> None:
    with tampered(full) as (path, raw):
        table = data.draw(st.sampled_from(TABLES))
        seq = data.draw(st.sampled_from(seqs(raw, table)))
        free = data.draw(st.sampled_from([-7, 0, size(raw) + 1, 10**6]))
        columns = [row[1] for row in raw.execute(f"PRAGMA table_info({table})")]
        own = {"seq": str(free)}
        if table != "events":
            last = TYPED[table].info["key"][-1]
            own[last] = f"{last} + 1000" if last in ("id", "position", "call_id") else "'planted'"
            if table == "runs":
                own["id"] = "'planted'"
        picked = ", ".join(own.get(column, column) for column in columns)
        raw.execute(f"INSERT INTO {table} SELECT {picked} FROM {table} WHERE seq = {seq}")
        key = ", ".join(TYPED[table].info["key"])
        planted = raw.execute(f"SELECT {key} FROM {table} WHERE seq = {free}").fetchone()
        name = json.dumps(list(planted), separators=(",", ":"), ensure_ascii=False)
        refused(path, f"{table} {name} is not in the chain")


@settings(max_examples=60)
@given(data=st.data())
def test_any_two_swapped_are_found(full: Path, data: st.DataObject) -> None:
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


def test_a_row_that_vanished_with_its_entry_is_found(full: Path) -> None:
    with tampered(full) as (path, raw):
        seq = seqs(raw, "samples")[2]
        raw.execute("DELETE FROM samples WHERE seq = ?", (seq,))
        raw.execute("DELETE FROM entries WHERE seq = ?", (seq,))
        found, _ = refused(path, name_of(raw, seq + 1))
        assert found.startswith(f"Entry {seq} and its row are missing")


def test_another_ledgers_id_is_found(full: Path) -> None:
    with tampered(full) as (path, raw):
        raw.execute("UPDATE meta SET value = 'x' WHERE key = 'ledger_id'")
        refused(path, "Entry 1 ")


def cut(raw: sqlite3.Connection, keep: int) -> None:
    for table in (*TABLES, "entries"):
        raw.execute(f"DELETE FROM {table} WHERE seq > ?", (keep,))


@pytest.mark.parametrize("keep", [0, 1, 20])
def test_a_cut_tail_needs_a_checkpoint(full: Path, keep: int) -> None:
    before = json.loads(json.dumps(checkpoint(full)))
    with tampered(full) as (path, raw):
        cut(raw, keep)
        assert verify(path).ok
        assert verify(path).entries == keep
        verdict = verify(path, checkpoint=before)
        ends = f"The ledger ends at entry {keep} but the checkpoint names {before['size']}"
        assert verdict.first_bad == f"{ends}: its tail was cut off."


def rewrite(raw: sqlite3.Connection) -> None:
    """Make the whole chain anew over whatever the rows say now."""
    raw.row_factory = sqlite3.Row
    rows = [(row["seq"], t, dict(row)) for t in TABLES for row in raw.execute(f"SELECT * FROM {t}")]
    head = genesis(raw.execute("SELECT value FROM meta WHERE key = 'ledger_id'").fetchone()[0])
    for seq, table, row in sorted(rows, key=lambda each: each[0]):
        entry = next_entry(head, TYPED[table], row)
        head = entry.hash
        raw.execute(
            "UPDATE entries SET key = ?, digest = ?, prev = ?, hash = ? WHERE seq = ?", (*entry[2:], seq)
        )


def test_a_rewrite_needs_a_checkpoint(full: Path) -> None:
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


def test_a_checkpoint_stays_true_while_the_ledger_grows(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    with Ledger.open(path, write=True) as ledger:
        start = checkpoint(path)
        assert start["size"] == 0
        ledger.run("r", {}, [])
        middle = checkpoint(path)
        assert middle["head"] == ledger.head()
        ledger.run("s", {}, [])
        for taken in (start, middle, checkpoint(path)):
            assert verify(path, checkpoint=taken).ok
    with Ledger.open(tmp_path / "other.db", write=True):
        verdict = verify(tmp_path / "other.db", checkpoint=start)
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
def test_a_checkpoint_that_is_none_is_refused(full: Path, broken: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError, match=f"checkpoint: {field} must be"):
        verify(full, checkpoint=checkpoint(full) | broken)


def test_a_writer_does_not_go_on_after_a_broken_end(full: Path) -> None:
    with tampered(full) as (path, raw):
        raw.execute("UPDATE entries SET digest = 'x' WHERE seq = (SELECT max(seq) FROM entries)")
        with pytest.raises(LedgerCorrupt, match="does not fit its chain"):
            Ledger.open(path, write=True)
        raw.execute("DELETE FROM entries WHERE seq = 3")
        Ledger.open(path, write=False).close()


def test_windows_join(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = verify(full)
    for window in (1, 2, 7, whole.entries - 1, whole.entries, whole.entries + 1):
        monkeypatch.setattr("ponder.ledger.audit._WINDOW", window)
        assert verify(full) == whole
        with tampered(full) as (path, raw):
            last = name_of(raw, size(raw))
            raw.execute("INSERT INTO texts VALUES (10000, 'h', 't')")
            refused(path, 'texts ["h"]')
            raw.execute("UPDATE events SET detail = '{}' WHERE seq = (SELECT max(seq) FROM events)")
            refused(path, last)


def test_a_damaged_file_is_found(full: Path) -> None:
    with tampered(full) as (path, raw):
        raw.execute("PRAGMA writable_schema = ON")
        raw.execute("DELETE FROM sqlite_master WHERE name = 'calls_of_run'")
        raw.close()
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


@settings(max_examples=60)
@given(rows=ledgers())
def test_any_rows_come_back_exactly_and_verify(rows: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "l.db"
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
                row
                for row in rows
                if isinstance(row, SampleRow) and row.finish not in ("cancelled", "failed")
            ]
            texts = {row.hash: row.text for row in rows if isinstance(row, TextRow)}
            back = [stored.sample for stored in ledger.samples(run)]
            assert [(s.text, s.choice, s.tokens, s.logprob, s.logprobs) for s in back] == [
                (texts[row.text_hash], row.choice, row.tokens, row.logprob, row.logprobs) for row in drawn
            ]
        assert verify(path).ok
        assert verify(path).entries == len(rows)


def test_no_ledger_to_verify(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="There is no ledger at"):
        verify(tmp_path / "none.db")
