from collections.abc import AsyncIterator

import pytest_asyncio

from local.bison import BisonControl, BisonReader, running_bison


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    async with running_bison({"acme": 40, "zen": 3, "void": 0}) as control:
        yield control


@pytest_asyncio.fixture
async def reader(bison: BisonControl) -> AsyncIterator[BisonReader]:
    async with BisonReader.connect(bison) as reader:
        yield reader
