"""Keeps all held leases alive with one call, and lets go of those that are lost or cancelled."""

import asyncio
import time
from typing import Final

from chunkwise.errors import ChunkwiseError
from chunkwise.gateway.backoff import Backoff
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Extension
from chunkwise.logs import Log
from chunkwise.worker.handover import HandOver
from chunkwise.worker.leases import Held, Leases, Stage

log = Log(__name__)

HEARTBEAT_SECONDS: Final = 6.0
MOST_PER_CALL: Final = 1000


class Heartbeat:
    def __init__(self, gateway: Gateway, leases: Leases, hand_over: HandOver) -> None:
        self._gateway = gateway
        self._leases = leases
        self._hand_over = hand_over

    async def run(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            backoff = Backoff(first_seconds=0.5, longest_seconds=2)
            while len(self._leases) and not await self._extend_all():
                await backoff.wait()

    async def _extend_all(self) -> bool:
        """False: to be repeated."""
        held = self._leases.held()
        parts = [held[at : at + MOST_PER_CALL] for at in range(0, len(held), MOST_PER_CALL)]
        return all([await self._extend(part) for part in parts])

    async def _extend(self, held: list[Held]) -> bool:
        asked_at = time.monotonic()
        try:
            extension = await self._gateway.extend_chunk_leases([each.lease for each in held])
        except ChunkwiseError as error:
            log.warning("heartbeat_failed", leases=len(held), **error.fields())
            return False
        for each in held:
            each.expires_at = asked_at + extension.lease_ms / 1000
        self._let_go(held, extension)
        return True

    def _let_go(self, asked: list[Held], extension: Extension) -> None:
        """A lease in a call that ends it may already be ended: that call's answer counts."""
        for held in asked:
            chunk = held.lease.queue_id
            if held.stage is Stage.HANDING_OVER or not self._leases.holds(held):
                continue
            if chunk in extension.lost:
                log.warning("lease_lost", chunk=chunk, workspace=held.lease.workspace)
                self._leases.stop_fetching(held)
                self._leases.forget(held)
            elif chunk in extension.cancelled and held.to_fetch:
                self._hand_over.release(held, "the job was cancelled")
        self._hand_over.release_blocked(extension.blocked_budgets)
