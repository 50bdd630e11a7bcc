"""Numbers on their way into a lifecycle, each kept among its assumptions; and what chips can do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ponder.data.rows import PROVENANCE, figure, row
from ponder.errors import UnknownName
from ponder.govern.accounting.stages import Estimate
from ponder.govern.assumptions import Assumption, published
from ponder.quantity import Quantity, from_row, parse

__all__ = ["MOST", "Devices", "Reading"]

MOST = 1e40
"""Far above anything ever computed, and low enough for products to stay finite."""

_UTILISATION = ("rates", "training_utilisation")
_DEVICE = re.compile(
    r"(?:(?P<chips>\d{1,6}) × )?(?P<name>.+?)(?:, (?P<cores>\d{1,6}) (?:threads?|process(?:es)?))?"
)


@dataclass
class Reading:
    """What is read so far of one source: its folder, the ledger of its runs, and its assumptions."""

    folder: Path
    ledger: str
    assumptions: list[Assumption] = field(default_factory=list)

    def number(self, name: str, value: Any, unit: str, what: str, *, most: float = MOST) -> Estimate:
        """A positive number with its unit, kept among the assumptions. Raises InputError that names it."""
        quantity = parse(value, name).stated(name, unit).in_unit(name, unit)
        quantity = quantity.within(name, positive=True, most=most)
        self.assumptions.append(Assumption(name, what, unit, quantity, "yours"))
        return Estimate.of(quantity)

    def fact(self, name: str, what: str, found: Mapping[str, Any], unit: str) -> Estimate:
        """A figure of a data row, kept likewise."""
        quantity: Quantity = from_row(found, name, unit).in_unit(name, unit)
        told = [str(found.get(key, "")) for key in PROVENANCE]
        self.assumptions.append(Assumption(name, what, unit, quantity, published(found), *told))
        return Estimate.of(quantity)

    def peak(self, chip: str, where: str) -> Estimate | None:
        """A chip's peak; None where its row has none. Raises UnknownName for a chip that has no row."""
        found = figure(row("chips", chip, where), "bf16")
        what = "the chip's peak, dense, in BF16"
        return None if found is None else self.fact(f"{chip}.bf16", what, found, "FLOP/s")

    def usual_utilisation(self, name: str) -> Estimate:
        """What published runs reach, as an assumption on show, where nobody tells a run's own."""
        table, key = _UTILISATION
        what = "model FLOP over the chips' peak, as published runs have it"
        return self.fact(f"{name}.utilisation", what, row(table, key), "")


@dataclass
class Devices:
    """What the devices of a run could do, by the names under which a ledger has them: "8 × NVIDIA H200", or
    "cpu, 4 threads".

    `peak` is that of one GPU, or of one core, where it is given; else a GPU's is its row's. `utilisation` is
    that of published runs where it is not given.
    """

    reading: Reading
    name: str
    peak: Estimate | None = None
    utilisation: Estimate | None = None
    _peaks: dict[str, Estimate | None] = field(default_factory=dict, init=False)

    def flop_per_second(self, device: str | None) -> Estimate | None:
        """The peak of all chips of a device; None where it is unknown."""
        match = _DEVICE.fullmatch(device or "")
        if match is None:
            return None
        chips = int(match["chips"] or 1) * int(match["cores"] or 1)
        peak = self.peak if self.peak is not None else self._known(match["name"])
        return None if peak is None else peak * float(chips)

    def reached(self) -> Estimate:
        """The share of the peak that was had."""
        if self.utilisation is None:
            self.utilisation = self.reading.usual_utilisation(self.name)
        return self.utilisation

    def _known(self, chip: str) -> Estimate | None:
        if chip not in self._peaks:
            try:
                self._peaks[chip] = self.reading.peak(chip, "chip")
            except UnknownName:
                self._peaks[chip] = None
        return self._peaks[chip]
