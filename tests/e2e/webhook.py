"""A chat's webhook on loopback: what it was told, and the database that tells it."""

import json
from collections import Counter
from dataclasses import dataclass

from tests.db.net.inbox import Inbox
from tests.e2e.world import World
from tests.support.setup import advance_clock

UNDELIVERED = "select exists (select from sync.alert_deliveries where delivered_at is null)"
IN_PG_NET = (
    "select exists (select from net.http_request_queue) or exists (select from sync.alert_posts)"
)


@dataclass(frozen=True, slots=True)
class Webhook:
    """`/alerts` takes every message, `/refused` none."""

    world: World
    inbox: Inbox

    def listen(self, path: str = "/alerts", kind: str = "webhook") -> None:
        self.world.db.run("select set_alert_url(:kind, :url)", kind=kind, url=self.inbox.url + path)

    async def delivered(self) -> None:
        """Sweep until every message of an alert was taken."""
        await self.world.until(lambda: self._swept() and not self.world.db.value(UNDELIVERED))

    async def answered(self) -> None:
        """Sweep until every message on its way was answered, be it refused."""
        await self.world.until(lambda: self._swept() and not self.world.db.value(IN_PG_NET))

    def _swept(self) -> bool:
        self.world.db.run("select cleanup_stuck_chunks()")
        return True

    def told(self) -> Counter[str]:
        """Kind and subject of each message since the last look, and whether it is resolved."""
        told: Counter[str] = Counter()
        while not self.inbox.received.empty():
            request = self.inbox.received.get()
            if request.method == "POST":
                text = str(json.loads(request.body)["text"])
                told[": ".join(text.removeprefix("Chunkwise").split(": ")[:3]).strip(": ")] += 1
        return told


def check_health(world: World) -> None:
    """What pg_cron does every 5 minutes."""
    world.db.run("select sync.beat('cron')")
    world.db.run("select sync.check_health()")


def let_days_pass(world: World, days: float) -> None:
    """The clock is so many days ahead; pg_cron has run its jobs all the while."""
    with world.db.transaction():
        advance_clock(world.db, days * 86_400)
        world.db.run("select sync.beat(name) from sync.heartbeats")
