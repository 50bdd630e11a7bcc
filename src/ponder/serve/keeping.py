"""How long the texts of requests are kept: what is older is erased by the server's own order."""

from __future__ import annotations

import asyncio
import logging
import time

from ponder.ledger import Ledger

__all__ = ["forget_old", "keep"]

_LOG = logging.getLogger("ponder.serve")
_DAY = 86400.0
_EVERY_SECONDS = 3600.0
_AT_ONCE = 200  # requests an order: whoever waits to write waits for one of them at most


async def forget_old(ledger: Ledger, days: float) -> int:
    """Erase the texts of requests that began so many days ago; how many these were. Raises LedgerError."""
    old = await asyncio.to_thread(ledger.old_requests, time.time() - _DAY * days)
    for start in range(0, len(old), _AT_ONCE):
        some, reason = old[start : start + _AT_ONCE], f"kept for {days:g} days"
        await asyncio.to_thread(ledger.erase, some, by="ponder serve --keep", reason=reason)
    return len(old)


async def keep(ledger: Ledger, days: float) -> None:
    """Forget what is old, now and every hour, until cancelled. Nothing else ends it: nobody would see."""
    while True:
        try:
            await forget_old(ledger, days)
        except Exception as error:
            _LOG.error("old texts could not be erased: %s", type(error).__name__)
        await asyncio.sleep(_EVERY_SECONDS)
