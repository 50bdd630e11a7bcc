"""What came of a campaign, in numbers: accuracy and true tokens of every system, paired over problems.

Intervals are of level 0.9, from resampling problems within their tasks (a Bayesian bootstrap, Rubin 1981,
doi 10.1214/aos/1176345338); what two systems did with the same problem is resampled together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from benchmarks.peers.bank import HELD_OUT, Banked
from benchmarks.peers.outcomes import Outcome
from benchmarks.peers.systems import BASELINE, System
from numpy.typing import NDArray

__all__ = [
    "COUNTS",
    "GROUPS",
    "MARGIN",
    "Column",
    "Resampled",
    "columns",
    "oracle",
    "reach",
    "stated",
    "to_match",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEVEL = 0.9
DRAWS = 4000
MARGIN = 0.01
_EDGE = 0.5  # the weight, in problems, of one that a system alone gets right and one that it alone does not

# What is counted as a token. "generated": completion tokens alone. "billed": and each request's prompt.
# "cached": and each request's prompt, but for what a prefix cache has kept of the same problem.
COUNTS = ("generated", "billed", "cached")
GROUPS = ("all", "tuned", "held out")


@dataclass(frozen=True, slots=True)
class Column:
    """One system on all problems [P], each a mean over the repeats. `tokens` by count."""

    system: System
    correct: Floats
    tokens: Mapping[str, Floats]
    samples: Floats
    failed: int


def members(problems: Sequence[Banked], group: str) -> NDArray[np.bool_]:
    """Which problems are of a group [P]."""
    held = np.array([p.question.task.partition(":")[0] in HELD_OUT for p in problems], dtype=np.bool_)
    return {"all": np.ones_like(held), "tuned": ~held, "held out": held}[group]


def columns(
    outcomes: Iterable[Outcome],
    systems: Sequence[System],
    problems: Sequence[Banked],
    right: Callable[[Banked, str | None], bool],
    stage: str,
) -> dict[str, Column]:
    """The systems that have an outcome of every problem, by name. `right` grades a returned text."""
    by_system: dict[str, dict[str, list[Outcome]]] = defaultdict(lambda: defaultdict(list))
    for outcome in outcomes:
        if outcome.stage == stage:
            by_system[outcome.system][outcome.problem].append(outcome)
    found = {}
    for system in systems:
        rows = by_system[system.name]
        if all(banked.question.id in rows for banked in problems):
            found[system.name] = _column(system, rows, problems, right)
    return found


def _column(
    system: System,
    rows: Mapping[str, Sequence[Outcome]],
    problems: Sequence[Banked],
    right: Callable[[Banked, str | None], bool],
) -> Column:
    own = [rows[banked.question.id] for banked in problems]
    # What was asked beside the problems is shared among all that were run.
    run = sum(len(each) for problem, each in rows.items() if problem)
    beside = {count: sum(_tokens(o.true, count) for o in rows.get("", ())) / run for count in COUNTS}
    return Column(
        system,
        np.array([np.mean([right(b, o.text) for o in each]) for b, each in zip(problems, own, strict=True)]),
        {
            count: np.array([np.mean([_tokens(o.true, count) for o in each]) for each in own]) + beside[count]
            for count in COUNTS
        },
        np.array([np.mean([o.true["samples"] for o in each]) for each in own]),
        sum(o.error is not None for each in own for o in each),
    )


def _tokens(true: Mapping[str, float], count: str) -> float:
    prompt = {
        "generated": 0.0,
        "billed": true["prompt_tokens"],
        "cached": true["prompt_tokens"] - true["prompt_tokens_cached"],
    }
    return true["completion_tokens"] + prompt[count]


# ---------------------------------------------------------------- intervals


class Resampled:
    """Weights of problems [draws, P], the same for everything that is compared."""

    def __init__(self, strata: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> None:
        labels = np.array(strata)
        rng = np.random.default_rng(seed)
        self._weights = np.zeros((draws, labels.size))
        for label in np.unique(labels):
            inside = labels == label
            drawn = rng.standard_gamma(1.0, size=(draws, int(inside.sum())))
            share = inside.sum() / labels.size
            self._weights[:, inside] = drawn / drawn.sum(axis=1, keepdims=True) * share
        edge = rng.dirichlet([_EDGE, _EDGE, labels.size], size=draws)
        self._edge = edge[:, 1] - edge[:, 0]
        self._rest = edge[:, 2]

    @property
    def draws(self) -> int:
        return self._rest.size

    def means(self, values: Floats) -> Floats:
        """The mean of `values` [P], then that of each resampling [1 + draws]."""
        return np.concatenate(([values.mean()], self._weights @ values))

    def differences(self, one: Floats, other: Floats) -> Floats:
        """The difference of two mean accuracies on the same problems, then that of each resampling
        [1 + draws]: never all the same, for the next problem may be the first on which they differ."""
        means = self.means(one - other)
        means[1:] = self._rest * means[1:] + self._edge
        return means

    def mean(self, values: Floats) -> tuple[float, float, float]:
        """The mean of `values` [P] with its interval."""
        means = self.means(values)
        return _interval(float(means[0]), means[1:])

    def difference(self, one: Floats, other: Floats) -> tuple[float, float, float]:
        """The difference of two mean accuracies on the same problems, with its interval."""
        means = self.differences(one, other)
        return _interval(float(means[0]), means[1:])

    def ratio(self, one: Floats, other: Floats) -> tuple[float, float, float]:
        """The ratio of two means on the same problems, with its interval."""
        return _interval(float(one.mean() / other.mean()), (self._weights @ one) / (self._weights @ other))


def _interval(value: float, drawn: Floats) -> tuple[float, float, float]:
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(drawn, [tail, 1.0 - tail])
    return value, min(value, float(low)), max(value, float(high))


# ---------------------------------------------------------------- what was asked


def reach(
    by_name: Mapping[str, Column], count: str, inside: NDArray[np.bool_], resampled: Resampled
) -> dict[str, dict[str, Any]]:
    """For each family its cheapest setting that is not worse than the baseline by more than the margin.

    "surely": the whole paired interval of the difference lies above -MARGIN; "nearly": the difference
    itself does. None where no setting is.
    """
    base = by_name[BASELINE]
    found: dict[str, dict[str, Any]] = {}
    for family in dict.fromkeys(column.system.family for column in by_name.values()):
        own = [column for column in by_name.values() if column.system.family == family]
        own.sort(key=lambda column: float(column.tokens[count][inside].mean()))
        found[family] = {"surely": None, "nearly": None}
        for column in reversed(own):
            told = _reached(column, base, count, inside, resampled)
            if told["difference"][0] >= -MARGIN:
                found[family]["nearly"] = told
            if column is base or told["difference"][1] >= -MARGIN:
                found[family]["surely"] = told
    return found


def _reached(
    column: Column, base: Column, count: str, inside: NDArray[np.bool_], resampled: Resampled
) -> dict[str, Any]:
    return {
        "system": column.system.name,
        "adaptive": column.system.adaptive,
        "ours": column.system.ours,
        "tokens": float(column.tokens[count][inside].mean()),
        "difference": resampled.difference(column.correct[inside], base.correct[inside]),
        "of_baseline": resampled.ratio(column.tokens[count][inside], base.tokens[count][inside]),
    }


def to_match(
    by_name: Mapping[str, Column], count: str, inside: NDArray[np.bool_], resampled: Resampled
) -> dict[str, dict[str, Any]]:
    """The tokens of the cheapest of our settings that is not worse than the baseline by more than the margin,
    over the baseline's, and over those of the cheapest such setting of an adaptive peer.

    Settings are chosen anew in every resampling of the problems, which widens the intervals by the luck of
    the choice; they are judged on the problems they are chosen on, which favours whoever has more.
    "reached": the share of the resamplings in which there are such settings, over which the interval is; the
    ratio is None where there are none on the problems themselves.
    """
    base = by_name[BASELINE]
    spent = resampled.means(base.tokens[count][inside])
    ours, peers = (
        _cheapest(settings, base, count, inside, resampled)
        for settings in (
            [column for column in by_name.values() if column.system.ours],
            [column for column in by_name.values() if column.system.adaptive and not column.system.ours],
        )
    )
    return {
        "ours over vote@64": _ratio(ours, spent),
        "best adaptive peer over vote@64": _ratio(peers, spent),
        "ours over best adaptive peer": _ratio(ours, peers),
    }


def _cheapest(
    settings: Sequence[Column], base: Column, count: str, inside: NDArray[np.bool_], resampled: Resampled
) -> Floats:
    """The least mean tokens of a setting within the margin, on the problems and in each resampling
    [1 + draws]; infinite where none is."""
    least = np.full(1 + resampled.draws, np.inf)
    for column in settings:
        differences = resampled.differences(column.correct[inside], base.correct[inside])
        worse = (differences < -MARGIN) & (column is not base)
        tokens = resampled.means(column.tokens[count][inside])
        least = np.minimum(least, np.where(worse, np.inf, tokens))
    return least


def _ratio(one: Floats, other: Floats) -> dict[str, Any]:
    both = np.isfinite(one) & np.isfinite(other)
    drawn = one[1:][both[1:]] / other[1:][both[1:]]
    return {
        "ratio": _interval(float(one[0] / other[0]), drawn) if both[0] and drawn.size else None,
        "reached": float(both[1:].mean()),
    }


def oracle(
    problems: Sequence[Banked], answers: Sequence[str | None], correct: Floats, keys: Sequence[set[str]]
) -> dict[str, dict[str, float]]:
    """Lower bounds of the mean tokens a problem for any rule that draws these samples in this order, stops
    somewhere, and answers by the plurality of what it has.

    "same answers": it ends with `answers`, those of the vote of all samples, on every problem, and knows
    them beforehand: it stops at the first prefix in which that answer leads or ties, after one sample
    where that vote abstained. "same accuracy": it knows the keys (`keys`, the right choices among each
    problem's samples) and needs only as many right answers as the vote of all (`correct`), less the margin:
    it goes on past the first sample on the problems where that is cheapest. "billed" and "cached" have one
    reading of the prompt a problem, as if a rule knew beforehand how many samples to ask for.
    """
    same: list[int] = []
    first: list[int] = []
    further: list[int] = []
    right_at_once = 0
    for banked, answer, key in zip(problems, answers, keys, strict=True):
        spent = np.cumsum([sample.tokens or 0 for sample in banked.samples])
        leads = list(_leaders(banked))
        same.append(int(spent[next((i for i, led in enumerate(leads) if answer in led), 0)]))
        first.append(int(spent[0]))
        at = next((i for i, led in enumerate(leads) if key & led), None)
        if at == 0:
            right_at_once += 1
        elif at is not None:
            further.append(int(spent[at] - spent[0]))
    needed = max(0, ceil(float(correct.sum()) - MARGIN * len(problems)) - right_at_once)
    prompt = float(np.mean([banked.prompt_tokens for banked in problems]))
    bounds = {
        "same answers": float(np.mean(same)),
        "same accuracy": float((sum(first) + sum(sorted(further)[:needed])) / len(problems)),
    }
    return {
        name: {"generated": mean, "billed": mean + prompt, "cached": mean + prompt}
        for name, mean in bounds.items()
    }


def _leaders(banked: Banked) -> Iterable[set[str]]:
    """The choices that lead or tie after each sample."""
    votes: Counter[str] = Counter()
    for sample in banked.samples:
        if sample.choice is not None:
            votes[sample.choice] += 1
        most = max(votes.values(), default=0)
        yield {choice for choice, n in votes.items() if n == most}


def stated(outcomes: Iterable[Outcome], stage: str) -> dict[str, dict[str, float | int | None]]:
    """For each system the tokens it reports and the true ones, over the problems on which it did not fail."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    silent: set[str] = set()
    for outcome in outcomes:
        if outcome.stage != stage or outcome.error is not None:
            continue
        own = sums[outcome.system]
        own["true"] += outcome.true["completion_tokens"]
        own["requests"] += outcome.true["requests"]
        if outcome.problem and outcome.reported.get("completion_tokens") is None:
            silent.add(outcome.system)
        own["reported"] += outcome.reported.get("completion_tokens") or 0
    return {
        name: {
            "requests": own["requests"],
            "true": own["true"],
            "reported": None if name in silent else own["reported"],
            "true_over_reported": None
            if name in silent or not own["reported"]
            else own["true"] / own["reported"],
        }
        for name, own in sums.items()
    }
