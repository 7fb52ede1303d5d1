"""Hints by Realtime that there may be work. They make looks earlier, never needed: without
Realtime a worker goes on by its idle looks."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping

from chunkwise.errors import UnavailableError
from chunkwise.gateway.backoff import Backoff
from chunkwise.logs import Log, quieten_realtime_libraries
from chunkwise.secret import Secret
from chunkwise.wakeups.subscription import Patience, Subscription

log = Log(__name__)


class Hints:
    """`look` is called for every hint and every join, and once more a moment later: a hint is sent
    at most every 250 ms, and changes flow only after the answer to a join. `counts` says what
    was heard: hints, echoes, subscribed, lost, and of those that were lost the deaf ones: a
    subscription that looks well and on which a message that was sent to all does not come."""

    def __init__(self, url: str, key: Secret, look: Callable[[], None], patience: Patience) -> None:
        self._url = url
        self._key = key
        self._look = look
        self._patience = patience
        self._current: Subscription | None = None
        self._subscribed_at = 0.0
        self._lost_at: float | None = None
        self._look_again: asyncio.TimerHandle | None = None
        self._heard_at = 0.0
        self._idle_finds = 0
        self._listening_for: asyncio.TimerHandle | None = None
        self._backoff = self._new_backoff()
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        """Endless; closes its client when cancelled."""
        quieten_realtime_libraries()
        try:
            while True:
                await self._watch(await self._renew())
        finally:
            for timer in (self._look_again, self._listening_for):
                if timer is not None:
                    timer.cancel()
            await self._drop()

    @property
    def listening(self) -> Mapping[str, int] | None:
        """What a claim says of it; none while there is no subscription."""
        return None if self._current is None else {"idle_finds": self._idle_finds}

    def found_without(self) -> None:
        """An idle look found work."""
        if self._current is not None:
            self._idle_finds += 1

    def expect_echo(self, age_ms: int | None, asked_at: float) -> None:
        """A claim that was asked for at `asked_at` says how long before its answer all who listen
        were sent a message: whoever hears nothing since then is deaf."""
        if age_ms is None or self._current is None or self._listening_for is not None:
            return
        sent_at = asked_at - age_ms / 1000
        if max(self._heard_at, self._subscribed_at + self._patience.settle) < sent_at:
            self._listening_for = asyncio.get_running_loop().call_later(
                self._patience.echo, self._judge, sent_at
            )

    def _judge(self, sent_at: float) -> None:
        self._listening_for = None
        if self._current is not None and max(self._heard_at, self._subscribed_at) < sent_at:
            self.counts["deaf"] += 1
            silent_for = time.monotonic() - sent_at
            self._current.give_up(f"deaf: a message of {silent_for:.0f} s ago was not heard")

    async def _renew(self) -> float:
        """Returns after how many seconds to do it again. A new client is subscribed before the old
        one is closed."""
        try:
            fresh = await Subscription.open(
                self._url, self._key, self._patience, self._look_twice, self._hinted, self._echoed
            )
        except UnavailableError as error:
            if self._current is None:
                self._report_lost(error.message)
            else:
                log.info("realtime_renewal_failed", error=error.message)
            return self._backoff.next_seconds()
        old, self._current = self._current, fresh
        self._report_subscribed(is_renewal=old is not None)
        if old is not None:
            await old.close()
        return self._patience.renew * random.uniform(0.9, 1)

    async def _watch(self, seconds: float) -> None:
        if self._current is None:
            await asyncio.sleep(seconds)
        elif (reason := await self._current.lost(seconds)) is not None:
            self._report_lost(reason)
            await self._drop()
            if time.monotonic() - self._subscribed_at > self._patience.retry_longest:
                self._backoff = self._new_backoff()
            await self._backoff.wait()

    async def _drop(self) -> None:
        if self._current is not None:
            await self._current.close()
            self._current = None

    def _hinted(self) -> None:
        self.counts["hints"] += 1
        self._heard()
        self._look_twice()

    def _echoed(self) -> None:
        self.counts["echoes"] += 1
        self._heard()

    def _heard(self) -> None:
        self._heard_at = time.monotonic()
        self._idle_finds = 0

    def _look_twice(self) -> None:
        self._look_now()
        if self._look_again is not None:
            self._look_again.cancel()
        loop = asyncio.get_running_loop()
        self._look_again = loop.call_later(self._patience.look_again, self._look_now)

    def _look_now(self) -> None:
        try:
            self._look()
        except Exception as error:  # noqa: BLE001 - it would end the library's listener in silence
            log.warning("hint_failed", error=f"{type(error).__name__}: {error}")

    def _report_lost(self, reason: str) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self.counts["lost"] += 1
            log.warning("realtime_lost", error=reason, looks="idle")

    def _report_subscribed(self, is_renewal: bool) -> None:
        self._subscribed_at = time.monotonic()
        if is_renewal:
            log.info("realtime_renewed")
            return
        self.counts["subscribed"] += 1
        lost_for = 0.0 if self._lost_at is None else self._subscribed_at - self._lost_at
        self._lost_at = None
        log.info("realtime_subscribed", lost_ms=round(lost_for * 1000), **self.counts)

    def _new_backoff(self) -> Backoff:
        return Backoff(self._patience.retry_first, self._patience.retry_longest)
