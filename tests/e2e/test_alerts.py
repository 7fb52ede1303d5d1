"""Alerts reach a person once each, whatever stands in their way."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

import pytest

from local.bison import BisonControl
from local.stack import Database
from tests.db.net.inbox import open_inbox
from tests.e2e.webhook import Webhook, check_health
from tests.e2e.world import World
from tests.support.background import answer_of, in_background
from tests.support.db import Db
from tests.support.setup import advance_clock, set_settings, wait_for_posts

pytestmark = pytest.mark.usefixtures("deliverer")


@pytest.fixture
def webhook(world: World) -> Iterator[Webhook]:
    set_settings(world.db, expect_realtime=False)
    wait_for_posts(world.db)
    with open_inbox() as inbox:
        yield Webhook(world, inbox)


async def test_a_refused_key_is_told_once_though_the_webhook_was_down(
    world: World, bison: BisonControl, webhook: Webhook
) -> None:
    await world.register(bison)
    await bison.revoke_key("acme")
    webhook.listen("/refused")
    async with world.workers():
        await world.sync()
        check_health(world)
        await webhook.answered()
        refused = webhook.told()

        webhook.listen("/alerts")
        advance_clock(world.db, 31)
        await webhook.delivered()
        told = webhook.told()

        await bison.restore_key("acme")
        await world.sync()
        check_health(world)
        await webhook.delivered()

    assert told == refused == {"key_refused: acme": 1, "job_not_completed: sync": 1}
    assert webhook.told() == {
        ", resolved: key_refused: acme": 1,
        ", resolved: job_not_completed: sync": 1,
    }


async def test_a_hundred_checks_at_once_are_one_message(
    world: World, database: Database, bison: BisonControl, webhook: Webhook
) -> None:
    await world.register(bison, "acme")
    world.db.run("update sync_workspaces set key_status = 'refused'")
    webhook.listen()
    sessions = [Db.connect(database.dsn) for _ in range(4)]

    def check(db: Db) -> None:
        for _ in range(25):
            db.run("select sync.beat('cron')")
            db.run("select sync.check_health()")
            db.run("select cleanup_stuck_chunks()")

    for checked in [in_background(partial(check, db)) for db in sessions]:
        answer_of(checked)
    for db in sessions:
        db.close()
    await webhook.delivered()

    assert webhook.told() == {"key_refused: acme": 1}
    assert world.db.value("select count(*) from sync_alerts") == 1


async def test_when_cron_is_silent_a_worker_that_looks_for_work_raises_the_alarm(
    world: World, webhook: Webhook
) -> None:
    webhook.listen()
    webhook.listen("/alive", kind="dead_man")
    world.db.run("update sync.heartbeats set beat_at = sync.now()")
    advance_clock(world.db, 301)
    async with world.workers():
        await world.until(lambda: webhook.inbox.received.qsize() >= 2)
        requests = {(r.method, r.path) for r in (webhook.inbox.next(), webhook.inbox.next())}
        await webhook.answered()

    assert requests == {("POST", "/alerts"), ("GET", "/alive")}
    assert webhook.told() == Counter()
    assert world.db.column("select kind from sync_alerts") == ["cron_silent"]
