"""Arguments of a wrong kind, refused by their names before they break something deep inside."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TypeGuard

from ponder.errors import InputError

__all__ = [
    "is_whole",
    "require_counts",
    "require_json",
    "require_several",
    "require_share",
    "require_temperature",
    "require_texts",
]


def is_whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which no file, tokenizer or JSON can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def require_counts(**stated: object) -> None:
    """Each must be a whole number of at least 1, or None: not stated. Raises InputError."""
    for name, value in stated.items():
        counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if value is not None and not counts:
            raise InputError(f"{name}: it must be a whole number of at least 1, not {value!r}.")


def require_json(**stated: object) -> None:
    """Each must be a mapping that JSON can hold. Raises InputError."""
    for name, value in stated.items():
        try:
            if not isinstance(value, Mapping):
                raise TypeError(f"it is {value!r}")
            json.dumps(dict(value), sort_keys=True, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(
                f"{name}: it must be a mapping of what JSON can hold ({error}); give texts, finite numbers, "
                "lists and mappings."
            ) from None


def require_several(**stated: object) -> None:
    """None may be a single text, each letter of which would be taken for one. Raises InputError."""
    for name, value in stated.items():
        if isinstance(value, str):
            raise InputError(f"{name}: it must be a tuple of texts, not {value!r}; write ({value!r},).")


def require_texts(**stated: object) -> None:
    """Each must be a text, or None: not stated. Raises InputError."""
    for name, value in stated.items():
        if value is not None and not isinstance(value, str):
            raise InputError(f"{name}: it must be a text, not {value!r}.")


def require_temperature(temperature: object) -> None:
    """A finite number of at least 0. Raises InputError."""
    if not (_is_number(temperature) and 0 <= temperature < math.inf):
        raise InputError(
            f"temperature: it must be a finite number of at least 0 (0 is greedy), not {temperature!r}."
        )


def require_share(**stated: object) -> None:
    """Each must be a number above 0 and at most 1. Raises InputError."""
    for name, value in stated.items():
        if not (_is_number(value) and 0 < value <= 1):
            raise InputError(f"{name}: it must be a number above 0 and at most 1, not {value!r}.")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
