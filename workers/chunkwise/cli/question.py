"""One question to the project, with the settings of the environment."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from chunkwise.operator.client import Operator, operating
from chunkwise.settings import Settings

Answer = TypeVar("Answer")


def ask(question: Callable[[Operator], Awaitable[Answer]]) -> Answer:
    async def put() -> Answer:
        async with operating(Settings.read()) as operator:
            return await question(operator)

    return asyncio.run(put())
