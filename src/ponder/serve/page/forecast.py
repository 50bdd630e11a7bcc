"""What more effort would probably buy: the law of votes of a measured run, read at each effort's samples."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ponder.config import Effort
from ponder.core import Budget
from ponder.errors import PonderError
from ponder.laws import Counts, counts_of
from ponder.laws.draws import DrawsStudy, LawCurve, study_draws
from ponder.laws.fit import interval
from ponder.ledger import Ledger
from ponder.measure.intervals import Estimate
from ponder.serve.page.aside import aside
from ponder.serve.page.ledger_runs import measured_run

__all__ = ["Forecast", "Forecasts", "Gain", "TaskForecast"]

_LOG = logging.getLogger("ponder.serve")
_REFITS = 400
_MOST_TASKS = 6
_PATIENCE = 2.0
_POINT = 0.005
"""What a difference is at least that is told as a point."""

_VOTES = ("think", "vote", "adaptive_vote")


@dataclass(frozen=True, slots=True)
class Gain:
    """What votes of another effort's samples would add to the share of right answers. `beyond`: that many
    samples were not measured."""

    effort: str
    samples: int
    share: Estimate
    beyond: bool


@dataclass(frozen=True, slots=True)
class TaskForecast:
    """One task's: the share of right answers at the present effort, and what the higher ones would add.
    `word` is law or trend."""

    task: str
    problems: int
    measured: int
    word: str
    now: Estimate
    gains: tuple[Gain, ...]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one run. Without tasks `note` says why there is nothing to tell."""

    run: str | None
    tasks: tuple[TaskForecast, ...] = ()
    note: str = ""

    @property
    def efforts(self) -> tuple[tuple[str, int], ...]:
        """The higher efforts, with their samples."""
        return tuple((gain.effort, gain.samples) for gain in self.tasks[0].gains) if self.tasks else ()

    @property
    def sentence(self) -> str:
        """Where more effort probably helps: where the whole interval is a gain of a point or more."""
        found = [
            f"on {task.task} at {' and '.join(efforts)}"
            for task in self.tasks
            if (efforts := [gain.effort for gain in task.gains if gain.share.low >= _POINT])
        ]
        if not found:
            return "More effort may buy nothing: on none of these tasks is a gain likely."
        return f"More effort probably helps {', '.join(found)}. Elsewhere it may buy nothing."


def samples_of(efforts: Mapping[str, Effort]) -> dict[str, int]:
    """How many samples each effort word may vote with at most; words of other strategies are left out."""
    found = {}
    for word, row in efforts.items():
        most = Budget.parse(row.budget).samples if row.budget else None
        if row.strategy.partition(":")[0] in _VOTES and most is not None:
            found[word] = most
    return found


@dataclass(slots=True)
class Forecasts:
    """The forecasts of one server. `law`: the run or recording that they are made from, and `counts` what was
    read of it; without it they are made from the last finished measurement of the model that is served."""

    ledger: Ledger
    location: str
    model: str
    efforts: Mapping[str, Effort]
    law: str | None = None
    counts: tuple[Counts, ...] = ()
    _studied: tuple[str, tuple[DrawsStudy, ...] | str] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _fitting: set[asyncio.Task[Forecast]] = field(default_factory=set)

    async def of(self, effort: str | None, *, patience: float = _PATIENCE) -> Forecast:
        """What more than this effort would buy. The laws are fitted when first asked for, and are not waited
        for longer than `patience` seconds."""
        task = asyncio.ensure_future(self._in_turn(effort))
        self._fitting.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=patience)
        return (
            task.result() if done else Forecast(None, note="A law is being fitted; look again in a moment.")
        )

    def _ended(self, task: asyncio.Task[Forecast]) -> None:
        self._fitting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("no forecasts: %s", type(error).__name__)

    async def _in_turn(self, effort: str | None) -> Forecast:
        async with self._turn:
            return await aside(lambda: self._of(effort))

    def _of(self, effort: str | None) -> Forecast:
        samples = samples_of(self.efforts)
        if effort not in samples:
            return Forecast(None, note="Laws tell of votes; this answer was not reached by one.")
        run = self.law or measured_run(self.ledger, self.model)
        if run is None:
            return Forecast(None, note="No measurement of this model is on the ledger.")
        if self._studied is None or self._studied[0] != run:
            self._studied = run, self._study(run)
        found = self._studied[1]
        if isinstance(found, str):
            return Forecast(run, note=found)
        now = samples[effort]
        higher = {word: n for word, n in samples.items() if n > now}
        told = [_task(study.counts, study.vote, now, higher) for study in found if study.vote is not None]
        return Forecast(run, tuple(told), "" if higher else "There is no higher effort.")

    def _study(self, run: str) -> tuple[DrawsStudy, ...] | str:
        """The laws of each task that has one, or why there is none."""
        try:
            counts = self.counts if run == self.law else counts_of(run, self.location)
        except PonderError as error:
            _LOG.warning("no forecasts: %s", error)
            return "The measurement of this model cannot be read."
        found = []
        for each in counts[:_MOST_TASKS]:
            try:
                found.append(study_draws(each, draws=_REFITS))
            except PonderError as error:
                _LOG.warning("no forecasts for %s: %s", each.task, error)
        voted = tuple(study for study in found if study.vote is not None)
        return voted or "The measurement of this model bears no law of votes."


def _task(counts: Counts, curve: LawCurve, now: int, higher: Mapping[str, int]) -> TaskForecast:
    fit = curve.fit
    at = np.array([now, *higher.values()], dtype=np.float64)
    value, drawn = fit.law.at(fit.value[None, :], at)[0], fit.law.at(fit.draws, at)
    # The difference is drawn as one, since both ends share their problems.
    low, high = interval(
        value[1:] - value[0], drawn[:, 1:] - drawn[:, :1], level=fit.level, problems=fit.problems
    )
    base_low, base_high = interval(value[:1], drawn[:, :1], level=fit.level, problems=fit.problems)
    most = float(fit.reach[1])
    gains = tuple(
        Gain(word, n, Estimate(float(value[i + 1] - value[0]), float(low[i]), float(high[i])), n > most)
        for i, (word, n) in enumerate(higher.items())
    )
    base = Estimate(float(value[0]), float(base_low[0]), float(base_high[0]))
    return TaskForecast(counts.task, len(counts.ids), int(most), curve.best.word, base, gains)
