"""Chunks to ask for again: once each, at the time said last, a bounded number of them."""

import asyncio

from chunkwise.wakeups.recheck import MOST_HELD, Recheck


async def test_a_chunk_is_asked_for_once_at_the_time_said_last() -> None:
    asked: asyncio.Queue[int] = asyncio.Queue()
    later = Recheck(asked.put_nowait)
    later.ask(7, 60_000)
    later.ask(7, 1)

    assert await asyncio.wait_for(asked.get(), 10) == 7
    assert asked.empty()
    assert len(later) == 0


async def test_what_is_forgotten_is_not_asked_for() -> None:
    asked: asyncio.Queue[int] = asyncio.Queue()
    later = Recheck(asked.put_nowait)
    later.ask(7, 1)
    later.ask(8, 1)
    later.forget(7)

    assert await asyncio.wait_for(asked.get(), 10) == 8
    assert asked.empty()


async def test_only_so_many_are_held() -> None:
    later = Recheck(lambda _: None)
    for queue_id in range(MOST_HELD + 5):
        later.ask(queue_id, 60_000)
    assert len(later) == MOST_HELD
    later.clear()
    assert len(later) == 0
