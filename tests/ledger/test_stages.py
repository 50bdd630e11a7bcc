"""Training stages: durable once booked, booked once, covered by the chain, and new to older ledgers."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ponder.errors import LedgerCorrupt, LedgerError, LedgerReadOnly, RunChanged, UnknownName
from ponder.ledger import Ledger, RunRecorder, StageRow, checkpoint, verify
from tests.ledger.places import Location, raw

CONFIG = {"kind": "train", "model": "tiny"}
VERSION_1 = Path(__file__).with_name("version1.sql")
VERSION_1_HEAD = "cd56090a501636c68ac928c905335c6df545c27fb18d2ea16ea6762c617680f4"


def book(recorder: RunRecorder, stage: Any = "sft", **fields: Any) -> StageRow:
    known: dict[str, Any] = {"model": "tiny", "seconds": 0.5, "device": "cpu", "started": 1.5e9}
    return recorder.stage(stage, **(known | fields))


@pytest.fixture
def old(tmp_path: Location) -> Path:
    """A file that was written with schema version 1."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as behind:
        behind.executescript(VERSION_1.read_text("utf-8"))
    return path


def tables(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as behind:
        return {name for (name,) in behind.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


# ---------------------------------------------------------------- booking


def test_what_is_booked_comes_back_in_order_and_verifies(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        first = book(
            recorder,
            "synthetic_data",
            part="discarded",
            samples=7,
            tokens=70,
            padded_tokens=112,
            flop=1e9,
            flop_method="shape",
            flop_counted=1.01e9,
            detail={"checkpoint": "out/1", "loss": 0.25},
        )
        second = book(recorder, "rl_update", seconds=None, device=None, started=None)
        assert ledger.stages("r") == [first, second]
        assert (first.position, second.position) == (0, 1)
        assert (second.tokens, second.flop, second.flop_counted, second.seconds) == (None,) * 4
        assert ledger.problems("r") == []
    with Ledger.open(path, write=False) as ledger:
        assert ledger.stages("r") == [first, second]
        with pytest.raises(UnknownName, match="Unknown run 'q'"):
            ledger.stages("q")
    assert verify(path).ok
    assert verify(path).entries == 1 + 1 + 2  # the run, its start, two stages


def test_a_run_continued_goes_on_counting(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        book(ledger.run("other", CONFIG))
        book(ledger.run("r", CONFIG))
    with Ledger.open(path, write=True) as ledger:
        assert book(ledger.run("r", CONFIG)).position == 1
        with pytest.raises(RunChanged, match="model"):
            ledger.run("r", CONFIG | {"model": "small"})


def test_booked_again_at_its_position_a_stage_stays_one_row(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        row = book(recorder, flop=0.1 + 0.2)
        assert book(recorder, flop=0.1 + 0.2, position=0) == row
        with pytest.raises(LedgerError, match=r"has stages \['r', 0\] already with other values"):
            book(recorder, flop=0.3, position=0)
        assert book(recorder).position == 1
        assert len(ledger.stages("r")) == 2


def test_threads_get_places_of_their_own(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        threads = [threading.Thread(target=book, args=(recorder,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [row.position for row in ledger.stages("r")] == list(range(8))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flop", float("nan")),
        ("flop_counted", float("inf")),
        ("tokens", 2**63),
        ("tokens", 1.5),
        ("model", None),
        ("detail", {"loss": float("nan")}),
        ("stage", 3),
    ],
)
def test_a_value_that_cannot_be_stored_is_named(path: Location, field: str, value: Any) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        with pytest.raises(LedgerError, match=rf"stages\.{field} must be"):
            book(recorder, **{field: value})
        assert book(recorder).position == 0


def test_a_stage_of_no_run_is_refused(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        with pytest.raises(UnknownName, match="Unknown run 'none'"):
            book(RunRecorder(ledger, "none", {}))
        ledger.run("r", CONFIG)
    assert verify(path).ok


def test_a_reader_books_nothing(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", CONFIG)
    with Ledger.open(path, write=False) as ledger, pytest.raises(LedgerReadOnly, match="open for reading"):
        book(RunRecorder(ledger, "r", {}))


def test_durable_on_return(path: Location) -> None:
    code = textwrap.dedent(
        f"""
        import os, signal
        from ponder.ledger import Ledger
        ledger = Ledger.open({str(path)!r}, write=True)
        recorder = ledger.run("r", {CONFIG!r})
        recorder.stage("sft", model="tiny", tokens=5, seconds=0.5, device="cpu", started=1.5e9)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == -9, done.stderr
    with Ledger.open(path, write=True) as ledger:
        assert [row.tokens for row in ledger.stages("r")] == [5]
        assert book(ledger.run("r", CONFIG)).position == 1
    assert verify(path).ok


def test_a_changed_stage_is_named(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", CONFIG)
        book(recorder, flop=1e9)
        book(recorder, flop=1e9)
    with raw(path) as behind:
        behind.execute("UPDATE stages SET flop = 1e8 WHERE position = 1")
    assert verify(path).first_bad == 'stages ["r",1] was changed after it was written.'


# ---------------------------------------------------------------- ledgers of schema version 1


def test_an_older_ledger_is_read_as_it_is(old: Path) -> None:
    before = old.read_bytes()
    assert verify(old).head == VERSION_1_HEAD
    assert checkpoint(old)["head"] == VERSION_1_HEAD
    with Ledger.open(old, write=False) as ledger:
        assert [run.id for run in ledger.runs()] == ["one", "two"]
        assert len(ledger.samples("one")) == 4
        assert ledger.stages("one") == []
        with pytest.raises(UnknownName):
            ledger.stages("three")
    assert old.read_bytes() == before
    assert "stages" not in tables(old)


def test_an_older_ledger_is_brought_up_to_date_and_its_chain_goes_on(old: Path) -> None:
    taken = checkpoint(old)
    reader = Ledger.open(old, write=False)
    with Ledger.open(old, write=True) as ledger:
        assert ledger.head() == VERSION_1_HEAD
        assert len(ledger.samples("one")) == 4
        row = book(ledger.run("r", CONFIG), flop=1e9)
        assert reader.stages("r") == [row]  # it was open before there was such a table
    reader.close()
    verdict = verify(old, checkpoint=taken)
    assert verdict.ok
    assert verdict.entries == taken["size"] + 3
    Ledger.open(old, write=True).close()
    assert verify(old, checkpoint=taken) == verdict


def test_an_upgrade_makes_what_a_new_ledger_has(old: Path, tmp_path: Location) -> None:
    new = tmp_path / "new.db"
    Ledger.open(new, write=True).close()
    Ledger.open(old, write=True).close()

    def schema(path: Path) -> list[Any]:
        with closing(sqlite3.connect(path)) as raw:
            return sorted(raw.execute("SELECT type, name, sql FROM sqlite_master"), key=repr)

    assert schema(old) == schema(new)


def test_a_ledger_without_stages_gets_their_table(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.run("before", CONFIG)
    taken = checkpoint(path)
    with raw(path) as behind:
        behind.execute("DROP TABLE stages")
        behind.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    with Ledger.open(path, write=False) as ledger:
        assert ledger.stages("before") == []
    with Ledger.open(path, write=True) as ledger:
        row = book(ledger.run("r", CONFIG), flop=1e9)
        assert ledger.stages("r") == [row]
    verdict = verify(path, checkpoint=taken)
    assert verdict.ok, verdict.first_bad


def test_a_ledger_that_claims_to_be_older_hides_no_stage(path: Location) -> None:
    with Ledger.open(path, write=True) as ledger:
        book(ledger.run("r", CONFIG))
    with raw(path) as behind:
        behind.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    assert verify(path).first_bad == 'stages ["r",0] is missing: its row was deleted or moved.'
    with pytest.raises(LedgerCorrupt, match=r"""(table stages|relation "stages") already exists"""):
        Ledger.open(path, write=True)


def test_an_upgrade_that_fails_changes_nothing(old: Path) -> None:
    with closing(sqlite3.connect(old, isolation_level=None)) as raw:
        raw.execute("CREATE TRIGGER no BEFORE UPDATE ON meta BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(LedgerError):
        Ledger.open(old, write=True)
    assert "stages" not in tables(old)
    assert verify(old).head == VERSION_1_HEAD
