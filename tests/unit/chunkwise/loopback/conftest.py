import asyncio
from collections.abc import AsyncIterator

import pytest

from chunkwise.worker.fetch import Fetcher
from loopback.server import Server, reply


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    served = Server(reply())
    listening = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    yield served
    listening.close()
    await served.close()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    async with Fetcher.open(4) as opened:
        yield opened
