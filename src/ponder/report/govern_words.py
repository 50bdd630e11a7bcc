"""Numbers of governance in words: from shares to 1e26 FLOP."""

from __future__ import annotations

import math

from ponder.report.words import UNKNOWN

__all__ = ["cell", "number"]

_PLAIN = 1e5


def number(value: float | None) -> str:
    """Three digits: 0.0123, 57.1, 12,300, 3.8e25. Unknown says so, and infinity says never."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "never"
    size = abs(value)
    if size and not 1e-3 <= size < _PLAIN:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def cell(value: str | float | None) -> str:
    """A table's cell."""
    return value if isinstance(value, str) else number(value)
