"""JSON from a stranger: read strictly, or refused with a sentence."""

from __future__ import annotations

import json
import math
from typing import Any

from ponder.serve.failing import ApiError

__all__ = ["DEPTH", "parse", "read_object"]

DEPTH = 32
"""Objects and lists within each other, at most."""

_VALUES = 200_000


class _Refused(ValueError):
    """What is wrong, in words that end a sentence."""


def read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object in a request's body.

    Raises ApiError (400) for what is no JSON or no object, for keys that occur twice, NaN and infinite
    numbers, half surrogate pairs, and more than `DEPTH` levels or 200,000 values.
    """
    try:
        value = parse(raw.decode("utf-8"))
    except _Refused as refused:
        raise _error(str(refused)) from None
    except UnicodeDecodeError:
        raise _error("is not UTF-8") from None
    except ValueError:
        raise _error("is not JSON") from None
    if not isinstance(value, dict):
        raise _error("is not a JSON object")
    return value


def parse(text: str) -> Any:
    """The value of a JSON text. Raises ValueError for what `read_object` refuses."""
    try:
        value = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant, parse_float=_float)
    except RecursionError:
        raise _Refused(f"is nested more than {DEPTH} levels deep") from None
    _look_through(value)
    return value


def _error(what: str) -> ApiError:
    return ApiError(400, f"The body {what}; send one JSON object.", code="invalid_json")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Refused("has a key twice in one object")
    return found


def _constant(name: str) -> Any:
    raise _Refused(f"has {name}, which is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _Refused("has a number that is too large")
    return number


def _look_through(value: Any) -> None:
    """Without recursion, since the value may be as deep as it likes."""
    level, depth, seen = [value], 0, 0
    while level:
        seen += len(level)
        if depth > DEPTH:
            raise _Refused(f"is nested more than {DEPTH} levels deep")
        if seen > _VALUES:
            raise _Refused(f"has more than {_VALUES:,} values")
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inner += each.keys()
                inner += each.values()
            elif isinstance(each, list):
                inner += each
            elif isinstance(each, str) and not _sound(each):
                raise _Refused("has half a surrogate pair in a string")
        level, depth = inner, depth + 1


def _sound(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
