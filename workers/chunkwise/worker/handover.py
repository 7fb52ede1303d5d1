"""Hands results to the database. Finished pages go many in one call; what arrives meanwhile is
the next call.

A call may have to wait for what somebody else holds in the database. One that takes long is not
waited for: the next goes beside it, without pages of the workspaces in it. Theirs go each in a call
of their own, so that whoever is not concerned is through at once.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from chunkwise.errors import (
    ChunkwiseError,
    LeaseLostError,
    ProtocolError,
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
SLOW_SECONDS: Final = 0.25
# The statement's time limit, and a chunk that somebody holds: less at once takes less time, and
# others do not wait for it.
TOO_MUCH_AT_ONCE: Final = ("57014", "55P03")
SQLSTATE_LENGTH: Final = 5
# Each that waits holds one of PostgREST's connections, of which there may be no more than ten.
MOST_CALLS: Final = 6


class _StuckError(ChunkwiseError):
    """The database does not take these pages, while it answers other calls."""


@dataclass(slots=True, eq=False)
class _Call:
    workspaces: frozenset[str]
    is_slow: bool = False


@dataclass(slots=True, eq=False)
class _Part:
    """Pages of a call that are sent together."""

    pages: Sequence[Finished]
    backoff: Backoff = field(default_factory=Backoff)
    failures: int = 0
    first_sent_at: float = 0.0
    due_at: float = 0.0

    @property
    def workspaces(self) -> frozenset[str]:
        return frozenset(held.lease.workspace for held, _ in self.pages)

    def halves(self) -> "list[_Part]":
        middle = len(self.pages) // 2
        return [_Part(self.pages[:middle]), _Part(self.pages[middle:])]


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
        self._calls: set[_Call] = set()
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
            while self._may_call() and (batch := self._next_batch()):
                part = _Part(batch)
                call = _Call(part.workspaces)
                self._calls.add(call)
                self._tasks.create_task(self._in_a_call(call, part))

    def _may_call(self) -> bool:
        """One call at a time, beside those that take long."""
        return all(call.is_slow for call in self._calls) and len(self._calls) < MOST_CALLS

    def _next_batch(self) -> list[Finished]:
        self._waiting = deque(each for each in self._waiting if self._leases.holds(each[0]))
        waiting = {held.lease.workspace for held, _ in self._waiting}
        slow: set[str] = set()
        on_their_own: set[str] = set()
        for call in self._calls:
            slow |= call.workspaces
            on_their_own |= call.workspaces if len(call.workspaces) == 1 else set()
        return self._take(waiting - slow or set(sorted(waiting - on_their_own)[:1]))

    def _take(self, names: set[str]) -> list[Finished]:
        """The first pages of these workspaces, as many as one call may carry."""
        batch: list[Finished] = []
        left: deque[Finished] = deque()
        size = 0
        is_full = False
        for held, page in self._waiting:
            grown = size + page.wire_bytes + page.header_bytes + PAGE_OVERHEAD_BYTES
            is_full = is_full or len(batch) == MOST_PAGES or bool(batch and grown > MOST_BYTES)
            if is_full or held.lease.workspace not in names:
                left.append((held, page))
            else:
                size = grown
                held.stage = Stage.HANDING_OVER
                batch.append((held, page))
        self._waiting = left
        return batch

    async def _in_a_call(self, call: _Call, part: _Part) -> None:
        timer = asyncio.get_running_loop().call_later(SLOW_SECONDS, self._is_slow, call)
        try:
            await self._complete(call, part)
        except Exception as error:  # noqa: BLE001  # of any type: it must cost these pages only
            log.warning("handing_over_failed", pages=len(part.pages), error=type(error).__name__)
            failure = Failure("transient", f"handing over failed: {type(error).__name__}")
            for held, _ in part.pages:
                self._tasks.create_task(self.fail(held, failure))
        finally:
            timer.cancel()
            self._calls.discard(call)
            self._arrived.set()

    def _is_slow(self, call: _Call) -> None:
        call.is_slow = True
        self._arrived.set()

    async def _complete(self, call: _Call, whole: _Part) -> None:
        """A call refused as a whole is halved, until the page that spoils it stands alone. What is
        sent again comes after all that was not sent yet: nothing waits for a page that is held."""
        unsent, again = deque([whole]), list[_Part]()
        while unsent or again:
            if unsent:
                part = unsent.popleft()
            else:
                part = min(again, key=lambda each: each.due_at)
                again.remove(part)
                await asyncio.sleep(part.due_at - time.monotonic())
            try:
                answer = await self._send(part)
            except (UnavailableError, VersionMismatchError) as error:
                log.warning("pages_given_up", pages=len(part.pages), **error.fields())
                for held, _ in part.pages:
                    self._leases.forget(held)
            except ChunkwiseError as error:
                if len(part.pages) > 1:
                    unsent.extend(part.halves())
                else:
                    # Not awaited: repeated for as long as the lease lives, it would hold up others.
                    failure = _failure_of(error)
                    self._tasks.create_task(self.fail(part.pages[0][0], failure))
            else:
                if answer is None:
                    again.append(part)
                else:
                    self._answered(part.pages, answer)
            call.workspaces = frozenset[str]().union(
                *(each.workspaces for each in (*again, *unsent))
            )
            self._arrived.set()

    async def _send(self, part: _Part) -> Outcomes | None:
        """Repeated as it was while a lease lives: a repeated completion is applied once. When all
        have run out, the database would refuse every page. Returns: None if it is due again."""
        part.first_sent_at = part.first_sent_at or time.monotonic()
        try:
            return await self._gateway.complete_chunk_jobs_safe(
                [(held.lease, page) for held, page in part.pages]
            )
        except UnavailableError as error:
            part.failures += 1
            if all(held.expired for held, _ in part.pages):
                raise
            is_too_much = error.code in TOO_MUCH_AT_ONCE and len(part.pages) > 1
            if is_too_much or (
                part.failures >= TRIES_WHILE_OTHERS_PASS
                and self._gateway.answered_at > part.first_sent_at
            ):
                text = f"{error.message}, while other calls are answered"
                raise _StuckError(text, code=error.code) from None
            log.warning("complete_repeated", pages=len(part.pages), **error.fields())
        part.due_at = time.monotonic() + part.backoff.next_seconds()
        return None

    def _answered(self, batch: Sequence[Finished], answer: Outcomes) -> None:
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


def _failure_of(error: ChunkwiseError) -> Failure:
    """Trouble of the database's own is no attempt of the chunk: SQL tells whether it is its own.
    Nor is an answer that no database gives: something else may stand before it for a while."""
    if not isinstance(error, _StuckError | ProtocolError):
        return Failure("transient", f"the page was refused: {error.message}")
    known = f"{error.code}: " if error.code and len(error.code) == SQLSTATE_LENGTH else ""
    return Failure("postponed", known + error.message)
