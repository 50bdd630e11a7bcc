"""A batch of questions inside one budget."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import (
    Attempt,
    Budget,
    Capabilities,
    Message,
    Prompt,
    Question,
    Request,
    Sample,
    Spent,
    Usage,
)
from ponder.engines.scripted import ABLE, Faults, ScriptedCall, ScriptedEngine
from ponder.errors import BudgetError, CallFailed, EndpointDown, InputError
from ponder.solve import many
from ponder.solve.many import Batch, solve_many
from ponder.solve.posterior import first_step, gain, next_step
from ponder.strategies import plan
from tests.solve.conftest import QUESTION

EASY, SPLIT, FLAT = {"7": 1.0}, {"7": 0.6, "8": 0.4}, {str(i): 1.0 for i in range(400)}


def question(name: str) -> Question:
    prompt = Prompt((Message("user", name),), name)
    return replace(QUESTION, id=name, text=name, prompt=prompt, direct=prompt)


def engine(**options: Any) -> ScriptedEngine:
    """Answers by the first word of a prompt: easy, split, flat or silent."""
    kinds = {"easy": EASY, "split": SPLIT, "flat": FLAT, "silent": {"no idea": 1.0}}

    def texts(prompt: Prompt) -> Mapping[str, float]:
        return kinds[prompt.messages[0].content.split("-")[0]]

    return ScriptedEngine.drawing(texts, **options)


def solved(
    questions: Sequence[Question], budget: Budget, used: ScriptedEngine | None = None, **more: Any
) -> Batch:
    return asyncio.run(solve_many(questions, engines={"solver": used or engine()}, budget=budget, **more))


class Ledger:
    """A recorder of many questions that outlives a start."""

    def __init__(self) -> None:
        self.samples: dict[tuple[str, str], dict[int, Sample]] = {}
        self.calls: dict[str, list[Spent]] = {}
        self.earlier: dict[str, list[Spent]] = {}

    def finished(self, question: Question, stream: str) -> Mapping[int, Sample]:
        return self.samples.get((question.id, stream), {})

    def spent(self, question: Question) -> Sequence[Spent]:
        return self.earlier.get(question.id, [])

    async def record(
        self,
        question: Question,
        stream: str,
        role: str,
        request: Request,
        attempts: Sequence[Attempt],
        samples: Sequence[Sample],
    ) -> None:
        made = [Spent(stream, role, request, attempt.usage) for attempt in attempts]
        self.calls.setdefault(question.id, []).extend(made)
        self.samples.setdefault((question.id, stream), {}).update((s.index, s) for s in samples)

    def restart(self) -> None:
        for name, made in self.calls.items():
            self.earlier.setdefault(name, []).extend(made)
        self.calls = {}


KINDS = ["easy-1", "split-1", "flat-1", "easy-2", "split-2"]


# ---------------------------------------------------------------- where the samples go


def test_samples_go_where_they_may_change_the_answer() -> None:
    batch = solved([question(k) for k in KINDS], Budget(samples=150))
    drawn = dict(zip(KINDS, (len(s.samples) for s in batch.solutions), strict=True))
    assert max(drawn["easy-1"], drawn["easy-2"]) < min(drawn["split-1"], drawn["split-2"])
    assert [s.answer.choice for s in batch.solutions if s.question.id.startswith("easy")] == ["7", "7"]
    assert batch.endings[0] == batch.endings[3] == "settled"


def test_a_hopeless_question_is_given_up() -> None:
    batch = solved([question("flat-1"), question("silent-1")], Budget(samples=10_000), n=256)
    assert batch.endings == ("given up", "given up")
    assert all(len(s.samples) < 256 for s in batch.solutions)
    assert batch.stopped_by is None
    assert batch.solutions[1].answer.choice is None


def test_nothing_more_is_drawn_than_n() -> None:
    batch = solved([question("split-2")], Budget(samples=1000), n=3)
    assert (len(batch.solutions[0].samples), batch.endings) == (3, ("complete",))


def test_no_question_is_starved_of_its_first_sample() -> None:
    questions = [question(f"split-{i}") for i in range(20)]
    batch = solved(questions, Budget(samples=25))
    assert min(len(s.samples) for s in batch.solutions) >= 1
    assert batch.charged.samples == 25
    assert batch.stopped_by == "samples"


def test_a_budget_without_room_for_all_reaches_as_far_as_it_goes_in_order() -> None:
    questions = [question(f"easy-{i}") for i in range(10)]
    batch = solved(questions, Budget(samples=4))
    assert [len(s.samples) for s in batch.solutions] == [1] * 4 + [0] * 6
    assert batch.endings[4:] == ("budget",) * 6
    assert all(s.stopped_by == "samples" for s in batch.solutions[4:])
    assert batch.solutions[9].answer.choice is None


def test_the_worst_case_of_a_first_step_never_starves_the_last() -> None:
    # A long prompt makes larger first steps worth while, if there is room.
    names = [f"easy-{i} " + "word " * 60 for i in range(6)]
    one = 61 + QUESTION.max_tokens
    tight = solved([question(name) for name in names], Budget(tokens=6 * one))
    assert [len(s.samples) for s in tight.solutions] == [1] * 6
    ample = solved([question(name) for name in names], Budget(tokens=60 * one))
    assert min(len(s.samples) for s in ample.solutions) > 1


def test_first_steps_are_as_long_as_the_first_answers_show_and_starve_nobody() -> None:
    # Samples take 2 of 8 tokens: sized by the longest they may be, all would stop at 3 of them.
    names = [f"easy-{i} " + "word " * 60 for i in range(30)]
    batch = solved([question(name) for name in names], Budget(tokens=30 * (61 + 3 * QUESTION.max_tokens)))
    drawn = [len(s.samples) for s in batch.solutions]
    assert min(drawn) >= 1
    assert sum(n > 3 for n in drawn) > 20


# ---------------------------------------------------------------- the budget, and what comes of a rerun


@settings(max_examples=150)
@given(
    kinds=st.lists(st.sampled_from(["easy", "split", "flat", "silent"]), min_size=1, max_size=20),
    cap=st.sampled_from([8, 200, 512]),
    samples_room=st.floats(0.05, 2.0),
    n=st.sampled_from([4, 8, 64]),
    prompt=st.sampled_from([0, 30, 300]),
    unmetered=st.booleans(),
    failing=st.sampled_from([2, 3, 9, 1 << 30]),
    strategy=st.sampled_from([None, "vote:n=4", "adaptive_vote:n=8"]),
)
def test_it_never_overspends_and_a_rerun_buys_nothing(
    kinds: list[str],
    cap: int,
    samples_room: float,
    n: int,
    prompt: int,
    unmetered: bool,
    failing: int,
    strategy: str | None,
) -> None:
    words = " word" * prompt
    questions = [
        replace(question(f"{kind}-{i}{words * (i % 2 + 1)}"), max_tokens=cap) for i, kind in enumerate(kinds)
    ]
    # From less than a sample each to all samples of each, at the longest that they may be.
    budget = Budget(tokens=max(1, int(len(kinds) * samples_room * (3 * prompt + 4 * cap))))
    chosen = None if strategy is None else plan(strategy)
    ledger, faulty = Ledger(), failing < 1 << 30
    faults = Faults(
        unmetered=unmetered,
        retries=1,
        fail=lambda k: CallFailed("now and then") if faulty and k % failing == 1 else None,
    )
    try:
        first = solved(questions, budget, engine(faults=faults), recorder=ledger, n=n, plan=chosen)
    except BudgetError:
        assert budget.tokens is not None
        assert budget.tokens < 1 + 2 * prompt + cap
        return
    assert budget.tokens is not None
    assert first.charged.tokens <= budget.tokens
    ledger.restart()
    again = engine()
    second = solved(questions, budget, again, recorder=ledger, n=n, plan=chosen)
    assert second.charged.tokens <= budget.tokens
    # Of a stated strategy, a call that failed for nothing may find room for another try in a rerun.
    if not first.errors and (strategy is None or not faulty):
        assert again.calls == 0
        assert [s.answer for s in second.solutions] == [s.answer for s in first.solutions]
        assert second.usage.samples == first.usage.samples
        assert second.endings == first.endings


@pytest.mark.parametrize("seed", range(12))
def test_first_steps_are_sized_alike_in_a_rerun(seed: int) -> None:
    # Budgets about what pilots and a sample of everyone else may take, with answers far shorter than that.
    ledger, words = Ledger(), " word" * (40 + 10 * seed)
    questions = [replace(question(f"split-{i}{words}"), max_tokens=500) for i in range(20)]
    budget = Budget(tokens=10_200 + 250 * seed)
    first = solved(questions, budget, recorder=ledger, n=8)
    ledger.restart()
    again = engine()
    second = solved(questions, budget, again, recorder=ledger, n=8)
    assert again.calls == 0
    assert second.endings == first.endings
    assert [len(s.samples) for s in second.solutions] == [len(s.samples) for s in first.solutions]


@pytest.mark.parametrize("samples", [3, 8, 24, 60, 200])
def test_a_budget_in_samples_reads_long_prompts_seldom(samples: int) -> None:
    ledger, used = Ledger(), engine()
    questions = [question(f"{kind}-{i}{' word' * 200}") for i, kind in enumerate(["easy", "split", "flat"])]
    first = solved(questions, Budget(samples=samples), used, recorder=ledger)
    drawn = [len(solution.samples) for solution in first.solutions]
    assert min(drawn) >= 1
    assert sum(drawn) == first.charged.samples <= samples
    # The scripted engine gives 16 samples a call at most.
    assert used.calls <= max(8, samples / 4)
    ledger.restart()
    again = engine()
    second = solved(questions, Budget(samples=samples), again, recorder=ledger)
    assert again.calls == 0
    assert [solution.answer for solution in second.solutions] == [s.answer for s in first.solutions]


@pytest.mark.parametrize("strategy", ["vote:n=4", "adaptive_vote:n=8"])
@pytest.mark.parametrize("failing", [1 << 30, 5])
def test_what_others_hold_ends_no_question(
    strategy: str, failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room for the longest samples of a few questions at once, and for the true ones of all.
    questions = [replace(question(f"split-{i}"), max_tokens=512) for i in range(16)]

    def solve(width: int) -> Batch:
        monkeypatch.setattr(many, "SIDE_BY_SIDE", width)
        faults = Faults(retries=2, fail=lambda k: CallFailed("once") if k % failing == 1 else None)
        return solved(questions, Budget(tokens=8000), engine(faults=faults), plan=plan(strategy))

    together, alone = solve(16), solve(1)
    assert together.endings == ("complete",) * 16
    assert together.stopped_by is None
    assert [s.samples for s in together.solutions] == [s.samples for s in alone.solutions]
    assert [s.answer for s in together.solutions] == [s.answer for s in alone.solutions]


def test_questions_that_wait_for_room_go_on_side_by_side() -> None:
    flying, seen = 0, list[int]()

    class Counting(ScriptedEngine):
        def start(self, request: Request) -> ScriptedCall:
            nonlocal flying
            flying += 1
            seen.append(flying)
            call = super().start(request)
            call.task.add_done_callback(landed)
            return call

    def landed(_: object) -> None:
        nonlocal flying
        flying -= 1

    used = Counting.drawing(EASY, faults=Faults(seconds=0.02))
    questions = [replace(question(f"easy-{i}"), max_tokens=512) for i in range(40)]
    batch = solved(questions, Budget(tokens=8 * 513 + 100), used, plan=plan("vote:n=1"))
    assert batch.endings == ("complete",) * 40
    assert max(seen) == 8, "so many fit at once"
    assert sum(seen) >= 40 * 4, "from first to last"


def test_calls_that_fail_for_nothing_beside_each_other_come_to_an_end() -> None:
    dead = engine(faults=Faults(retries=1, fail=lambda k: CallFailed("always")))
    questions = [replace(question(f"easy-{i}"), max_tokens=100) for i in range(2)]
    batch = solved(questions, Budget(samples=2), dead, plan=plan("vote:n=1"))
    assert set(batch.endings) <= {"budget", "failed"}
    assert dead.calls < 10


def test_a_killed_batch_continues_to_the_same_answers() -> None:
    questions = [question(k) for k in KINDS]
    undisturbed = solved(questions, Budget(samples=90))
    ledger, stops = Ledger(), iter(range(1000))

    def fail(k: int) -> Exception | None:
        return EndpointDown("gone") if next(stops) == 7 else None

    with pytest.raises(EndpointDown):
        solved(questions, Budget(samples=90), engine(faults=Faults(fail=fail)), recorder=ledger)
    ledger.restart()
    bought = sum(spent.usage.samples for own in ledger.earlier.values() for spent in own)
    assert bought > 0
    resumed_engine = engine()
    resumed = solved(questions, Budget(samples=90), resumed_engine, recorder=ledger)
    assert resumed.charged.samples == undisturbed.charged.samples
    assert sum(request.n for request in resumed_engine.requests) == 90 - bought
    told = [Counter(s.choice for s in one.samples) for one in undisturbed.solutions]
    assert [Counter(s.choice for s in one.samples) for one in resumed.solutions] == told


def test_the_same_call_gives_the_same_batch() -> None:
    questions = [question(k) for k in KINDS]
    one, two = (solved(questions, Budget(tokens=700)) for _ in range(2))
    assert [s.samples for s in one.solutions] == [s.samples for s in two.solutions]
    assert one.endings == two.endings


def test_usage_adds_up_over_the_questions() -> None:
    batch = solved([question(k) for k in KINDS], Budget(tokens=900))
    assert sum((s.usage for s in batch.solutions), Usage()) == replace(
        batch.usage, seconds=pytest.approx(batch.usage.seconds)
    )
    assert sum(s.charged.tokens for s in batch.solutions) == batch.charged.tokens
    assert batch.usage.tokens == batch.charged.tokens


def test_a_question_that_fails_fails_alone() -> None:
    def write(request: Request, position: int) -> str:
        if "easy-2" in request.prompt.messages[0].content:
            raise CallFailed("no such luck")
        return "7"

    batch = solved([question(k) for k in KINDS], Budget(samples=100), ScriptedEngine(write))
    assert batch.endings[3] == "failed"
    assert list(batch.errors) == ["easy-2"]
    assert batch.solutions[3].answer.choice is None
    assert [s.answer.choice for i, s in enumerate(batch.solutions) if i != 3] == ["7"] * 4


@pytest.mark.parametrize("strategy", [None, "vote:n=40"])
def test_a_failed_question_is_answered_from_the_samples_of_its_other_calls(strategy: str | None) -> None:
    def write(request: Request, position: int) -> str:
        if position >= 16:
            raise CallFailed("no such luck")
        return "7"

    # A prompt so long that 40 samples are one step, and 16 of them one call.
    asked = question("easy-1" + " word" * 2000)
    chosen = None if strategy is None else plan(strategy)
    batch = solved([asked], Budget(tokens=100_000), ScriptedEngine(write), n=40, plan=chosen)
    assert batch.endings == ("failed",)
    assert list(batch.errors) == [asked.id]
    (solution,) = batch.solutions
    assert len(solution.samples) == 16 == solution.usage.samples
    assert solution.answer.choice == "7"
    assert solution.stopped_by is None


def test_the_work_before_a_sample_grows_with_the_questions_alone() -> None:
    class Counting(ScriptedEngine):
        bounds = 0

        def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
            self.bounds += 1
            return super().prompt_tokens_bound(prompt, prefix)

    def bounds(count: int) -> int:
        used = Counting(lambda request, position: "7", capabilities=replace(ABLE, parallel=2))
        solved([question(f"easy-{i}") for i in range(count)], Budget(tokens=10**6), used, n=1)
        return used.bounds

    assert bounds(200) < 2.2 * bounds(100)


def test_a_dead_endpoint_ends_the_batch_at_once() -> None:
    dead = engine(faults=Faults(fail=lambda k: EndpointDown("nobody there")))
    with pytest.raises(EndpointDown):
        solved([question(k) for k in KINDS], Budget(samples=100), dead)


@pytest.mark.parametrize(
    ("questions", "budget", "more", "error", "words"),
    [
        ([], Budget(samples=1), {}, InputError, "at least one"),
        (["easy-1", "easy-1"], Budget(samples=1), {}, InputError, "the same id"),
        (["easy-1"], Budget(samples=1), {"n": 0}, InputError, "at least 1"),
        (["easy-1"], Budget(tokens=3), {}, BudgetError, "no room for one sample"),
        (["easy-1"], Budget(usd=1.0), {}, BudgetError, "no price"),
    ],
)
def test_what_cannot_be_is_refused(
    questions: list[str], budget: Budget, more: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        solved([question(q) for q in questions], budget, **more)


def test_a_stated_strategy_runs_on_each_within_the_one_budget() -> None:
    questions = [question(f"easy-{i}") for i in range(6)]
    batch = solved(questions, Budget(samples=14), plan=plan("vote:n=4"))
    assert batch.charged.samples == 14
    assert [len(s.samples) for s in batch.solutions] == [4, 4, 4, 2, 0, 0]
    assert batch.endings == ("complete",) * 3 + ("budget",) * 3
    assert batch.stopped_by == "samples"


def test_waves_are_wide_enough_to_keep_the_engine_busy() -> None:
    used = engine(capabilities=replace(ABLE, parallel=8))
    solved([question(f"split-{i}") for i in range(40)], Budget(samples=400), used)
    assert isinstance(used.capabilities, Capabilities)
    first = used.requests[:40]
    assert {request.offset for request in first} == {0}  # all first samples before any second
    assert len({request.prompt for request in first}) == 40


def test_what_is_worth_most_is_drawn_first() -> None:
    # Narrow waves, and a budget that ends long before the clear questions are settled.
    names = [f"easy-{i}" for i in range(6)] + [f"split-{i}" for i in range(6)]
    used = engine(capabilities=replace(ABLE, parallel=1))
    batch = solved([question(name) for name in names], Budget(samples=40), used)
    drawn = [len(s.samples) for s in batch.solutions]
    disputed = [len({s.choice for s in one.samples[:2]}) > 1 for one in batch.solutions]
    assert any(disputed)
    assert min(n for n, is_disputed in zip(drawn, disputed, strict=True) if is_disputed) > max(drawn[:6])


# ---------------------------------------------------------------- the worth of more samples


def simulated_gain(leader: int, rival: int, drawn: int, more: int, rounds: int = 200_000) -> float:
    """The expected rise against a rival that was seen, by drawing from the posterior."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet([leader, rival, drawn + 1.0 - leader - rival], rounds)
    new = np.array([rng.multinomial(more, p) for p in share[:20_000]])
    rise = np.maximum(0, rival + new[:, 1] - leader - new[:, 0]) / (drawn + 1.0 + more)
    return float(rise.mean())


@pytest.mark.parametrize(("leader", "rival", "drawn", "more"), [(3, 2, 6, 4), (2, 2, 4, 1), (5, 4, 12, 8)])
def test_the_gain_is_the_expected_rise_under_the_posterior(
    leader: int, rival: int, drawn: int, more: int
) -> None:
    assert gain(leader, rival, drawn, more) == pytest.approx(
        simulated_gain(leader, rival, drawn, more), rel=0.05
    )


@given(leader=st.integers(1, 20), behind=st.integers(0, 10), rest=st.integers(0, 20), more=st.integers(1, 32))
def test_a_gain_is_a_share_and_falls_with_the_lead(leader: int, behind: int, rest: int, more: int) -> None:
    rival = max(0, leader - behind)
    drawn = leader + rival + rest
    value = gain(leader, rival, drawn, more)
    assert 0.0 <= value <= 1.0
    if rival > 1:
        assert gain(leader, rival - 1, drawn, more) <= value + 1e-12


def test_one_sample_that_cannot_change_the_vote_is_not_the_end() -> None:
    assert gain(2, 1, 3, 1) == 0.0
    step = next_step([2, 1], 61, read=0.0, each=10.0)
    assert (step.more, step.ending) == (1, None)
    assert step.index > 0


def test_a_contested_vote_comes_before_a_clear_and_a_scattered_one() -> None:
    def index(*counts: int) -> float:
        return next_step(counts, 40, read=0.0, each=1.0).index

    assert index(4, 4) > index(6, 2) >= 0
    assert index(4, 4) > index(2, 1, 1, 1, 1, 1, 1)


def test_the_index_is_the_best_rate_over_how_many_are_drawn() -> None:
    rates = {m: gain(3, 2, 5, m) / (20.0 + 10.0 * m) for m in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)}
    step = next_step([3, 2], 32, read=20.0, each=10.0)
    assert step.index == max(rates.values())
    assert step.more == 2  # no more at once than cost as much as the prompt


def test_a_prompt_that_is_read_again_makes_steps_longer() -> None:
    votes = [3, 2]
    assert next_step(votes, 40, read=0.0, each=10.0).more == 1
    assert next_step(votes, 40, read=80.0, each=10.0).more > 1
    assert next_step(votes, 2, read=800.0, each=10.0).more <= 2


def test_a_first_step_is_one_sample_unless_the_budget_has_room() -> None:
    assert first_step(50.0, read=0.0, each=10.0) == 1
    assert first_step(109.0, read=100.0, each=10.0) == 1
    assert first_step(140.0, read=100.0, each=10.0) == 4
    assert first_step(float("inf"), read=100.0, each=10.0) == 10


def test_an_endpoint_that_always_fails_is_not_asked_for_ever() -> None:
    failing = engine(faults=Faults(retries=3, fail=lambda k: CallFailed("again")))
    batch = solved([question("easy-1")], Budget(samples=1), failing)
    assert batch.endings == ("failed",)
    assert failing.calls == 1
