"""The worker: claims leases, fetches their pages, hands them over, until it is told to stop."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

from chunkwise.errors import ChunkwiseError, VersionMismatchError
from chunkwise.gateway.backoff import Backoff
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Claim, Outcome
from chunkwise.logs import Log
from chunkwise.metrics import Counts, Metrics
from chunkwise.settings import Settings
from chunkwise.wakeups.realtime import Hints
from chunkwise.wakeups.subscription import Patience
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.monitoring import Monitor
from chunkwise.worker.pipeline import Pipeline
from chunkwise.worker.polling import Polling, Reason

log = Log(__name__)

MOST_LEASES_PER_CLAIM: Final = 100


class _EndedError(Exception):
    """Ends the task group, whose loops are endless."""


class Worker:
    """`looks` is where hints come in."""

    def __init__(
        self, settings: Settings, gateway: Gateway, fetcher: Fetcher, stop: asyncio.Event
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._stop = stop
        self._tasks = asyncio.TaskGroup()
        self.looks = Polling(settings.idle_seconds)
        self._hints = Hints(
            settings.supabase_url,
            settings.supabase_secret_key,
            lambda: self.looks.nudge(Reason.HINTED),
            Patience(renew=settings.realtime_renew_seconds),
        )
        self._work = work = Pipeline(settings, gateway, fetcher, self._tasks, self._ended, stop)
        counters = {
            "outcomes": work.hand_over.outcomes,
            "looks": self.looks.counts,
            "realtime": self._hints.counts,
        }
        counts = Counts(work.fetches, lambda: len(work.leases), counters)
        self.monitor = Monitor(gateway, Metrics(gateway, counts))

    @property
    def misfit(self) -> VersionMismatchError | None:
        return self._work.misfit

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
                self._work.start()
                listening = self._tasks.create_task(self._listen())
                await self._wind_down(claiming, listening)
        except* _EndedError:
            log.info(
                "worker_stopped",
                worker=settings.worker_id,
                outcomes=dict(self._work.hand_over.outcomes),
                looks=dict(self.looks.counts),
                realtime=dict(self._hints.counts),
                leases_left=len(self._work.leases),
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
            asked_at = time.monotonic()
            try:
                claim = await self._gateway.claim_next_chunk_job_safe(
                    self._settings.worker_id,
                    min(room, MOST_LEASES_PER_CLAIM),
                    self._hints.listening,
                )
            except VersionMismatchError as misfit:
                self._work.give_up(misfit)
            except ChunkwiseError as error:
                log.warning("claim_failed", **error.fields())
            else:
                self._hints.expect_echo(claim.echo_age_ms, asked_at)
                return claim
            await self._pause(backoff.next_seconds())
        return None

    async def _room(self) -> int:
        """Waits until few enough leases wait for their turn, and says how many may be added; none
        if the worker stops."""
        most = self._settings.concurrency + self._settings.claim_ahead
        few = most - max(1, self._settings.claim_ahead // 2)
        while not self._stop.is_set():
            room = most - self._work.busy
            if most - room <= few and len(self._work.hand_over) < most:
                return room
            self._work.leases.changed.clear()
            await self._work.leases.changed.wait()
        return 0

    def _accept(self, reason: Reason, claim: Claim) -> None:
        if claim.leases:
            log.info("claimed", look=reason, leases=len(claim.leases))
        else:
            log.debug("looked", look=reason, leases=0, next_look_ms=claim.next_look_ms)
        if reason is Reason.IDLE and claim.leases:
            self._hints.found_without()
        accepted = self._work.take(claim)
        self.looks.saw(reason, claim, found=bool(accepted))

    def _ended(self, outcomes: Sequence[Outcome]) -> None:
        if any(outcome.outcome != "released" for outcome in outcomes):
            self.looks.nudge(Reason.OWN)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    async def _wind_down(self, claiming: asyncio.Task[None], listening: asyncio.Task[None]) -> None:
        await self._stop.wait()
        listening.cancel()
        self.looks.wake()
        await self._work.wind_down(claiming)
        await asyncio.wait([listening])
        raise _EndedError
