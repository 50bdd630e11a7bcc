"""Texts go by order: the chain holds, the order is told, and no word of them is left in the file."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ponder.core import Answer, Attempt, Question, Request, Sample, Usage
from ponder.errors import InputError, LedgerErased, LedgerLocked, UnknownName
from ponder.ledger import Ledger, checkpoint, read, verify
from ponder.ledger.erasing import RUN
from ponder.ledger.rows import EventRow, TextRow
from ponder.ledger.schema import TYPED
from tests.ledger.places import Location, copied, raw, session
from tests.postgres import PostgresServer

SECRET = "the zebra's own secret thought"
SHARED = "a question that both runs ask"


def fill(
    path: Location,
    run: str,
    question: Question,
    make_attempt: Callable[..., Attempt],
    *,
    text: str = SECRET,
    config: Any = None,
) -> None:
    async def work(ledger: Ledger) -> None:
        recorder = ledger.run(
            run, config or {"kind": "serve", "request": run, "body": {"m": text}}, [(question, None)]
        )
        request = Request(question.prompt, n=2, prefix=text)
        samples = [
            Sample(f"{text} {i} of {run}", text, i, reasoning=f"{text} in {run}", tokens=5) for i in range(2)
        ]
        attempts = [make_attempt(2), replace(make_attempt(0, status="failed"), error=text)]
        await recorder.record(question, "s", "solver", request, attempts, samples)
        await recorder.answer(question, "vote", Answer(text, f"{text}!", 0.5), Usage(1, 2), None)
        recorder.event("told", {"content": text, "cuts": {"content": 3}})

    with Ledger.open(path, write=True) as ledger:
        asyncio.run(work(ledger))


@pytest.fixture
def postgres_data(request: pytest.FixtureRequest) -> Callable[[], Path]:
    def folder() -> Path:
        server: PostgresServer = request.getfixturevalue("postgres")
        return server.data

    return folder


@pytest.fixture
def two(
    path: Location, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> Location:
    for run in ("one", "two"):
        fill(path, run, question(SHARED), make_attempt)
    return path


def erase(path: Location, *runs: str) -> Any:
    with Ledger.open(path, write=True) as ledger:
        return ledger.erase(runs, by="olga", reason="asked by the user")


def test_the_chain_holds_and_tells_of_the_order(two: Location) -> None:
    before = checkpoint(two)
    told = erase(two, "one")
    verdict = verify(two, checkpoint=before)
    assert verdict.ok, verdict.first_bad
    (found,) = verdict.erasures
    assert found == told
    assert (found.by, found.reason, found.runs) == ("olga", "asked by the user", ("one",))
    assert found.texts == 3  # two samples and a thought; question and prompt are those of "two" as well


def test_nothing_of_it_is_left_in_the_file(two: Location, postgres_data: Callable[[], Path]) -> None:
    erase(two, "one", "two")
    assert verify(two).ok
    files = list(two.parent.iterdir()) if isinstance(two, Path) else rewritten(two, postgres_data())
    assert files
    for file in files:
        assert SECRET.encode() not in file.read_bytes()
        assert f"What is {SHARED}?".encode() not in file.read_bytes()


def rewritten(place: str, data: Path) -> list[Path]:
    """The files of a ledger on PostgreSQL, once its operator has had the tables rewritten."""
    files = (
        "SELECT pg_relation_filepath(c.oid) FROM pg_class c WHERE c.relkind IN ('r', 'i') "
        "AND c.relnamespace = current_schema()::regnamespace"
    )
    with session(place) as beside:
        before = {name for (name,) in beside.execute(files)}
        beside.execute(f"VACUUM FULL {', '.join(TYPED)}")
        beside.execute("CHECKPOINT")
        after = {name for (name,) in beside.execute(files)}
    assert len(before - after) >= len(TYPED)
    return [data / name for name in before | after if (data / name).exists()]


def test_postgres_keeps_no_version_of_an_erased_row(
    postgres: PostgresServer, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> None:
    place = postgres.url()
    fill(place, "one", question(SHARED), make_attempt)
    with session(place) as beside:
        beside.execute("CREATE EXTENSION IF NOT EXISTS pgstattuple SCHEMA public")
        dead = "SELECT dead_tuple_count FROM public.pgstattuple(%s)"
        beside.execute("UPDATE texts SET text = text")
        assert beside.execute(dead, ("texts",)).fetchone() != (0,)
        erase(place, "one")
        assert [beside.execute(dead, (name,)).fetchone() for name in TYPED] == [(0,)] * len(TYPED)


@pytest.fixture
def filled(
    tmp_path: Path, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> Iterator[Ledger]:
    """Open for writing, in the file l.db."""
    for run in ("one", "two"):
        fill(tmp_path / "l.db", run, question(SHARED), make_attempt)
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        yield ledger


def files(ledger: Path) -> list[bytes]:
    """What stands in the ledger's file and in those beside it."""
    return [path.read_bytes() for path in ledger.parent.glob(f"{ledger.name}*")]


def test_the_log_keeps_no_page_of_what_was_erased(filled: Ledger, tmp_path: Path) -> None:
    log = tmp_path / "l.db-wal"
    filled.append([TextRow.of("another secret, of a page that goes into the log")]).result()
    filled.append([TextRow.of(SECRET + " again"), EventRow("one", 0.0, SECRET, {})]).result()
    assert SECRET.encode() in log.read_bytes()
    filled.erase(["one", "two"], by="olga", reason="asked by the user")
    assert log.stat().st_size == 0
    assert sum(SECRET.encode() in each for each in files(tmp_path / "l.db")) == 1  # the text without a run


def test_an_erasure_waits_for_readers_and_nobody_else_does(filled: Ledger, tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        with Ledger.open(tmp_path / "l.db", write=False) as other, other._reading() as connection:
            assert read.find_run(connection, "one")
            order = pool.submit(filled.erase, ["one", "two"], by="olga", reason="asked by the user")
            while not filled.erasures():
                time.sleep(0.01)
            filled.append([TextRow.of("written meanwhile")]).result(10)
            assert not order.done()
            assert any(SECRET.encode() in each for each in files(tmp_path / "l.db"))
        erased = order.result(30)
    assert erased is not None
    assert not any(SECRET.encode() in each for each in files(tmp_path / "l.db"))


def test_an_erasure_whose_reader_does_not_end_says_so_when_the_ledger_is_closed(
    tmp_path: Path, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> None:
    path = tmp_path / "l.db"
    fill(path, "one", question(SHARED), make_attempt)
    with (
        ThreadPoolExecutor() as pool,
        Ledger.open(path, write=True) as ledger,
        Ledger.open(path, write=False) as other,
        other._reading() as connection,
    ):
        assert read.find_run(connection, "one")
        order = pool.submit(ledger.erase, ["one"], by="olga", reason="asked by the user")
        while not ledger.erasures():
            time.sleep(0.01)
        ledger.close()
        with pytest.raises(LedgerLocked, match="its log has them until a reader ends"):
            order.result(30)
    assert verify(path).ok
    assert not any(SECRET.encode() in each for each in files(path))


def test_figures_stay_and_texts_are_refused(two: Location) -> None:
    with Ledger.open(two, write=False) as ledger:
        usage, calls = ledger.usage("one"), len(ledger.calls("one"))
    erase(two, "one")
    with Ledger.open(two, write=False) as ledger:
        assert ledger.usage("one") == usage
        assert len(ledger.calls("one")) == calls
        assert ledger.config("one") == {"kind": "serve", "request": "one", "erased": True}
        told = next(event for event in ledger.events("one") if event.kind == "told")
        assert told.detail == {"content": None, "cuts": {"content": 3}}
        (answer,) = ledger.answers("one")
        assert answer.answer == Answer(None, "", 0.5)
        with pytest.raises(LedgerErased, match="erased by order"):
            ledger.samples("one")
        assert ledger.problems("two")[0][0].id == SHARED  # another run's question stays
        assert SECRET in ledger.samples("two")[0].sample.text
        assert [run.id for run in ledger.runs_between("a", "z", limit=9, holding="zebra")] == ["two"]


def test_a_text_that_comes_again_is_whole_again(
    two: Location, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> None:
    erase(two, "one", "two")
    fill(two, "three", question(SHARED), make_attempt)
    with Ledger.open(two, write=False) as ledger:
        assert ledger.problems("three")[0][0].id == SHARED
        assert SECRET in ledger.samples("three")[0].sample.text
    verdict = verify(two)
    assert verdict.ok, verdict.first_bad
    assert [erasure.texts for erasure in verdict.erasures] == [6]


def test_what_is_erased_is_erased_once(two: Location) -> None:
    erase(two, "one")
    size = checkpoint(two)["size"]
    assert erase(two, "one") is None
    assert checkpoint(two)["size"] == size
    assert erase(two, "one", "two").runs == ("two",)


def test_orders_that_come_at_once_are_all_told(two: Location) -> None:
    with Ledger.open(two, write=True) as ledger, ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda run: ledger.erase([run], by="ann", reason="asked"), ["one", "two"] * 4))
        assert sorted(each.runs for each in given if each is not None) == [("one",), ("two",)]
        assert len(ledger.erasures()) == 2
    assert verify(two).ok


def test_an_order_covers_nothing_else(two: Location) -> None:
    """A row that was left by an order is held to what was left; others are held to what they were."""
    erase(two, "one")
    changes = [
        "UPDATE texts SET text = char(1) || 'json:null' WHERE seq = (SELECT max(seq) FROM texts)",
        "UPDATE texts SET text = 'other words' WHERE text = char(1) || 'json:null'",
        "UPDATE runs SET config = '{\"kind\":\"serve\"}' WHERE id = 'one'",
        "UPDATE runs SET config = '{\"erased\":true}' WHERE id = 'two'",
        "UPDATE events SET detail = '{}' WHERE run_id = 'one' AND kind = 'told'",
        f"UPDATE events SET detail = replace(detail, 'olga', 'anna') WHERE run_id = '{RUN}'",
        f"UPDATE events SET detail = 'no order' WHERE run_id = '{RUN}' AND kind = 'erased'",
        f"DELETE FROM events WHERE run_id = '{RUN}' AND kind = 'erased'",
        "UPDATE calls SET error = 'x' WHERE run_id = 'one' AND status = 'failed'",
        "UPDATE samples SET choice = 'x' WHERE run_id = 'one'",
    ]
    for change in changes:
        with copied(two) as place:
            with raw(place) as behind:
                assert behind.execute(change).rowcount, change
            verdict = verify(place)
        assert not verdict.ok, change
        assert verdict.erasures == ()


def test_an_order_on_what_comes_later_is_none(two: Location) -> None:
    """Whoever forges an order must write it behind the rows, where a checkpoint shows it to be new."""
    told = erase(two, "one")
    with raw(two) as behind:
        (detail,) = behind.execute(
            f"SELECT detail FROM events WHERE run_id = '{RUN}' AND kind = 'erased'"
        ).fetchone()
        (last,) = behind.execute("SELECT max(seq) FROM entries").fetchone()
    places = [*json.loads(detail)["texts"], *map(int, json.loads(detail)["rows"])]
    assert told.texts == len(json.loads(detail)["texts"])
    assert max(places) < last


def test_old_requests_are_those_that_have_their_texts(
    two: Location, question: Callable[[str], Question], make_attempt: Callable[..., Attempt]
) -> None:
    fill(two, "measured", question("x"), make_attempt, config={"kind": "measure"})
    with Ledger.open(two, write=True) as ledger:
        assert ledger.old_requests(2e9) == ["one", "two"]
        assert ledger.old_requests(ledger.created("two")) == ["one"]
        ledger.erase(["one"], by="olga", reason="30 days")
        assert ledger.old_requests(2e9) == ["two"]


def test_an_order_says_by_whom_and_why_and_of_what(two: Location) -> None:
    with Ledger.open(two, write=True) as ledger:
        with pytest.raises(UnknownName, match="three"):
            ledger.erase(["three"], by="olga", reason="x")
        with pytest.raises(InputError, match="by: it is empty"):
            ledger.erase(["one"], by=" ", reason="x")
        with pytest.raises(InputError, match="reason: it is empty"):
            ledger.erase(["one"], by="olga", reason="")
        ledger.run("train", {"kind": "train"})
        with pytest.raises(InputError, match="no questions"):
            ledger.erase(["train"], by="olga", reason="x")
    assert verify(two).erasures == ()
