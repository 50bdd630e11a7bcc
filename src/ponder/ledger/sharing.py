"""One open ledger for all in a process who write to it at once: a second writer would find it locked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ponder.ledger.store import Ledger

__all__ = ["shared"]


@dataclass(slots=True)
class _Held:
    """An open ledger, and how many use it."""

    ledger: Ledger
    users: int = 0


_gate = threading.Lock()
_held: dict[tuple[int, str], _Held] = {}


@contextmanager
def shared(location: str) -> Iterator[Ledger]:
    """The ledger at this place, open for writing: the one that is shared already, or a new one. Who leaves
    last closes it. Nobody else may write to a run that is written to by it.

    Raises what `Ledger.open` does; and what a write to the shared one failed of, until the last of its users
    has left: nobody joins what writes no more, so that they come to an end.
    """
    place = location if "://" in location else str(Path(location).expanduser().absolute())
    key = os.getpid(), place  # what a fork leaves in a child is the parent's
    with _gate:
        if key not in _held:
            _held[key] = _Held(Ledger.open(location, write=True))
        held = _held[key]
        if (failure := held.ledger.failure) is not None:
            raise type(failure)(*failure.args)
        held.users += 1
    try:
        yield held.ledger
    finally:
        with _gate:
            held.users -= 1
            if held.users == 0:
                del _held[key]
                held.ledger.close()
