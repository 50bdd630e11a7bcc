"""Compute laws of the strategies measured on one task, and the envelope of them: where each leads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ponder.errors import LawUndefined, UnknownName
from ponder.laws.compute import Ahead, ComputeSigmoid, Envelope, envelope, forecast_ahead
from ponder.laws.data import Scores, Unit
from ponder.laws.fit import Fit, fit, require_problems, stated
from ponder.laws.grid import Strategy
from ponder.laws.ladder import grid_of
from ponder.measure.curve import Curve, Measurement
from ponder.train.recorded import Recorded

__all__ = [
    "SpendingStudy",
    "StrategyLaw",
    "Way",
    "by_task",
    "study_spending",
    "ways_of_recording",
    "ways_of_run",
]

_RECORDED: tuple[tuple[Strategy, str], ...] = (("vote", "vote"), ("pass", "coverage"), ("chain", "one chain"))

_HELD_BACK = 0.25  # of the decades of compute


@dataclass(frozen=True)
class Way:
    """One way to spend inference compute on a task. `problems` names those that were asked, where they are
    told; `oracle` marks a bound that needs the key. `undefined` says why there are no `scores`."""

    task: str
    name: str
    scores: Scores | None
    problems: tuple[str, ...] | None
    oracle: bool = False
    undefined: str = ""


@dataclass(frozen=True)
class StrategyLaw:
    """One strategy's sigmoid of log compute, and how well it foretells the largest budgets; `undefined` says
    why there is no law. `ahead` is None where too few budgets are left for it."""

    way: Way
    fit: Fit | None
    ahead: Ahead | None
    undefined: str

    @property
    def word(self) -> str:
        """What the fit may be called: a law only when a forecast has passed."""
        return "trend" if self.ahead is None else self.ahead.word

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        scores = self.way.scores
        means = [] if scores is None else scores.values.mean(axis=0).tolist()
        known = {} if self.fit is None else {n: stated(each) for n, each in self.fit.parameters.items()}
        return {
            "strategy": self.way.name,
            "oracle": self.way.oracle,
            "word": None if self.fit is None else self.word,
            "parameters": known or None,
            "forecast": None if self.ahead is None else asdict(self.ahead),
            "undefined": self.undefined or None,
            "compute": [] if scores is None else scores.compute.tolist(),
            "accuracy": means,
        }


@dataclass(frozen=True)
class SpendingStudy:
    """All strategies on one task in one unit of compute. The envelope leaves bounds that need the key out; it
    is None where no other strategy was measured."""

    task: str
    unit: str
    strategies: tuple[StrategyLaw, ...]
    envelope: Envelope | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        told = self.envelope
        return {
            "task": self.task,
            "unit": self.unit,
            "strategies": [each.to_json() for each in self.strategies],
            "leads": [] if told is None else [asdict(each) for each in told.leads],
            "envelope": []
            if told is None
            else [
                {"compute": x, "accuracy": y, "low": low, "high": high, "strategy": told.names[who]}
                for x, y, low, high, who in zip(
                    *(each.tolist() for each in (told.compute, told.value, told.low, told.high)),
                    told.leader.tolist(),
                    strict=True,
                )
            ],
        }


def ways_of_run(
    measurement: Measurement,
    tasks: Sequence[str] = (),
    *,
    unit: Unit | None = None,
    prefix: str = "",
    first: int = 0,
) -> tuple[Way, ...]:
    """Every strategy of a measured or imported run on each of its tasks, in `unit`, by default FLOP where all
    know them, else tokens, else samples. `first` numbers the first curve, so that those of several runs are
    independent. Raises UnknownName for a task that it has not."""
    for wanted in tasks:
        if wanted not in (known := [task.task for task in measurement.tasks]):
            raise UnknownName("task", wanted, known)
    curves = [
        (task, curve)
        for task in measurement.tasks
        if not tasks or task.task in tasks
        for curve in task.curves
        if curve.points
    ]
    chosen = unit or _common_unit([curve for _, curve in curves])
    found = []
    for place, (task, curve) in enumerate(curves, first):
        name = prefix + curve.strategy
        try:
            require_problems(task.problems)
            scores = Scores.from_curve(curve, unit=chosen, name=name, place=place)
        except LawUndefined as error:
            found.append(Way(task.task, name, None, None, curve.oracle, str(error)))
        else:
            found.append(Way(task.task, name, scores, None, curve.oracle))
    return tuple(found)


def _common_unit(curves: Sequence[Curve]) -> Unit:
    points = [point for curve in curves for point in curve.points]
    if all(point.flop is not None for point in points):
        return "FLOP"
    return "tokens" if all(point.tokens is not None for point in points) else "samples"


def ways_of_recording(recorded: Recorded, *, prefix: str = "") -> tuple[Way, ...]:
    """A vote, coverage, and one chain that is cut off, against FLOP."""
    problems = tuple(tally.id for tally in recorded.tallies)
    found = []
    for strategy, label in _RECORDED:
        grid = grid_of([recorded], strategy)
        scores = Scores(prefix + label, "FLOP", grid.inference_flop[0], grid.values[:, 0])
        found.append(Way(recorded.task, prefix + label, scores, problems, oracle=strategy == "pass"))
    return tuple(found)


def study_spending(ways: Sequence[Way], *, draws: int = 1000) -> SpendingStudy:
    """Fit every strategy's law, and put the strategies' envelope together.

    Raises LawUndefined for ways of several tasks, units or sets of problems, and where nothing was measured.
    """
    known = [way.scores for way in ways if way.scores is not None]
    units = {each.unit for each in known}
    if not known:
        raise LawUndefined(next((way.undefined for way in ways), "strategies: none was measured."))
    if len(units) > 1 or len({way.task for way in ways}) > 1:
        raise LawUndefined(
            f"strategies: they were measured in {' and '.join(sorted(units))} or on several tasks; choose "
            "one --unit and one --task."
        )
    if len({way.problems for way in ways}) > 1:
        raise LawUndefined(f"strategies: those of {ways[0].task} were not measured on the same problems.")
    laws = tuple(_law(way, draws) for way in ways)
    keyless = [way.scores for way in ways if way.scores is not None and not way.oracle]
    return SpendingStudy(
        task=ways[0].task,
        unit=known[0].unit,
        strategies=laws,
        envelope=envelope(keyless, draws=draws) if keyless else None,
    )


def _law(way: Way, draws: int) -> StrategyLaw:
    if way.scores is None:
        return StrategyLaw(way, None, None, way.undefined)
    try:
        fitted = fit(way.scores, ComputeSigmoid(), draws=draws)
    except LawUndefined as error:
        return StrategyLaw(way, None, None, str(error))
    return StrategyLaw(way, fitted, _ahead(way.scores), "")


def _ahead(scores: Scores) -> Ahead | None:
    """The forecast of the upper quarter of the budgets in log compute, one at least; None where the others do
    not bear a law."""
    logs = np.log(scores.compute)
    held_back = max(1, int(np.sum(logs > logs[-1] - _HELD_BACK * (logs[-1] - logs[0]) * (1.0 - 1e-9))))
    try:
        return forecast_ahead(scores, held_back=held_back)
    except LawUndefined:
        return None


def by_task(ways: Iterable[Way]) -> dict[str, tuple[Way, ...]]:
    """In the order of their first ways."""
    found: dict[str, list[Way]] = {}
    for way in ways:
        found.setdefault(way.task, []).append(way)
    return {task: tuple(each) for task, each in found.items()}
