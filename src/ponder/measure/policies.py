"""Strategies that are functions of a bank, evaluated at every k without a further model call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError
from ponder.measure import estimators
from ponder.measure.bank import Bank
from ponder.measure.curve import Curve, Gain, Point
from ponder.measure.intervals import resample
from ponder.strategies import Plan

__all__ = [
    "Evaluated",
    "Form",
    "coverage_curve",
    "evaluate",
    "form_of",
    "gains",
    "label_of",
    "require_replayable",
    "scorer_of",
]

Form = Literal["worked", "direct"]
Floats = NDArray[np.float64]
Evaluate = Callable[[Bank, Plan, Sequence[int]], Floats]


@dataclass(frozen=True, slots=True)
class _Policy:
    form: Form
    grows: bool
    evaluate: Evaluate


def _single(bank: Bank, plan: Plan, ks: Sequence[int]) -> Floats:
    return estimators.vote(bank.choice, bank.correct, ks)


def _vote(bank: Bank, plan: Plan, ks: Sequence[int]) -> Floats:
    return estimators.vote(bank.choice, bank.correct, ks)


def _best(bank: Bank, plan: Plan, ks: Sequence[int]) -> Floats:
    return estimators.best(bank.scores[plan.parameters["by"]], bank.correct, ks)


_POLICIES: Mapping[str, _Policy] = {
    "direct": _Policy("direct", False, _single),
    "think": _Policy("worked", False, _single),
    "vote": _Policy("worked", True, _vote),
    "best": _Policy("worked", True, _best),
}


def require_replayable(plan: Plan) -> None:
    """Raise InputError for a strategy that cannot be evaluated on a bank."""
    if plan.name not in _POLICIES:
        raise InputError(
            f"strategy: {plan.name} depends on its own path and cannot be replayed on a bank; "
            f"measure takes {', '.join(sorted(_POLICIES))}."
        )


def form_of(plan: Plan) -> Form:
    """Which of a question's prompts the strategy draws from."""
    return _POLICIES[plan.name].form


def scorer_of(plan: Plan) -> str | None:
    """The scorer a strategy chooses by, if any."""
    by = plan.parameters.get("by")
    return str(by) if by is not None else None


def label_of(plan: Plan) -> str:
    """The one name of the strategy's curve and gain: what it is, whatever its n."""
    by = scorer_of(plan)
    return plan.name if by is None else f"{plan.name} by {by}"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A strategy's curve on one task, and each problem's own accuracy at every k, [P, K]."""

    plan: Plan
    curve: Curve
    values: Floats


def evaluate(task: str, plan: Plan, bank: Bank, rng: np.random.Generator) -> Evaluated:
    """Accuracy of a strategy on a bank at every k, with 90 % intervals from resampling problems."""
    policy = _POLICIES[plan.name]
    most = int(plan.parameters.get("n", bank.choice.shape[1]))
    ks = estimators.default_ks(most) if policy.grows else (1,)
    values = policy.evaluate(bank, plan, ks)
    return Evaluated(plan, Curve(task, label_of(plan), _points(values, ks, bank, rng)), values)


def gains(evaluated: Sequence[Evaluated], rng: np.random.Generator) -> tuple[Gain, ...]:
    """What each growing curve's last k adds to its first, over all tasks that have it, by its label."""
    found = []
    for label in dict.fromkeys(e.curve.strategy for e in evaluated if len(e.curve.points) > 1):
        parts = [e.values[:, -1:] - e.values[:, :1] for e in evaluated if e.curve.strategy == label]
        strata = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        # A difference lies in [-1, 1]; the interval is made for values in [0, 1].
        low, high = resample((np.concatenate(parts) + 1) / 2, strata=strata, rng=rng)
        mean = float(np.mean([part.mean() for part in parts]))
        found.append(Gain(label, mean, float(2 * low[0] - 1), float(2 * high[0] - 1)))
    return tuple(found)


def coverage_curve(task: str, bank: Bank, rng: np.random.Generator) -> Curve:
    """Coverage (pass@k): the share of problems with a correct sample among k. Needs the key: a bound."""
    ks = estimators.default_ks(bank.choice.shape[1])
    return Curve(task, "coverage", _points(estimators.coverage(bank.correct, ks), ks, bank, rng), oracle=True)


def _points(values: Floats, ks: Sequence[int], bank: Bank, rng: np.random.Generator) -> tuple[Point, ...]:
    low, high = resample(values, rng=rng)
    mean = values.mean(axis=0)
    return tuple(
        Point(k, float(mean[i]), float(low[i]), float(high[i]), bank.cost.tokens(k), bank.cost.flop(k))
        for i, k in enumerate(ks)
    )
