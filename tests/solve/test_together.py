"""Work side by side."""

import asyncio

import pytest

from ponder.errors import CallFailed
from ponder.solve.together import side_by_side


def test_items_are_begun_in_order_and_no_more_at_once_than_wanted() -> None:
    begun, now, most = list[int](), 0, 0

    async def work(item: int) -> None:
        nonlocal now, most
        begun.append(item)
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001 * (item % 3))
        now -= 1

    asyncio.run(side_by_side(work, range(20), width=4))
    assert begun == list(range(20))
    assert most == 4


def test_the_first_error_is_raised_bare_and_stops_the_rest() -> None:
    begun, stopped = list[int](), list[int]()

    async def work(item: int) -> None:
        begun.append(item)
        if item == 2:
            raise CallFailed("no such luck")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            stopped.append(item)
            raise

    with pytest.raises(CallFailed, match="no such luck"):
        asyncio.run(side_by_side(work, range(100), width=3))
    assert begun == [0, 1, 2]
    assert sorted(stopped) == [0, 1]
