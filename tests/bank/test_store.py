"""Imports on the ledger: runs like any other, written once, read back, and exported."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ponder.bank import COLUMNS, Gathered, TaskBank, Wanted, export, gather, load, store
from ponder.cli import _app
from ponder.config import Settings
from ponder.core import Message, Prompt, Question
from ponder.errors import InputError, MissingExtra, RunChanged, UnknownName
from ponder.ledger import Ledger, verify

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]


@pytest.fixture
def gathered(write_eval: Write, sample: Make) -> Gathered:
    """Two problems, one with three draws of which one failed, and a judge."""
    usage = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    judged = {"model_usage": {"lab/m": usage, "lab/judge": usage}}
    rows = [
        sample("1", 1, **judged),
        sample("1", 2, error={"message": "boom"}, scores=None),
        sample("1", 3, scores={"match": {"value": "I", "answer": "8"}}),
        sample("2", 1, scores=None, choices=["a", "b", "c", "d"]),
    ]
    return gather([write_eval(rows)])[0][0]


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def counts(banks: tuple[TaskBank, ...]) -> list[tuple[Any, ...]]:
    return [
        (bank.model, bank.task, one.question.id, one.key, len(one.samples), one.right, one.graded)
        for bank in banks
        for one in bank.problems
    ]


def test_an_import_is_a_run_with_calls_samples_and_grades(gathered: Gathered, ledger: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        stored = store(found, gathered)
        assert stored.samples == 3
        (summary,) = found.runs()
        assert (summary.kind, summary.tasks, summary.finished, summary.samples) == (
            "imported",
            ("sums",),
            True,
            3,
        )
        # Four draws of 14 tokens and a judge's 14: the failed one and the judge count.
        assert summary.tokens == 5 * 14
        calls = [(call.role, call.model, call.status, call.samples) for call in found.calls(stored.run)]
        assert calls == [
            ("solver", "lab/m", "ok", 1),
            ("judge", "lab/judge", "ok", 0),
            ("solver", "lab/m", "failed", 0),
            *[("solver", "lab/m", "ok", 1)] * 2,
        ]
        assert [(row.problem_id, row.position, row.correct) for row in found.grades(stored.run)] == [
            ("sums/1", 0, True),
            ("sums/1", 1, False),
        ]
    assert verify(ledger).ok


def test_the_same_import_adds_nothing_twice(gathered: Gathered, ledger: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        first = store(found, gathered)
        head = found.head()
        again = store(found, gathered)
        assert (again.run, again.samples, found.head()) == (first.run, 0, head)


def test_an_interrupted_import_goes_on(
    gathered: Gathered, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ponder.bank import storing

    whole = storing._Writing.add

    def stop_at_the_second(self: Any, problem: str, drawn: Any) -> None:
        if problem == "sums/2":
            raise KeyboardInterrupt
        whole(self, problem, drawn)

    with Ledger.open(ledger, write=True) as found:
        monkeypatch.setattr(storing._Writing, "add", stop_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            store(found, gathered)
    monkeypatch.setattr(storing._Writing, "add", whole)
    with Ledger.open(ledger, write=True) as found:
        stored = store(found, gathered)
        assert stored.samples == 1
        assert len(found.calls(stored.run)) == 5
        assert len(found.samples(stored.run)) == 3


def test_a_name_that_other_files_have_is_refused(
    gathered: Gathered, ledger: Path, write_lines: Write
) -> None:
    (other,), _ = gather([write_lines([{"question": "q", "correct": True}])])
    with Ledger.open(ledger, write=True) as found:
        store(found, gathered, run="mine")
        with pytest.raises(RunChanged, match="'mine' exists with another configuration"):
            store(found, other, run="mine")
        with pytest.raises(InputError, match="cannot name a run"):
            store(found, other, run="../x")


def test_what_is_read_back_is_what_was_written(gathered: Gathered, ledger: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        run = store(found, gathered).run
        banks = load(found, run)
        with pytest.raises(UnknownName, match=r"task 'sum': did you mean sums"):
            load(found, run, ["sum"])
    assert counts(banks) == [
        ("lab/m", "sums", "sums/1", "7", 2, 1, 2),
        ("lab/m", "sums", "sums/2", "7", 1, 0, 0),
    ]
    one, two = banks[0].problems
    assert [(s.text, s.choice, s.tokens, s.index) for s in one.samples] == [
        ("It is 7.", "7", 4, 0),
        ("It is 7.", "8", 4, 1),
    ]
    assert (one.correct, one.prompt_tokens, one.guess) == ((True, False), (10, 10), None)
    assert (two.correct, two.guess) == ((None,), 0.25)


def test_flop_come_from_the_shape_of_a_known_model(write_eval: Write, sample: Make, ledger: Path) -> None:
    (known,), _ = gather([write_eval([sample()])], Wanted(model="smollm2"))
    (told,), _ = gather([write_eval([sample("2")])])
    with Ledger.open(ledger, write=True) as found:
        run = store(found, known, settings=Settings()).run
        (call,) = found.calls(run)
        assert (call.flop_method, call.model) == ("shape", "smollm2")
        # Twice the weights for each of 14 positions, and a little attention.
        assert call.flop == pytest.approx(2 * 134.5e6 * 14, rel=0.25)
        assert load(found, run)[0].problems[0].flop == (call.flop,)
        (unknown,) = found.calls(store(found, told).run)
        assert (unknown.flop, unknown.flop_method) == (None, "unknown")


def test_a_run_without_a_bank_is_refused(ledger: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        found.run("trained", {"kind": "train", "method": "import"})
        with pytest.raises(InputError, match="run: trained has no bank"):
            load(found, "trained")
        with pytest.raises(UnknownName):
            load(found, "nothing")


def test_exported_lines_import_with_the_same_counts(gathered: Gathered, ledger: Path, tmp_path: Path) -> None:
    path = tmp_path / "bank.jsonl"
    with Ledger.open(ledger, write=True) as found:
        before = load(found, store(found, gathered).run)
        assert export(before, path) == 3
        (again,), _ = gather([path])
        after = load(found, store(found, again).run)
    assert counts(after) == counts(before)
    for old, new in zip(before[0].problems, after[0].problems, strict=True):
        assert [(s.text, s.choice, s.tokens) for s in new.samples] == [
            (s.text, s.choice, s.tokens) for s in old.samples
        ]
        assert (new.prompt_tokens, new.correct, new.guess) == (old.prompt_tokens, old.correct, old.guess)


def test_csv_and_parquet_have_a_row_a_sample(gathered: Gathered, ledger: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        banks = load(found, store(found, gathered).run)
    export(banks, tmp_path / "bank.csv")
    with (tmp_path / "bank.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == list(COLUMNS)
    assert [(row["id"], row["index"], row["choice"], row["correct"], row["flop"]) for row in table] == [
        ("1", "0", "7", "true", ""),
        ("1", "1", "8", "false", ""),
        ("2", "0", "", "", ""),
    ]
    parquet = pytest.importorskip("pyarrow.parquet")
    export(banks, tmp_path / "bank.parquet", texts=False)
    read = parquet.read_table(tmp_path / "bank.parquet").to_pylist()
    assert [(row["id"], row["index"], row["tokens"], row["correct"], row["flop"]) for row in read] == [
        ("1", 0, 4, True, None),
        ("1", 1, 4, False, None),
        ("2", 0, 4, None, None),
    ]
    assert {row["sample"] for row in read} == {row["question"] for row in read} == {None}


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_texts_that_no_utf8_holds_are_exported(
    write_lines: Write, ledger: Path, tmp_path: Path, ending: str
) -> None:
    (found,), _ = gather([write_lines([{"question": "q\ud800", "sample": 'a\x00"\n,', "correct": True}])])
    with Ledger.open(ledger, write=True) as at:
        banks = load(at, store(at, found).run)
    assert export(banks, tmp_path / f"bank{ending}") == 1


def test_an_export_is_whole_or_not_there(gathered: Gathered, ledger: Path, tmp_path: Path) -> None:
    with Ledger.open(ledger, write=True) as found:
        banks = load(found, store(found, gathered).run)
    with pytest.raises(InputError, match=r"to: .*bank.xlsx ends in none of .parquet, .csv, .jsonl"):
        export(banks, tmp_path / "bank.xlsx")
    with pytest.raises(InputError, match=r"to: .* cannot be written"):
        export(banks, tmp_path / "no" / "bank.csv")
    assert not list(tmp_path.glob(".bank*"))


def test_parquet_without_its_library_names_the_extra(
    gathered: Gathered, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger.open(ledger, write=True) as found:
        banks = load(found, store(found, gathered).run)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"needs the extra 'bank'"):
        export(banks, tmp_path / "bank.parquet")


# ---------------------------------------------------------------- the command line


def run(*words: str) -> int:
    return _app.run(["bank", *words])


def test_the_command_imports_and_exports(
    write_eval: Write, sample: Make, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(write_eval([sample()]))
    at = ("--ledger", str(ledger))
    assert run("import", log, "--run", "mine", *at, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["runs"]
    assert (told["run"], told["model"], told["added"]) == ("mine", "lab/m", 1)
    assert told["tasks"][0]["scores"] == ["match"]
    assert run("import", log, "--run", "mine", *at) == 0
    assert "already there, nothing added" in capsys.readouterr().out
    assert run("export", "mine", "--to", str(tmp_path / "bank.csv"), *at, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1


def test_the_command_refuses_in_one_sentence(
    write_eval: Write, sample: Make, header: Make, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--ledger", str(ledger))
    one = str(write_eval([sample(uuid=None)], "one.eval"))
    other = str(write_eval([sample(uuid=None)], "other.eval", header(model="lab/n")))
    assert run("import", one, other, "--run", "mine", *at) == 2
    assert "several models (lab/" in capsys.readouterr().err
    assert not ledger.exists()
    assert run("import", "nothing.eval", *at) == 2
    assert "nothing.eval: No such file or directory" in capsys.readouterr().err
    assert run("import", one, other, *at) == 0


def test_a_measured_run_is_read_too(ledger: Path) -> None:
    from ponder.core import Draw, Sampling
    from ponder.ledger import CallRow, GradeRow, SampleRow, TextRow
    from ponder.solve import Limits, stream_of

    prompt, direct = Prompt((Message("user", "worked"),)), Prompt((Message("user", "direct"),))
    question = Question("sums/1", "3 + 4?", prompt, direct, task="sums")
    config = {
        "kind": "measure",
        "model": "m",
        "tasks": [{"task": "sums", "logprobs": False}],
        "seed": 0,
        "temperature": 0.8,
        "top_p": 1.0,
        "max_tokens": None,
    }
    stream = stream_of(question, Draw(prompt=direct), Limits(0, Sampling(0.8, 1.0), None))
    text = TextRow.of("7")
    call = CallRow(
        *(1, "run", "sums/1", stream, "solver", "m", "ok", 1, 2, 2, 10, 0, 8, None, 3e9, "shape", None),
        *(1.0, 2.0, None, {}, text.hash),
    )
    with Ledger.open(ledger, write=True) as found:
        found.run("run", config, [(question, "7")])
        rows = [
            SampleRow(1, "run", "sums/1", stream, i, text.hash, None, "7", 4, None, None, "stop")
            for i in range(2)
        ]
        grades = [GradeRow("run", "sums/1", stream, i, "exact", i == 0) for i in range(2)]
        found.append([text, call, *rows, *grades]).result()
        (bank,) = load(found, "run")
    (one,) = bank.problems
    assert (bank.kind, bank.model, one.key, one.correct, one.flop) == (
        "measure",
        "m",
        "7",
        (True, False),
        (1.5e9,) * 2,
    )
