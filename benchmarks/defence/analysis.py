"""Catch rates from suspicions: thresholds from clean items, the rule of summing up from known families, and
the figures from the family that was held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from benchmarks.defence.errors import MODELS, Fold
from benchmarks.defence.items import Items, attackers_in, attacks_of
from benchmarks.defence.reading import Floats

from ponder.errors import LawUndefined
from ponder.laws.detection import CatchLaw, CatchTrend, Detected, MeasuredDetector
from ponder.laws.fit import fit
from ponder.measure.detection import Inspected, catch_estimates, catch_rates

__all__ = ["FALSE_ALARM", "Analysis", "Series"]

FALSE_ALARM = 0.05
_REFITS = 400


@dataclass(frozen=True)
class Series:
    """A detector in K settings of rising compute [K]. `told` is what it told of all items, by the rule that
    sums up what it sees [N, K]."""

    name: str
    kind: str
    settings: tuple[str, ...]
    compute: Floats
    told: Mapping[str, Floats]


class Analysis:
    """The items of a campaign and its folds."""

    def __init__(self, items: Items, folds: Sequence[Fold], seed: int) -> None:
        self.items, self.folds, self.seed = items, folds, seed
        sizes = [len(part) for part in (items.clean, items.known, items.right, items.wrong)]
        ends = np.cumsum([0, *sizes])
        self._parts = [slice(a, b) for a, b in pairwise(ends)]
        self._kinds = np.array([each.kind for each in items.all])
        self._owner = np.array([each.problem for each in items.all])

    def rule(self, series: Series, fold: Fold) -> str:
        """The rule that catches most of the families that the fold lets the detector know, in the mean over
        its settings. Attacked problems have no part in it."""
        clean, known = self._parts[0], self._parts[1]
        mine = np.isin(self._kinds[known], fold.known)
        ones = np.ones((1, len(self.items.clean)))

        def caught(told: Floats) -> float:
            seen = Inspected(told[clean], told[known][mine], self._owner[known][mine])
            owners = np.ones((1, int(seen.owner.max()) + 1))
            return float(catch_rates([seen], FALSE_ALARM, ones, owners).mean())

        return max(series.told.items(), key=lambda each: caught(each[1]))[0]

    def inspected(self, series: Series, fold: Fold, kinds: Sequence[str] | None = None) -> Inspected | None:
        """What the fold's detector told of clean items and of attacks of these kinds (None: of right
        solutions to the attacked problems); None where there is no such attack."""
        told = series.told[self.rule(series, fold)]
        part = self._parts[2 if kinds is None else 3]
        mine = np.ones(part.stop - part.start, bool) if kinds is None else np.isin(self._kinds[part], kinds)
        if not mine.any():
            return None
        return Inspected(told[self._parts[0]], told[part][mine], self._owner[part][mine])

    def detected(self, series: Series, name: str, attacks: Mapping[Fold, Sequence[str] | None]) -> Detected:
        """The attacks that are made on each fold's detector, together."""
        folds = [self.inspected(series, fold, kinds) for fold, kinds in attacks.items()]
        there = tuple(each for each in folds if each is not None)
        return Detected(name, series.compute, there, len(self.items.right), FALSE_ALARM)

    # ------------------------------------------------ figures

    def result(self, series: Series) -> tuple[dict[str, Any], list[MeasuredDetector]]:
        """Everything about a detector, and its laws."""
        rules = [fold for fold in self.folds if fold.held_out != MODELS]
        models = next(fold for fold in self.folds if fold.held_out == MODELS)
        attackers = attackers_in(self.items)
        held_out = self.detected(
            series, f"{series.name} against rules", {fold: attacks_of(self.items, fold) for fold in rules}
        )
        of_models = self.detected(
            series, f"{series.name} against models", {models: attacks_of(self.items, models)}
        )
        right = self.detected(series, "right", dict.fromkeys(self.folds))
        laws = []
        for data, attacker in ((held_out, "families of errors held out"), (of_models, "errors of models")):
            try:
                laws.append(MeasuredDetector.of(fit(data, CatchLaw()), data, series.name, attacker))
            except LawUndefined:  # fewer settings than the law has numbers
                continue
        told = {
            "name": series.name,
            "kind": series.kind,
            "settings": list(series.settings),
            "flop": series.compute.tolist(),
            "rules": {fold.held_out: self.rule(series, fold) for fold in self.folds},
            "held_out": self._figures(held_out),
            "models": self._figures(of_models),
            "families": {
                fold.held_out: self._figures(self.detected(series, fold.held_out, {fold: [fold.held_out]}))
                for fold in rules
            },
            # By the rule that would be chosen if the family were known too.
            "prepared": {
                fold.held_out: self._points(self.detected(series, "prepared", {models: [fold.held_out]}))
                for fold in rules
            },
            "attackers": {
                name: self._figures(self.detected(series, name, {models: [name]})) for name in attackers
            },
            "false_alarms": self._points(right),
        }
        return told, laws

    def _figures(self, data: Detected) -> dict[str, Any]:
        found: dict[str, Any] = {
            "items": sum(len(fold.owner) for fold in data.folds),
            "points": self._points(data),
        }
        if len(data.compute) > 1:
            trend = fit(data, CatchTrend(), draws=_REFITS)
            found["per_doubling"] = asdict(trend.parameters["per_doubling"])
        return found

    def _points(self, data: Detected) -> list[dict[str, float]]:
        rng = np.random.default_rng(self.seed)
        found = catch_estimates(data.folds, data.problems, FALSE_ALARM, draws=_REFITS, rng=rng)
        return [asdict(each) for each in found]
