"""No strategy overspends a budget, whatever the engine does."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import (
    Attempt,
    Budget,
    Finish,
    Generation,
    Message,
    Model,
    Output,
    Price,
    Prompt,
    Request,
    Sampling,
    Usage,
)
from ponder.engines.scripted import ABLE, Faults, ScriptedCall, ScriptedEngine
from ponder.errors import BudgetError, CallFailed
from ponder.solve import Charge, Limits, Meter, Solver
from ponder.solve.many import solve_many
from ponder.solve.meter import worst_case
from ponder.strategies import names, plan
from ponder.verifiers import scorer, scorer_names

from .conftest import MODEL, QUESTION, MemoryRecorder, spent

TEXTS = {
    "7": 4.0,
    "3 + 4 = 7": 3.0,
    "8": 2.0,
    "I do not know at all": 1.0,
    "12 and so on and so on and on": 1.0,
}
ROLES = ("solver", "large", "judge", "reward")
SCORERS = {name: scorer(name) for name in scorer_names()}
UNITS = ("samples", "tokens", "flop", "usd")


class Watched(ScriptedEngine):
    """Checks at the start of every call and of every further try that the budget has room for it."""

    meter: Meter

    def start(self, request: Request) -> ScriptedCall:
        self._check()
        admit = request.admit
        assert admit is not None

        def checked() -> bool:
            fits = admit()
            if fits:
                self._check()
            return fits

        return super().start(replace(request, admit=checked))

    def _check(self) -> None:
        reserved: Charge = self.meter.spent + self.meter._held
        for unit in UNITS:
            limit = getattr(self.meter.budget, unit)
            assert limit is None or getattr(reserved, unit) <= limit * (1 + 1e-12)


def misreported(share: float) -> Any:
    return lambda usage: replace(usage, completion_tokens=int((usage.completion_tokens or 0) * share))


def missing(usage: Usage) -> Usage:
    return replace(usage, completion_tokens=None, prompt_tokens=None)


reports = st.sampled_from([lambda usage: usage, missing, misreported(0.1), misreported(10)])
budgets = st.builds(
    Budget,
    samples=st.none() | st.integers(1, 40),
    tokens=st.none() | st.integers(1, 400),
    flop=st.none() | st.floats(1e3, 1e6),
    usd=st.none() | st.floats(1e-6, 1e-3),
)


@settings(max_examples=150)
@given(
    name=st.sampled_from(names()),
    n=st.integers(1, 40),
    budget=budgets,
    report=reports,
    unmetered=st.booleans(),
    excess=st.sampled_from([0, 0, 5]),
    failing=st.sets(st.integers(0, 8)),
    per_call=st.integers(1, 16),
    once=st.booleans(),
)
def test_no_call_starts_that_could_break_the_budget(
    name: str,
    n: int,
    budget: Budget,
    report: Any,
    unmetered: bool,
    excess: int,
    failing: set[int],
    per_call: int,
    once: bool,
) -> None:
    faults = Faults(
        fail=lambda k: CallFailed("scripted") if k in failing else None,
        retries=3,
        report=report,
        unmetered=unmetered,
        excess=excess,
    )
    able = replace(ABLE, samples_per_call=per_call, prompt_once=once)

    async def run() -> None:
        engine = Watched.drawing(TEXTS, model=MODEL, faults=faults, capabilities=able)
        engine.meter = meter = Meter(budget)
        recorder = MemoryRecorder()
        solver = Solver(dict.fromkeys(ROLES, engine), scorers=SCORERS, recorder=recorder)
        try:
            solution = await solver.run(plan(name, n=n), QUESTION, meter)
        except CallFailed:
            return
        except BudgetError:
            assert engine.calls == 0
            return
        honest = report(Usage(completion_tokens=10)).completion_tokens == 10 and not excess
        if honest:
            for unit in UNITS:
                limit = getattr(budget, unit)
                assert limit is None or getattr(solution.charged, unit) <= limit * (1 + 1e-12)
        if solution.stopped_by is None:
            assert name not in ("vote", "best") or len(solution.samples) == n
        assert solution.usage.calls == len(recorder.attempts)
        assert meter._held == Charge(flop=pytest.approx(0, abs=1e-3), usd=pytest.approx(0, abs=1e-9))

    asyncio.run(run())


async def test_a_budget_is_used_as_far_as_it_reaches() -> None:
    # prompt 7 words, at most 8 tokens a sample, but only 2 are used
    engine = ScriptedEngine.drawing({"7": 1.0}, model=MODEL)
    solver = Solver({"solver": engine})
    solution = await solver.run(plan("vote", n=100), QUESTION, Meter(Budget(tokens=200)))
    assert solution.stopped_by == "tokens"
    assert 185 <= (solution.usage.tokens or 0) <= 200
    assert len(solution.samples) > 40
    assert solution.answer.choice == "7"


async def test_an_overrun_is_recorded_and_ends_the_spending(recorder: MemoryRecorder) -> None:
    """The engine runs on beyond its cap of 8: what had begun is counted, and no more begins, although the
    budget has room."""
    text = "one two three four five six seven eight nine ten"
    engine = ScriptedEngine.drawing({text: 1.0}, model=MODEL, faults=Faults(excess=500))
    meter = Meter(Budget(tokens=1000))
    solution = await Solver({"solver": engine}, recorder=recorder).run(
        plan("adaptive_vote:n=64,delta=0.01"), QUESTION, meter
    )
    assert solution.stopped_by == "overrun"
    assert engine.calls == 1
    drawn = len(solution.samples)
    assert solution.usage.tokens == meter.spent.tokens
    assert solution.usage.completion_tokens == 11 * drawn > 8 * drawn


async def test_an_engine_that_keeps_to_its_bounds_is_no_overrun() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    meter = Meter(Budget(tokens=3000, flop=1e9, usd=1.0, samples=100))
    solution = await Solver({"solver": engine}).run(plan("vote", n=40), QUESTION, meter)
    assert (solution.stopped_by, meter.overrun) == (None, False)


class Slow:
    """A call of four samples of which only the middle two end before it is cancelled."""

    def __init__(self, request: Request) -> None:
        self.request, self.stop = request, asyncio.Event()

    def cancel(self) -> None:
        self.stop.set()

    async def result(self) -> Generation:
        await self.stop.wait()
        ended: tuple[Finish, ...] = ("cancelled", "stop", "stop", "cancelled")
        outputs = tuple(Output("The answer is 7", tokens=5, finish=finish) for finish in ended)
        usage = Usage(calls=1, samples=4, prompt_tokens=5, completion_tokens=20)
        return Generation(outputs, (Attempt("cancelled", usage, 0.0, 4),))


class SlowEngine(ScriptedEngine):
    def start(self, request: Request) -> Any:
        self.requests.append(request)
        return Slow(request)


async def test_what_had_ended_at_the_deadline_votes(recorder: MemoryRecorder) -> None:
    engine = SlowEngine.drawing({"7": 1.0}, model=MODEL)
    solver = Solver({"solver": engine}, recorder=recorder)
    solution = await solver.run(plan("vote", n=4), QUESTION, Meter(Budget(seconds=0.5)))
    assert (solution.answer.choice, solution.stopped_by) == ("7", "seconds")
    assert [sample.index for sample in solution.samples] == [1, 2]
    assert solution.usage.completion_tokens == 20
    assert engine.calls == 1
    # A prompt so long that the first step is all four samples.
    asked = replace(QUESTION, prompt=Prompt((Message("user", "word " * 200),)))
    batch = await solve_many([asked], engines={"solver": engine}, budget=Budget(seconds=0.5), n=4)
    assert (batch.solutions[0].answer.choice, batch.endings, batch.final) == ("7", ("budget",), False)
    assert [sample.index for sample in batch.solutions[0].samples] == [1, 2]


async def test_a_deadline_cancels_and_counts(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0}, model=MODEL, faults=Faults(seconds=30))
    solver = Solver({"solver": engine}, recorder=recorder)
    solution = await solver.run(plan("vote", n=4), QUESTION, Meter(Budget(seconds=0.5)))
    assert solution.stopped_by == "seconds"
    assert solution.answer.choice is None
    assert solution.seconds < 5
    assert [a.status for a in recorder.attempts] == ["cancelled"]
    assert solution.usage.prompt_tokens == engine.prompt_tokens_bound(QUESTION.prompt)


async def test_failed_tries_are_charged() -> None:
    engine = ScriptedEngine.drawing(
        {"7": 1.0}, model=MODEL, faults=Faults(fail=lambda k: CallFailed("no") if k == 0 else None, retries=1)
    )
    solution = await Solver({"solver": engine}).run(plan("think"), QUESTION, Meter(Budget()))
    prompt = engine.prompt_tokens_bound(QUESTION.prompt)
    assert solution.usage.calls == 2
    assert solution.usage.prompt_tokens == 2 * prompt


async def test_what_is_unknown_is_charged_at_its_reservation() -> None:
    engine = ScriptedEngine.drawing({"7": 1.0}, model=MODEL, faults=Faults(report=missing, unmetered=True))
    meter = Meter(Budget(tokens=1000))
    solution = await Solver({"solver": engine}).run(plan("vote", n=4), QUESTION, meter)
    assert solution.usage.tokens is None
    assert solution.usage.flop is None
    assert meter.spent.tokens == engine.prompt_tokens_bound(QUESTION.prompt) + 4 * QUESTION.max_tokens


@pytest.mark.parametrize(
    ("budget", "model", "remedy"),
    [
        (Budget(flop=1e12), Model("m", "f"), "state its shape"),
        (Budget(usd=1.0), Model("m", "f"), "state its price"),
    ],
)
async def test_a_unit_without_a_bound_is_refused_before_anything_runs(
    budget: Budget, model: Model, remedy: str
) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0}, model=model)
    with pytest.raises(BudgetError, match=remedy):
        await Solver({"solver": engine}).run(plan("vote"), QUESTION, Meter(budget))
    assert engine.calls == 0


async def test_what_an_earlier_start_spent_counts(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    solver = Solver({"solver": engine}, limits=Limits(seed=3), recorder=recorder)
    budget = Budget(samples=10)
    whole = await solver.run(plan("vote", n=30), QUESTION, Meter(budget))
    assert whole.stopped_by == "samples"
    recorder.restart()
    calls = engine.calls
    again = await solver.run(plan("vote", n=30), QUESTION, Meter(budget))
    assert engine.calls == calls
    assert (again.answer, again.charged, again.stopped_by) == (whole.answer, whole.charged, "samples")


class Headlong(ScriptedEngine):
    """Tries three times without asking, and cannot tell what the first two cost."""

    def start(self, request: Request) -> Any:
        call = super().start(request)
        unknown = Usage(calls=1, prompt_tokens=None, completion_tokens=None, flop=None, usd=None)
        lost = Attempt("failed", unknown, 0.0, 0, "lost")

        class Longer:
            async def result(self) -> Generation:
                generation = await call.result()
                return replace(generation, attempts=(lost, lost, *generation.attempts))

            def cancel(self) -> None:
                call.cancel()

        return Longer()


async def test_tries_that_were_not_admitted_are_charged_all_the_same() -> None:
    engine = Headlong.drawing({"7": 1.0}, model=MODEL)
    meter = Meter(Budget(tokens=1000))
    await Solver({"solver": engine}).run(plan("think"), QUESTION, meter)
    worst = engine.prompt_tokens_bound(QUESTION.prompt) + QUESTION.max_tokens
    used = engine.prompt_tokens_bound(QUESTION.prompt) + 2
    assert meter.spent.tokens == 2 * worst + used
    assert meter._held == Charge()


async def test_an_unknown_of_an_earlier_start_is_charged_call_by_call(recorder: MemoryRecorder) -> None:
    unknown = Usage(calls=1, prompt_tokens=None, completion_tokens=None, flop=None, usd=None)
    known = Usage(calls=1, samples=2, prompt_tokens=7, completion_tokens=4, flop=None, usd=None)
    recorder.earlier = [spent(16, unknown)] * 5 + [spent(2, known)]
    engine = ScriptedEngine.drawing({"7": 1.0}, model=MODEL)
    meter = Meter(Budget(tokens=10_000))
    solution = await Solver({"solver": engine}, recorder=recorder).run(plan("think"), QUESTION, meter)
    prompt = engine.prompt_tokens_bound(QUESTION.prompt)
    assert solution.charged.tokens == 5 * (prompt + 16 * QUESTION.max_tokens) + 11 + prompt + 2


async def test_greedy_samples_are_reserved_with_a_prompt_each() -> None:
    engine = ScriptedEngine.drawing({"7": 1.0}, model=MODEL)
    request = Request(QUESTION.prompt, n=4, max_tokens=8, sampling=Sampling(temperature=0))
    prompt = engine.prompt_tokens_bound(QUESTION.prompt)
    assert worst_case(engine, request, Budget(tokens=1)).tokens == 4 * (prompt + 8)
    sampled = replace(request, sampling=Sampling(temperature=1))
    assert worst_case(engine, sampled, Budget(tokens=1)).tokens == prompt + 4 * 8


@pytest.mark.parametrize(("unit", "least"), [("tokens", 1), ("flop", 1.0), ("usd", 1e-9)])
async def test_the_amount_that_a_refusal_names_is_enough(unit: str, least: float) -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=replace(MODEL, price=Price(1.234567, 7.654321)))
    solver, once = Solver({"solver": engine}), plan("direct")
    with pytest.raises(BudgetError, match="no room for one sample") as caught:
        await solver.run(once, QUESTION, Meter(Budget(**{unit: least})))
    named = str(caught.value).partition("may take ")[2].partition(";")[0]
    solution = await solver.run(once, QUESTION, Meter(Budget.parse(named.replace(",", ""))))
    assert solution.usage.samples == 1
