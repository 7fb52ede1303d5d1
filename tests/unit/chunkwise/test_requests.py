"""Requests that hang give their place to others, boundedly."""

import asyncio
from contextlib import AsyncExitStack

from chunkwise.worker.requests import Requests

AT_ONCE = 0.0
NEVER = 1_000_000.0


async def out(requests: Requests, count: int, stack: AsyncExitStack) -> None:
    for _ in range(count):
        async with asyncio.timeout(60):
            await stack.enter_async_context(requests.place())


async def has_place(requests: Requests) -> bool:
    """Whether one more could go now, and only then is it over."""
    waiting = asyncio.ensure_future(requests.place().__aenter__())
    await asyncio.sleep(0)
    if waiting.done():
        return True
    waiting.cancel()
    await asyncio.wait([waiting])
    return False


async def test_no_more_than_most_are_out_at_once() -> None:
    requests = Requests(2, lambda: None, NEVER)
    async with AsyncExitStack() as stack:
        await out(requests, 2, stack)
        assert not await has_place(requests)
    assert await has_place(requests)


async def test_slow_ones_give_their_place_and_as_many_again_go() -> None:
    gave: list[int] = []
    requests = Requests(2, lambda: gave.append(1), AT_ONCE)
    async with AsyncExitStack() as stack:
        await out(requests, 4, stack)
        assert (requests.slow, len(gave)) == (2, 2)
        assert not await has_place(requests)
    assert requests.slow == 0


async def test_when_slow_ones_end_there_are_as_many_places_as_before() -> None:
    requests = Requests(1, lambda: None, AT_ONCE)
    for _ in range(3):
        async with AsyncExitStack() as stack:
            await out(requests, 2, stack)
    async with AsyncExitStack() as stack:
        await out(requests, 2, stack)
        assert not await has_place(requests)
