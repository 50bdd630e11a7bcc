"""One open ledger for all in a process who write to it at once."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import ponder
from ponder.core import Model
from ponder.engines.scripted import Faults, ScriptedEngine
from ponder.errors import LedgerFull, LedgerLocked
from ponder.ledger import Ledger, verify
from ponder.ledger.sharing import shared
from tests.ledger.places import Location


async def test_two_questions_at_once(path: Location) -> None:
    texts, faults = {"Answer: 15": 1.0}, Faults(seconds=0.05)
    engine = ScriptedEngine.drawing(texts, model=Model("scripted", "f"), faults=faults)
    settings = ponder.Settings(ledger=str(path))
    asked = [ponder.ask_async(f"q {i}", engine=engine, settings=settings, samples=2) for i in range(2)]
    for solution in await asyncio.gather(*asked):
        assert solution.answer.choice == "15"
    with Ledger.open(path, write=True) as ledger:  # nobody holds it any more
        assert [run.finished for run in ledger.runs()] == [True, True]
        assert [ledger.usage(run.id).samples for run in ledger.runs()] == [2, 2]
    assert verify(path).ok


def test_nobody_joins_a_writer_that_failed_and_the_next_one_is_new(
    path: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(group: object) -> None:
        raise LedgerFull("no room: free some.")

    with ExitStack() as users:
        ledger = users.enter_context(shared(str(path)))
        ledger.run("before", {})
        assert ledger._writer is not None
        monkeypatch.setattr(ledger._writer, "_transaction", full)
        with pytest.raises(LedgerFull, match="no room"):
            ledger.run("lost", {})
        with pytest.raises(LedgerFull, match="no room"), shared(str(path)):
            raise AssertionError("it was joined")
        with pytest.raises(LedgerLocked, match="this very process"):
            Ledger.open(path, write=True)
    with shared(str(path)) as ledger:
        ledger.run("after", {})
        assert [run.id for run in ledger.runs()] == ["before", "after"]


def test_a_ledger_that_is_slow_to_open_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, go_on, opened = threading.Event(), threading.Event(), list[str]()
    really = Ledger.open

    def slow(location: str, **options: Any) -> Ledger:
        opened.append(location)
        if location == first:
            opening.set()
            assert go_on.wait(60)
        return really(location, **options)

    def use(ready: threading.Barrier) -> Ledger:
        with shared(first) as ledger:
            ready.wait(60)  # both are in
            return ledger

    first, other = str(tmp_path / "first.sqlite"), str(tmp_path / "other.sqlite")
    monkeypatch.setattr(Ledger, "open", slow)
    ready = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        waiting = [threads.submit(use, ready) for _ in range(2)]
        try:
            assert opening.wait(60)
            with shared(other) as ledger:
                ledger.run("r", {})
            assert not any(each.done() for each in waiting)
        finally:
            go_on.set()
        assert waiting[0].result() is waiting[1].result()
    assert opened == [first, other]
