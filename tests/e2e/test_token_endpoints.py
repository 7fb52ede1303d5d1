"""Token endpoints that are silent, lead elsewhere, or answer with what is no token."""

from collections.abc import AsyncIterator, Mapping

import pytest_asyncio

from local.habits import Reply, running_habits
from local.habits.catalog import AUTHS
from tests.e2e.world import World
from tests.support.habits import Tenant

CLIENT = "client"
REFRESH = "refresh"
HABITS = {CLIENT: AUTHS["a client's token"], REFRESH: AUTHS["a refreshed token"]}
ELSEWHERE = "elsewhere"
REDIRECTS = (302, 307, 308)
RECORDS = 45


@pytest_asyncio.fixture
async def tenants(world: World) -> AsyncIterator[Mapping[str, Tenant]]:
    async with running_habits({name: habit.api for name, habit in HABITS.items()}) as habits:
        tenants = {name: Tenant(habit, habits[name], world.db) for name, habit in HABITS.items()}
        for tenant in tenants.values():
            with tenant.book() as book:
                book.fill(RECORDS)
            tenant.register()
        yield tenants


async def test_a_silent_token_endpoint_holds_up_nobody_else(
    world: World, tenants: Mapping[str, Tenant]
) -> None:
    silent = tenants[CLIENT]
    silent.running.stall()
    async with world.workers(2):
        waiting = world.start(CLIENT, name="waits")
        await world.until(lambda: silent.running.seen.in_flight > 0)
        await world.sync(REFRESH)
        tenants[REFRESH].found().assert_exact()
        assert world.job(waiting)["status"] == "running"
        silent.running.go_on()
        await world.ended(waiting)

    assert world.job(waiting)["status"] == "completed"
    assert silent.found().live == silent.truth()


async def test_what_is_no_token_is_refused_and_sent_nowhere(
    world: World, tenants: Mapping[str, Tenant]
) -> None:
    wrong = (
        Reply(body=b'{"access_token": "a\\r\\nX-Evil: 1", "expires_in": 3600}'),
        Reply(body=b'{"access_token": 7}'),
        Reply(body=b"<html>Sign in</html>"),
    )
    client = tenants[CLIENT].running
    client.plant("token", *wrong)
    async with world.workers(2):
        job_id = world.start()
        await world.until(lambda: len(client.seen.requests("token")) > len(wrong))
        before = client.seen.requests("widgets")
        await world.ended(job_id)

    # The first good token is given by the request after the wrong ones.
    assert [seen.status for seen in before if seen.status == 401] == []
    for tenant in tenants.values():
        tenant.found().assert_exact()


async def test_a_token_endpoint_that_leads_elsewhere_is_not_followed(
    world: World, tenants: Mapping[str, Tenant]
) -> None:
    client = tenants[CLIENT].running
    async with running_habits({ELSEWHERE: HABITS[CLIENT].api}) as habits, world.workers(2):
        elsewhere = habits[ELSEWHERE]
        client.plant("token", *[_led_to(elsewhere.base_url, status) for status in REDIRECTS])
        await world.sync()
        assert elsewhere.seen.requests() == []

    assert len(client.seen.requests("token")) > len(REDIRECTS)
    for tenant in tenants.values():
        tenant.found().assert_exact()


def _led_to(base_url: str, status: int) -> Reply:
    return Reply(status=status, headers={"location": f"{base_url}/oauth/token"})
