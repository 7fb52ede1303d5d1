"""The worker: claims leases, fetches their pages, hands them over, until it is told to stop."""

import asyncio
import time
from typing import Final

from workers.backoff import Backoff
from workers.errors import ChunkwiseError
from workers.fetch import Fetcher
from workers.gateway import Gateway
from workers.handover import HandOver
from workers.heartbeat import Heartbeat
from workers.hints import Hints
from workers.leases import Held, Leases, Stage
from workers.logs import Log
from workers.looks import Looks, Reason
from workers.protocol import Claim, Page
from workers.settings import Settings
from workers.subscription import Patience

log = Log(__name__)

MOST_LEASES_PER_CLAIM: Final = 100
RELEASE_SECONDS: Final = 3.0


class _EndedError(Exception):
    """Ends the task group, whose loops are endless."""


class Worker:
    """`looks` is where hints come in."""

    def __init__(
        self, settings: Settings, gateway: Gateway, fetcher: Fetcher, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._fetcher = fetcher
        self._stop = stop
        self._tasks = asyncio.TaskGroup()
        self._requests = asyncio.Semaphore(settings.concurrency)
        self._leases = Leases()
        self.looks = Looks(settings.idle_seconds)
        self._hints = Hints(
            settings.supabase_url,
            settings.supabase_secret_key,
            lambda: self.looks.nudge(Reason.HINTED),
            Patience(renew=settings.realtime_renew_seconds),
        )
        self._hand_over = HandOver(gateway, self._leases, self.looks, self._tasks)
        self._heartbeat = Heartbeat(gateway, self._leases, self._hand_over)

    async def run(self) -> None:
        """Returns after `stop` was set and what was in hand is done or handed back."""
        settings = self._settings
        log.info(
            "worker_started",
            worker=settings.worker_id,
            concurrency=settings.concurrency,
            realtime=settings.realtime,
        )
        try:
            async with self._tasks:
                claiming = self._tasks.create_task(self._claim_loop())
                self._tasks.create_task(self._heartbeat.run())
                self._tasks.create_task(self._hand_over.run())
                listening = self._tasks.create_task(self._listen())
                await self._wind_down(claiming, listening)
        except* _EndedError:
            log.info(
                "worker_stopped",
                worker=settings.worker_id,
                outcomes=dict(self._hand_over.outcomes),
                looks=dict(self.looks.counts),
                realtime=dict(self._hints.counts),
                leases_left=len(self._leases),
            )

    async def _listen(self) -> None:
        if self._settings.realtime:
            await self._hints.run()

    async def _claim_loop(self) -> None:
        while not self._stop.is_set():
            reason = await self.looks.due()
            claim = await self._claim()
            if claim is not None:
                self._accept(reason, claim)

    async def _claim(self) -> Claim | None:
        """Repeated until it succeeds; none if the worker stops meanwhile."""
        backoff = Backoff()
        while room := await self._room():
            try:
                return await self._gateway.claim_next_chunk_job_safe(
                    self._settings.worker_id, min(room, MOST_LEASES_PER_CLAIM)
                )
            except ChunkwiseError as error:
                log.warning("claim_failed", **error.fields())
            await self._pause(backoff.next_seconds())
        return None

    async def _room(self) -> int:
        """Waits until few enough leases wait for their turn, and says how many may be added; none
        if the worker stops."""
        most = self._settings.concurrency + self._settings.claim_ahead
        few = most - max(1, self._settings.claim_ahead // 2)
        while not self._stop.is_set():
            room = most - len(self._leases.to_fetch())
            if most - room <= few and len(self._hand_over) < most:
                return room
            self._leases.changed.clear()
            await self._leases.changed.wait()
        return 0

    def _accept(self, reason: Reason, claim: Claim) -> None:
        if claim.leases:
            log.info("claimed", look=reason, leases=len(claim.leases))
        else:
            log.debug("looked", look=reason, leases=0, next_look_ms=claim.next_look_ms)
        accepted = [self._leases.add(lease) for lease in claim.leases]
        for held in accepted:
            if self._stop.is_set():
                self._hand_over.release(held, "the worker is stopping")
            else:
                held.task = self._tasks.create_task(self._fetch(held))
        self._hand_over.release_blocked(claim.blocked)
        self.looks.saw(reason, claim, found=any(held.to_fetch for held in accepted))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _fetch(self, held: Held) -> None:
        await asyncio.sleep(held.send_at - time.monotonic())
        async with self._requests:
            if held.expired:
                log.warning("lease_expired_unsent", chunk=held.lease.queue_id)
                self._leases.fetched(held)
                self._leases.forget(held)
                return
            held.stage = Stage.SENT
            answer = await self._fetcher.send(held.lease)
        self._leases.fetched(held)
        if isinstance(answer, Page):
            self._hand_over.put(held, answer)
        else:
            await self._hand_over.fail(held, answer)

    async def _wind_down(self, claiming: asyncio.Task[None], listening: asyncio.Task[None]) -> None:
        """When told to stop: hands back what was not sent, finishes what was; at the deadline
        hands back all."""
        await self._stop.wait()
        log.info("worker_stopping", leases=len(self._leases))
        listening.cancel()
        self.looks.wake()
        self._leases.changed.set()
        for held in self._leases.unsent():
            self._hand_over.release(held, "the worker is stopping")
        try:
            async with asyncio.timeout(self._settings.stop_seconds):
                await claiming
                await self._leases.none_left()
        except TimeoutError:
            await self._give_back()
        await asyncio.wait([listening])
        raise _EndedError

    async def _give_back(self) -> None:
        for held in self._leases.to_fetch():
            self._hand_over.release(held, "the worker is stopping")
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._leases.none_left()
        except TimeoutError:
            log.warning("leases_left", leases=len(self._leases))
