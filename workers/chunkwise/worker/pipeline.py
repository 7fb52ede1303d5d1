"""Leases in hand: fetched, handed over, kept alive, and given back at the end. Who claims them is
`chunkwise.worker.loop` or `chunkwise.worker.receiver`."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from chunkwise.errors import VersionMismatchError
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Claim, Outcome, Page, Versions
from chunkwise.gateway.versions import check_versions
from chunkwise.logs import Log
from chunkwise.metrics import new_fetch_histogram
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.handover import HandOver
from chunkwise.worker.heartbeat import Heartbeat
from chunkwise.worker.leases import Held, Leases, Stage
from chunkwise.worker.requests import Requests

log = Log(__name__)

RELEASE_SECONDS: Final = 3.0


class Pipeline:
    """`ended` is called with the outcomes of leases, as the database tells them; `misfit` is why
    this program stops: the database was upgraded under it."""

    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        fetcher: Fetcher,
        tasks: asyncio.TaskGroup,
        ended: Callable[[Sequence[Outcome]], None],
        stop: asyncio.Event,
    ) -> None:
        self._stop = stop
        self._stop_seconds = settings.stop_seconds
        self._fetcher = fetcher
        self._tasks = tasks
        self._stopping = False
        self.misfit: VersionMismatchError | None = None
        self.leases = Leases()
        self._requests = Requests(settings.concurrency, self.leases.changed.set)
        self.fetches = new_fetch_histogram()
        self.hand_over = HandOver(gateway, self.leases, ended, tasks)
        self._heartbeat = Heartbeat(gateway, self.leases, self.hand_over)

    @property
    def busy(self) -> int:
        """Leases whose answer is not there yet, but for those of slow requests, which keep nobody
        from being sent."""
        return len(self.leases.to_fetch()) - self._requests.slow

    def start(self) -> None:
        self._tasks.create_task(self._heartbeat.run())
        self._tasks.create_task(self.hand_over.run())

    def take(self, claim: Claim) -> list[Held]:
        """Fetch what a claim gave; those of its leases that are not handed back at once."""
        accepted = [self.leases.add(lease) for lease in claim.leases]
        for held in accepted:
            if self._stopping:
                self.hand_over.release(held, "the worker is stopping")
            else:
                held.task = self._tasks.create_task(self._fetch(held))
        self.hand_over.release_blocked(claim.blocked_budgets)
        if claim.versions is not None:
            self._compare(claim.versions)
        return [held for held in accepted if held.to_fetch]

    def give_up(self, misfit: VersionMismatchError) -> None:
        """Stop as if told to: what was not sent is handed back."""
        if self.misfit is None:
            log.error("worker_misfit", **misfit.fields())
            self.misfit = misfit
        self._stop.set()

    def _compare(self, versions: Versions) -> None:
        try:
            check_versions(versions)
        except VersionMismatchError as misfit:
            self.give_up(misfit)

    async def _fetch(self, held: Held) -> None:
        await asyncio.sleep(held.send_at - time.monotonic())
        async with self._requests.place():
            if held.expired:
                log.warning("lease_expired_unsent", chunk=held.lease.queue_id)
                self.leases.fetched(held)
                self.leases.forget(held)
                return
            held.stage = Stage.SENT
            started = time.monotonic()
            answer = await self._fetcher.send(held.lease)
            outcome = "page" if isinstance(answer, Page) else answer.error_class
            self.fetches.labels(outcome).observe(time.monotonic() - started)
        self.leases.fetched(held)
        if isinstance(answer, Page):
            self.hand_over.put(held, answer)
        else:
            await self.hand_over.fail(held, answer)

    async def wind_down(self, claiming: Awaitable[object]) -> None:
        """Hands back what was not sent, finishes what was; at the deadline hands back all."""
        log.info("worker_stopping", leases=len(self.leases))
        self._stopping = True
        self.leases.changed.set()
        for held in self.leases.unsent():
            self.hand_over.release(held, "the worker is stopping")
        try:
            async with asyncio.timeout(self._stop_seconds):
                await claiming
                await self.leases.none_left()
        except TimeoutError:
            await self._give_back()

    async def _give_back(self) -> None:
        for held in self.leases.to_fetch():
            self.hand_over.release(held, "the worker is stopping")
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self.leases.none_left()
        except TimeoutError:
            log.warning("leases_left", leases=len(self.leases))
