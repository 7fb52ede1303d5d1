"""Pushed work when posts are lost, late or doubled, and when receivers come and go."""

import pytest

from local.bison import BisonControl, Hold
from tests.e2e.receivers import (
    APPLIED_TWICE,
    assert_all_once,
    claims,
    on_demand,
    ready,
    receiver,
    receiver_process,
    register,
    traces,
)
from tests.e2e.world import World
from tests.support.setup import advance_clock

pytestmark = pytest.mark.usefixtures("deliverer")


async def test_scaled_to_zero_between_pushes_a_job_is_finished(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with on_demand(world) as url:
        register(world, url)
        job = await world.sync()

    assert job["status"] == "completed"
    assert_all_once(world)
    workers = world.db.column("select distinct worker_id from chunk_events")
    assert len(workers) == world.db.value("select count(*) from chunk_processing_queue")


async def test_a_receiver_killed_after_its_202_costs_a_lease_and_nothing_else(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    hold = await bison.fault(Hold(), workspace="acme", page=1)
    async with receiver_process(world, "killed") as killed:
        register(world, killed.url)
        job_id = world.start("acme")
        await bison.wait_until_held(1)
        await killed.kill()
        await bison.clear_rules(hold)
        world.db.run("select remove_worker_endpoint(:url)", url=killed.url)
    async with receiver(world, "survivor") as survivor:
        register(world, survivor.url)
        advance_clock(world.db, 21)
        world.db.run("select cleanup_stuck_chunks()")
        job = await world.ended(job_id)

    assert job["status"] == "completed"
    assert world.db.column(APPLIED_TWICE) == []
    losses = world.db.column("select lease_losses from chunk_processing_queue order by id")
    assert losses == [1, 0, 0]
    assert world.db.column("select distinct attempts from chunk_processing_queue") == [0]


async def test_lost_hints_are_sent_again(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    async with receiver(world) as running:
        register(world, running.url)
        break_deliveries(world, "dropped_share = 1")
        job_id = world.start()
        await world.until(lambda: world.db.column("select id from net.http_request_queue") == [])
        assert (running.hints, claims(world)) == ({}, {})
        break_deliveries(world, "dropped_share = 0")
        advance_clock(world.db, 10)
        world.db.run("select cleanup_stuck_chunks()")
        job = await world.ended(job_id)

    assert job["status"] == "completed"
    assert_all_once(world)


@pytest.mark.parametrize("fault", ["doubled_share = 1", "delay_ms = 400"])
async def test_doubled_and_late_hints_do_no_harm(
    world: World, bison: BisonControl, fault: str
) -> None:
    await world.register(bison)
    async with receiver(world, "a") as a, receiver(world, "b") as b:
        register(world, a.url, b.url)
        break_deliveries(world, fault)
        job = await world.sync()

    assert job["status"] == "completed"
    assert_all_once(world)
    chunks = world.db.value("select count(*) from chunk_processing_queue")
    assert claims(world)["claimed"] == chunks


async def test_a_hint_that_comes_when_all_is_done_changes_nothing(
    world: World, bison: BisonControl
) -> None:
    """A minute late by the database's clock, which holds it for lost; by the wall's clock the posts
    are held for eight seconds, longer than the job takes."""
    await world.register(bison)
    async with receiver(world) as running:
        register(world, running.url)
        break_deliveries(world, "delay_ms = 8000")
        job_id = world.start()
        held = len(ready(world))
        await world.until(lambda: world.db.column("select id from net.http_request_queue") == [])
        break_deliveries(world, "delay_ms = 0")
        advance_clock(world.db, 61)
        world.db.run("select cleanup_stuck_chunks()")
        job = await world.ended(job_id)
        done = traces(world)
        await world.until(lambda: claims(world)["not_pending"] >= held)
        assert traces(world) == done

    assert job["status"] == "completed"
    assert_all_once(world)
    outcomes = world.db.run(
        "select outcome, count(*) from hint_deliveries where direction = 'push' and attempt = 1"
        " and outcome = 'lost' group by 1"
    )
    assert outcomes == [{"outcome": "lost", "count": held}]


def break_deliveries(world: World, change: str) -> None:
    world.db.run(f"update stand_in.net_faults set {change}")
