"""What pg_net's background worker does, again and again."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import NoReturn

import httpx

from local.net.queue import Faults, Request, RequestQueue, Response
from local.net.sending import send

PAUSE_SECONDS = 1.0
# Multiplied by it, neighbouring ids are spread over the whole range: a share is met by any few.
SPREAD = 0.6180339887498949


@dataclass(slots=True)
class Delivery:
    """`_delayed` holds (when due, request); a delayed request is forgotten if the process dies."""

    queue: RequestQueue
    client: httpx.AsyncClient
    _delayed: list[tuple[float, Request]] = field(default_factory=list)

    async def run(self) -> NoReturn:
        """Sends what is queued at the start too. Raises what the database raises."""
        while True:
            sent = await self._send_batch()
            if await self.queue.woken(PAUSE_SECONDS if sent else self._until_due()):
                raise RestartError

    async def _send_batch(self) -> bool:
        faults, taken = await self.queue.take()
        kept = [request for request in taken if not _is_hit(request, faults.dropped_share)]
        if faults.delay_ms:
            due_at = time.monotonic() + faults.delay_ms / 1000
            self._delayed += [(due_at, request) for request in kept]
            kept = []
        batch = kept + self._take_due()
        await self.queue.answer(
            await asyncio.gather(*(self._send(request, faults) for request in batch))
        )
        return bool(taken)

    async def _send(self, request: Request, faults: Faults) -> Response:
        if not _is_hit(request, faults.doubled_share):
            return await send(self.client, request)
        first, _ = await asyncio.gather(send(self.client, request), send(self.client, request))
        return first

    def _take_due(self) -> list[Request]:
        now = time.monotonic()
        due = [request for due_at, request in self._delayed if due_at <= now]
        self._delayed = [entry for entry in self._delayed if entry[0] > now]
        return due

    def _until_due(self) -> float | None:
        if not self._delayed:
            return None
        return max(0.0, min(due_at for due_at, _ in self._delayed) - time.monotonic())


class RestartError(Exception):
    """Somebody called net.worker_restart()."""


def _is_hit(request: Request, share: float) -> bool:
    """The same requests for the same share, whenever it is asked."""
    return request.id * SPREAD % 1 < share
