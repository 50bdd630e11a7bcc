"""Which curves a measurement has, what they are named, and what each adds."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.core import Capabilities, Prompt, Question
from ponder.errors import InputError
from ponder.measure.bank import Bank, Cost
from ponder.measure.policies import evaluate, gains
from ponder.measure.spec import Spec, check_run_name, plans_for, run_name
from ponder.strategies import plan
from ponder.tasks import Problem, ProblemSet, load
from ponder.verifiers import scorer

ABLE = Capabilities(logprobs=True)
SCORERS = {name: scorer(name) for name in ("checks", "likelihood")}
SUMS = ProblemSet(
    "sums", "Sums", (Problem(Question("p", "1 + 1", Prompt(()), Prompt(())), "2"),), "exact", ""
)


def bank(seed: int, problems: int = 12, samples: int = 8) -> Bank:
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, 3, (problems, samples))
    scores = {name: rng.normal(size=choice.shape) for name in ("checks", "likelihood")}
    return Bank((), (), choice, choice == 0, scores, Cost(10.0, 5.0, None, None, samples))


@pytest.mark.parametrize(
    ("strategies", "said"),
    [
        (("vote:n=2", "vote:n=8"), "differ only in n, and a curve covers every number of samples"),
        (("vote", "vote:n=8"), "differ only in n"),
        (("best:by=checks,n=2", "best:by=checks"), "differ only in n"),
        (("vote:n=64",), "vote:n=64 needs 64 samples a problem, more than the 8 that are drawn"),
        ((), "give at least one"),
    ],
)
def test_a_plan_that_another_covers_or_the_samples_do_not_is_refused(strategies, said):
    with pytest.raises(InputError, match=said):
        plans_for(Spec((SUMS,), strategies=strategies, samples=8), SCORERS, ABLE)


def test_the_same_plan_twice_is_one_plan():
    spec = Spec((SUMS,), strategies=("vote:n=8", "vote:n=8", "best:by=likelihood"), samples=8)
    (task,) = plans_for(spec, SCORERS, ABLE)
    assert [p.label for p in task.policies] == ["vote", "best by likelihood"]


def test_what_an_unstated_scorer_comes_to_is_compared_too():
    spec = Spec((SUMS,), strategies=("best", "best:by=likelihood"), samples=8)
    (task,) = plans_for(spec, SCORERS, ABLE)
    assert [p.label for p in task.policies] == ["best by likelihood"]
    with pytest.raises(InputError, match="differ only in n"):
        plans_for(Spec((SUMS,), ("best", "best:by=likelihood,n=4"), 8), SCORERS, ABLE)
    countdown = load("countdown", problems=1, seed=0)
    (task,) = plans_for(Spec((countdown,), ("best", "best:by=likelihood"), 8), SCORERS, ABLE)
    assert [p.label for p in task.policies] == ["best by checks", "best by likelihood"]


@pytest.mark.parametrize(
    ("strategies", "forms", "coverage"),
    [
        (("direct",), ("direct",), "direct"),
        (("think",), ("worked",), "worked"),
        (("direct", "vote"), ("direct", "worked"), "worked"),
    ],
)
def test_only_the_banks_that_a_plan_needs_are_bought(strategies, forms, coverage):
    (task,) = plans_for(Spec((SUMS,), strategies, 8), SCORERS, ABLE)
    assert task.forms == forms
    assert task.coverage_form == coverage


def test_gains_stand_under_their_curves_label_and_keep_scorers_apart():
    rng = np.random.default_rng(0)
    banks = {"a": bank(1), "b": bank(2)}
    evaluated = [
        evaluate(task, plan(text), banks[task], rng)
        for task, text in (
            ("a", "direct"),
            ("a", "vote"),
            ("a", "best:by=likelihood"),
            ("b", "vote"),
            ("b", "best:by=checks"),
        )
    ]
    found = {gain.strategy: gain for gain in gains(evaluated, rng)}
    assert list(found) == ["vote", "best by likelihood", "best by checks"]
    assert set(found) <= {each.curve.strategy for each in evaluated}
    for label, tasks in (("vote", 2), ("best by likelihood", 1), ("best by checks", 1)):
        own = [e.curve.points for e in evaluated if e.curve.strategy == label]
        assert len(own) == tasks
        expected = np.mean([points[-1].accuracy - points[0].accuracy for points in own])
        assert found[label].difference == pytest.approx(expected)
        assert found[label].low <= found[label].difference <= found[label].high


def test_a_curve_ends_at_its_own_n():
    curve = evaluate("a", plan("vote:n=3"), bank(1), np.random.default_rng(0)).curve
    assert [point.k for point in curve.points] == [1, 2, 3]


@pytest.mark.parametrize("name", ["a", "demo-7f3a", "7.x_Y-", "x" * 80])
def test_a_plain_run_name_is_itself(name):
    assert check_run_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../evil", "a/b", "-x", "_x", "a b", "é", "a\n", "x" * 81, "[/x]", "a\x00"]
)
def test_a_name_that_is_no_folder_is_refused(name):
    with pytest.raises(InputError, match="run: "):
        check_run_name(name)


@pytest.mark.parametrize("model", ["smollm2", "../../x", "---", "模型", "org/model:8b", "x" * 100])
def test_a_run_that_is_given_no_name_gets_a_plain_one(model):
    assert check_run_name(run_name({"model": model}))
