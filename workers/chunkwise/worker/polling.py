"""When to look for work next, and what the looks found. All waiting for work happens here."""

import asyncio
import random
from collections import Counter
from enum import StrEnum

from chunkwise.gateway.protocol import Claim

# An answer without leases that says "due now" must not turn the loop into a spin.
_SHORTEST_SECONDS = 0.02
_SHORTEST_SECONDS_LIMIT = 0.25


class Reason(StrEnum):
    START = "start"
    MORE = "more"  # the last look found work
    OWN = "own"  # this worker finished a chunk, which may have made others ready
    HINTED = "hinted"
    DUE = "due"  # delayed work falls due
    IDLE = "idle"


class Polling:
    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._wait_ms: float | None = 0
        self._found = True
        self._empty_in_a_row = 0
        self._nudged = asyncio.Event()
        self._nudge: Reason | None = None
        self._first = True
        self.counts: Counter[str] = Counter()

    def nudge(self, reason: Reason) -> None:
        """Look now: something says that there may be work. A hint outweighs the worker's own."""
        if self._nudge is not Reason.HINTED:
            self._nudge = reason
        self._nudged.set()

    def wake(self) -> None:
        """End the waiting without a look, because the worker stops."""
        self._nudged.set()

    async def due(self) -> Reason:
        """Returns when it is time for the next look, and why."""
        if self._first:
            self._first = False
            return Reason.START
        if self._found:
            nudge = self._take_nudge()
            return Reason.HINTED if nudge is Reason.HINTED else Reason.MORE
        seconds, reason = self._pause()
        try:
            async with asyncio.timeout(seconds):
                await self._nudged.wait()
        except TimeoutError:
            return reason
        return self._take_nudge() or reason

    def saw(self, reason: Reason, claim: Claim, found: bool) -> None:
        """`found` is false too if every lease was released at once, its budget being blocked."""
        self._found = found
        self._empty_in_a_row = 0 if self._found else self._empty_in_a_row + 1
        waits = [float(budget.for_ms) for budget in claim.blocked_budgets]
        if claim.next_look_ms is not None:
            waits.append(float(claim.next_look_ms))
        self._wait_ms = min(waits, default=None)
        self.counts[f"{reason}_{'found' if claim.leases else 'empty'}"] += 1

    def _take_nudge(self) -> Reason | None:
        self._nudged.clear()
        nudge, self._nudge = self._nudge, None
        return nudge

    def _pause(self) -> tuple[float, Reason]:
        idle = self._idle_seconds * random.uniform(0.7, 1)
        if self._wait_ms is None or self._wait_ms / 1000 >= idle:
            return idle, Reason.IDLE
        shortest = _SHORTEST_SECONDS * 2.0 ** min(self._empty_in_a_row, 10)
        return max(self._wait_ms / 1000, min(shortest, _SHORTEST_SECONDS_LIMIT)), Reason.DUE
