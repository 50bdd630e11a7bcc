"""Strategies as curves: by a closed form, by replay over a bank, or by what was run live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponder.core import Question, Scorer
from ponder.measure import estimators
from ponder.measure.bank import Bank
from ponder.measure.curve import Curve, Gain, Point
from ponder.measure.intervals import resample, resample_differences
from ponder.measure.replay import Spend, replay_bank
from ponder.solve.probe import Needs, probe
from ponder.strategies import Plan

__all__ = [
    "Evaluated",
    "Form",
    "Policy",
    "coverage_curve",
    "curve_of",
    "doubling",
    "evaluate",
    "gains",
    "label_of",
    "policy",
    "scorer_of",
]

Form = Literal["worked", "direct"]
Floats = NDArray[np.float64]
Exact = Callable[[Bank, Plan, Sequence[int]], Floats]


@dataclass(frozen=True, slots=True)
class Policy:
    """A strategy on a task. `form` is the question's prompt whose bank it is a function of; None for one that
    asks for more than whole samples of one prompt and so has to be run live."""

    plan: Plan
    form: Form | None
    needs: Needs

    @property
    def label(self) -> str:
        return label_of(self.plan)


def policy(plan: Plan, question: Question, scorers: Mapping[str, Scorer]) -> Policy:
    """How a strategy can be measured on questions like this one."""
    needs = probe(plan, question, scorers)
    forms: tuple[Form, ...] = ("worked", "direct")
    own = [form for form in forms if form in needs.forms]
    return Policy(plan, own[0] if needs.bank and len(own) == 1 else None, needs)


def _vote(bank: Bank, plan: Plan, ks: Sequence[int]) -> Floats:
    return estimators.vote(bank.choice, bank.correct, ks)


def _best(bank: Bank, plan: Plan, ks: Sequence[int]) -> Floats:
    return estimators.best(bank.scores[plan.parameter("by")], bank.correct, ks)


_EXACT: Mapping[str, Exact] = {"direct": _vote, "think": _vote, "vote": _vote, "best": _best}


def scorer_of(plan: Plan) -> str | None:
    """The scorer a strategy chooses by, if any."""
    by = plan.parameter("by")
    return str(by) if by is not None else None


def label_of(plan: Plan) -> str:
    """The one name of the strategy's curve and gain: what it is, whatever its scale."""
    by = scorer_of(plan)
    stated = {k: v for k, v in sorted(plan.parameters.items()) if k not in ("by", plan.scale)}
    shown = ", ".join(f"{k}={v}" for k, v in stated.items())
    return plan.name + ("" if by is None else f" by {by}") + (f" ({shown})" if shown else "")


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A strategy's curve on one task, and each problem's own accuracy at every k, [P, K]."""

    plan: Plan
    curve: Curve
    values: Floats


def doubling(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most`."""
    return tuple(sorted({1 << i for i in range(most.bit_length()) if 1 << i < most} | {most}))


def evaluate(task: str, plan: Plan, bank: Bank, rng: np.random.Generator) -> Evaluated:
    """Accuracy of a strategy on a bank at every k, with 90 % intervals from resampling problems."""
    unstated = plan.scale == "n" and "n" not in plan.parameters
    most = bank.choice.shape[1] if unstated else int(plan.parameter(plan.scale or "") or 1)
    exact = _EXACT.get(plan.name)
    if exact is None:
        ks = doubling(most)
        values, spend = replay_bank(bank, plan, ks, rng)
        return Evaluated(plan, curve_of(task, plan, ks, values, spend, rng), values)
    ks = estimators.default_ks(most)
    values = exact(bank, plan, ks)
    return Evaluated(plan, Curve(task, label_of(plan), _points(values, ks, bank, rng)), values)


def curve_of(
    task: str, plan: Plan, ks: Sequence[int], values: Floats, spend: Spend, rng: np.random.Generator
) -> Curve:
    """The curve of accuracies [P, K] with what was really spent at each k."""
    low, high = resample(values, rng=rng)

    def at(counts: Floats | None, i: int) -> float | None:
        return None if counts is None else float(counts[i])

    mean = values.mean(axis=0)
    return Curve(
        task,
        label_of(plan),
        tuple(
            Point(
                k,
                float(mean[i]),
                float(low[i]),
                float(high[i]),
                at(spend.tokens, i),
                at(spend.flop, i),
                at(spend.samples, i),
            )
            for i, k in enumerate(ks)
        ),
    )


def gains(evaluated: Sequence[Evaluated], rng: np.random.Generator) -> tuple[Gain, ...]:
    """What each growing curve's last k adds to its first, over all tasks that have it, by its label."""
    found = []
    for label in dict.fromkeys(e.curve.strategy for e in evaluated if len(e.curve.points) > 1):
        parts = [e.values[:, -1:] - e.values[:, :1] for e in evaluated if e.curve.strategy == label]
        strata = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        low, high = resample_differences(np.concatenate(parts), strata=strata, rng=rng)
        mean = float(np.mean([part.mean() for part in parts]))
        found.append(Gain(label, mean, float(low[0]), float(high[0])))
    return tuple(found)


def coverage_curve(task: str, bank: Bank, rng: np.random.Generator) -> Curve:
    """Coverage (pass@k): the share of problems with a correct sample among k. Needs the key: a bound."""
    ks = estimators.default_ks(bank.choice.shape[1])
    return Curve(task, "coverage", _points(estimators.coverage(bank.correct, ks), ks, bank, rng), oracle=True)


def _points(values: Floats, ks: Sequence[int], bank: Bank, rng: np.random.Generator) -> tuple[Point, ...]:
    low, high = resample(values, rng=rng)
    mean = values.mean(axis=0)
    return tuple(
        Point(
            k, float(mean[i]), float(low[i]), float(high[i]), bank.cost.tokens(k), bank.cost.flop(k), float(k)
        )
        for i, k in enumerate(ks)
    )
