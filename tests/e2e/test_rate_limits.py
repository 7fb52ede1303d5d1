"""Budgets: what one worker hears of a limit, all workers keep."""

from collections.abc import AsyncIterator

import pytest_asyncio

from local.bison import BisonControl, Hold, Status, running_bison
from tests.e2e.world import World
from tests.support.setup import advance_clock

RETRY_AFTER_S = 60
RATE = 20
# On a busy machine a request may start so much later than its turn, and the next one on time.
TOLERANCE_S = 0.15


@pytest_asyncio.fixture
async def limited() -> AsyncIterator[BisonControl]:
    async with running_bison({"acme": 45, "zen": 150}) as control:
        yield control


@pytest_asyncio.fixture
async def elsewhere() -> AsyncIterator[BisonControl]:
    """Another instance, so another budget."""
    async with running_bison({"bolt": 60}) as control:
        yield control


async def test_a_429_holds_its_workspace_while_the_others_go_on(
    world: World, limited: BisonControl, elsewhere: BisonControl
) -> None:
    """The test moves the database's clock to the end of the minute that the API asked for; then
    one request of that workspace asks first."""
    await world.register(limited)
    await world.register(elsewhere)
    too_many = Status(status=429, retry_after_s=RETRY_AFTER_S)
    await limited.fault(too_many, workspace="acme", page=2)
    async with world.worker_processes(2):
        job_id = world.start("acme", "zen")
        await world.until(lambda: world.run("zen")["status"] == "completed")
        other = await world.ended(world.start("bolt", name="other"))
        await world.until(lambda: nothing_in_flight(world))
        sent_before = len((await limited.traffic()).requests)
        status_while_waiting = world.job(job_id)["status"]
        waits = world.db.column(
            "select workspace_name from workspace_health where rate_limited_until is not null"
            " and stream = 'sender_emails'"
        )
        advance_clock(world.db, RETRY_AFTER_S)
        job = await world.ended(job_id)

    traffic = await limited.traffic()
    first, *rest = traffic.requests[sent_before:]
    assert first.workspace == "acme"
    assert first.answered_ms is not None
    assert all(seen.arrived_ms >= first.answered_ms for seen in rest)
    assert waits == ["acme"]

    assert (other["status"], status_while_waiting) == ("completed", "running")
    assert job["status"] == "completed"
    assert world.db.column("select distinct attempts from chunk_processing_queue") == [0]
    (delayed,) = world.events("acme", "delayed")
    assert delayed["page"] == 2
    assert delayed["details"]["http_status"] == 429
    assert delayed["details"]["for_ms"] == RETRY_AFTER_S * 1000
    for name in ("acme", "zen"):
        assert world.live_ids(name) == [record["id"] for record in await limited.accounts(name)]


async def test_all_workers_together_keep_the_rate(world: World) -> None:
    """Each worker alone would do more than half of the rate; both have begun before the first
    answer."""
    async with running_bison({"acme": 180, "zen": 210}, latency_ms=50) as limited:
        await world.register(limited)
        world.db.run("select set_budget('email_bison', :rate, null)", rate=RATE)
        one_at_a_time = {"CHUNKWISE_CONCURRENCY": "1", "CHUNKWISE_CLAIM_AHEAD": "0"}
        held = await limited.fault(Hold(), page=1, times=2)
        async with world.worker_processes(2, **one_at_a_time):
            job_id = world.start()
            await limited.wait_until_held(2, held)
            await limited.release(held)
            job = await world.ended(job_id)
        arrived = [seen.arrived_ms / 1000 for seen in (await limited.traffic()).requests]

    assert job["status"] == "completed"
    assert len(arrived) == 26
    assert most_above_the_rate(arrived) <= TOLERANCE_S * RATE
    assert len(who_worked(world)) == 2


async def test_all_workers_together_keep_the_limit_in_flight(
    world: World, limited: BisonControl
) -> None:
    await world.register(limited)
    world.db.run("select set_budget('email_bison', null, 3)")
    held = await limited.fault(Hold(), workspace="zen", nth=2, times=None)
    async with world.worker_processes(2, CHUNKWISE_CONCURRENCY="2", CHUNKWISE_CLAIM_AHEAD="0"):
        job_id = world.start()
        await limited.wait_until_held(3, held)
        in_hand = world.db.run(
            "select worker_id, count(*) from chunk_processing_queue where status = 'processing'"
            " group by worker_id order by count(*)"
        )
        await limited.clear_rules()
        job = await world.ended(job_id)

    traffic = await limited.traffic()
    assert [row["count"] for row in in_hand] == [1, 2]
    assert job["status"] == "completed"
    assert len(traffic.requests) == 13
    assert traffic.peak_in_flight == 3


def who_worked(world: World) -> set[str]:
    return set(world.db.column("select distinct worker_id from chunk_events"))


def most_above_the_rate(arrived: list[float]) -> float:
    """By how many requests any window holds more than one and what the rate allows."""
    return max(
        (last - first) - (arrived[last] - arrived[first]) * RATE
        for first in range(len(arrived))
        for last in range(first, len(arrived))
    )


def nothing_in_flight(world: World) -> bool:
    return not world.db.run("select id from chunk_processing_queue where status = 'processing'")
