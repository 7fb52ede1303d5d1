"""Waiting longer after each failure, never at the same moments as others."""

import asyncio
import random


class Backoff:
    def __init__(self, first_seconds: float = 0.2, longest_seconds: float = 3) -> None:
        self._first = first_seconds
        self._longest = longest_seconds
        self._failures = 0

    def next_seconds(self) -> float:
        longest = min(self._longest, self._first * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return longest * random.uniform(0.5, 1)

    async def wait(self) -> None:
        await asyncio.sleep(self.next_seconds())
