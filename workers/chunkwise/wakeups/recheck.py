"""Chunks to ask for again when they fall due."""

import asyncio
from collections.abc import Callable
from typing import Final

from chunkwise.logs import Log

log = Log(__name__)

MOST_HELD: Final = 1000
# "Due now" may be said of a chunk that is not: asking at once, again and again, would be a spin.
SHORTEST_MS: Final = 50


class Recheck:
    """`due` is called with each when its time comes. What is dropped beyond MOST_HELD comes back
    as a hint."""

    def __init__(self, due: Callable[[int], None]) -> None:
        self._due = due
        self._timers: dict[int, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._timers)

    def ask(self, queue_id: int, wait_ms: float) -> None:
        """What was said last counts."""
        self.forget(queue_id)
        if len(self._timers) >= MOST_HELD:
            log.warning("look_again_dropped", chunk=queue_id, held=MOST_HELD)
            return
        seconds = max(wait_ms, SHORTEST_MS) / 1000
        loop = asyncio.get_running_loop()
        self._timers[queue_id] = loop.call_later(seconds, self._ring, queue_id)

    def forget(self, queue_id: int) -> None:
        timer = self._timers.pop(queue_id, None)
        if timer is not None:
            timer.cancel()

    def clear(self) -> None:
        for queue_id in list(self._timers):
            self.forget(queue_id)

    def _ring(self, queue_id: int) -> None:
        del self._timers[queue_id]
        self._due(queue_id)
