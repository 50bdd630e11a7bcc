"""What runs math-verify inside the child process: whether two texts state the same mathematical object.

Imported by the child alone. Its own time limits are off (they work by a signal, in a main thread only):
the child's is the limit.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

__all__ = ["equal"]

# It warns at every call that its time limit is off.
logging.disable(logging.WARNING)

_MARKED = re.compile(r"\$|\\\(|\\\[|\\boxed")


def equal(key: str, choice: str) -> bool:
    """Whether math-verify takes `choice` for the same as `key`, or both are words that are the same."""
    from math_verify import verify

    expected, given = _parsed(key), _parsed(choice)
    if not expected or not given:
        return False
    return bool(verify(list(expected), list(given), strict=True, timeout_seconds=None))


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Any, ...]:
    from math_verify import parse

    # Without a mark of its own a text would be searched for a number instead of being read as a whole.
    marked = text if _MARKED.search(text) else f"${text}$"
    return tuple(parse(marked, parsing_timeout=None))
