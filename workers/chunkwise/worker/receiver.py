"""The receiver: claims the chunks that POSTs name, and no others.

A hint is answered when the claim is known, if that is within `answer_seconds`: 202 if the chunk is
leased, else 200 with the reason. A slower claim is answered 202 and goes on. So the sender (pg_net
keeps status and body) learns what became of nearly every hint, and no slow database keeps a batch
of pg_net's requests open. A claim that fails while the sender waits is answered 503, and the hint
comes again from the database.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from chunkwise.errors import ChunkwiseError, VersionMismatchError
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Outcome
from chunkwise.logs import Log
from chunkwise.metrics import Counts, Metrics
from chunkwise.settings import Settings
from chunkwise.wakeups.push import Answer, RefusedError, Webhook
from chunkwise.wakeups.recheck import Recheck
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.http_server import Listener
from chunkwise.worker.monitoring import Monitor
from chunkwise.worker.pipeline import Pipeline

log = Log(__name__)

BUSY_SECONDS: Final = 1
NO_ROOM_MS: Final = 250
FAILED_CLAIM_MS: Final = 500
MOST_FAILURES: Final = 5


@dataclass(frozen=True, slots=True)
class Verdict:
    """claimed, the database's reason for not giving a lease, or one of BUSY."""

    what: str


LEASED: Final = "claimed"
ALREADY_HERE: Final = Verdict("not_pending")
ACCEPTED: Final = Answer(HTTPStatus.ACCEPTED, {"message": "accepted"})
MESSAGES: Final = {
    "not_found": "not found or already processing",
    "not_pending": "not found or already processing",
    "not_due": "not due yet",
    "paused": "its workspace is paused",
    "budget": "its budget is used up",
    "alone": "it, or what is held now, must be alone",
}
BUSY: Final = {
    "full": "as many chunks in hand as allowed",
    "stopping": "the receiver is stopping",
    "unavailable": "the database does not answer",
}


class _EndedError(Exception):
    """Ends the task group, whose loops are endless."""


class Receiver:
    def __init__(
        self,
        settings: Settings,
        gateway: Gateway,
        fetcher: Fetcher,
        listener: socket.socket,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._gateway = gateway
        self._stop = stop
        self._tasks = asyncio.TaskGroup()
        self._work = work = Pipeline(settings, gateway, fetcher, self._tasks, self._ended, stop)
        self._claims: dict[int, asyncio.Task[Verdict]] = {}
        self._later = Recheck(self._ask_again)
        self._failures: Counter[int] = Counter()
        self.hints: Counter[str] = Counter()
        counters = {"outcomes": work.hand_over.outcomes, "hints": self.hints}
        counts = Counts(work.fetches, lambda: len(work.leases), counters)
        self.monitor = Monitor(gateway, Metrics(gateway, counts))
        token = settings.required_wake_token()
        webhook = Webhook(token, self._hinted, self._refused)
        self._listener = Listener(webhook.app(self.monitor.routes(webhook.knows)), listener)

    @property
    def misfit(self) -> VersionMismatchError | None:
        return self._work.misfit

    async def run(self) -> None:
        """Returns after `stop` was set and what was in hand is done or handed back."""
        settings = self._settings
        try:
            async with self._tasks:
                self._work.start()
                serving = self._tasks.create_task(self._listener.serve())
                await self.listening()
                log.info(
                    "worker_started",
                    worker=settings.worker_id,
                    concurrency=settings.concurrency,
                    listen=self._listener.address,
                )
                await self._stop.wait()
                await self._wind_down(serving)
        except* _EndedError:
            log.info(
                "worker_stopped",
                worker=settings.worker_id,
                outcomes=dict(self._work.hand_over.outcomes),
                hints=dict(self.hints),
                leases_left=len(self._work.leases),
            )

    async def listening(self) -> None:
        """Returns when POSTs are accepted."""
        await self._listener.started()

    async def _wind_down(self, serving: asyncio.Task[None]) -> None:
        """Claims under way are awaited: what they lease is handed back."""
        self._listener.close()
        self._later.clear()
        claims = asyncio.gather(*self._claims.values())
        await self._work.wind_down(claims)
        await asyncio.wait([serving])
        raise _EndedError

    async def _hinted(self, queue_id: int | None) -> Answer:
        if queue_id is None:
            self.hints["without_id"] += 1
            log.warning("hint_without_id")
            return Answer(HTTPStatus.OK, {"message": "no id: nothing was claimed"})
        asking = self._tasks.create_task(self._ask(queue_id))
        await asyncio.wait([asking], timeout=self._settings.answer_seconds)
        if not asking.done():
            asking.add_done_callback(lambda task: self._settled_late(queue_id, task))
            self._note_hint(queue_id, "accepted")
            return ACCEPTED
        what = asking.result().what
        if what in BUSY:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, what, BUSY[what], BUSY_SECONDS)
        self._note_hint(queue_id, what)
        if what == LEASED:
            return ACCEPTED
        return Answer(HTTPStatus.OK, {"message": MESSAGES.get(what, what), "reason": what})

    def _note_hint(self, queue_id: int, answer: str) -> None:
        self.hints[answer] += 1
        log.info("hint_received", chunk=queue_id, answer=answer)

    def _refused(self, refusal: RefusedError) -> None:
        self.hints[refusal.why] += 1
        log.warning("hint_refused", status=refusal.status.value, why=refusal.why)

    def _settled_late(self, queue_id: int, asking: asyncio.Task[Verdict]) -> None:
        if not asking.cancelled():
            self._after_nobody_waited(queue_id, "late", asking.result())

    async def _ask(self, queue_id: int) -> Verdict:
        """One claim per chunk at a time: a hint that finds one under way waits for it. If that one
        gave no lease, it may have looked too early to speak for this hint, which asks anew."""
        earlier = self._claims.get(queue_id)
        if earlier is not None and (await asyncio.shield(earlier)).what == LEASED:
            return ALREADY_HERE
        current = self._claims.get(queue_id)
        if current is not None:
            verdict = await asyncio.shield(current)
            return ALREADY_HERE if verdict.what == LEASED else verdict
        if self._stop.is_set():
            return Verdict("stopping")
        if not self._has_room():
            return Verdict("full")
        claim = self._tasks.create_task(self._claim(queue_id))
        self._claims[queue_id] = claim
        claim.add_done_callback(lambda _: self._claims.pop(queue_id, None))
        return await asyncio.shield(claim)

    def _has_room(self) -> bool:
        most = self._settings.concurrency + self._settings.claim_ahead
        return self._work.busy + len(self._claims) < most and len(self._work.hand_over) < most

    async def _claim(self, queue_id: int) -> Verdict:
        self._later.forget(queue_id)
        try:
            claim = await self._gateway.claim_chunk_job_safe(queue_id, self._settings.worker_id)
        except VersionMismatchError as misfit:
            self._work.give_up(misfit)
            return Verdict("stopping")
        except ChunkwiseError as error:
            log.warning("claim_failed", chunk=queue_id, **error.fields())
            return Verdict("unavailable")
        self._failures.pop(queue_id, None)
        self._work.take(claim)
        if claim.look_again_ms is not None:
            self._later.ask(queue_id, claim.look_again_ms)
        return Verdict(LEASED if claim.leases else claim.reason or "not_pending")

    def _ended(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if outcome.look_again_ms is not None and not self._stop.is_set():
                self._later.ask(outcome.queue_id, outcome.look_again_ms)

    def _ask_again(self, queue_id: int) -> None:
        if not self._stop.is_set() and queue_id not in self._claims:
            self._tasks.create_task(self._look_again(queue_id))

    async def _look_again(self, queue_id: int) -> None:
        self._after_nobody_waited(queue_id, "again", await self._ask(queue_id))

    def _after_nobody_waited(self, queue_id: int, how: str, verdict: Verdict) -> None:
        """No sender hears of it, so this process has to try again, for a while."""
        self.hints[f"{how}_{verdict.what}"] += 1
        log.info("hint_settled", chunk=queue_id, how=how, answer=verdict.what)
        if verdict.what == "full":
            self._later.ask(queue_id, NO_ROOM_MS)
        elif verdict.what == "unavailable":
            self._failures[queue_id] += 1
            if self._failures[queue_id] < MOST_FAILURES:
                self._later.ask(queue_id, FAILED_CLAIM_MS * self._failures[queue_id])
            else:
                del self._failures[queue_id]
