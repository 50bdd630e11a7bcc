"""Laws of detection: the share of wrong items that is caught, at a fixed rate of false alarms, against the
compute spent on an item.

`CatchTrend` is a straight line in log2 compute: its slope may be null or negative, and says whether compute
buys anything where it was measured. `CatchLaw` is the sigmoid of `laws.compute` whose floor is the rate of
false alarms, for a detector that knows nothing catches so many. Both set the threshold anew in every
resampling, so that their intervals hold the luck of the clean items too.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError, LawUndefined, UnknownName
from ponder.laws.compute import sigmoid, solve_sigmoid
from ponder.laws.fit import Fit
from ponder.measure.detection import Inspected, catch_rates
from ponder.measure.intervals import EDGE

__all__ = ["CatchLaw", "CatchTrend", "Detected", "MeasuredDetector", "read_detector"]

Floats = NDArray[np.float64]

PARAMETERS = ("floor", "ceiling", "middle", "slope")
_LARGEST = 1 << 26  # bytes of a file
_MADE_UP = 4  # of two units resampling leaves one alone
_LEAST_RISE = 0.05  # in the catch rate


@dataclass(frozen=True)
class Detected:
    """A detector's suspicions in K settings of rising compute [K], in FLOP an item. `problems` own the
    attacked items of all `folds`; a fold is what was held out from the detector."""

    name: str
    compute: Floats
    folds: tuple[Inspected, ...]
    problems: int
    false_alarm: float

    @property
    def units(self) -> tuple[int, ...]:
        """Clean items and problems are resampled, each kind by itself; and made-up items."""
        return len(self.folds[0].clean), self.problems, _MADE_UP

    def rates(self, weights: Floats) -> Floats:
        """[B, units] -> [B, K]. As in `measure.intervals` made-up items join, some always missed and some
        always caught, of half an item's weight each kind, so that no law is sure of what so few items cannot
        tell."""
        clean, owners, made_up = np.split(weights, np.cumsum(self.units)[:2], axis=1)
        edges = EDGE * made_up.reshape(len(weights), 2, -1).mean(axis=2)
        return catch_rates(self.folds, self.false_alarm, clean, owners, edges)

    def most(self, weights: Floats) -> Floats:
        """[B, units] -> [B]: the rates of a detector that misses the made-up items alone."""
        certain = tuple(
            Inspected(fold.clean[:, :1], np.full_like(fold.attacked[:, :1], np.inf), fold.owner)
            for fold in self.folds
        )
        return replace(self, folds=certain).rates(weights)[:, 0]

    def require(self, values: int) -> None:
        """Raises LawUndefined unless there are so many values of compute."""
        found = len(np.unique(self.compute))
        if found < values:
            raise LawUndefined(
                f"compute: {self.name} was measured at {found} values, and this law needs {values}; "
                "measure at more."
            )


@dataclass(frozen=True, slots=True)
class CatchTrend:
    """catch = level + per_doubling · (log2 C - middle), by least squares; the middle is the data's."""

    name: str = "line in log2 compute"
    parameters: tuple[str, ...] = ("level", "per_doubling", "middle")

    def reach(self, data: Detected) -> tuple[float, float]:
        return float(data.compute.min()), float(data.compute.max())

    def solve(self, data: Detected, weights: Floats) -> Floats:
        """[B, U] -> [B, 3]. Raises LawUndefined for a single value of compute."""
        data.require(2)
        rates, x = data.rates(weights), np.log2(data.compute)
        off = x - x.mean()
        middle = np.full(len(rates), x.mean())
        return np.column_stack([rates.mean(axis=1), rates @ off / (off @ off), middle])

    def at(self, parameters: Floats, x: Floats) -> Floats:
        level, slope, middle = (column[:, None] for column in parameters.T)
        out: Floats = level + slope * (np.log2(x)[None, :] - middle)
        return out


@dataclass(frozen=True, slots=True)
class CatchLaw:
    """catch = floor + (ceiling - floor) / (1 + exp(-slope · (log10 C - middle))), its floor the rate of false
    alarms, by least squares. The slope is not negative; the ceiling is what so few items can tell at most."""

    name: str = "sigmoid of log compute"
    parameters: tuple[str, ...] = PARAMETERS

    def reach(self, data: Detected) -> tuple[float, float]:
        return float(data.compute.min()), float(data.compute.max())

    def solve(self, data: Detected, weights: Floats) -> Floats:
        """[B, U] -> [B, 4]. Raises LawUndefined for fewer than four values of compute, and where as much is
        caught at all of them."""
        data.require(4)
        rates = data.rates(weights)
        if np.ptp(rates[0]) < _LEAST_RISE:
            low, high = rates[0].min(), rates[0].max()
            raise LawUndefined(
                f"compute: {data.name} catches {low:.1%} to {high:.1%} at every compute, which bears no law "
                "in it; measure at less or more, or a weaker detector."
            )
        found = solve_sigmoid(rates, data.compute, np.ones(len(data.compute)), floor=data.false_alarm)
        found[:, 1] = np.minimum(found[:, 1], data.most(weights))
        return found

    def at(self, parameters: Floats, x: Floats) -> Floats:
        return sigmoid(parameters, x)


# ---------------------------------------------------------------- on disk


@dataclass(frozen=True)
class MeasuredDetector:
    """A fitted `CatchLaw` as a file has it: its parameters [4] and those of the refits [B, 4], the compute
    from `least` to `most` FLOP an item that it was measured at, and what it was measured on."""

    name: str
    detector: str
    attacker: str
    false_alarm: float
    least: float
    most: float
    items: int
    value: Floats
    draws: Floats

    @classmethod
    def of(
        cls, fit: Fit, data: Detected, detector: str, attacker: str, *, kept: int = 100
    ) -> MeasuredDetector:
        """With the first `kept` refits."""
        least, most = (float(end) for end in fit.reach)
        items = sum(len(fold.owner) for fold in data.folds)
        return cls(
            data.name, detector, attacker, data.false_alarm, least, most, items, fit.value, fit.draws[:kept]
        )

    def to_json(self) -> dict[str, Any]:
        """Parameters to five digits: their intervals are far wider."""
        rounded = [[float(f"{each:.5g}") for each in row] for row in (self.value, *self.draws)]
        return {
            "name": self.name,
            "detector": self.detector,
            "attacker": self.attacker,
            "false_alarm": self.false_alarm,
            "reach": [self.least, self.most],
            "items": self.items,
            "parameters": list(PARAMETERS),
            "value": rounded[0],
            "draws": rounded[1:],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> MeasuredDetector:
        """Raises ValueError, KeyError or TypeError for what `to_json` does not make."""
        if tuple(value["parameters"]) != PARAMETERS:
            raise ValueError(f"parameters must be {', '.join(PARAMETERS)}")
        rows = np.array([value["value"], *value["draws"]], dtype=np.float64)
        least, most = map(float, value["reach"])
        false_alarm, items = float(value["false_alarm"]), int(value["items"])
        if rows.ndim != 2 or rows.shape[0] < 2 or rows.shape[1] != len(PARAMETERS):
            raise ValueError("value and draws must hold four numbers each")
        shares, slopes = rows[:, :2], rows[:, 3]
        sound = np.isfinite(rows).all() and (shares >= 0).all() and (shares <= 1).all() and (slopes > 0).all()
        if not sound or not 0 < least <= most < math.inf or not 0 < false_alarm < 1 or items < 1:
            raise ValueError("a number is out of its range")
        name, detector, attacker = (str(value[key])[:200] for key in ("name", "detector", "attacker"))
        return cls(name, detector, attacker, false_alarm, least, most, items, rows[0], rows[1:])


def read_detector(path: Path, name: str | None = None) -> MeasuredDetector:
    """The law of that name in a result of `benchmarks.defence`, by default its first.

    Raises InputError for a file that is none, UnknownName for a law that it has not.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError(f"it is larger than {_LARGEST >> 20} MiB")
        laws = json.loads(path.read_text("utf-8"))["laws"]
        found: Sequence[MeasuredDetector] = [MeasuredDetector.from_json(each) for each in laws]
        if not found:
            raise ValueError("it has no law")
    except OSError as error:
        raise InputError(f"detector: {path} cannot be read ({error.strerror or error}).") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"detector: {path} holds no law of detection ({reason}); give the result of "
            "`python -m benchmarks.defence`."
        ) from None
    if name is None:
        return found[0]
    known = {each.name: each for each in found}
    if name not in known:
        raise UnknownName("law of detection", name[:60], known)
    return known[name]
