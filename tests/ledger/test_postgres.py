"""A ledger on PostgreSQL: its one writer, what its errors say, and what happens when the server goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import (
    LedgerCorrupt,
    LedgerError,
    LedgerFull,
    LedgerLocked,
    LedgerReadOnly,
    LedgerVersion,
    MissingExtra,
)
from ponder.ledger import EventRow, Ledger, checkpoint, shown, verify
from tests.ledger.places import copied, raw, session
from tests.postgres import PASSWORD, PostgresServer


@pytest.fixture
def place(postgres: PostgresServer) -> str:
    return postgres.url()


@pytest.fixture
def written(place: str) -> str:
    """A place with a run."""
    with Ledger.open(place, write=True) as ledger:
        ledger.run("r", {}, [])
    return place


@pytest.fixture
def own(postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    yield postgres
    if postgres.process.poll() is not None:
        postgres.start()


def refused(use: Callable[[], Any], kind: type[Exception] = LedgerError) -> str:
    with pytest.raises(kind) as error:
        use()
    assert type(error.value) is kind
    said = str(error.value)
    assert said.endswith(".")
    assert "\n" not in said
    assert PASSWORD not in said
    return said


def opened(place: str, *, write: bool = False) -> Callable[[], None]:
    return lambda: Ledger.open(place, write=write).close()


def event(at: float = 1.0, kind: str = "x") -> EventRow:
    return EventRow("r", at, kind, {})


# ---------------------------------------------------------------- the writer


def test_one_writer_and_the_refusal_names_it(place: str) -> None:
    with Ledger.open(place, write=True):
        said = refused(opened(place, write=True), LedgerLocked)
        assert f'written by this very process, "ponder writer {os.getpid()} on ' in said
        assert "close the one that is open" in said
        assert "(server process " in said
        with Ledger.open(place, write=False) as reader:
            assert reader.runs() == []
    Ledger.open(place, write=True).close()


def test_schemas_of_a_database_are_ledgers_of_their_own(postgres: PostgresServer) -> None:
    with Ledger.open(postgres.url(), write=True) as one, Ledger.open(postgres.url(), write=True) as other:
        one.run("a", {}, [])
        other.run("b", {}, [])
        assert [run.id for run in one.runs()] == ["a"]
        assert [run.id for run in other.runs()] == ["b"]


def test_it_is_written_as_safely_as_promised(place: str) -> None:
    names = ("synchronous_commit", "extra_float_digits", "idle_session_timeout", "statement_timeout")
    with session(place) as beside:
        beside.execute("ALTER ROLE ponder SET synchronous_commit = off")
        beside.execute("ALTER ROLE ponder SET idle_session_timeout = '1h'")
        beside.execute("ALTER ROLE ponder SET extra_float_digits = 0")
        try:
            with Ledger.open(place, write=True) as ledger:
                assert ledger._writer is not None
                connection = ledger._writer._connection
                with connection.begin():
                    found = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names]
        finally:
            beside.execute("ALTER ROLE ponder RESET ALL")
    assert found == ["on", "3", "0", "0"]


def test_text_is_in_the_order_of_its_bytes(written: str) -> None:
    with session(written) as beside:
        wrong = beside.execute(
            "SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
            "WHERE relnamespace = current_schema()::regnamespace AND atttypid = 'text'::regtype "
            "AND attcollation <> '\"C\"'::regcollation"
        ).fetchall()
    assert wrong == []


def test_readers_cannot_write(written: str) -> None:
    with Ledger.open(written, write=False) as ledger:
        said = refused(lambda: write_by_reading(ledger), LedgerReadOnly)
    assert "cannot be written" in said
    assert verify(written).ok


def write_by_reading(ledger: Ledger) -> None:
    with ledger._reading() as connection:
        connection.exec_driver_sql("DELETE FROM events")


def test_nothing_is_left_open(written: str) -> None:
    with Ledger.open(written, write=True) as ledger:
        ledger.runs()
    verify(written)
    assert Ledger.exists(written)
    with session(written) as beside:
        ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^ponder .* [0-9]+ on '"
        mine = f"{ours} AND application_name ~ ' {os.getpid()} on '"
        assert settled(lambda: beside.execute(mine).fetchone() == (0,))


def settled(true: Callable[[], bool]) -> bool:
    """Sessions end a moment after they were closed."""
    import time

    deadline = time.monotonic() + 10
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


# ---------------------------------------------------------------- what goes wrong on the way


def cut(place: str, use: str) -> None:
    with session(place) as beside:
        ended = beside.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE %s",
            (f"ponder {use} {os.getpid()} on %",),
        ).fetchall()
    assert ended


def test_a_writer_whose_session_is_cut_writes_no_more(written: str) -> None:
    with Ledger.open(written, write=True) as ledger:
        ledger.append([event(1.0)]).result(30)
        cut(written, "writer")
        said = refused(lambda: ledger.append([event(2.0)]).result(30))
        assert "lost its connection" in said
        with Ledger.open(written, write=True) as other:  # the lock went with the session
            assert "lost its connection" in refused(lambda: ledger.append([event(3.0)]).result(30))
            other.append([event(4.0)]).result(30)
        assert [each.at for each in ledger.events("r")[1:]] == [1.0, 4.0]
    assert verify(written).ok


def test_a_reader_whose_session_is_cut_reads_on(written: str) -> None:
    with Ledger.open(written, write=False) as ledger:
        assert len(ledger.runs()) == 1
        cut(written, "reader")
        assert len(ledger.runs()) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_restarts_keeps_what_was_acknowledged(
    own: PostgresServer, written: str, how: signal.Signals
) -> None:
    with Ledger.open(written, write=True) as ledger:
        durable = ledger.append([event(float(i)) for i in range(100)])
        durable.result(30)
        going = [ledger.append([event(100.0 + i, "y" * 3000)]) for i in range(300)]
        own.stop(how)
        ended = [future.exception(30) for future in going]
        assert "cannot be reached" in refused(ledger.runs)
        assert "cannot be reached" in refused(opened(written))
        own.start()
        kept = [each.at for each in ledger.events("r")[1:]]
        acknowledged = 100 + sum(error is None for error in ended)
        assert kept[:acknowledged] == [float(i) for i in range(acknowledged)]
        refused(lambda: ledger.append([event(1e6)]).result(30))
    with Ledger.open(written, write=True) as ledger:
        ledger.append([event(2e6)]).result(30)
    verdict = verify(written)
    assert verdict.ok, verdict.first_bad


WRITER = """
import os, sys
from ponder.ledger import EventRow, Ledger

with Ledger.open(sys.argv[1], write=True) as ledger:
    at = float(len(ledger.events("r")))
    while True:
        ledger.append([EventRow("r", at, "k" * 2000, {})]).result(60)
        os.write(1, f"{at}\\n".encode())
        at += 1
"""


def test_a_killed_writer_loses_nothing_and_leaves_no_lock(written: str) -> None:
    acknowledged: list[float] = []
    for lines in (1, 40, 150):
        child = subprocess.Popen([sys.executable, "-c", WRITER, written], stdout=subprocess.PIPE)
        assert child.stdout is not None
        acknowledged += [float(child.stdout.readline()) for _ in range(lines)]
        child.kill()
        rest = child.communicate(timeout=30)[0]
        acknowledged += [float(line) for line in rest[: rest.rfind(b"\n") + 1].split()]
    with Ledger.open(written, write=True) as ledger:
        kept = [each.at for each in ledger.events("r")[1:]]
    assert len(acknowledged) >= 191
    assert set(acknowledged) <= set(kept)
    assert kept == sorted(set(kept))
    verdict = verify(written)
    assert verdict.ok, verdict.first_bad


@pytest.fixture
def small_disk(postgres: PostgresServer) -> Iterator[Path]:
    """Where the tables of new ledgers lie: 4 MB."""
    disk = postgres.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(disk)]
    if postgres.user is None or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk can be mounted by root alone")
    shutil.chown(disk, postgres.user)
    with postgres.session() as beside:
        beside.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
        beside.execute("ALTER ROLE ponder SET default_tablespace = small")
    yield disk
    with postgres.session() as beside:
        beside.execute("ALTER ROLE ponder RESET ALL")
        tables = "SELECT schemaname FROM pg_tables WHERE tablespace = 'small'"
        for schema in {name for (name,) in beside.execute(tables).fetchall()}:
            beside.execute(f"DROP SCHEMA {schema} CASCADE")
        beside.execute("DROP TABLESPACE small")
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_keeps_what_was_acknowledged(small_disk: Path, place: str) -> None:
    with Ledger.open(place, write=True) as ledger:
        ledger.run("r", {}, [])
        count, said = 0, ""
        while not said:
            kinds = [os.urandom(4000).hex() for _ in range(5)]  # which no compression makes small
            futures = [ledger.append([event(float(count + i), kind)]) for i, kind in enumerate(kinds)]
            errors = [future.exception(60) for future in futures]
            count += sum(error is None for error in errors)
            said = next((str(error) for error in errors if error is not None), "")
            assert all(error is None or type(error) is LedgerFull for error in errors)
        assert "free some disk space on the server and start again; everything" in said
        refused(lambda: ledger.append([event()]).result(30), LedgerFull)
        kept = [each.at for each in ledger.events("r")[1:]]
        assert kept[:count] == [float(i) for i in range(count)]
    assert count > 20
    assert verify(place).ok
    subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
    with Ledger.open(place, write=True) as ledger:
        ledger.append([event(1e6)]).result(30)


# ---------------------------------------------------------------- what is refused at the door


def test_what_cannot_be_reached_is_told_in_a_sentence(postgres: PostgresServer) -> None:
    for place, words, remedy in (
        (postgres.tcp(password="wrong" + PASSWORD), "password authentication failed", "PGPASSWORD"),
        (postgres.tcp(password=""), "no password supplied", "PGPASSWORD"),
        (postgres.tcp(user="nobody"), "password authentication failed", "check the user"),
        (postgres.tcp(database="none"), 'database "none" does not exist', "createdb"),
        (postgres.url().replace("ponder@", "nobody@"), 'role "nobody" does not exist', "createuser"),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:1/x", "Connection refused", "start the server"),
        (f"postgresql://me:{PASSWORD}@/x?host=/nowhere", "No such file", "start the server"),
        (postgres.tcp() + "?nonsense=1", "invalid connection option", "take it out of the URL"),
    ):
        for write in (True, False):
            said = refused(opened(place, write=write))
            assert words in said
            assert remedy in said
        for other in (
            lambda p=place: verify(p),
            lambda p=place: checkpoint(p),
            lambda p=place: Ledger.exists(p),
        ):
            assert words in refused(other)


def test_a_password_may_come_from_the_environment(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    place = postgres.tcp().replace(f":{PASSWORD}", "")
    assert not Ledger.exists(place)
    assert shown(postgres.tcp()) == shown(place) == f"postgresql://ponder@127.0.0.1:{postgres.port}/postgres"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql://me:hunter2@host", "names no database"),
        ("postgresql://me:a@hunter2@host/db", "an @ in its password"),
        ("postgresql://me@host/db?password=hunter2", "among its options"),
        ("postgresql://me:hunter2@host:port/db", "cannot be read"),
        ("mysql://me:hunter2@host/db", "no PostgreSQL"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_password(url: str, why: str) -> None:
    for use in (opened(url), opened(url, write=True), lambda: Ledger.exists(url), lambda: shown(url)):
        assert why in refused(use)


def test_an_empty_schema_is_no_ledger_yet(place: str) -> None:
    assert not Ledger.exists(place)
    assert "There is no ledger at" in refused(opened(place))
    opened(place, write=True)()
    assert Ledger.exists(place)


def test_a_schema_of_others_is_no_ledger(place: str) -> None:
    with session(place) as beside:
        beside.execute("CREATE TABLE mine (x int)")
    for write in (True, False):
        assert "a database but not a ledger" in refused(opened(place, write=write), LedgerCorrupt)
    missing = place + "_none"
    assert "no schema" in refused(opened(missing, write=True))


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ("UPDATE meta SET value = '3' WHERE key = 'schema_version'", LedgerVersion, "has schema 3"),
        ("UPDATE meta SET value = 'x' WHERE key = 'schema_version'", LedgerCorrupt, "lacks its id"),
        ("DELETE FROM meta", LedgerCorrupt, "lacks its id or its schema version"),
        ("DROP TABLE grades", LedgerCorrupt, "lacks the table grades"),
    ],
)
def test_what_is_not_ours_is_refused(written: str, change: str, kind: type[LedgerError], words: str) -> None:
    with raw(written) as behind:
        behind.execute(change)
    for use in (opened(written), opened(written, write=True), lambda: verify(written)):
        assert words in refused(use, kind)


def test_a_role_that_may_not_write_reads(written: str) -> None:
    schema = written.rpartition("%3D")[2]
    with session(written) as beside:
        beside.execute("CREATE ROLE reader LOGIN")
        beside.execute(f"GRANT USAGE ON SCHEMA {schema} TO reader")
        beside.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO reader")
    theirs = written.replace("ponder@", "reader@")
    try:
        assert "the role reader may not" in refused(opened(theirs, write=True), LedgerReadOnly)
        with Ledger.open(theirs, write=False) as ledger:
            assert len(ledger.runs()) == 1
        assert verify(theirs).ok
    finally:
        with session(written) as beside:
            beside.execute("DROP OWNED BY reader")
            beside.execute("DROP ROLE reader")


def test_a_read_only_server_is_refused_to_a_writer(written: str) -> None:
    read_only = written.replace("options=", "options=-cdefault_transaction_read_only%3Don%20")
    assert "a standby" in refused(opened(read_only, write=True), LedgerReadOnly)
    opened(read_only)()


def test_another_encoding_is_refused(postgres: PostgresServer) -> None:
    with postgres.session() as beside:
        beside.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
        try:
            said = refused(opened(postgres.tcp(database="latin"), write=True))
        finally:
            beside.execute("DROP DATABASE latin WITH (FORCE)")
    assert "encoding LATIN1: make one with `createdb --encoding UTF8" in said


def test_without_the_extra(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for use in (opened(place), opened(place, write=True), lambda: Ledger.exists(place)):
        assert "pip install 'ponder[postgres]'" in refused(use, MissingExtra)
    assert shown(place) == "postgresql://ponder@/postgres"


# ---------------------------------------------------------------- rows


def test_a_name_too_long_for_an_index_is_told(place: str) -> None:
    import random

    name = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=9000))
    with Ledger.open(place, write=True) as ledger:
        assert "cannot hold so long a name" in refused(lambda: ledger.run(name, {}, []))


def test_texts_are_searched_as_in_a_file(
    postgres: PostgresServer, tmp_path: Path, question: Callable[[str], Any]
) -> None:
    asked = ("zebra", "ZEBRA", "a_b%c", "é", "É", "\x00", "a\x00", "\\", "/")
    found = []
    for place in (tmp_path / "l.db", postgres.url()):
        with Ledger.open(place, write=True) as ledger:
            for name in ("a Zebra", "a_b%c", "axbyc", "é", "\\ and /", "a\x00b"):
                ledger.run(name.replace("\x00", "0"), {}, [(question(name), None)])
            each = [ledger.runs_between("", "~~~", limit=9, holding=text) for text in asked]
            each.append(ledger.runs_between("a\x00", "b\x00", limit=9))
            found.append([[run.id for run in runs] for runs in each])
    assert found[0] == found[1]
    assert found[0][:3] == [["a Zebra"], ["a Zebra"], ["a_b%c"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            "ALTER TABLE grades DROP CONSTRAINT grades_run_id_problem_id_fkey",
            "the table grades lost a constraint on run_id, problem_id",
        ),
        ("ALTER TABLE runs DROP CONSTRAINT runs_id_key CASCADE", "the table runs lost a constraint on id"),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'texts_pkey'::regclass",
            "the index texts_pkey is not valid",
        ),
    ],
)
def test_what_the_server_can_tell_of_damage_is_told(written: str, change: str, words: str) -> None:
    with session(written) as beside:
        beside.execute(f"SET allow_system_table_mods = on; {change}")
    try:
        first_bad = verify(written).first_bad
    finally:
        with session(written) as beside:
            beside.execute("UPDATE pg_index SET indisvalid = true WHERE NOT indisvalid")
    assert first_bad == f"Every row is as written, but the file is damaged: {words}."


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """A ledger in a database of its own."""
    with postgres.session() as beside:
        beside.execute("CREATE DATABASE own")
    place = postgres.tcp(database="own")
    with Ledger.open(place, write=True) as ledger:
        ledger.run("r", {}, [])
    yield place
    with postgres.session() as beside:
        beside.execute("DROP DATABASE own WITH (FORCE)")


def test_an_index_with_a_broken_page_is_found(postgres: PostgresServer, database: str) -> None:
    with session(database) as beside:
        beside.execute("CREATE EXTENSION amcheck")
        assert verify(database).ok
        beside.execute("CHECKPOINT")
        (name,) = beside.execute("SELECT pg_relation_filepath('runs_id_key')").fetchone() or ("",)
    postgres.stop()
    with (postgres.data / name).open("r+b") as file:
        file.seek(8192)  # behind the page that tells of the index itself
        file.write(b"\xa5" * 64)
    postgres.start()
    first_bad = verify(database).first_bad
    assert first_bad is not None
    assert first_bad.startswith(
        "Every row is as written, but the file is damaged: invalid page in block 1 of"
    )
    counted = "but the file is damaged: wrong checksums of pages in this database, by the server's count"
    assert settled(lambda: counted in str(verify(database).first_bad))


def test_a_copy_is_as_good(full_postgres: str) -> None:
    with copied(full_postgres) as place:
        assert verify(place) == verify(full_postgres)
        assert checkpoint(place)["head"] == checkpoint(full_postgres)["head"]
