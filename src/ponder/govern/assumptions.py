"""Every number that an answer rests on, with where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ponder.quantity import Quantity

__all__ = ["ORIGINS", "Assumption", "Origin", "published"]

Origin = Literal["measured", "published", "assumed", "yours"]

ORIGINS: dict[Origin, str] = {
    "measured": "by a law or a run",
    "published": "a row of ponder's data with its source",
    "assumed": "a default that no good source stands behind; change it",
    "yours": "given in the scenario",
}


@dataclass(frozen=True, slots=True)
class Assumption:
    """One input. `low` and `high` of its quantity are its 90 % interval; `quantity` None is unknown."""

    name: str
    what: str
    unit: str
    quantity: Quantity | None
    origin: Origin
    source: str = ""
    date: str = ""
    confidence: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is None."""
        known = self.quantity
        return {
            "name": self.name,
            "what": self.what,
            "unit": self.unit,
            "value": None if known is None else known.value,
            "low": None if known is None else known.low,
            "high": None if known is None else known.high,
            "origin": self.origin,
            "source": self.source or None,
            "date": self.date or None,
            "confidence": self.confidence or None,
        }


def published(figure: Mapping[str, Any]) -> Origin:
    """What a data row's figure may be called: without a source to be sure of it is an assumption."""
    return "assumed" if figure.get("confidence") not in ("high", "medium") else "published"
