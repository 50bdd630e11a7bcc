"""Whether the ledger's disk has room. While it has none nothing new is begun, and what is in flight waits."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from ponder.ledger import Ledger
from ponder.serve.failing import ApiError

__all__ = ["Room"]

_LOG = logging.getLogger("ponder.serve")
_RETRY_SECONDS = 30


def _refused() -> ApiError:
    return ApiError(
        503,
        "The record cannot be written now, so nothing new is begun; try again later.",
        code="no_record",
        retry_after=_RETRY_SECONDS,
    )


@dataclass(slots=True)
class Room:
    """`beginning`: what callers wait for whose requests' first rows are not durable yet."""

    full: bool = False
    beginning: set[asyncio.Future[None]] = field(default_factory=set)

    def watch(self, ledger: Ledger) -> None:
        """Let the ledger wait for room, and learn of it."""
        loop = asyncio.get_running_loop()
        ledger.wait_for_room(lambda full: loop.call_soon_threadsafe(self.tell, full))

    def tell(self, full: bool) -> None:
        """Refuse whoever waits to begin: the answer to a new request is no, and at once."""
        self.full = full
        if not full:
            _LOG.error("the ledger can be written again: requests are served")
            return
        _LOG.error("the ledger's disk is full: new requests are refused until there is room")
        for begun in self.beginning:
            if not begun.done():
                begun.set_exception(_refused())

    def check(self) -> None:
        """Raises ApiError (503) while the disk is full."""
        if self.full:
            raise _refused()

    async def begun(self, begun: asyncio.Future[None]) -> None:
        """Wait until the first rows are durable. Raises what became of them, and ApiError (503) once the disk
        is found full."""
        self.beginning.add(begun)
        try:
            await asyncio.shield(begun)
        finally:
            self.beginning.discard(begun)
