"""What a run writes is what it reads back, and a rerun continues it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from pathlib import Path

import pytest

from ponder.core import Answer, Recorder, Request, Sample, Usage
from ponder.errors import InputError, LedgerError, LedgerReadOnly, RunChanged, UnknownName
from ponder.ledger import EventRow, GradeRow, Ledger, verify
from tests.ledger.places import Location


async def test_everything_comes_back_as_written(path: Location, question, make_attempt, model) -> None:
    asked = question("q\ud800\x00")
    drawn = [
        Sample("x\x00\udfff", "\\frac{1}{2}\ud800", 0, "why", 3, -1 / 3, (-1 / 3, 0.0, -5e-324), "stop"),
        Sample("\x01json:", None, 1, None, None, None, None, "length"),
        Sample("x\x00\udfff", "", 2, "", 0, -0.0, (), "stop"),
    ]
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"a": [1.5, None]}, [(asked, "k\x00"), (question("b"), None)])
        await recorder.record(asked, "s", "solver", Request(asked.prompt), [make_attempt(3)], drawn)
        assert list(recorder.finished(asked, "s").values()) == drawn
    with Ledger.open(f"sqlite:///{path}" if isinstance(path, Path) else path, write=False) as ledger:
        assert [stored.sample for stored in ledger.samples("r")] == drawn
        assert [stored.problem_id for stored in ledger.samples("r")] == [asked.id] * 3
        assert ledger.problems("r") == [(asked, "k\x00"), (question("b"), None)]
        assert ledger.config("r") == {"a": [1.5, None]}
        (call,) = ledger.calls("r")
        assert (call.requested, call.samples, call.prompt_tokens, call.seconds) == (1, 3, 10, 0.25)
        assert call.request["sampling"] == {"temperature": 0.8, "top_p": 1.0}
    assert verify(path).ok


async def test_answers_grades_and_events(path: Location, question) -> None:
    asked = question("a")
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(asked, "k")])
        answer, usage = Answer("7", "so 7", 1 / 3), Usage(1, 2, None, flop=1e300)
        await recorder.answer(asked, "vote", answer, usage, "tokens")
        await recorder.grade("exact", [("a", "s", 0, True), ("a", "s", 1, False)])
        await recorder.grade("exact", [("a", "s", 1, False), ("a", "s", 2, True)])
        recorder.event("paused", {"why": ["x"]})
        (row,) = ledger.answers("r")
        assert (row.answer, row.usage, row.stopped_by) == (answer, usage, "tokens")
        assert [(g.position, g.correct) for g in ledger.grades("r")] == [(0, True), (1, False), (2, True)]
        assert [e.kind for e in ledger.events("r")] == ["started", "paused"]
        assert ledger.events("r")[1].detail == {"why": ["x"]}


async def test_a_contradiction_is_refused_alone(path: Location, question) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(question("a"), None)])
        await recorder.grade("exact", [("a", "s", 0, True)])
        good = [ledger.append([GradeRow("r", "a", "s", place, "exact", True)]) for place in range(1, 20)]
        bad = ledger.append([GradeRow("r", "a", "s", 0, "exact", False)])
        lost = ledger.append([GradeRow("r", "nobody", "s", 0, "exact", False)])
        same = ledger.append([GradeRow("r", "a", "s", 0, "exact", True)])
        with pytest.raises(LedgerError, match=r"grades \['r', 'a', 's', 0, 'exact'\] already"):
            bad.result(30)
        with pytest.raises(LedgerError, match="lacks a row it refers to"):
            lost.result(30)
        for future in [*good, same]:
            future.result(30)
        assert len(ledger.grades("r")) == 20
    assert verify(path).ok


async def test_a_cancelled_sample_is_not_finished_and_the_last_finished_one_counts(
    path: Location, question, make_attempt, make_draws
) -> None:
    asked, other = question("a"), question("b")
    problems = [(asked, None), (other, None)]
    request = Request(asked.prompt)

    async def add(ledger: Ledger, samples: list[Sample]) -> None:
        recorder = ledger.run("r", {}, problems)
        await recorder.record(asked, "s", "solver", request, [make_attempt(len(samples))], samples)

    with Ledger.open(path, write=True) as ledger:
        await add(ledger, make_draws(0, 2))
        await add(ledger, make_draws(2, 1, finish="cancelled"))
        await add(ledger, make_draws(3, 1))
        recorder = ledger.run("r", {}, problems)
        assert sorted(recorder.finished(asked, "s")) == [0, 1, 3]
        assert recorder.finished(asked, "t") == recorder.finished(other, "s") == {}
        again = make_draws(2, 2, choice="again")
        await recorder.record(asked, "s", "solver", request, [make_attempt(2)], again)
        expected = dict(enumerate((*make_draws(0, 2), *again)))
        assert recorder.finished(asked, "s") == expected
        assert ledger.run("r", {}, problems).finished(asked, "s") == expected
        assert [stored.sample for stored in ledger.samples("r")] == list(expected.values())
        assert ledger.usage("r").samples == 6
    assert verify(path).ok


def test_a_recorder_is_what_the_driver_expects(path: Location, question) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder: Recorder = ledger.run("r", {}, [(question("a"), None)])
        assert recorder.finished(question("a"), "s") == {}


async def test_spent_is_of_earlier_starts(path: Location, question, make_attempt, make_draws) -> None:
    asked = question("a")
    with Ledger.open(path, write=True) as ledger:
        first = ledger.run("r", {}, [(asked, None)])
        attempts = [make_attempt(0, status="failed", made=3), make_attempt(2)]
        await first.record(asked, "s", "solver", Request(asked.prompt), attempts, make_draws(0, 2))
        assert first.spent(asked) == []
        second = ledger.run("r", {}, [(asked, None)])
        found = second.spent(asked)
        assert [(s.stream, s.role, s.request.n) for s in found] == [("s", "solver", 1)] * 2
        assert all(s.request.prompt == asked.prompt for s in found)
        assert [s.usage.completion_tokens for s in found] == [3, 10]
        assert second.spent(question("b")) == []


async def test_usage_counts_every_attempt_and_keeps_unknowns(
    path: Location, question, make_attempt, make_draws, model
) -> None:
    asked = question("a")
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(asked, None)], {"solver": model})
        assert ledger.usage("r") == Usage()
        tries = [make_attempt(0, status="failed", made=4, flop=100.5), make_attempt(2, flop=1000.25)]
        await recorder.record(asked, "s", "solver", Request(asked.prompt, n=2), tries, make_draws(0, 2))
        usage = ledger.usage("r")
        assert usage.flop == 1100.75
        assert [call.flop_method for call in ledger.calls("r")] == ["shape", "shape"]
        assert (usage.calls, usage.samples, usage.prompt_tokens, usage.completion_tokens) == (2, 2, 20, 14)
        assert usage.reasoning_tokens is None
        assert usage.usd is None
        assert [(c.attempt, c.status, c.error) for c in ledger.calls("r")] == [
            (1, "failed", "boom"),
            (2, "ok", None),
        ]
        unknown = make_attempt(0, status="cancelled", prompt=None)
        await recorder.record(asked, "s", "solver", Request(asked.prompt), [unknown], [])
        assert (ledger.usage("r").prompt_tokens, ledger.usage("r").flop) == (None, None)
        assert ledger.usage("r").completion_tokens == 14


def test_a_changed_run_is_refused_and_names_what_changed(path: Location, question) -> None:
    config = {"samples": 16, "model": {"name": "m", "sha": "a" * 90}, "tasks": [{"name": "sums", "seed": 1}]}
    problems = [(question("a"), "1"), (question("b"), None)]
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", config, problems)
        ledger.run("r", dict(reversed(config.items())), problems)
        changed = {"samples": 32, "model": {"name": "m"}, "tasks": [{"name": "sums", "seed": 2}], "new": 1}
        with pytest.raises(RunChanged, match=r"samples: 16 → 32") as refused:
            ledger.run("r", changed, problems)
        assert "tasks.0.seed" not in str(refused.value)
        assert "and 1 more): choose another name with --run" in str(refused.value)
        assert "a" * 41 not in str(refused.value)
        with pytest.raises(RunChanged, match=r"number of problems \(2 → 1\)"):
            ledger.run("r", config, problems[:1])
        with pytest.raises(RunChanged, match=r"another key of problem 0 \('a'\)"):
            ledger.run("r", config, [(question("a"), "2"), problems[1]])
        with pytest.raises(RunChanged, match="another question of problem 1"):
            ledger.run("r", config, [problems[0], (replace(question("b"), text="?"), None)])
        with pytest.raises(InputError, match="'a' is given twice"):
            ledger.run("other", config, [problems[0], problems[0]])
        assert [run.id for run in ledger.runs()] == ["r"]
        assert [event.kind for event in ledger.events("r")] == ["started", "resumed"]


async def test_runs_are_listed(full: Location, path: Location, question) -> None:
    with Ledger.open(full, write=False) as ledger:
        one, two = ledger.runs()
        assert (one.id, one.tasks, one.finished, one.samples, one.tokens) == ("one", ("sums",), True, 4, None)
        assert two.created == ledger.created("two")
        with pytest.raises(UnknownName, match="did you mean one"):
            ledger.samples("on")
        for read in (ledger.usage, ledger.grades, ledger.problems, ledger.config, ledger.created):
            with pytest.raises(UnknownName):
                read("nope")
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"task": "x"}, [(question("a"), None)])
        recorder.event("finished")
        assert ledger.runs()[0].finished
        ledger.run("r", {"task": "x"}, [(question("a"), None)]).event("paused")
        assert not ledger.runs()[0].finished
        assert ledger.runs()[0].tasks == ("x",)


async def test_many_small_writes_share_transactions(
    path: Location, question, make_attempt, make_draws
) -> None:
    asked = question("a")
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(asked, None)])
        transactions = 0
        inner = ledger._writer._transaction

        def counted(rows):
            nonlocal transactions
            transactions += 1
            inner(rows)

        ledger._writer._transaction = counted
        request = Request(asked.prompt)
        await asyncio.gather(
            *(
                recorder.record(asked, "s", "solver", request, [make_attempt(1)], make_draws(i, 1))
                for i in range(300)
            )
        )
        assert sorted(recorder.finished(asked, "s")) == list(range(300))
        assert transactions < 150
        ledger._writer._transaction = inner
    assert verify(path).ok


async def test_giving_up_waiting_takes_nothing_back(path: Location, question, make_draws) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", {}, [(question("a"), None)])
        waiting = asyncio.create_task(ledger.write([EventRow("r", 1.0, "paid", {})]))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    with Ledger.open(path, write=False) as ledger:
        assert [event.kind for event in ledger.events("r")] == ["started", "paid"]


def test_equal_texts_are_stored_once(full: Location) -> None:
    with Ledger.open(full, write=False) as ledger, ledger._reading() as connection:
        texts = connection.exec_driver_sql("SELECT count(*), count(DISTINCT text) FROM texts").one()
        samples = connection.exec_driver_sql("SELECT count(*) FROM samples").scalar_one()
    assert samples == 8
    assert texts == (8, 8)  # 2 sample texts, 1 reasoning, 2 questions, 2 prompts, 1 key


def test_values_that_cannot_be_stored_are_named(path: Location, question) -> None:
    with Ledger.open(path, write=True) as ledger:
        ledger.run("r", {}, [(question("a"), None)])
        with pytest.raises(LedgerError, match=r"events\.at must be a finite number, not nan"):
            ledger.append([EventRow("r", math.nan, "x", {})])
        with pytest.raises(LedgerError, match=r"grades\.position must be a whole number below 2\*\*63"):
            ledger.append([GradeRow("r", "a", "s", 2**63, "g", True)])
        with pytest.raises(LedgerError, match=r"events\.detail must be a JSON value"):
            ledger.append([EventRow("r", 1.0, "x", {"a": math.inf})])
        with pytest.raises(LedgerError, match=r"events\.kind must be a string"):
            ledger.append([EventRow("r", 1.0, None, {})])  # type: ignore[arg-type]
        ledger.append([EventRow("r", 1.0, "still writes", {})]).result(30)


def test_a_reader_and_a_closed_ledger_do_not_write(full: Location, path: Location, question) -> None:
    with Ledger.open(full, write=False) as ledger, pytest.raises(LedgerReadOnly, match="write=True"):
        ledger.append([])
    ledger = Ledger.open(path, write=True)
    last = ledger.run("r", {}, [(question("a"), None)])._ledger.append([EventRow("r", 1.0, "x", {})])
    ledger.close()
    ledger.close()
    assert last.done()
    with pytest.raises(LedgerError, match="closed"):
        ledger.append([])


async def test_log_probabilities_that_are_not_finite_are_unknown(
    path: Location, question, make_attempt
) -> None:
    asked = question("a")
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(asked, None)])
        odd = Sample("t", logprob=-math.inf, logprobs=(math.nan, -1.0), tokens=2)
        await recorder.record(asked, "s", "solver", Request(asked.prompt), [make_attempt(1)], [odd])
        assert recorder.finished(asked, "s") == {odd.index: replace(odd, logprob=None, logprobs=None)}


async def test_samples_without_an_attempt_are_refused(path: Location, question, make_draws) -> None:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {}, [(question("a"), None)])
        with pytest.raises(LedgerError, match="must have an attempt"):
            await recorder.record(
                question("a"), "s", "solver", Request(question("a").prompt), [], make_draws(0, 1)
            )
