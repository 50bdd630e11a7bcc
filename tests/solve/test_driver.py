"""The driver: order, replay, resuming, refusals."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import Answer, Budget, Draw, Model, Question, Request, Sample, Score, Strategy, Usage, Wave
from ponder.engines.replay import ReplayEngine
from ponder.engines.scripted import ABLE, Faults, ScriptedCall, ScriptedEngine
from ponder.errors import CallFailed, CapabilityError, InputError, UnknownName
from ponder.solve import Limits, Meter, Solver, solve, stream_of
from ponder.solve.meter import Charge, worst_case
from ponder.solve.probe import probe
from ponder.strategies import Plan, names, plan
from ponder.verifiers import scorer, scorer_names

from .conftest import MODEL, QUESTION, MemoryRecorder, spent

TEXTS = {"7": 4.0, "3 + 4 = 7": 3.0, "8": 3.0, "nothing": 1.0}
SCORERS = {name: scorer(name) for name in scorer_names()}
ROLES = ("solver", "large", "judge", "reward")


class Uneven(ScriptedEngine):
    """Later samples finish first."""

    def start(self, request: Request) -> ScriptedCall:
        self.faults = replace(self.faults, seconds=max(0.001, 0.05 - 0.005 * request.offset))
        return super().start(request)


class Stingy(ScriptedEngine):
    """Returns half of what is asked for."""

    def start(self, request: Request) -> ScriptedCall:
        self.faults = Faults(short=request.n // 2)
        return super().start(request)


@settings(max_examples=40)
@given(name=st.sampled_from(names()), n=st.integers(1, 20), seed=st.integers(0, 100))
def test_driven_again_over_recorded_samples_it_answers_the_same(name: str, n: int, seed: int) -> None:
    async def run() -> None:
        recorder = MemoryRecorder()
        engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
        solver = Solver(
            dict.fromkeys(ROLES, engine), scorers=SCORERS, limits=Limits(seed=seed), recorder=recorder
        )
        first = await solver.run(plan(name, n=n), QUESTION, Meter(Budget()))
        recorder.restart()
        calls = engine.calls
        again = await solver.run(plan(name, n=n), QUESTION, Meter(Budget()))
        assert engine.calls == calls
        assert (again.answer, again.samples, again.usage) == (first.answer, first.samples, first.usage)
        if not probe(plan(name, n=n), QUESTION, SCORERS).bank:
            return
        bank = {QUESTION.prompt: first.samples, QUESTION.direct: first.samples}
        replay = Solver({"solver": ReplayEngine(MODEL, bank)}, scorers=SCORERS, limits=Limits(seed=seed))
        third = await replay.run(plan(name, n=n), QUESTION, Meter(Budget()))
        assert third.answer == first.answer

    asyncio.run(run())


@settings(max_examples=40)
@given(held=st.sets(st.integers(0, 11)), per_call=st.integers(1, 12))
def test_a_resumed_run_equals_an_undisturbed_one(held: set[int], per_call: int) -> None:
    """Whatever was finished before, behind gaps or not, is never bought again."""

    async def run() -> None:
        able = replace(ABLE, samples_per_call=per_call)
        whole = MemoryRecorder()
        engine = ScriptedEngine.drawing(TEXTS, model=MODEL, capabilities=able)
        undisturbed = await Solver({"solver": engine}, recorder=whole).run(
            plan("vote", n=12), QUESTION, Meter(Budget())
        )
        partial = MemoryRecorder()
        for stream, samples in whole.samples.items():
            partial.samples[stream] = {i: s for i, s in samples.items() if i in held}
        engine.requests.clear()
        resumed = await Solver({"solver": engine}, recorder=partial).run(
            plan("vote", n=12), QUESTION, Meter(Budget())
        )
        assert resumed.samples == undisturbed.samples
        assert resumed.answer == undisturbed.answer
        bought = [r.offset + i for r in engine.requests for i in range(r.n)]
        assert sorted(bought) == sorted(set(range(12)) - held)

    asyncio.run(run())


def first_five(question: Question, rng: Random, *, seen: list[tuple[int, ...]]) -> Strategy:
    def enough(samples: tuple[Sample, ...]) -> bool:
        seen.append(tuple(s.index for s in samples))
        return len(samples) >= 5

    reply = yield Wave((Draw(n=12),), until=enough)
    more = yield Wave((Draw(n=3),))
    return Answer(",".join(str(s.index) for s in (*reply.samples[0], *more.samples[0])))


async def test_until_sees_samples_in_the_order_asked_and_ends_the_wave(recorder: MemoryRecorder) -> None:
    seen: list[tuple[int, ...]] = []
    engine = Uneven.drawing(TEXTS, model=MODEL)
    solver = Solver({"solver": engine}, recorder=recorder)
    solution = await solver.run(Plan("first_five", first_five, {"seen": seen}), QUESTION, Meter(Budget()))
    # what finished beyond the wave's end is told to the next one, not bought again
    assert solution.answer.choice == "0,1,2,3,4,5,6,7"
    assert all(prefix == tuple(range(len(prefix))) for prefix in seen)
    assert solution.usage.samples == sum(a.samples for a in recorder.attempts)
    told = [r.offset for r in engine.requests if r.offset < 8]
    assert sorted(told) == list(range(8))


def two_draws(question: Question, rng: Random) -> Strategy:
    reply = yield Wave((Draw(n=2), Draw(n=3), Draw(n=1, prefix="so")))
    parts = ["".join(str(s.index) for s in samples) for samples in reply.samples]
    return Answer("/".join(parts))


async def test_equal_asks_share_a_stream_and_others_have_their_own() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    solution = await solve(QUESTION, Plan("two_draws", two_draws), engines={"solver": engine})
    assert solution.answer.choice == "01/234/0"
    limits = Limits()
    streams = {stream_of(QUESTION, draw, limits) for draw in (Draw(n=1), Draw(n=9))}
    assert len(streams) == 1
    # samples without log-probabilities cannot serve an ask that needs them
    assert stream_of(QUESTION, Draw(logprobs=True), limits) not in streams
    assert stream_of(QUESTION, Draw(max_tokens=3), limits) not in streams
    assert stream_of(QUESTION, Draw(temperature=0.1), limits) not in streams
    assert stream_of(QUESTION, Draw(role="large"), limits) not in streams


async def test_a_failed_call_is_recorded_and_raised(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing(
        TEXTS, model=MODEL, faults=Faults(fail=lambda k: CallFailed("it broke") if k >= 1 else None)
    )
    engine._capabilities = replace(ABLE, samples_per_call=2)
    solver = Solver({"solver": engine}, recorder=recorder)
    with pytest.raises(CallFailed, match="it broke"):
        await solver.run(plan("vote", n=8), QUESTION, Meter(Budget()))
    # three of the four calls failed; the one that did not was left to end and is kept
    assert [a.status for a in recorder.attempts].count("failed") == 3
    (samples,) = recorder.samples.values()
    assert sorted(samples) == [0, 1]


async def test_a_failed_call_leaves_the_others_to_end(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing(
        TEXTS,
        model=MODEL,
        capabilities=replace(ABLE, samples_per_call=1),
        faults=Faults(fail=lambda k: CallFailed("it broke") if k == 2 else None, seconds=0.02),
    )
    with pytest.raises(CallFailed, match="it broke"):
        await Solver({"solver": engine}, recorder=recorder).run(plan("vote", n=8), QUESTION, Meter(Budget()))
    (samples,) = recorder.samples.values()
    assert sorted(samples) == [0, 1, 3, 4, 5, 6, 7]


class Refusing(ScriptedEngine):
    """Will not begin its third call."""

    def start(self, request: Request) -> ScriptedCall:
        if len(self.requests) == 2:
            raise CallFailed("it will not start")
        return super().start(request)


async def test_a_call_that_cannot_be_started_leaves_those_before_it_to_end(recorder: MemoryRecorder) -> None:
    able = replace(ABLE, samples_per_call=1)
    engine = Refusing.drawing(TEXTS, model=MODEL, capabilities=able, faults=Faults(seconds=0.02))
    meter = Meter(Budget(samples=8))
    with pytest.raises(CallFailed, match="will not start"):
        await Solver({"solver": engine}, recorder=recorder).run(plan("vote", n=8), QUESTION, meter)
    (samples,) = recorder.samples.values()
    assert sorted(samples) == [0, 1]
    assert meter.spent.samples == 2
    assert meter.reserve(Charge(samples=6))  # nothing is held for the call that was not made


async def test_a_retry_without_room_is_the_budgets_end_and_not_a_failure(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing(
        {"so it is 3 + 4 = 7": 1.0},
        model=MODEL,
        capabilities=replace(ABLE, samples_per_call=1),
        faults=Faults(fail=lambda k: CallFailed("it broke") if k == 3 else None, retries=2),
    )
    solver = Solver({"solver": engine}, recorder=recorder)
    all_six = Request(QUESTION.prompt, 6, QUESTION.max_tokens)
    tokens = worst_case(engine, all_six, Budget(tokens=10**6)).tokens
    solution = await solver.run(plan("vote", n=6), QUESTION, Meter(Budget(tokens=tokens)))
    assert solution.stopped_by == "tokens"
    assert solution.answer.choice == "7"
    assert [s.index for s in solution.samples] == [0, 1, 2]
    assert str(solution.failure) == "it broke"
    assert solution.drawn() is solution


async def test_a_first_call_that_fails_without_room_for_another_is_no_missing_answer() -> None:
    failing = Faults(fail=lambda k: CallFailed("it broke"), retries=2)
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL, capabilities=ABLE, faults=failing)
    tokens = worst_case(engine, Request(QUESTION.prompt, 1, QUESTION.max_tokens), Budget(tokens=10**6)).tokens
    solution = await Solver({"solver": engine}).run(plan("vote", n=1), QUESTION, Meter(Budget(tokens=tokens)))
    assert (solution.stopped_by, solution.samples) == ("tokens", ())
    with pytest.raises(CallFailed, match="it broke"):
        solution.drawn()


class SlowRecorder(MemoryRecorder):
    """Takes its time to make a call durable."""

    async def record(self, *call: Any) -> None:
        await asyncio.sleep(0.03)
        await super().record(*call)


@pytest.mark.parametrize("moment", [0.01, 0.06, 0.09, 0.12, 0.2])
async def test_a_cancelled_solve_records_everything_it_paid_for(moment: float) -> None:
    recorder = SlowRecorder()
    engine = Uneven.drawing(TEXTS, model=MODEL, capabilities=replace(ABLE, samples_per_call=1, parallel=8))
    solver = Solver({"solver": engine}, recorder=recorder)
    task = asyncio.create_task(solver.run(plan("vote", n=8), QUESTION, Meter(Budget())))
    await asyncio.sleep(moment)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(recorder.attempts) == len(engine.requests) == 8
    finished = {r.offset for r in engine.requests} - {
        r.offset for r, a in zip(engine.requests, recorder.attempts, strict=True) if a.status == "cancelled"
    }
    held = sum(len(samples) for samples in recorder.samples.values())
    assert held == sum(a.samples for a in recorder.attempts) == len(finished)


def cut_short(question: Question, rng: Random) -> Strategy:
    first = yield Wave((Draw(n=4), Draw(n=4)))
    second = yield Wave((Draw(n=2),))
    told = [*first.samples, *second.samples]
    return Answer("/".join(",".join(str(s.index) for s in samples) for samples in told))


async def test_no_sample_is_told_twice(recorder: MemoryRecorder) -> None:
    whole = MemoryRecorder()
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    cut = Plan("cut_short", cut_short)
    await Solver({"solver": engine}, recorder=whole).run(cut, QUESTION, Meter(Budget()))
    for stream, samples in whole.samples.items():
        recorder.samples[stream] = {i: s for i, s in samples.items() if i in (0, 1, 4, 5, 6, 7)}
    budget = Budget(samples=1)
    recorder.earlier = [spent(6, Usage(samples=1))]
    solution = await Solver({"solver": engine}, recorder=recorder).run(cut, QUESTION, Meter(budget))
    # places 2 and 3 have no room: what lies behind the gap is not told in their stead
    assert solution.answer.choice == "0,1//"
    assert solution.stopped_by == "samples"


async def test_an_engine_that_returns_too_few_is_asked_for_the_rest() -> None:
    engine = Stingy.drawing(TEXTS, model=MODEL)
    solution = await solve(QUESTION, plan("vote", n=4), engines={"solver": engine})
    assert [s.index for s in solution.samples] == [0, 1, 2, 3]
    assert [(r.offset, r.n) for r in engine.requests] == [(0, 4), (2, 2), (3, 1)]


async def test_an_engine_that_returns_nothing_is_an_error() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL, faults=Faults(short=100))
    with pytest.raises(CallFailed, match="no sample"):
        await solve(QUESTION, plan("vote", n=4), engines={"solver": engine})


async def test_cancelling_a_solve_records_what_it_had_spent(recorder: MemoryRecorder) -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL, faults=Faults(seconds=30))
    solver = Solver({"solver": engine}, recorder=recorder)
    task = asyncio.create_task(solver.run(plan("vote", n=4), QUESTION, Meter(Budget())))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [a.status for a in recorder.attempts] == ["cancelled"]


def broken(*_: object) -> bool:
    raise ZeroDivisionError("a defect of the strategy")


def broken_until(question: Question, rng: Random) -> Strategy:
    yield Wave((Draw(n=8),), until=lambda samples: bool(samples) and broken())
    return Answer(None)


def broken_read(question: Question, rng: Random) -> Strategy:
    yield Wave((Draw(n=8, read=lambda sample: str(broken())),))
    return Answer(None)


@pytest.mark.parametrize("function", [broken_until, broken_read])
async def test_a_strategy_that_breaks_loses_nothing_that_was_paid_for(
    function: Any, recorder: MemoryRecorder
) -> None:
    engine = Uneven.drawing(TEXTS, model=MODEL, capabilities=replace(ABLE, samples_per_call=1, parallel=8))
    meter = Meter(Budget(tokens=10**6))
    solver = Solver({"solver": engine}, recorder=recorder)
    with pytest.raises(ZeroDivisionError):
        await solver.run(Plan("broken", function), QUESTION, meter)
    assert len(recorder.attempts) == len(engine.requests) == 8
    assert meter.spent.tokens == sum(attempt.usage.tokens or 0 for attempt in recorder.attempts) > 0
    assert len(asyncio.all_tasks()) == 1


async def test_a_format_goes_with_the_questions_own_prompts_to_an_engine_that_can() -> None:
    formed = replace(QUESTION, response_format='{"type":"json_object"}')
    unable = ScriptedEngine.drawing(TEXTS, model=MODEL)
    solver = Solver({"solver": unable})
    await solver.run(plan("think"), QUESTION, Meter(Budget()))
    with pytest.raises(CapabilityError, match="leave response_format out"):
        await solver.run(plan("think"), formed, Meter(Budget()))
    assert unable.calls == 1
    able = ScriptedEngine.drawing(TEXTS, model=MODEL, capabilities=replace(ABLE, response_format=True))
    await solve(formed, plan("revise"), engines={"solver": able}, scorers=SCORERS)
    own = {request.response_format for request in able.requests if request.prompt == QUESTION.prompt}
    others = {request.response_format for request in able.requests if request.prompt != QUESTION.prompt}
    assert (own, others) == ({formed.response_format}, {None})
    other = replace(QUESTION, response_format='{"type":"text"}')
    assert len({stream_of(q, Draw(), Limits()) for q in (QUESTION, formed, other)}) == 3


async def test_a_capability_that_is_missing_is_refused_before_anything_runs() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL, capabilities=replace(ABLE, logprobs=False))
    with pytest.raises(CapabilityError, match="log-probabilities"):
        await solve(QUESTION, plan("best"), engines={"solver": engine}, scorers=SCORERS)
    assert engine.calls == 0


async def test_a_rule_that_reads_no_answer_is_refused_before_anything_runs() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    with pytest.raises(UnknownName, match="did you mean number"):
        await solve(replace(QUESTION, extract="nubmer"), plan("vote"), engines={"solver": engine})
    assert engine.calls == 0


async def test_a_missing_role_or_scorer_is_named() -> None:
    with pytest.raises(InputError, match="'solver'"):
        await solve(QUESTION, plan("vote"), engines={})
    engine = ScriptedEngine.drawing(TEXTS, model=Model("m", "f"))
    with pytest.raises(InputError, match="'nobody'"):
        await solve(QUESTION, plan("best:by=nobody"), engines={"solver": engine}, scorers=SCORERS)


def scoring_first(question: Question, rng: Random, *, samples: Sequence[Sample]) -> Strategy:
    reply = yield Wave((Score(tuple(samples), "likelihood"), Draw(n=1)))
    assert reply.samples[0] == ()
    assert reply.scores[1] == ()
    return Answer(str(reply.scores[0]))


async def test_a_wave_may_mix_draws_and_scores() -> None:
    engine = ScriptedEngine.drawing(TEXTS, model=MODEL)
    known = [Sample("7", "7", logprob=-1.0, tokens=2), Sample("8", "8")]
    solution = await solve(
        QUESTION,
        Plan("scoring_first", scoring_first, {"samples": known}),
        engines={"solver": engine},
        scorers=SCORERS,
    )
    assert solution.answer.choice == "(-1.0, None)"


async def test_until_is_told_a_gap_free_prefix_of_all_the_waves_asks(recorder: MemoryRecorder) -> None:
    """The second ask's samples are there before the first's: they are not told ahead of them."""
    seen: list[tuple[str, ...]] = []

    def until(told: tuple[Sample, ...]) -> bool:
        seen.append(tuple(sample.text for sample in told))
        return False

    def two_asks(question: Question, rng: Random) -> Strategy:
        reply = yield Wave((Draw(3), Draw(2, prefix="so ")), until=until)
        return Answer(" ".join(s.text for drawn in reply.samples for s in drawn))

    engine = ScriptedEngine(lambda request, place: f"{request.prefix.strip() or 'plain'}{place}", model=MODEL)
    limits = Limits()
    second = stream_of(QUESTION, Draw(2, prefix="so "), limits)
    recorder.samples[second] = {i: Sample(f"so{i}", index=i) for i in range(2)}
    solver = Solver({"solver": engine}, limits=limits, recorder=recorder)
    solution = await solver.run(Plan("two_asks", two_asks), QUESTION, Meter(Budget()))
    whole = tuple((solution.answer.choice or "").split())
    assert whole == ("plain0", "plain1", "plain2", "so0", "so1")
    assert all(told == whole[: len(told)] for told in seen)
    assert len({len(told) for told in seen}) > 1
