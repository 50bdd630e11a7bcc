"""Work on many things side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

__all__ = ["SIDE_BY_SIDE", "side_by_side"]

SIDE_BY_SIDE = 16
"""Questions that a strategy is run on at once: enough to keep the embedded engine's batch full."""

T = TypeVar("T")


async def side_by_side(work: Callable[[T], Awaitable[None]], items: Iterable[T], *, width: int) -> None:
    """Do `work` on every item, begun in their order, at most `width` >= 1 at once.

    The first error stops what is under way, leaves the rest unbegun and is raised as it is, in no group.
    """
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(width):
                group.create_task(worker())
    except BaseExceptionGroup as errors:
        error: BaseException = errors
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
