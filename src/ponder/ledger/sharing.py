"""One open ledger for all in a process who write to it at once: a second writer would find it locked."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakValueDictionary

from ponder.ledger.store import Ledger

__all__ = ["shared"]


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Place:
    """Where a ledger lies, while anyone uses it or waits for it. One at a time opens or closes it."""

    turn: threading.Lock = field(default_factory=threading.Lock)
    ledger: Ledger | None = None
    users: int = 0

    def enter(self, location: str) -> Ledger:
        with self.turn:
            if self.ledger is None:
                self.ledger = Ledger.open(location, write=True)
            if (failure := self.ledger.failure) is not None:
                raise type(failure)(*failure.args)
            self.users += 1
            return self.ledger

    def leave(self, ledger: Ledger) -> None:
        with self.turn:
            self.users -= 1
            if self.users == 0:
                self.ledger = None
                ledger.close()


_gate = threading.Lock()
_places: WeakValueDictionary[tuple[int, str], _Place] = WeakValueDictionary()


@contextmanager
def shared(location: str) -> Iterator[Ledger]:
    """The ledger at this place, open for writing: the one that is shared already, or a new one. Who leaves
    last closes it. To open or close one holds up nobody who uses another.

    Raises what `Ledger.open` does; and what a write to the shared one failed of, until the last of its users
    has left: nobody joins what writes no more, so that they come to an end.
    """
    name = location if "://" in location else str(Path(location).expanduser().absolute())
    with _gate:
        # Of this process: what a fork leaves in a child is the parent's.
        place = _places.setdefault((os.getpid(), name), _Place())
    ledger = place.enter(location)
    try:
        yield ledger
    finally:
        place.leave(ledger)
