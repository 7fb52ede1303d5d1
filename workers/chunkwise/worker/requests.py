"""How many requests are out at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

# Far longer than an API usually takes, and short beside its time limit.
SLOW_SECONDS: Final = 5.0


@dataclass(slots=True, eq=False)
class _Out:
    is_slow: bool = False


class Requests:
    """At most `most`, and as many again that have been out for `slow_seconds`: a few tenants whose
    APIs hang would otherwise hold all of them, and everybody else would wait with them. `slow`:
    how many have given their place to others; `gave_place` is called for each."""

    def __init__(
        self, most: int, gave_place: Callable[[], None], slow_seconds: float = SLOW_SECONDS
    ) -> None:
        self._most = most
        self._gave_place = gave_place
        self._slow_seconds = slow_seconds
        self._places = asyncio.Semaphore(most)
        self.slow = 0

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """For one request; waits until there is one."""
        await self._places.acquire()
        out = _Out()
        timer = asyncio.get_running_loop().call_later(self._slow_seconds, self._give, out)
        try:
            yield
        finally:
            timer.cancel()
            if out.is_slow:
                self.slow -= 1
            else:
                self._places.release()

    def _give(self, out: _Out) -> None:
        if self.slow < self._most:
            out.is_slow = True
            self.slow += 1
            self._places.release()
            self._gave_place()
