"""Strategies that no closed form covers: by replay over a bank, and live."""

import re
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from ponder.core import Attempt, Request, Sample, Spent, Usage
from ponder.engines.scripted import Faults, ScriptedEngine
from ponder.errors import CallFailed, EngineError, InputError
from ponder.ledger import CallRow, Ledger, verify
from ponder.measure import estimators
from ponder.measure.bank import Bank, Cost
from ponder.measure.live import Apart, scales, spend_of
from ponder.measure.policies import doubling, evaluate, label_of, policy
from ponder.measure.replay import replay, replay_bank
from ponder.measure.sampling import failed_before, readings
from ponder.strategies import plan
from ponder.tasks import ProblemSet, load, question_from_text
from ponder.verifiers import scorer, scorer_names

from .test_measure import MODEL, an_engine, by_strategy, problem_file, run

SCORERS = {name: scorer(name) for name in scorer_names()}
QUESTION = question_from_text("1 + 1")


def bank(problems: int = 10, n: int = 12, seed: int = 0) -> Bank:
    rng = np.random.default_rng(seed)
    choice = rng.integers(-1, 3, (problems, n))
    names = {-1: None, 0: "A", 1: "B", 2: "C"}
    samples = tuple(
        tuple(
            Sample(f"is {names[int(c)]}", names[int(c)], i, None, 5, -1.0 - i % 3, (-0.2 - i % 3 / 5,) * 5)
            for i, c in enumerate(row)
        )
        for row in choice
    )
    scores = {by: np.where(choice < 0, np.nan, rng.random(choice.shape)) for by in ("confidence", "checks")}
    return Bank((QUESTION,) * problems, samples, choice, choice == 0, scores, Cost(10.0, 5.0, 70.0, 20.0, n))


def test_replay_scores_what_the_closed_form_does() -> None:
    one, ks = bank(), (1, 4, 12)
    values, spend = replay_bank(one, plan("vote"), ks, np.random.default_rng(1), orders=400)
    exact = estimators.vote(one.choice, one.correct, ks)
    assert values == pytest.approx(exact, abs=0.1)
    assert values.mean(axis=0) == pytest.approx(exact.mean(axis=0), abs=0.02)
    assert spend.samples == pytest.approx(ks)
    assert spend.tokens == pytest.approx([10 + 5 * k for k in ks])
    assert spend.flop == pytest.approx([70 + 20 * k for k in ks])


def test_best_by_replay_agrees_too() -> None:
    one = bank()
    values, _ = replay_bank(one, plan("best:by=checks"), (1, 4), np.random.default_rng(1), orders=400)
    exact = estimators.best(one.scores["checks"], one.correct, (1, 4))
    assert values.mean(axis=0) == pytest.approx(exact.mean(axis=0), abs=0.02)


def test_an_adaptive_vote_costs_what_it_drew() -> None:
    one = bank()
    adaptive = evaluate("t", plan("adaptive_vote:n=12,delta=0.3"), one, np.random.default_rng(1)).curve
    last = adaptive.points[-1]
    assert last.k == 12
    assert last.samples is not None
    assert 1 < last.samples < 12
    assert last.tokens is not None
    assert last.tokens > 10 + 5 * last.samples - 1e-9  # each wave reads the prompt


def test_a_strategy_that_asks_beyond_the_bank_is_refused() -> None:
    with pytest.raises(InputError, match="draw more"):
        replay(plan("vote:n=9").begin(QUESTION, Random(0)), bank().samples[0][:8])


def test_what_can_be_replayed_is_found_from_what_is_asked() -> None:
    forms = {
        "direct": "direct",
        "think": "worked",
        "vote": "worked",
        "adaptive_vote": "worked",
        "weighted_vote": "worked",
        "confident_vote": "worked",
        "probability_vote": "worked",
        "best:by=likelihood": "worked",
        "best:by=judge": None,
        "force": None,
        "halting_vote": None,
        "verify": None,
        "revise": None,
    }
    assert {text: policy(plan(text), QUESTION, SCORERS).form for text in forms} == forms


def test_scales_double_and_labels_leave_them_out() -> None:
    assert doubling(1) == (1,)
    assert doubling(12) == (1, 2, 4, 8, 12)
    assert scales(plan("force:waits=4")) == (1, 2, 4)
    assert scales(plan("direct")) == (1,)
    assert label_of(plan("force:waits=4,limit=9")) == "force (limit=9)"
    assert label_of(plan("weighted_vote")) == "weighted_vote by confidence"


def test_an_unknown_count_leaves_the_mean_unknown() -> None:
    spend = spend_of([[Usage(prompt_tokens=3, completion_tokens=2)], [Usage(completion_tokens=None)]])
    assert spend.tokens is None
    assert spend.flop is not None


@pytest.fixture
def sums(tmp_path: Path) -> ProblemSet:
    return load(problem_file(tmp_path, [7] * 8), problems=8, seed=0)


async def test_a_live_strategy_has_a_curve_and_a_rerun_buys_nothing(tmp_path: Path, sums: ProblemSet) -> None:
    engine = an_engine()
    first = await run(tmp_path, [sums], engine, strategies=("vote", "force:waits=2"))
    curves = by_strategy(first)
    assert list(curves) == ["vote", "force", "coverage"]
    assert [p.k for p in curves["force"].points] == [1, 2]
    one, two = curves["force"].points
    assert (one.samples, two.samples) == (2, 3)
    assert one.tokens is not None
    assert one.tokens < two.tokens
    assert first.usage.samples == 8 * 12 + 8 * 2 + 8 * 3
    calls = engine.calls
    again = await run(tmp_path, [sums], engine, strategies=("vote", "force:waits=2"))
    assert engine.calls == calls
    assert by_strategy(again)["force"] == curves["force"]
    assert verify(tmp_path / "ledger.sqlite").ok


async def test_a_live_strategy_alone_needs_no_bank(tmp_path: Path, sums: ProblemSet) -> None:
    result = await run(tmp_path, [sums], an_engine(), strategies=("force:waits=1",))
    assert list(by_strategy(result)) == ["force"]
    assert result.usage.samples == 8 * 2


async def test_a_judge_is_paid_for_by_the_strategy_that_asks_it(tmp_path: Path, sums: ProblemSet) -> None:
    result = await run(tmp_path, [sums], an_engine(), strategies=("vote", "best:by=judge,n=4"))
    curves = by_strategy(result)
    judged = curves["best by judge"].points[-1]
    plain = next(p for p in curves["vote"].points if p.k == 4)
    assert judged.samples is not None
    assert judged.samples > 4
    assert judged.tokens is not None
    assert judged.tokens > plain.tokens


async def test_what_was_solved_is_kept_when_a_call_fails(tmp_path: Path, sums: ProblemSet) -> None:
    faults = Faults(fail=lambda k: CallFailed("lost.") if k == 20 else None)
    with pytest.raises(EngineError, match="force:waits=2 failed on 1 of 8 problems"):
        await run(tmp_path, [sums], an_engine(faults=faults), strategies=("force:waits=2",))
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        (name,) = [summary.id for summary in ledger.runs()]
        kept = ledger.answers(name)
    assert 0 < len(kept) < 16
    engine = an_engine()
    result = await run(tmp_path, [sums], engine, strategies=("force:waits=2",))
    undisturbed = await run(tmp_path / "other", [sums], an_engine(), strategies=("force:waits=2",))
    assert by_strategy(result)["force"] == by_strategy(undisturbed)["force"]
    assert engine.calls < 8 * 5


async def test_a_problem_that_fails_in_two_starts_is_left_out_with_a_note(
    tmp_path: Path, sums: ProblemSet
) -> None:
    def hopeless() -> ScriptedEngine:
        def write(request: Request, place: int) -> str:
            if "sum 3" in request.prompt.messages[-1].content:
                raise CallFailed("lost.")
            return "Answer: 7"

        return ScriptedEngine(write, model=MODEL)

    with pytest.raises(EngineError, match="what fails again will be left out"):
        await run(tmp_path, [sums], hopeless(), strategies=("force:waits=1",))
    result = await run(tmp_path, [sums], hopeless(), strategies=("force:waits=1",))
    assert by_strategy(result)["force"].points[-1].accuracy == 1
    assert any("is over 7 of 8 problems" in note for note in result.notes)


async def test_a_further_role_is_kept_apart_and_a_rerun_asks_nobody(tmp_path: Path, sums: ProblemSet) -> None:
    large = ScriptedEngine.drawing({"Answer: 7": 1.0}, model=replace(MODEL, name="large"))
    chosen = ("vote", "cascade:n=2,threshold=1")
    first = await run(tmp_path, [sums], an_engine(), strategies=chosen, others={"large": large})
    asked, solver = large.calls, an_engine()
    assert asked > 0
    again = await run(tmp_path, [sums], solver, strategies=chosen, others={"large": large})
    assert (large.calls, solver.calls) == (asked, 0)
    assert by_strategy(again) == by_strategy(first)
    other = replace(MODEL, name="larger")
    other_large = ScriptedEngine.drawing({"Answer: 8": 1.0}, model=other)
    moved = await run(tmp_path, [sums], an_engine(), strategies=chosen, others={"large": other_large})
    assert other_large.calls > 0  # another model is another answer, on the same banks
    assert by_strategy(moved)["vote"] == by_strategy(first)["vote"]
    assert by_strategy(moved)["cascade (threshold=1.0)"] != by_strategy(first)["cascade (threshold=1.0)"]


async def test_an_answer_that_could_not_be_graded_is_noted(tmp_path: Path, sums: ProblemSet) -> None:
    class Unsure:
        name = "unsure"

        def grade(self, question: object, key: str, choice: str, handle: object = None) -> bool | None:
            return None

        def close(self) -> None: ...

    result = await run(tmp_path, [sums], an_engine(), strategies=("force:waits=1",), grade_by=Unsure())
    assert any("Some answers of force" in note for note in result.notes)


@pytest.mark.parametrize("strategy", ["best:by=judge,n=4", "judge_vote:n=4,judges=3", "verify:n=4,checks=2"])
async def test_replies_of_a_judge_that_cannot_be_read_are_counted(
    tmp_path: Path, sums: ProblemSet, strategy: str
) -> None:
    def write(request: Request, place: int) -> str:
        asked = request.prompt.messages[-1].content
        mark = re.search(r'"Verdict ([A-P]+)', asked)
        if mark is None:
            return f"Answer: {place}"
        known = {"best": "7", "judge_vote": "A", "verify": "Yes"}[strategy.partition(":")[0]]
        return f"Verdict {mark[1]}: {known}" if "sum 3" in asked else "I like it."

    result = await run(tmp_path, [sums], ScriptedEngine(write, model=MODEL), strategies=(strategy,))
    (note,) = [note for note in result.notes if note.startswith("judge: ")]
    unread, total = (int(number) for number in re.findall(r"[0-9]+", note))
    assert unread * 8 == total * 7  # of eight problems one had verdicts
    assert note.endswith("what they were about was taken as unknown.")
    again = await run(tmp_path, [sums], ScriptedEngine(write, model=MODEL), strategies=(strategy,))
    assert note in again.notes


async def test_a_judge_that_can_be_read_is_no_note(tmp_path: Path, sums: ProblemSet) -> None:
    result = await run(tmp_path, [sums], an_engine(), strategies=("vote",))
    assert not any("could not be read" in note for note in result.notes)


# ---------------------------------------------------------------- calls that broke with some samples


class Deaf:
    """A recorder that keeps nothing."""

    def finished(self, *_: object) -> dict[int, Sample]:
        return {}

    def spent(self, *_: object) -> tuple[Spent, ...]:
        return ()

    async def record(self, *_: object) -> None:
        return None


async def test_a_strategy_pays_for_what_a_broken_call_brought() -> None:
    broken = Usage(1, 2, 7, None, None, None, None, 0.5, None)
    nothing = replace(broken, samples=0)
    request = Request(QUESTION.prompt, n=3)
    earlier = [Spent("live:s/solver/x", "solver", request, used, ok=False) for used in (broken, nothing)]
    apart = Apart(Deaf(), "s", lambda question: earlier)
    tries = [Attempt("failed", nothing, 0.0), Attempt("failed", broken, 0.0, 2)]
    await apart.record(QUESTION, "solver/x", "solver", request, tries, ())
    cost = apart.cost(QUESTION)
    assert (cost.calls, cost.samples, cost.prompt_tokens, cost.completion_tokens) == (2, 4, 14, None)


@pytest.mark.parametrize(
    ("status", "samples", "failed"),
    [("failed", 0, True), ("ok", 0, True), ("failed", 2, False), ("ok", 2, False), ("cancelled", 0, False)],
)
def test_a_call_that_brought_some_samples_has_not_failed_for_good(
    status: str, samples: int, failed: bool
) -> None:
    unknown = (None,) * 7
    row = CallRow(1, "r", "p", "s", "solver", None, status, 1, 3, samples, *unknown, 0.5, 0.0, None, {}, "")
    assert failed_before([row]) == ({"p"} if failed else set())


def test_the_prompt_is_known_of_a_call_that_broke_too() -> None:
    unknown = (None,) * 6
    row = CallRow(1, "r", "p", "s", "solver", None, "ok", 1, 3, 3, 7, *unknown, 0.5, 0.0, None, {}, "")
    broken = replace(row, status="failed", samples=2)
    useless = [replace(broken, prompt_tokens=None), replace(broken, samples=0), replace(row, samples=0)]
    assert readings([row, broken, *useless]) == {("p", "s"): [row, broken]}
    assert readings([replace(row, prompt_tokens=None)]), "an answer that does not tell makes it unknown"
