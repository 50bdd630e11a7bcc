"""Arguments of a wrong kind, refused by their names before they break something deep inside."""

from __future__ import annotations

from ponder.errors import InputError

__all__ = ["is_whole", "require_counts", "require_several", "require_texts"]


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
