"""Hands results to the database. Finished pages go many in one call; what arrives meanwhile is
the next call."""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from chunkwise.errors import (
    ChunkwiseError,
    LeaseLostError,
    UnavailableError,
    VersionMismatchError,
)
from chunkwise.gateway.backoff import Backoff
from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import BlockedBudget, Failure, Outcome, Outcomes, Page
from chunkwise.logs import Log
from chunkwise.worker.leases import Held, Leases, Stage

log = Log(__name__)

Finished = tuple[Held, Page]

MOST_PAGES: Final = 100
MOST_BYTES: Final = 16_000_000
# Beside the body: ids, token, status, duration and their names.
PAGE_OVERHEAD_BYTES: Final = 200
LINGER_SECONDS: Final = 0.004
# One page that always breaks its call must not hold up the others for the life of its lease.
TRIES_WHILE_OTHERS_PASS: Final = 5


class HandOver:
    def __init__(
        self,
        gateway: Gateway,
        leases: Leases,
        ended: Callable[[Sequence[Outcome]], None],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._gateway = gateway
        self._leases = leases
        self._ended = ended
        self._tasks = tasks
        self._waiting: deque[Finished] = deque()
        self._arrived = asyncio.Event()
        self.outcomes: Counter[str] = Counter()

    def __len__(self) -> int:
        """Pages that wait for a call."""
        return len(self._waiting)

    def put(self, held: Held, page: Page) -> None:
        self._waiting.append((held, page))
        self._arrived.set()

    def release(self, held: Held, why: str) -> None:
        self._leases.stop_fetching(held)
        self._tasks.create_task(self.fail(held, Failure("released", why)))

    def release_blocked(self, blocked: Iterable[BlockedBudget]) -> None:
        for held in self._leases.unsent_of(blocked):
            self.release(held, "its budget is blocked")

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            if len(self._waiting) < MOST_PAGES and self._leases.to_fetch():
                await asyncio.sleep(LINGER_SECONDS)
            while batch := self._next_batch():
                await self._complete(batch)

    def _next_batch(self) -> list[Finished]:
        batch: list[Finished] = []
        size = 0
        while self._waiting and len(batch) < MOST_PAGES:
            held, page = self._waiting[0]
            size += page.wire_bytes + PAGE_OVERHEAD_BYTES
            if batch and size > MOST_BYTES:
                break
            self._waiting.popleft()
            if self._leases.holds(held):
                held.stage = Stage.HANDING_OVER
                batch.append((held, page))
        return batch

    async def _complete(self, batch: list[Finished]) -> None:
        """A call refused as a whole is halved, until the page that spoils it stands alone."""
        try:
            answer = await self._call(batch)
        except (UnavailableError, VersionMismatchError) as error:
            log.warning("pages_given_up", pages=len(batch), **error.fields())
            for held, _ in batch:
                self._leases.forget(held)
        except ChunkwiseError as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._complete(batch[:middle])
                await self._complete(batch[middle:])
            else:
                # Not awaited: repeated for as long as the lease lives, it would hold up the others.
                failure = Failure("transient", f"the page was refused: {error.message}")
                self._tasks.create_task(self.fail(batch[0][0], failure))
        else:
            self._answered(batch, answer)

    async def _call(self, batch: list[Finished]) -> Outcomes:
        """Repeated as it was while a lease lives: a repeated completion is applied once. When all
        have run out, the database would refuse every page."""
        backoff = Backoff()
        pages = [(held.lease, page) for held, page in batch]
        started, failures = time.monotonic(), 0
        while True:
            try:
                return await self._gateway.complete_chunk_jobs_safe(pages)
            except UnavailableError as error:
                failures += 1
                if all(held.expired for held, _ in batch):
                    raise
                if failures >= TRIES_WHILE_OTHERS_PASS and self._gateway.answered_at > started:
                    text = f"{error.message}, while other calls are answered"
                    raise ChunkwiseError(text, code=error.code) from None
                log.warning("complete_repeated", pages=len(batch), **error.fields())
            await backoff.wait()

    def _answered(self, batch: list[Finished], answer: Outcomes) -> None:
        by_id = {outcome.queue_id: outcome for outcome in answer.outcomes}
        for held, page in batch:
            outcome = by_id.get(held.lease.queue_id)
            if outcome is None:
                log.error("outcome_missing", chunk=held.lease.queue_id)
            else:
                self._note(held, outcome, duration_ms=page.duration_ms)
            self._leases.forget(held)
        self._ended(answer.outcomes)
        self.release_blocked(answer.blocked_budgets)

    async def fail(self, held: Held, failure: Failure) -> None:
        """Repeated while the lease lives; then the database takes the chunk back by itself."""
        held.stage = Stage.HANDING_OVER
        backoff = Backoff()
        while await self._to_repeat(held, failure):
            await backoff.wait()
        self._leases.forget(held)

    async def _to_repeat(self, held: Held, failure: Failure) -> bool:
        chunk = held.lease.queue_id
        try:
            answer = await self._gateway.fail_chunk_job_safe(held.lease, failure)
        except LeaseLostError:
            log.warning("lease_lost", chunk=chunk)
        except UnavailableError as error:
            if not held.expired:
                log.warning("fail_repeated", chunk=chunk, **error.fields())
                return True
            log.warning("failure_given_up", chunk=chunk, **error.fields())
        except ChunkwiseError as error:
            log.warning("failure_refused", chunk=chunk, **error.fields())
        else:
            told = {"error_class": failure.error_class, "error": failure.message}
            self._note(held, answer, **told)
            self._ended([answer])
            self.release_blocked(answer.blocked_budgets)
        return False

    def _note(self, held: Held, outcome: Outcome, **fields: object) -> None:
        self.outcomes[outcome.outcome] += 1
        known = {
            "records": outcome.records,
            "changed": outcome.changed,
            "code": outcome.code,
            "error": outcome.message,
        }
        write = log.warning if outcome.outcome in ("failed", "refused") else log.info
        write(
            f"chunk_{outcome.outcome}",
            chunk=held.lease.queue_id,
            workspace=held.lease.workspace,
            stream=held.lease.stream,
            attempt=held.lease.attempt,
            **{**fields, **{name: value for name, value in known.items() if value is not None}},
        )
