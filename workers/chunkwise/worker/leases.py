"""The leases a worker holds."""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from chunkwise.gateway.protocol import BlockedBudget, Lease


class Stage(Enum):
    UNSENT = auto()
    SENT = auto()
    FETCHED = auto()  # nothing is left to fetch: answered, or being handed back
    HANDING_OVER = auto()  # in a call that ends the lease


@dataclass(slots=True, eq=False)
class Held:
    """A lease in this worker's hands. Times are monotonic seconds."""

    lease: Lease
    expires_at: float
    send_at: float
    stage: Stage = Stage.UNSENT
    task: asyncio.Task[None] | None = None

    @property
    def expired(self) -> bool:
        return time.monotonic() >= self.expires_at

    @property
    def to_fetch(self) -> bool:
        return self.stage in (Stage.UNSENT, Stage.SENT)


class Leases:
    """`changed` is set whenever a lease was fetched or forgotten: there is room, or all is done."""

    def __init__(self) -> None:
        self._held: dict[int, Held] = {}
        self.changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._held)

    def add(self, lease: Lease) -> Held:
        """Another token for a chunk that is held means that the older lease is lost."""
        older = self._held.get(lease.queue_id)
        if older is not None:
            self.stop_fetching(older)
        held = Held(
            lease,
            expires_at=lease.asked_at + lease.lease_ms / 1000,
            send_at=lease.answered_at + lease.send_after_ms / 1000,
        )
        self._held[lease.queue_id] = held
        return held

    def holds(self, held: Held) -> bool:
        return self._held.get(held.lease.queue_id) is held

    def fetched(self, held: Held) -> None:
        held.stage = Stage.FETCHED
        self.changed.set()

    def stop_fetching(self, held: Held) -> None:
        if held.to_fetch and held.task is not None:
            held.task.cancel()
        self.fetched(held)

    def forget(self, held: Held) -> None:
        if self.holds(held):
            del self._held[held.lease.queue_id]
        self.changed.set()

    def held(self, queue_ids: Iterable[int] | None = None) -> list[Held]:
        if queue_ids is None:
            return list(self._held.values())
        return [self._held[queue_id] for queue_id in queue_ids if queue_id in self._held]

    def unsent(self) -> list[Held]:
        return [held for held in self._held.values() if held.stage is Stage.UNSENT]

    def unsent_of(self, blocked: Iterable[BlockedBudget]) -> list[Held]:
        budgets = {budget.budget_id for budget in blocked}
        return [held for held in self.unsent() if held.lease.budget_id in budgets]

    def to_fetch(self) -> list[Held]:
        """Those whose answer is not there yet, sent or not."""
        return [held for held in self._held.values() if held.to_fetch]

    async def none_left(self) -> None:
        while self._held:
            self.changed.clear()
            await self.changed.wait()
