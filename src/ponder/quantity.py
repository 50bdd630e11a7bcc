"""A number with a 90 % interval and a unit, read from text, a data row or a law's refits, and drawn from.

    1e25           a point
    1e25..3e25     log-normal; its ends are the 5th and 95th percentiles
    0.3±0.05       normal, likewise; "+-" is read as "±"
    2 USD/h        a unit follows the number

A row's value need not lie in the middle of its interval. So the two halves have spreads of their own: the
value is the median and the ends are the 5th and 95th percentiles (a two-piece normal, of the number or of its
logarithm). With equal halves these are the normal and the log-normal distribution.

Units are products and ratios of words: `FLOP/s`, `USD/h`, `tokens`. Words of time, data, energy and
operations convert (`80 GB` is 8e10 B); every other word only matches itself. In a file a number of something
that is written in units of many sizes must tell its own: `peak: 989` may be meant in TFLOP/s.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from ponder.errors import InputError

__all__ = ["Quantity", "conversion", "from_draws", "from_row", "needs_unit", "parse", "point"]

Floats = NDArray[np.float64]

_Z = float(ndtri(0.95))  # how many standard deviations the 95th percentile lies above the median
_FAR = 9.0  # standard deviations that no draw lies out at
_UNSEEN = 0.02  # of the draws: bounds that cut off less leave the interval as it was given
_CHUNK = 1 << 14  # draws that are made at a time, so that they stay in the processor's cache
_NUMBER = r"[+-]?[0-9]+(?:_[0-9]+)*(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_TEXT = re.compile(rf"\s*({_NUMBER})\s*(?:(\.\.|±|\+-|\+/-)\s*({_NUMBER}))?\s*(\S.*?)?\s*")
_FORMS = "1e25, 1e25..3e25 or 0.3±0.05, with its unit"
_LONGEST = 200
_MOST = 1e60  # far above any amount there is

_SECONDS = {
    "s": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "month": 365.25 * 86400.0 / 12,
    "year": 365.25 * 86400.0,
}
_PREFIXES = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_PREFIXED = {"B": ("bit", 8.0)} | {word: (word, 1.0) for word in ("bit", "FLOP", "W", "token", "USD")}
_MEASURED = frozenset({"s", "bit", "W", "USD"})
"""Dimensions whose amounts are written in units of many sizes."""
_WORDS: dict[str, tuple[dict[str, int], float]] = {
    **{word: ({"s": 1}, seconds) for word, seconds in _SECONDS.items()},
    **{p + word: ({to: 1}, x * f) for word, (to, f) in _PREFIXED.items() for p, x in _PREFIXES.items()},
    **{f"{p}Wh": ({"W": 1, "s": 1}, 3600.0 * x) for p, x in _PREFIXES.items()},
    "%": ({}, 0.01),
    "1": ({}, 1.0),
}


@cache
def _word(text: str) -> tuple[Mapping[str, int], float]:
    """A word's dimensions and its size in them; the plural is the singular."""
    for each in (text, text[:-1] if text.endswith("s") and len(text) > 2 else text):
        if each in _WORDS:
            return _WORDS[each]
    return {text[:-1] if text.endswith("s") and len(text) > 3 else text: 1}, 1.0


@cache
def _unit(text: str) -> tuple[tuple[tuple[str, int], ...], float]:
    dimensions: dict[str, int] = {}
    size = 1.0
    for place, part in enumerate(text.replace("·", "*").split("/")):
        sign = -1 if place else 1
        for word in filter(None, (each.strip() for each in part.split("*"))):
            of, scale = _word(word)
            size *= scale**sign
            for name, power in of.items():
                dimensions[name] = dimensions.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in dimensions.items() if power)), size


def needs_unit(name: str, unit: str) -> bool:
    """Whether a bare number under this name may be meant in another unit than `unit`: one of time, data,
    power or money, alone or in a ratio. It may not where the name tells the unit (`chip_hours`); counts of
    FLOP and tokens are bare numbers."""
    last = name.rpartition(".")[2].rpartition("_")[2]
    measured = {word for word, _ in _unit(unit)[0]} & _MEASURED
    return bool(measured) and conversion(last, unit) != 1.0


def conversion(given: str, wanted: str) -> float | None:
    """What a number in `given` is multiplied with for one in `wanted`; None where they do not fit."""
    (had, from_size), (needed, to_size) = _unit(given), _unit(wanted)
    return from_size / to_size if had == needed else None


@dataclass(frozen=True, slots=True)
class Quantity:
    """A median `value` with its 5th and 95th percentiles.

    `scale` says whether the number or its logarithm is normal. `drawn` [D] are a law's refits, which are
    drawn as they are; quantities of one law name it in `together`, and are then drawn from the same refit
    each time.
    """

    value: float
    low: float
    high: float
    unit: str = ""
    scale: Literal["linear", "log"] = "linear"
    drawn: Floats | None = field(default=None, compare=False, repr=False)
    together: str = ""

    @property
    def certain(self) -> bool:
        """Whether it is a point."""
        return self.low == self.high

    @property
    def varies(self) -> bool:
        """Whether draws of it may differ."""
        return self.drawn is not None or not self.certain

    @property
    def even(self) -> bool:
        """Whether its halves are, so that a text says it all: the median lies in the middle of the ends."""
        low, middle, high = (0.0, 0.0, 0.0) if self.certain else self._ends()
        return math.isclose(high - middle, middle - low, rel_tol=1e-3)

    def draw(
        self, rng: np.random.Generator, n: int, *, least: float = -math.inf, most: float = math.inf
    ) -> Floats:
        """[n] draws inside of the bounds: beyond them the distribution is cut off."""
        out = np.empty(n)
        self.fill(rng, out, least=least, most=most)
        return out

    def fill(
        self, rng: np.random.Generator, out: Floats, *, least: float = -math.inf, most: float = math.inf
    ) -> None:
        """Overwrites `out` [n] with draws, as `draw` gives them."""
        if self.drawn is not None:
            out[:] = self.drawn[rng.integers(len(self.drawn), size=len(out))]
            return
        if self.certain:
            out[:] = self.value
            return
        first, last = self._place(least), self._place(most)
        for start in range(0, len(out), _CHUNK):
            self._fill(rng, out[start : start + _CHUNK], first, last)

    def _fill(self, rng: np.random.Generator, out: Floats, first: float, last: float) -> None:
        """Overwrites `out` [n] with draws from between so many standard deviations."""
        rng.standard_normal(out=out)
        if first > -_FAR or last < _FAR:
            outside = np.flatnonzero((out < first) | (out > last))
            out[outside] = ndtri(rng.uniform(ndtr(first), ndtr(last), size=outside.size))
        low, middle, high = self._ends()
        below, above = (middle - low) / _Z, (high - middle) / _Z
        more = 0.0 if math.isclose(below, above) else np.maximum(out, 0.0) * (above - below)
        out *= below
        out += more
        out += middle
        if self.scale == "log":
            np.exp(out, out=out)

    def _ends(self) -> tuple[float, float, float]:
        ends = (self.low, self.value, self.high)
        low, middle, high = map(math.log, ends) if self.scale == "log" else ends
        return low, middle, high

    def _place(self, bound: float) -> float:
        """How many standard deviations a bound lies from the median."""
        if not math.isfinite(bound) or (self.scale == "log" and bound <= 0.0):
            return math.copysign(math.inf, bound) if math.isinf(bound) else -math.inf
        low, middle, high = self._ends()
        away = (math.log(bound) if self.scale == "log" else bound) - middle
        spread = (middle - low if away < 0 else high - middle) / _Z
        return away / spread if spread else math.copysign(math.inf, away)

    def inside(self, least: float, most: float) -> Quantity:
        """With the percentiles of what is drawn inside the bounds where they cut off more than a fiftieth,
        and itself elsewhere. It is to be shown, not drawn from."""
        if self.certain or self.drawn is not None:
            return self
        first, last = (float(ndtr(self._place(bound))) for bound in (least, most))
        if first + 1.0 - last < _UNSEEN:
            return self
        away = ndtri([first + share * (last - first) for share in (0.05, 0.5, 0.95)])
        low, middle, high = self._ends()
        places = middle + away / _Z * np.where(away > 0.0, high - middle, middle - low)
        low, middle, high = (float(each) for each in (np.exp(places) if self.scale == "log" else places))
        return Quantity(middle, low, high, self.unit, self.scale)

    def times(self, factor: float, unit: str) -> Quantity:
        """In another unit."""
        drawn = None if self.drawn is None else self.drawn * factor
        return Quantity(
            self.value * factor, self.low * factor, self.high * factor, unit, self.scale, drawn, self.together
        )

    def within(
        self, name: str, *, positive: bool = False, least: float = -math.inf, most: float = math.inf
    ) -> Quantity:
        """Itself. Raises InputError that names the field where its interval lies outside of what may be."""
        if positive and self.low <= 0.0:
            raise InputError(f"{name}: {self} must be above zero, with its whole interval.")
        if self.low < least or self.high > most:
            bounds = [f"at least {least:g}"] * math.isfinite(least) + [f"at most {most:g}"] * math.isfinite(
                most
            )
            raise InputError(f"{name}: {self} must be {' and '.join(bounds)}, with its whole interval.")
        return self

    def stated(self, name: str, unit: str) -> Quantity:
        """Itself. Raises InputError that names the field where it lacks a unit that must be told."""
        if self.unit or not needs_unit(name, unit):
            return self
        raise InputError(
            f"{name}: {self} has no unit; write it after the number, one that converts to {unit}."
        )

    def in_unit(self, name: str, unit: str) -> Quantity:
        """In `unit`. A quantity without a unit is taken to be in it. Raises InputError that names the field
        where the units do not fit."""
        if not self.unit or self.unit == unit:
            return self.times(1.0, unit)
        factor = conversion(self.unit, unit)
        if factor is None:
            wanted = f"give it in {unit}" if unit else "it takes a bare number"
            raise InputError(f"{name}: the unit {self.unit!r} does not fit; {wanted}.")
        found = self.times(factor, unit)
        for each in (found.value, found.low, found.high):
            _sized(each, name)
        return found

    def __str__(self) -> str:
        number = f"{self.value:.6g}"
        if not self.certain and not self.even:
            number = f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"
        elif not self.certain and self.scale == "linear":
            number = f"{self.value:.4g}±{self.high - self.value:.4g}"
        elif not self.certain:
            number = f"{self.low:.4g}..{self.high:.4g}"
        return f"{number} {self.unit}".rstrip()


def point(value: float, unit: str = "") -> Quantity:
    """A number that is known."""
    return Quantity(value, value, value, unit)


def parse(text: str | float, name: str = "quantity") -> Quantity:
    """Read a quantity. Raises InputError that names the field `name`."""
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise InputError(f"{name}: {str(text)[:60]!r} is no number; write {_FORMS}.")
    if not isinstance(text, str):
        return point(_sized(text, name))
    match = _TEXT.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise InputError(f"{name}: {text[:60]!r} is no number; write {_FORMS}.")
    first, sign, second, unit = match.groups()
    a = _sized(float(first), name)
    if sign is None:
        return point(a, unit or "")
    b = _sized(float(second), name)
    if sign == "..":
        return _between(a, b, unit or "", name)
    if b < 0:
        raise InputError(f"{name}: what follows ± must not be negative, as in 0.3±0.05.")
    return Quantity(a, a - b, a + b, unit or "")


def _sized(number: float, name: str) -> float:
    """A number of a size that can be computed with; a whole one may be any size."""
    if number != number:
        raise InputError(f"{name}: nan is no number; write {_FORMS}.")
    if number and not 1.0 / _MOST <= abs(number) <= _MOST:
        raise InputError(
            f"{name}: it is too large or too small a number; its size must be between 1e-60 and 1e60."
        )
    return float(number)


def _between(low: float, high: float, unit: str, name: str) -> Quantity:
    if low > high:
        raise InputError(f"{name}: the interval {low:g}..{high:g} is upside down; write {high:g}..{low:g}.")
    if low <= 0:
        raise InputError(
            f"{name}: the interval {low:g}..{high:g} is log-normal, so both ends must be above zero; "
            "write a normal one as 0.3±0.05."
        )
    return Quantity(math.sqrt(low) * math.sqrt(high) if low < high else low, low, high, unit, "log")


def from_row(row: Mapping[str, Any] | float, name: str, unit: str = "") -> Quantity:
    """A data row's figure: a bare number, or a table of `value`, and perhaps `low` and `high`, `unit` and
    `scale`. The logarithm is taken to be normal where the interval is above zero and `scale` is not "linear".

    Raises InputError that names the field.
    """
    figures = row if isinstance(row, Mapping) else {"value": row}
    given = [figures.get(key) for key in ("value", "low", "high")]
    wrong = [each for each in given if each is not None and not _is_number(each)]
    if wrong or given[0] is None:
        raise InputError(f"{name}: {str(wrong[0] if wrong else figures)[:60]!r} is no number.")
    if (given[1] is None) != (given[2] is None):
        raise InputError(f"{name}: an interval has two ends; give both low and high, or neither.")
    value = _sized(given[0], name)
    low, high = (value if each is None else _sized(each, name) for each in given[1:])
    if not low <= value <= high:
        raise InputError(
            f"{name}: {value:g} does not lie in its interval {low:g}..{high:g}; low ≤ value ≤ high must hold."
        )
    scale: Literal["linear", "log"] = "linear" if low <= 0 or figures.get("scale") == "linear" else "log"
    given_unit = str(figures.get("unit", unit))
    return Quantity(value, low, high, "" if given_unit == "1" else given_unit, scale)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def from_draws(
    draws: ArrayLike, unit: str = "", *, value: float | None = None, together: str = "", name: str = "draws"
) -> Quantity:
    """From a law's refits [D]. `value` is its estimate, by default the draws' median.

    Raises InputError without draws, or for one that is no number.
    """
    drawn = np.asarray(draws, dtype=np.float64).ravel()
    if not drawn.size or not np.isfinite(drawn).all():
        raise InputError(f"{name}: a law's refits must be numbers, and at least one; fit the law again.")
    low, middle, high = (float(each) for each in np.quantile(drawn, [0.05, 0.5, 0.95]))
    best = middle if value is None else float(value)
    return Quantity(best, min(low, best), max(high, best), unit, "linear", drawn, together)
