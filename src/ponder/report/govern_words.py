"""Numbers of governance in words: from shares to 1e26 FLOP."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ponder.report.words import UNKNOWN

__all__ = ["number", "numbers"]

_PLAIN = 1e5
_LONG = 1e4  # from which figures that stand beside a power of ten are powers of ten too


def number(value: float | None, *, plain: float = _PLAIN) -> str:
    """Three digits: 0.0123, 57.1, 12,300, 3.8e25; from `plain` on as a power of ten. Unknown says so, and
    infinity says never."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "never"
    size = abs(value)
    if size and not 1e-3 <= size < plain:
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def numbers(values: Sequence[str | float | None]) -> list[str]:
    """Cells that are read beside each other: figures of five digits are powers of ten where others are."""
    sizes = [abs(each) for each in values if isinstance(each, int | float) and math.isfinite(each)]
    plain = _LONG if any(each >= _PLAIN for each in sizes) else _PLAIN
    return [each if isinstance(each, str) else number(each, plain=plain) for each in values]
