"""Values as other people's files tell them: each is checked, and what is absent is None."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ponder.errors import BankFileError

__all__ = ["amount", "count", "moment", "name_of", "seconds", "settled", "text", "texts"]

_MOST = 1 << 53
_SHOWN = 40
_NAME_CHARACTERS = 200


def text(row: Mapping[str, Any], field: str, where: str) -> str | None:
    """A string, or a number by its digits. Raises BankFileError for anything else."""
    value = row.get(field)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise BankFileError(f"{where}: {field} must be a string, not {_shown(value)}.")


def name_of(row: Mapping[str, Any], field: str, where: str) -> str | None:
    """A short string that is not blank; None when it is absent or empty. Raises BankFileError."""
    found = (text(row, field, where) or "").strip()
    if len(found) > _NAME_CHARACTERS:
        raise BankFileError(f"{where}: {field} is over {_NAME_CHARACTERS} characters; shorten it.")
    return found or None


def texts(row: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    """A list of strings, () when it is absent. Raises BankFileError."""
    value = row.get(field)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BankFileError(f"{where}: {field} must be a list of strings, not {_shown(value)}.")
    return tuple(text({field: each}, field, where) or "" for each in value)


def count(row: Mapping[str, Any], field: str, where: str) -> int | None:
    """A whole number from 0. Raises BankFileError."""
    value = amount(row, field, where)
    if value is None:
        return None
    if value != int(value):
        raise BankFileError(f"{where}: {field} must be a whole number, not {_shown(value)}.")
    return int(value)


def amount(row: Mapping[str, Any], field: str, where: str, *, most: float = _MOST) -> float | None:
    """A finite number from 0. Raises BankFileError."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise BankFileError(f"{where}: {field} must be a number from 0 to {most:.0e}, not {_shown(value)}.")
    return float(value)


def seconds(row: Mapping[str, Any], field: str) -> float | None:
    """A duration; None for what can be none, as where a clock was set back: nothing is computed from it."""
    value = row.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        return None
    return float(value)


def moment(row: Mapping[str, Any], field: str) -> float | None:
    """Seconds since the epoch, of an ISO date; None for what is none, as nothing is computed from it."""
    try:
        return datetime.fromisoformat(str(row.get(field))).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def settled(value: Mapping[str, Any]) -> dict[str, Any]:
    """The value with numbers that JSON lacks (NaN, Infinity) as words, so that it can be kept."""
    plain: dict[str, Any] = json.loads(json.dumps(value), parse_constant=str)
    return plain


def _shown(value: Any) -> str:
    return repr(value)[:_SHOWN] if isinstance(value, str | int | float) else f"a {type(value).__name__}"
