"""What was asked of the fake: every request with its times, and the peaks in flight."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["page", "item", "users", "replies", "cursor", "conversation", "other"]
CLIENT_GONE = 499


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """`workspace` is None for an unknown key; `kind` is `other` for a route that does not exist,
    `page` and `item` are of accounts, the others of replies. `item`: the reply asked for.

    Times are milliseconds of the machine's monotonic clock. `status` and `answered_ms` are None
    while in flight. Status 499: the client went away from a held request.
    """

    number: int
    workspace: str | None
    kind: Kind
    path: str
    page: int | None
    arrived_ms: float
    item: int | None = None
    status: int | None = None
    answered_ms: float | None = None


class TrafficLog:
    """One event loop only."""

    def __init__(self) -> None:
        self._requests: dict[int, SeenRequest] = {}
        self._last_number = 0
        self._in_flight: Counter[str | None] = Counter()
        self._arrived = asyncio.Condition()
        self.reset()

    def reset(self) -> None:
        """Forget what was seen; what is in flight still counts towards the new peaks."""
        self._requests.clear()
        self.peak_total = self._in_flight.total()
        self.peaks = Counter(self._in_flight)

    async def arrive(
        self,
        workspace: str | None,
        kind: Kind,
        path: str,
        page: int | None,
        item: int | None = None,
    ) -> SeenRequest:
        self._last_number += 1
        seen = SeenRequest(
            number=self._last_number,
            workspace=workspace,
            kind=kind,
            path=path,
            page=page,
            item=item,
            arrived_ms=_now_ms(),
        )
        self._requests[seen.number] = seen
        self._in_flight[workspace] += 1
        self.peaks[workspace] = max(self.peaks[workspace], self._in_flight[workspace])
        self.peak_total = max(self.peak_total, self._in_flight.total())
        async with self._arrived:
            self._arrived.notify_all()
        return seen

    def leave(self, seen: SeenRequest, status: int) -> None:
        self._in_flight[seen.workspace] -= 1
        if seen.number in self._requests:
            done = replace(seen, status=status, answered_ms=_now_ms())
            self._requests[seen.number] = done

    def requests(self) -> list[SeenRequest]:
        return list(self._requests.values())

    async def wait_for(self, at_least: int, workspace: str | None) -> None:
        """Until that many requests have arrived since the last reset."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: self._count(workspace) >= at_least)

    def _count(self, workspace: str | None) -> int:
        if workspace is None:
            return len(self._requests)
        return sum(seen.workspace == workspace for seen in self._requests.values())


def _now_ms() -> float:
    return time.monotonic() * 1_000
