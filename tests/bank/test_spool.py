"""Samples of any number: sorted on disk, and never all in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import Gathered, gather, load, reading, scan, store, storing
from ponder.bank.foreign import Asked, Foreign, Tokens
from ponder.bank.spool import Part, Spool
from ponder.core import digest
from ponder.errors import InputError
from ponder.ledger import Ledger

Write = Callable[..., Path]


def foreign(identity: str, **told: Any) -> Foreign:
    return Foreign(Asked("sums", identity, "3 + 4?"), "a place", "m", **told)


def test_a_sample_comes_back_whole() -> None:
    sample = Foreign(
        asked=Asked("sums", "a\ud800", "3 + 4?\x00", "7", ("6", "7")),
        where="log, sample 1",
        model=None,
        epoch=3,
        text="\udfff",
        reasoning="",
        choice="7",
        correct=False,
        score="match",
        settings={"temperature": 0.7, "solver": [["generate", {}]]},
        tokens=Tokens(10, None, 0, 2**60),
        flop=1e40,
        finish="length",
        seconds=0.5,
        started=-1.0,
        uid="u\ud800",
        error="no",
        judges={"lab/judge": Tokens(1, 2)},
    )
    spool = Spool()
    assert spool.add(0, sample)
    assert not spool.add(1, sample)
    spool.sort()
    (part,) = spool.parts(None)
    problems = spool.problems(part, "sums")
    assert dict(problems) == {"a\ud800": [sample]}
    assert (problems.asked("a\ud800"), len(problems), spool.sources(None)) == (sample.asked, 1, {0})
    with pytest.raises(KeyError):
        problems["b"]


def test_samples_are_in_the_order_of_ids_files_and_epochs() -> None:
    spool = Spool()
    for source, identity, epoch in [
        (1, "9", 0),
        (0, "10", 2),
        (0, "9", 2),
        (0, "9", 1),
        (0, "é", 1),
        (0, "z", 1),
    ]:
        spool.add(source, foreign(identity, epoch=epoch, text=str(source)))
    spool.sort()
    problems = spool.problems(Part("m", "sums", "{}"), "sums")
    assert [(key, [(each.text, each.epoch) for each in drawn]) for key, drawn in problems.items()] == [
        ("9", [("0", 1), ("0", 2), ("1", 0)]),
        ("10", [("0", 2)]),
        ("z", [("0", 1)]),
        ("é", [("0", 1)]),
    ]


def test_a_folder_without_room_is_refused_in_one_sentence() -> None:
    spool = Spool()
    spool._file.execute("PRAGMA max_page_count = 8")
    large = foreign("1", text="x" * 100_000)
    with pytest.raises(InputError, match=r"^files: .*is full.*TMPDIR\.$"):
        spool.add(0, large)


def test_a_run_is_bound_to_the_digest_of_all_its_samples(write_lines: Write) -> None:
    rows = [{"id": place, "sample": "x", "choice": "7", "correct": True} for place in (2, 10, 1)]
    (found,), _ = gather([write_lines(rows)])
    own = digest(["x", None, "7"])
    assert found.tasks[0].content == digest([[each, own, True, None] for each in ("1", "2", "10")])


@pytest.fixture
def large(write_lines: Write) -> Path:
    """30 MB of texts: 30 problems with 20 samples of 50 kB each."""
    rows = [
        {
            "id": place % 30,
            "sample": f"{place} " + "x" * 50_000,
            "choice": str(place % 7),
            "correct": place % 7 == 0,
        }
        for place in range(600)
    ]
    return write_lines(rows)


def test_an_import_holds_a_part_of_the_samples_at_a_time(
    large: Path, write_lines: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "_WAITING", 80)
    monkeypatch.setattr(reading, "_TOGETHER", 40)
    with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
        store(
            ledger, _gathered(write_lines([{"id": 1, "correct": True}], "one.jsonl"))
        )  # what is loaded once
        tracemalloc.start()
        try:
            (found,), _ = gather([large])
            stored = store(ledger, found)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert (stored.samples, len(ledger.called(stored.run))) == (600, 30)
    assert large.stat().st_size > 30e6
    assert most < 15e6


def test_a_bank_is_read_a_few_problems_at_a_time(
    large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
        run = store(ledger, _gathered(large)).run
        asked: list[int] = []
        whole = Ledger.priced_samples

        def counted(self: Ledger, run_id: str, problems: Any) -> Any:
            asked.append(len(problems))
            return whole(self, run_id, problems)

        monkeypatch.setattr(Ledger, "priced_samples", counted)
        monkeypatch.setattr(reading, "_TOGETHER", 140)
        (bank,) = scan(ledger, run)
        assert asked == []
        assert tuple(bank.problems) == load(ledger, run)[0].problems
        assert asked == [7, 7, 7, 7, 2] * 2
        assert bank.problems[-1] == list(bank.problems)[-1]
        assert list(bank.problems[3:5]) == list(bank.problems)[3:5]


def _gathered(path: Path) -> Gathered:
    (found,), _ = gather([path])
    return found
