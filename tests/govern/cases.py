"""A calculator evaluated as the command line does it, from inputs and choices by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ponder.govern import calculator
from ponder.govern.calculator import Measured
from ponder.govern.outcome import Outcome, evaluate
from ponder.govern.scenario import read, resolve


def outcome(
    name: str,
    document: Mapping[str, Any] | None = None,
    *,
    draws: int = 400,
    measured: Measured | None = None,
) -> Outcome:
    of = calculator(name)
    return evaluate(resolve(of, read(of, document or {}), measured), draws=draws)


def middles(name: str, **document: Any) -> Mapping[str, float]:
    """Every output with all inputs at their medians."""
    return outcome(name, document, draws=2).middle
