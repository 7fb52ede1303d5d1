"""The story of this project: one workspace has not synced for 18 days; who notices, and how."""

from collections.abc import Iterator

import pytest

from local.bison import Status, running_bison
from tests.db.net.inbox import open_inbox
from tests.e2e.webhook import Webhook, check_health, let_days_pass
from tests.e2e.world import World
from tests.support.setup import set_settings, wait_for_posts

pytestmark = pytest.mark.usefixtures("deliverer")
FLEET = {"acme": 40, "zen": 20, "Müller & Söhne": 10}
BROKEN = "acme"


@pytest.fixture
def webhook(world: World) -> Iterator[Webhook]:
    set_settings(world.db, expect_realtime=False)
    wait_for_posts(world.db)
    with open_inbox() as inbox:
        yield Webhook(world, inbox)


async def test_a_workspace_that_fails_for_18_days_is_found_and_mended(
    world: World, webhook: Webhook
) -> None:
    webhook.listen()
    async with running_bison(FLEET) as bison, world.worker_processes(2):
        await world.register(bison)
        await scheduled_sync(world)
        rule = await bison.fault(
            Status(status=500), workspace=BROKEN, kind="page", page=3, times=None
        )
        for day in range(6, 19, 6):
            let_days_pass(world, day)
            assert await scheduled_sync(world) == "partial"
            check_health(world)
            await webhook.delivered()

        listed = await world.chunkwise("workspaces", "stale", "--json")
        queried = world.db.run("select * from stale_workspaces")
        told = webhook.told()

        await bison.clear_rules(rule)
        let_days_pass(world, 18.05)
        assert await scheduled_sync(world) == "completed"
        check_health(world)
        await webhook.delivered()

    assert [row["workspace_name"] for row in listed.json] == [BROKEN]
    assert [(row["workspace_name"], row["time_since_sync"].days) for row in queried] == [
        (BROKEN, 18)
    ]
    assert told == {
        f"stale_workspace: {BROKEN} sender_emails": 1,
        "job_not_completed: scheduled sync": 1,
    }
    assert webhook.told() == {
        f", resolved: stale_workspace: {BROKEN} sender_emails": 1,
        ", resolved: job_not_completed: scheduled sync": 1,
    }
    assert world.db.run("select * from stale_workspaces") == []
    alert = world.db.one("select * from sync_alerts where kind = 'stale_workspace'")
    assert alert["resolved_at"] is not None
    assert alert["repeats"] == 2


async def scheduled_sync(world: World) -> str:
    """What pg_cron does every half hour; the job's end."""
    answer = world.db.value("select sync.start_scheduled_sync()")
    return str((await world.ended(answer["job_id"]))["status"])
