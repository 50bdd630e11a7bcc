"""A measurement from end to end on a scripted engine with known probabilities."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from ponder.core import Budget, Message, Model, Output, Prompt, Question, Request, Sample, Shape, Usage
from ponder.engines.replay import ReplayEngine
from ponder.engines.scripted import ABLE, Faults, ScriptedEngine
from ponder.errors import CallFailed, CapabilityError, EndpointDown, InputError, RunChanged
from ponder.ledger import Ledger, verify
from ponder.measure import Measurement, Progress, Spec, finished, measure
from ponder.measure.grading import constant_guess
from ponder.measure.worst import known_speed, worst_case
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan
from ponder.tasks import ProblemSet, load
from ponder.verifiers import grader, scorer, scorer_names

MODEL = Model("scripted", "f", shape=Shape(2, 8, 4, 2, 2, 16, 10))
SCORERS = {name: scorer(name) for name in scorer_names()}


def problem_file(folder: Path, keys: Sequence[int], name: str = "sums.jsonl") -> str:
    lines = [json.dumps({"id": f"p{i}", "question": f"sum {i}", "answer": key}) for i, key in enumerate(keys)]
    path = folder / name
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


def weights(prompt: Prompt) -> dict[str, float]:
    """Problem i is answered with 7 at a probability of its own; direct prompts do worse."""
    text = prompt.messages[-1].content if prompt.messages else prompt.text or ""
    number = int("".join(c for c in text.split("sum ")[-1].split()[0] if c.isdigit()) or 0)
    right = (0.2 + 0.06 * (number % 10)) * (0.5 if "nothing else" in text else 1.0)
    return {"Answer: 7": right, "Answer: 8": 0.25, "Answer: 9": max(0.0, 0.75 - right)}


def an_engine(texts: Any = weights, **options: Any) -> ScriptedEngine:
    return ScriptedEngine.drawing(texts, model=MODEL, **options)


async def run(
    folder: Path, sets: Sequence[ProblemSet], engine: ScriptedEngine, **options: Any
) -> Measurement:
    name, judge = options.pop("run", None), options.pop("grade_by", None)
    watch, others = options.pop("watch", lambda progress: None), options.pop("others", {})
    spec = Spec(tuple(sets), **{"samples": 12, "limits": Limits(seed=5), **options})
    with Ledger.open(folder / "ledger.sqlite", write=True) as ledger:
        graders = grader if judge is None else lambda name: judge
        return await measure(
            spec, engine, ledger, others=others, scorers=SCORERS, graders=graders, run=name, watch=watch
        )


@pytest.fixture
def sums(tmp_path: Path) -> ProblemSet:
    return load(problem_file(tmp_path, [7] * 20), problems=20, seed=0)


def by_strategy(result: Measurement) -> dict[str, Any]:
    return {curve.strategy: curve for curve in result.tasks[0].curves}


async def test_a_measurement_has_every_curve_and_counts_everything(tmp_path: Path, sums: ProblemSet) -> None:
    engine = an_engine()
    result = await run(tmp_path, [sums], engine)
    curves = by_strategy(result)
    assert list(curves) == ["direct", "vote", "best by likelihood", "coverage"]
    assert [p.k for p in curves["vote"].points] == list(range(1, 13))
    assert [c.oracle for c in curves.values()] == [False, False, False, True]
    assert result.usage.samples == 20 * 12 * 2
    assert result.usage.completion_tokens == 20 * 12 * 2 * 3
    assert result.usage == result.new_usage
    assert result.usage.flop is not None
    assert result.flop_method == "shape"
    assert result.tasks[0].constant == 1.0
    assert verify(tmp_path / "ledger.sqlite").ok
    one, most = curves["vote"].points[0], curves["coverage"].points[-1]
    assert one.accuracy < most.accuracy
    assert all(p.low <= p.accuracy <= p.high for c in curves.values() for p in c.points)
    prompt = engine.prompt_tokens_bound(sums.problems[0].question.prompt)
    assert curves["vote"].points[3].tokens == pytest.approx(prompt + 4 * 3, abs=1)
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        assert finished(ledger, result.run) == result
        assert len(ledger.grades(result.run)) == 480


async def test_the_curves_are_what_the_strategies_score(tmp_path: Path, sums: ProblemSet) -> None:
    """vote@k and best@k by replaying the strategy itself over shuffled banks."""
    result = await run(tmp_path, [sums], an_engine())
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        stored = ledger.samples(result.run)
    banks: dict[str, list[Sample]] = {}
    for row in stored:
        if row.sample.logprobs is not None:  # the worked bank
            banks.setdefault(row.problem_id, []).append(row.sample)
    shuffle = Random(1)
    for name, label in (("vote", "vote"), ("best", "best by likelihood")):
        right = []
        for problem in sums.problems:
            for _ in range(40):
                bank = list(banks[problem.question.id])
                shuffle.shuffle(bank)
                solver = Solver(
                    {"solver": ReplayEngine(MODEL, {problem.question.prompt: bank})},
                    scorers=SCORERS,
                    limits=Limits(seed=shuffle.randrange(1000)),
                )
                solution = await solver.run(plan(name, n=5), problem.question, Meter(Budget()))
                right.append(solution.answer.choice == problem.key)
        point = by_strategy(result)[label].points[4]
        assert float(np.mean(right)) == pytest.approx(point.accuracy, abs=0.05)


KEYS: dict[str, list[Any]] = {
    "true": [7] * 6,
    "blank": ["-"] * 6,
    "other numbers": ["1", 2, "3.0", 4, 5, 6],
    "letters": ["A", "B", "C", "D", "E", "A"],
    "texts": ["Paris", "a long line of text", "3 June 1990", "7", "B", "nothing"],
}


async def test_with_the_keys_changed_all_samples_and_answers_stay_the_same(tmp_path: Path) -> None:
    """Texts of every kind: numbers, letters, words. Nothing but the grades may depend on the keys."""

    def mixed(prompt: Prompt) -> dict[str, float]:
        return {**weights(prompt), "The answer is (B).": 0.2, "So 7 it is.": 0.2, "Paris": 0.1}

    drawn, answers = {}, {}
    for name, keys in KEYS.items():
        folder = tmp_path / name
        folder.mkdir()
        problems = load(problem_file(folder, keys), problems=6, seed=0)
        result = await run(folder, [problems], an_engine(mixed))
        with Ledger.open(folder / "ledger.sqlite", write=False) as ledger:
            stored = [(row.problem_id, row.stream, row.sample) for row in ledger.samples(result.run)]
        drawn[name], answers[name] = stored, []
        for strategy in ("direct", "think", "vote", "best:by=likelihood"):
            for problem in problems.problems:
                asked = problem.question
                of_form = [
                    s for i, _, s in stored if i == asked.id and (strategy == "direct") != bool(s.logprobs)
                ]
                prompt = asked.direct if strategy == "direct" else asked.prompt
                solver = Solver({"solver": ReplayEngine(MODEL, {prompt: of_form})}, scorers=SCORERS)
                options = {} if strategy in ("direct", "think") else {"n": 12}
                solution = await solver.run(plan(strategy, **options), asked, Meter(Budget()))
                answers[name].append(solution.answer)
    assert {sample.choice for _, _, sample in drawn["true"]} == {"7", "8", "9", "B", "Paris"}
    for name in KEYS:
        assert drawn[name] == drawn["true"]
        assert answers[name] == answers["true"]


async def test_a_rerun_buys_nothing_and_says_the_same(tmp_path: Path, sums: ProblemSet) -> None:
    first = await run(tmp_path, [sums], an_engine())
    engine = an_engine()
    again = await run(tmp_path, [sums], engine)
    assert engine.calls == 0
    assert again.tasks == first.tasks
    assert again.usage == first.usage
    assert again.new_usage == Usage()
    assert again.tokens_per_second is None


async def test_another_strategy_on_the_same_bank_costs_nothing(tmp_path: Path, sums: ProblemSet) -> None:
    await run(tmp_path, [sums], an_engine(), strategies=("vote",), run="r")
    engine = an_engine()
    more = await run(tmp_path, [sums], engine, strategies=("think", "vote:n=4"), run="r")
    assert engine.calls == 0
    assert [p.k for p in by_strategy(more)["vote"].points] == [1, 2, 3, 4]


async def test_a_changed_configuration_under_the_same_name_is_refused(
    tmp_path: Path, sums: ProblemSet
) -> None:
    await run(tmp_path, [sums], an_engine(), run="mine")
    with pytest.raises(RunChanged, match="samples: 12 → 13") as caught:
        await run(tmp_path, [sums], an_engine(), run="mine", samples=13)
    assert "--run" in str(caught.value)
    other = await run(tmp_path, [sums], an_engine(), samples=13)
    assert other.run != "mine"


async def test_some_failed_problems_do_not_stop_the_others_and_a_rerun_completes(
    tmp_path: Path, sums: ProblemSet
) -> None:
    flaky = an_engine(faults=Faults(fail=lambda k: CallFailed("too hot") if k in (5, 9) else None))
    with pytest.raises(CallFailed, match=r"2 of 40 problems could not be sampled.*too hot.*again to retry"):
        await run(tmp_path, [sums], flaky)
    engine = an_engine()
    result = await run(tmp_path, [sums], engine)
    assert sum(r.n for r in engine.requests) == 24
    clean = tmp_path / "clean"
    clean.mkdir()
    undisturbed = await run(clean, [sums], an_engine())
    assert result.tasks == undisturbed.tasks
    assert (result.usage.calls, undisturbed.usage.calls) == (42, 40)


def refusing(*numbers: int, **options: Any) -> ScriptedEngine:
    """An engine that fails on these problems for good."""

    def texts(prompt: Prompt) -> dict[str, float]:
        if any(f"sum {number}\n" in prompt.messages[-1].content for number in numbers):
            raise CallFailed("it is too long")
        return weights(prompt)

    return an_engine(texts, **options)


async def test_problems_that_fail_in_two_starts_are_left_out(tmp_path: Path, sums: ProblemSet) -> None:
    with pytest.raises(CallFailed, match=r"4 of 40 problems.*too long.*fail again will be left out"):
        await run(tmp_path, [sums], refusing(3, 11))
    result = await run(tmp_path, [sums], refusing(3, 11))
    task = result.tasks[0]
    assert task.problems == 18
    assert any("2 of 20 problems of sums are left out" in n and "too long" in n for n in result.notes)
    clean = tmp_path / "clean"
    clean.mkdir()
    others = tuple(p for p in sums.problems if p.question.id not in ("sums/p3", "sums/p11"))
    undisturbed = await run(clean, [replace(sums, problems=others)], an_engine())
    assert task == undisturbed.tasks[0]
    healed = await run(tmp_path, [sums], an_engine())
    assert healed.tasks[0].problems == 20
    assert not any("left out" in note for note in healed.notes)


async def test_a_problem_that_fails_for_the_first_time_has_a_second_chance(
    tmp_path: Path, sums: ProblemSet
) -> None:
    down = Faults(fail=lambda k: EndpointDown("gone") if k == 12 else None)
    with pytest.raises(EndpointDown):
        await run(tmp_path, [sums], refusing(3, faults=down))
    # 3 failed before, 19 did not (its worked bank, at least, was not begun)
    with pytest.raises(CallFailed, match=r"could not be sampled.*retry them"):
        await run(tmp_path, [sums], refusing(3, 19))
    assert (await run(tmp_path, [sums], refusing(3, 19))).tasks[0].problems == 18


async def test_a_task_of_which_nothing_can_be_had_is_an_error(tmp_path: Path, sums: ProblemSet) -> None:
    for _ in range(3):
        with pytest.raises(CallFailed, match="too long"):
            await run(tmp_path, [sums], refusing(*range(20)))


async def test_a_dead_endpoint_stops_at_once(tmp_path: Path, sums: ProblemSet) -> None:
    engine = an_engine(faults=Faults(fail=lambda k: EndpointDown("nothing answers")))
    with pytest.raises(EndpointDown, match="nothing answers"):
        await run(tmp_path, [sums], engine)
    assert engine.calls < 40


async def test_a_cancelled_measurement_keeps_what_is_finished(tmp_path: Path, sums: ProblemSet) -> None:
    engine = an_engine(faults=Faults(seconds=0.05), capabilities=replace(ABLE, parallel=24))
    begun = asyncio.Event()
    task = asyncio.create_task(run(tmp_path, [sums], engine, watch=lambda progress: begun.set()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        (summary,) = ledger.runs()
        assert not summary.finished
        kept = summary.samples
        assert ledger.events(summary.id)[-1].kind == "interrupted"
        with pytest.raises(InputError, match="not finished"):
            finished(ledger, summary.id)
    assert 0 < kept < 480
    engine = an_engine()
    await run(tmp_path, [sums], engine)
    assert sum(r.n for r in engine.requests) == 480 - kept


async def test_progress_counts_samples_and_tokens(tmp_path: Path, sums: ProblemSet) -> None:
    seen: list[Progress] = []
    await run(tmp_path, [sums], an_engine(), watch=seen.append)
    assert [(p.done, p.tokens) for p in seen] == [(12 * i, 36 * i) for i in range(1, 41)]


async def test_unknown_tokens_stay_unknown(tmp_path: Path, sums: ProblemSet) -> None:
    def untold(usage: Usage) -> Usage:
        return replace(usage, prompt_tokens=None, completion_tokens=None)

    seen: list[Progress] = []
    result = await run(
        tmp_path, [sums], an_engine(faults=Faults(report=untold, unmetered=True)), watch=seen.append
    )
    assert {progress.tokens for progress in seen} == {None}
    assert result.usage.tokens is None
    assert result.usage.flop is None
    assert {p.tokens for c in result.tasks[0].curves for p in c.points} == {None}
    assert any("unknown" in note for note in result.notes)


async def test_likelihood_without_logprobs(tmp_path: Path, sums: ProblemSet) -> None:
    able = replace(ABLE, logprobs=False)
    with pytest.raises(CapabilityError, match="use vote"):
        await run(tmp_path, [sums], an_engine(capabilities=able), strategies=("best:by=likelihood",))
    result = await run(tmp_path, [sums], an_engine(capabilities=able))
    assert list(by_strategy(result)) == ["direct", "vote", "coverage"]


async def test_promised_logprobs_that_do_not_come_leave_the_curve_out(
    tmp_path: Path, sums: ProblemSet
) -> None:
    def write(request: Request, position: int) -> Output:
        return Output(f"Answer: {7 + position % 2}", tokens=3)

    result = await run(tmp_path, [sums], ScriptedEngine(write, model=MODEL))
    assert list(by_strategy(result)) == ["direct", "vote", "coverage"]
    assert "best by likelihood is left out: the server tells no log-probabilities." in result.notes


class Spy:
    """The exact grader, with what it was asked, and a say in what it answers."""

    name = "numeric"

    def __init__(self, say: Callable[[str], bool | None] = lambda choice: choice == "7") -> None:
        self.say = say
        self.asked: list[tuple[str, str]] = []

    def grade(
        self, question: Question, key: str, choice: str, handle: Mapping[str, Any] = MappingProxyType({})
    ) -> bool | None:
        self.asked.append((question.id, choice))
        return self.say(choice)


async def test_a_recorded_grade_stands_and_is_not_given_again(
    tmp_path: Path, sums: ProblemSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await run(tmp_path, [sums], an_engine(), grade_by=Spy())
    contrary = Spy(lambda choice: False)
    monkeypatch.setattr("ponder.measure.grading.constant_guess", lambda problems, grader, stop: (1.0, "7"))
    again = await run(tmp_path, [sums], an_engine(), grade_by=contrary)
    assert contrary.asked == []
    assert again.tasks == first.tasks


async def test_a_grade_that_could_not_be_told_is_wrong_for_now_and_tried_again(
    tmp_path: Path, sums: ProblemSet
) -> None:
    unsure = Spy(lambda choice: None if choice == "7" else False)
    first = await run(tmp_path, [sums], an_engine(), grade_by=unsure)
    assert by_strategy(first)["coverage"].points[-1].accuracy == 0
    assert any("count as wrong for now" in note for note in first.notes)
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        assert not any(row.correct for row in ledger.grades(first.run))
        assert 0 < len(ledger.grades(first.run)) < 480
    second = await run(tmp_path, [sums], an_engine())
    assert by_strategy(second)["coverage"].points[-1].accuracy > 0.9
    assert not any("for now" in note for note in second.notes)


async def test_an_interrupt_does_not_wait_for_all_grading(tmp_path: Path, sums: ProblemSet) -> None:
    begun = threading.Event()

    def slow(choice: str) -> bool:
        begun.set()
        time.sleep(0.1)
        return choice == "7"

    spy = Spy(slow)
    task = asyncio.create_task(run(tmp_path, [sums], an_engine(), grade_by=spy))
    await asyncio.to_thread(begun.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    asked = len(spy.asked)
    assert asked < 10  # of some 120
    await asyncio.sleep(0.3)
    assert len(spy.asked) == asked
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        (summary,) = ledger.runs()
        assert ledger.events(summary.id)[-1].kind == "interrupted"


def test_the_constant_guess_is_bounded_on_a_large_set(tmp_path: Path) -> None:
    problems = load(problem_file(tmp_path, [7, 7, *range(100, 398)]), problems=300, seed=0).problems
    spy = Spy()
    assert constant_guess(problems, spy, threading.Event()) == (1.0, "7")
    assert len(spy.asked) == 300 * (4096 // 300)


async def test_countdown_is_chosen_by_its_checks(tmp_path: Path) -> None:
    countdown = load("countdown", problems=4, seed=1)
    keys = {p.question.prompt: p.key for p in countdown.problems}

    def solves(prompt: Prompt) -> dict[str, float]:
        return {f"The answer is {keys.get(prompt, '1 + 1')}.": 0.3, "The answer is 1 + 1.": 0.7}

    result = await run(tmp_path, [countdown], ScriptedEngine.drawing(solves, model=MODEL))
    curves = by_strategy(result)
    best, bound = curves["best by checks"].points, curves["coverage"].points
    # the check is exact: choosing by it reaches the oracle's bound without the key
    assert [p.accuracy for p in best] == pytest.approx([p.accuracy for p in bound])
    assert best[-1].accuracy > 0.9


async def test_bad_input_is_named(tmp_path: Path, sums: ProblemSet) -> None:
    with pytest.raises(InputError, match="samples"):
        Spec((sums,), samples=0)
    with pytest.raises(InputError, match="twice"):
        Spec((sums, sums))
    with pytest.raises(InputError, match="--task"):
        Spec(())
    with pytest.raises(InputError, match="nothing that checks can score"):
        await run(tmp_path, [sums], an_engine(), strategies=("best:by=checks",))
    with pytest.raises(InputError, match="no scorer 'luck'"):
        await run(tmp_path, [sums], an_engine(), strategies=("best:by=luck",))


async def test_the_worst_case_bounds_what_is_spent(tmp_path: Path, sums: ProblemSet) -> None:
    engine = an_engine()
    spec = Spec((sums,), samples=12, limits=Limits(seed=5))
    worst = await worst_case(spec, engine, SCORERS, tokens_per_second=None)
    assert engine.calls == 0
    assert worst.seconds is None
    result = await run(tmp_path, [sums], engine)
    assert result.usage.flop is not None
    assert worst.flop is not None
    assert worst.samples == result.usage.samples
    assert worst.prompt_tokens == result.usage.prompt_tokens
    assert worst.generated_tokens >= (result.usage.completion_tokens or 0)
    assert worst.flop >= result.usage.flop
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        assert known_speed(ledger, "scripted") == result.tokens_per_second
        assert known_speed(ledger, "another") is None


def test_messages_are_used_where_there_is_no_raw_text() -> None:
    assert weights(Prompt((Message("user", "sum 3"),)))["Answer: 7"] == pytest.approx(0.38)
