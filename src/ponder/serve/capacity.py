"""What a provider's fleet can do, as its operator states it, and the share of that which was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ponder.data.rows import figure, named, row
from ponder.errors import InputError
from ponder.quantity import Quantity, from_draws, from_row, parse

__all__ = ["Capacity", "read_capacity", "share_json"]

_UNIT = "FLOP/s"
_DRAWS = 100_000
_FORM = "write it as 10000xH100, several with commas, or as 4e18 FLOP/s; each number may be an interval"


@dataclass(frozen=True, slots=True)
class Capacity:
    """`speed` is in FLOP/s; `basis` says in a sentence what it rests on."""

    stated: str
    speed: Quantity
    basis: str

    def share(self, flop: float, seconds: float) -> Quantity:
        """What so many FLOP are of all that the fleet can do in that time (above 0)."""
        low, value, high = (
            flop / (speed * seconds) for speed in (self.speed.high, self.speed.value, self.speed.low)
        )
        return Quantity(value, low, high)

    def to_json(self) -> dict[str, Any]:
        return {"stated": self.stated, "flop_per_second": share_json(self.speed), "basis": self.basis}


def share_json(of: Quantity) -> dict[str, float]:
    """The median and the ends of the 90 % interval."""
    return {"value": of.value, "low": of.low, "high": of.high}


def read_capacity(stated: str) -> Capacity:
    """Chips by rows of the table `chips` ("10000xH100,500..600xA100"), or FLOP/s ("3e18..5e18 FLOP/s").

    Stated FLOP/s are taken as what the fleet reaches. Chips are taken at their dense bf16 arithmetic times
    the share of it that is reached (the row `use.compute` of the table `scale`).

    Raises InputError, and UnknownName for a chip that the table lacks.
    """
    text = stated.replace("×", "x").strip()
    if "x" in text:
        return _of_chips(text)
    speed = parse(text, "capacity").stated("capacity", _UNIT).in_unit("capacity", _UNIT)
    return Capacity(text, speed.within("capacity", positive=True), "FLOP/s as stated")


def _of_chips(text: str) -> Capacity:
    rng = np.random.default_rng(0)
    peak = np.zeros(_DRAWS)
    for part in text.split(","):
        count, _, chip = part.partition("x")
        if not count.strip() or not chip.strip():
            raise InputError(f"capacity: {part[:60]!r} is no number of chips; {_FORM}.")
        chips = parse(count.strip(), "capacity").in_unit("capacity", "").within("capacity", positive=True)
        peak += chips.draw(rng, _DRAWS, least=0.0) * _arithmetic(chip.strip()).draw(rng, _DRAWS, least=0.0)
    told = figure(row("scale", "use"), "compute")
    assert told is not None, "the package's table has it"
    reached = from_row(told, "scale.use.compute")
    speed = from_draws(peak * reached.draw(rng, _DRAWS, least=0.0, most=1.0), _UNIT)
    return Capacity(
        text,
        speed,
        f"dense bf16 arithmetic, of which {reached.value:g} ({reached.low:g} to {reached.high:g}) is reached",
    )


def _arithmetic(chip: str) -> Quantity:
    """A chip's dense arithmetic in bf16, in FLOP/s."""
    key = named("chips", chip, "capacity")
    told = figure(row("chips", key), "bf16")
    if told is None:
        raise InputError(f"capacity: the arithmetic of {key} in bf16 is unknown; state the fleet's FLOP/s.")
    return from_row(told, f"chips.{key}.bf16").in_unit("capacity", _UNIT)
