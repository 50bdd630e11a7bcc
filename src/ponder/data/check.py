"""Whether every row of a data table is complete: value, interval, unit, source, date, confidence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from ponder.data import table
from ponder.data.rows import PROVENANCE, packaged, tables, users_rows

__all__ = ["CONFIDENCES", "check_all", "check_rows", "figures"]

CONFIDENCES = ("high", "medium", "low")
_DATE = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")
_EXACT = re.compile(r"\d+(\.\d+)?(e\d+)?(/\d+)?")
_INHERITED = (*PROVENANCE, "point")


def figures(
    of: Mapping[str, Any], path: str = "", told: Mapping[str, Any] | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every figure (a table with `value`) below, by its dotted path, completed with what it has from
    above."""
    own = dict(told or {}) | {each: of[each] for each in _INHERITED if each in of}
    if "value" in of:
        yield path, {**own, **of}
        return
    for key, value in of.items():
        items = enumerate(value) if isinstance(value, list) else [(None, value)]
        for place, each in items:
            if isinstance(each, Mapping):
                name = key if place is None else f"{key}[{place}]"
                yield from figures(each, f"{path}.{name}" if path else name, own)


def check_all() -> list[str]:
    """One sentence for each defect of the package's and the user's tables; none where all is well."""
    found = []
    for name in tables():
        found += check_rows(name, table(name)) if name in packaged() else []
        found += check_rows(f"your {name}", users_rows(name))
    return found


def check_rows(name: str, rows: Mapping[str, Any]) -> list[str]:
    """One sentence for each defect of a table's figures."""
    return [f"{name}: {path}: {said}" for path, figure in figures(rows) for said in _defects(figure)]


def _defects(figure: Mapping[str, Any]) -> Iterator[str]:
    missing = [key for key in ("unit", *PROVENANCE) if key not in figure]
    missing += [key for key in PROVENANCE if key in figure and not str(figure[key]).strip()]
    if missing:
        yield f"{' and '.join(missing)} missing; give it to the figure or to its row."
    yield from _interval(figure)
    if "date" in figure and not _is_date(figure["date"]):
        yield f"{figure['date']!r} is no date; write it as 2025, 2025-01 or 2025-01-31."
    if "confidence" in figure and figure["confidence"] not in CONFIDENCES:
        yield f"confidence {figure['confidence']!r} is none of {', '.join(CONFIDENCES)}."


def _interval(figure: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(figure["value"], str):  # an exact line that a rule draws
        if not _EXACT.fullmatch(figure["value"]):
            yield f"{figure['value']!r} is no exact number; write it as 1e25 or 1e25/3."
        return
    ends = [figure.get(key) for key in ("low", "value", "high")]
    if any(
        each is not None and (isinstance(each, bool) or not isinstance(each, int | float)) for each in ends
    ):
        yield "value, low and high must be numbers."
    elif ends[0] is None and ends[2] is None:
        if figure.get("point") is not True:
            yield "low and high missing; where the source states no uncertainty, say point = true."
    elif ends[0] is None or ends[2] is None:
        yield "an interval has two ends; give both low and high."
    elif not ends[0] <= ends[1] <= ends[2]:
        yield f"{ends[0]:g}, {ends[1]:g}, {ends[2]:g} do not rise; low ≤ value ≤ high must hold."


def _is_date(text: object) -> bool:
    if isinstance(text, date):
        return True
    match = _DATE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        return False
    year, month, day = (int(each) if each else 1 for each in match.groups())
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
