"""The Python entry points on a scripted engine."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import ponder
from ponder.core import Model
from ponder.engines.scripted import Faults, ScriptedEngine
from ponder.errors import BudgetError, CallFailed, EndpointDown, InputError, LedgerLocked, UnknownName
from ponder.ledger import Ledger, verify


@pytest.fixture
def settings(tmp_path: Path) -> ponder.Settings:
    return ponder.Settings(ledger=str(tmp_path / "ledger.sqlite"), samples=4, problems=3)


def an_engine(**options: object) -> ScriptedEngine:
    texts = {"Answer: 15": 0.95, "Answer: 16": 0.05}
    return ScriptedEngine.drawing(texts, model=Model("scripted", "f"), **options)


@pytest.fixture
def five(tmp_path: Path) -> str:
    path = tmp_path / "mine.jsonl"
    lines = [json.dumps({"question": f"q{i}", "answer": 15}) for i in range(5)]
    path.write_text("\n".join(lines), "utf-8")
    return str(path)


def test_ask_answers_and_is_on_the_ledger(settings: ponder.Settings) -> None:
    solution = ponder.ask("What is 8 + 7?", engine=an_engine(), settings=settings, samples=9)
    assert solution.answer.choice == "15"
    assert len(solution.samples) == 9
    with Ledger.open(settings.ledger, write=False) as ledger:
        (run,) = ledger.runs()
        assert run.finished
        assert ledger.usage(run.id).completion_tokens == solution.usage.completion_tokens
        (answer,) = ledger.answers(run.id)
        assert answer.answer == solution.answer


async def test_the_blocking_calls_work_inside_a_running_loop(settings: ponder.Settings) -> None:
    """As in Jupyter."""
    assert ponder.ask("What is 8 + 7?", engine=an_engine(), settings=settings).answer.choice == "15"
    with pytest.raises(BudgetError):
        ponder.ask("What is 8 + 7?", budget="1e9flop", engine=an_engine(), settings=settings)


async def test_the_asynchronous_calls(settings: ponder.Settings) -> None:
    solution = await ponder.ask_async(
        "What is 8 + 7?", strategy="think", budget="1samples", engine=an_engine(), settings=settings
    )
    assert len(solution.samples) == 1


async def test_an_engine_and_a_model_are_two_solvers(settings: ponder.Settings, five: str) -> None:
    both: dict[str, Any] = {"engine": an_engine(), "model": "smollm2", "settings": settings}
    for asked in (
        ponder.ask_async("What is 8 + 7?", **both),
        ponder.solve_many_async(["What is 8 + 7?"], budget="4samples", **both),
        ponder.measure_tasks_async(five, **both),
    ):
        with pytest.raises(InputError, match=r"^model: the engine that is given has one already; leave out"):
            await asked
    assert both["engine"].calls == 0
    with pytest.raises(InputError, match=r"^model: it must be a text, not 5"):
        await ponder.ask_async("What is 8 + 7?", model=5, settings=settings)  # type: ignore[arg-type]


async def test_many_questions_at_once_share_the_ledger(settings: ponder.Settings) -> None:
    engine = an_engine(faults=Faults(seconds=0.02, fail=lambda k: CallFailed("broke") if k == 2 else None))
    asked = [ponder.ask_async(f"q {i}", engine=engine, settings=settings, samples=2) for i in range(6)]
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(each, CallFailed) for each in found].count(True) == 1
    with Ledger.open(settings.ledger, write=True) as ledger:  # nobody holds it any more
        runs = ledger.runs()
        assert sorted(run.finished for run in runs) == [False] + [True] * 5
        assert sum(ledger.usage(run.id).samples for run in runs) == 10


def test_threads_that_ask_at_once_share_the_ledger(settings: ponder.Settings) -> None:
    def one(i: int) -> str | None:
        engine = an_engine(faults=Faults(seconds=0.05))
        return ponder.ask(f"q {i}", engine=engine, settings=settings, samples=2).answer.choice

    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(one, range(8)))) == 8
    with Ledger.open(settings.ledger, write=True) as ledger:
        assert len(ledger.runs()) == 8


async def test_all_verbs_at_once_share_the_ledger(settings: ponder.Settings, five: str) -> None:
    engine = an_engine(faults=Faults(seconds=0.02))
    solution, batch, measured = await asyncio.gather(
        ponder.ask_async("q", engine=engine, settings=settings, samples=2),
        ponder.solve_many_async(["q1", "q2"], budget="8samples", engine=engine, settings=settings),
        ponder.measure_tasks_async(five, engine=engine, settings=settings, problems=5),
    )
    assert len(solution.samples) == 2
    with Ledger.open(settings.ledger, write=True) as ledger:  # nobody holds it any more
        assert [run.finished for run in ledger.runs()] == [True] * 3
        assert ledger.usage(batch.run).samples == batch.usage.samples
        assert ledger.usage(measured.run).samples == measured.usage.samples >= 5 * 4
    assert verify(settings.ledger).ok


def test_threads_of_several_verbs_share_the_ledger(settings: ponder.Settings, five: str) -> None:
    def measure() -> ponder.Measurement:
        return ponder.measure_tasks(five, engine=an_engine(faults=Faults(seconds=0.05)), settings=settings)

    def solve() -> ponder.Batch:
        engine = an_engine(faults=Faults(seconds=0.05))
        return ponder.solve_many(["q1", "q2"], budget="8samples", engine=engine, settings=settings)

    with ThreadPoolExecutor(2) as threads:
        measuring, solving = threads.submit(measure), threads.submit(solve)
        runs = {measuring.result().run, solving.result().run}
    with Ledger.open(settings.ledger, write=True) as ledger:
        assert {run.id for run in ledger.runs() if run.finished} == runs


async def test_a_run_has_one_writer_at_a_time(settings: ponder.Settings, five: str) -> None:
    engine = an_engine(faults=Faults(seconds=0.02))
    for twice in (
        [ponder.measure_tasks_async(five, engine=engine, settings=settings) for _ in range(2)],
        [
            ponder.solve_many_async(["q"], budget="4samples", engine=engine, settings=settings)
            for _ in range(2)
        ],
    ):
        first, second = await asyncio.gather(*twice, return_exceptions=True)
        assert not isinstance(first, BaseException)
        assert isinstance(second, LedgerLocked)
        assert f"{first.run} is written to by another call" in str(second)
        with Ledger.open(settings.ledger, write=False) as ledger:
            assert [event.kind for event in ledger.events(first.run)][-1] == "finished"
            assert ledger.usage(first.run).samples == first.usage.samples


def test_a_measurement_twice_in_one_process(settings: ponder.Settings, five: str) -> None:
    first = ponder.measure_tasks(five, engine=an_engine(), settings=settings)
    assert first.tasks[0].problems == 3
    engine = an_engine()
    again = ponder.measure_tasks([five], engine=engine, settings=settings)
    assert engine.calls == 0
    assert again.tasks == first.tasks


def test_a_failed_question_is_an_error_and_stays_on_the_ledger(settings: ponder.Settings) -> None:
    engine = an_engine(faults=Faults(fail=lambda k: CallFailed("it broke")))
    with pytest.raises(CallFailed, match="it broke"):
        ponder.ask("What is 8 + 7?", engine=engine, settings=settings)
    with Ledger.open(settings.ledger, write=False) as ledger:
        (run,) = ledger.runs()
        assert not run.finished
        assert [call.status for call in ledger.calls(run.id)] == ["failed"]


def test_one_error_comes_out_of_many_workers(settings: ponder.Settings, five: str) -> None:
    engine = an_engine(faults=Faults(fail=lambda k: EndpointDown("nothing answers")))
    with pytest.raises(EndpointDown, match="nothing answers"):
        ponder.measure_tasks(five, engine=engine, settings=settings)


def test_names_are_checked_before_anything_is_opened(settings: ponder.Settings) -> None:
    with pytest.raises(UnknownName):
        ponder.ask("x", strategy="voting", settings=settings)
    with pytest.raises(UnknownName):
        ponder.measure_tasks("chain_sm", settings=settings)
    with pytest.raises(InputError, match="64 samples"):
        ponder.measure_tasks(
            "chain_sum", strategies=["vote:n=64"], samples=8, problems=1, model="none.gguf", settings=settings
        )
    assert not Path(settings.ledger).exists()


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ({"strategy": 5}, "strategy"),
        ({"effort": 5}, "effort"),
        ({"max_tokens": "64"}, "max_tokens"),
        ({"max_tokens": 2.5}, "max_tokens"),
        ({"samples": 3.5}, "samples"),
        ({"settings": {"seed": 1}}, "settings"),
        ({"budget": 2000}, "budget"),
        ({"engine": object()}, "engine"),
        ({"strategy": "cascade", "others": {"large": "smollm2"}}, "engine"),
        ({"strategy": "cascade", "roles": {"large": 5}}, "model"),
    ],
)
def test_an_argument_of_ask_of_a_wrong_kind_is_named(
    settings: ponder.Settings, stated: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=f"^{named}: "):
        ponder.ask("x", **{"engine": an_engine(), "settings": settings, **stated})


@pytest.mark.parametrize(
    ("questions", "stated", "named"),
    [
        (["a", 1], {}, "question"),
        (["a"], {"n": 2.5}, "n"),
        (["a"], {"n": "4"}, "n"),
        (["a"], {"run": 5}, "run"),
        (["a"], {"n": 4, "strategy": "direct"}, "n"),
    ],
)
def test_an_argument_of_solve_many_of_a_wrong_kind_is_named(
    settings: ponder.Settings, questions: Any, stated: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=f"^{named}: "):
        ponder.solve_many(questions, budget="9999tok", engine=an_engine(), settings=settings, **stated)


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ({"tasks": [5]}, "task"),
        ({"strategies": [5]}, "strategy"),
        ({"strategies": []}, "strategy"),
        ({"samples": "4"}, "samples"),
        ({"problems": 2.5}, "problems"),
    ],
)
def test_an_argument_of_a_measurement_of_a_wrong_kind_is_named(
    settings: ponder.Settings, five: str, stated: dict[str, Any], named: str
) -> None:
    with pytest.raises(InputError, match=f"^{named}: "):
        ponder.measure_tasks(**{"tasks": five, "engine": an_engine(), "settings": settings, **stated})


def test_a_stated_number_of_samples_is_the_strategys(settings: ponder.Settings) -> None:
    for strategy in ("vote", "vote:n=2"):
        batch = ponder.solve_many(
            ["a", "b"], budget="99999tok", strategy=strategy, n=4, engine=an_engine(), settings=settings
        )
        assert [len(solution.samples) for solution in batch.solutions] == [4, 4]
        alone = ponder.ask("a", strategy=strategy, samples=4, engine=an_engine(), settings=settings)
        assert len(alone.samples) == 4


def test_one_strategy_is_measured_by_its_name_on_any_tasks(settings: ponder.Settings, five: str) -> None:
    tasks = (task for task in [five])
    measured = ponder.measure_tasks(tasks, strategies="vote", engine=an_engine(), settings=settings)
    assert [curve.strategy for curve in measured.tasks[0].curves] == ["vote", "coverage"]


def test_a_scorer_that_cannot_score_is_refused_before_anything_is_paid(settings: ponder.Settings) -> None:
    for by, said in (("checks", "cannot score this question"), ("luck", "no scorer")):
        engine = an_engine()
        with pytest.raises(InputError, match=said):
            ponder.ask("What is 8 + 7?", strategy=f"best:by={by}", engine=engine, settings=settings)
        assert engine.calls == 0


NOTEBOOK = """
import asyncio, os, signal, sys, threading
import ponder
from ponder.core import Model
from ponder.engines.scripted import Faults, ScriptedEngine

class Interrupted(ScriptedEngine):
    def start(self, request):
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        return super().start(request)

async def cell():
    engine = Interrupted.drawing({"7": 1.0}, model=Model("m", "f"), faults=Faults(seconds=600))
    ponder.ask("?", engine=engine, settings=ponder.Settings(ledger=sys.argv[1]))

try:
    asyncio.new_event_loop().run_until_complete(cell())
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_in_a_notebook_stops_the_work_and_records_it(settings: ponder.Settings) -> None:
    command = [sys.executable, "-c", NOTEBOOK, settings.ledger]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "interrupted" in done.stdout, done.stderr
    with Ledger.open(settings.ledger, write=False) as ledger:
        (run,) = ledger.runs()
        assert [call.status for call in ledger.calls(run.id)] == ["cancelled"]
        assert ledger.events(run.id)[-1].kind == "interrupted"
