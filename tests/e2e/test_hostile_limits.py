"""Limits of rate in every dress: no attempt is burnt, no row is missing, nobody else waits."""

from contextlib import AsyncExitStack

import pytest

from local.bison import BisonControl, RateLimit, Status, running_bison
from tests.e2e.world import World
from tests.support.setup import set_settings

# How long the budget is blocked: by the API's word, or by the first step of the backoff.
FOR_MS = {
    "header": (Status(status=429, retry_after_s=1), 1_000),
    "body": (Status(status=429, retry_after_s=1, retry_after_in="body"), 1_000),
    "nowhere": (Status(status=429), 50),
}


async def test_a_429_says_in_its_header_or_body_or_nowhere_how_long(world: World) -> None:
    """An instance each, so that each has a budget of its own."""
    async with AsyncExitStack() as instances, world.workers(2):
        bisons = {
            name: await instances.enter_async_context(running_bison({name: 40})) for name in FOR_MS
        }
        for name, bison in bisons.items():
            await bison.fault(FOR_MS[name][0], page=2)
            await world.register(bison)
        job = await world.sync()
        served = {name: await served_ids(bison, name) for name, bison in bisons.items()}

    assert (job["status"], job["chunks_failed"]) == ("completed", 0)
    assert world.db.column("select distinct attempts from chunk_processing_queue") == [0]
    for name, (_, for_ms) in FOR_MS.items():
        events = [event for event in world.events(name) if event["page"] == 2]
        assert [event["event"] for event in events if event["event"] != "released"] == [
            "delayed",
            "completed",
        ]
        (delayed,) = world.events(name, "delayed")
        assert (delayed["details"]["http_status"], delayed["details"]["for_ms"]) == (429, for_ms)
        assert world.live_ids(name) == served[name]


@pytest.mark.parametrize(
    ("limit", "budget", "sizes"),
    [(3, None, {"acme": 90, "zen": 45}), (20, 5, {"acme": 300, "zen": 150})],
)
async def test_an_instance_that_answers_all_with_429_above_a_rate(
    world: World, limit: int, budget: int | None, sizes: dict[str, int]
) -> None:
    """Without a budget the limit is hit and waited out; within one it never is, not even by what
    was claimed two seconds ahead and is sent late, all at once."""
    async with running_bison(sizes) as bison:
        world.db.run("select set_budget('email_bison', cast(:rate as numeric), null)", rate=budget)
        await bison.fault(RateLimit(per_second=limit, blanket_s=0.3), kind="page", times=None)
        await world.register(bison)
        async with world.workers(3):
            job = await world.sync()
        refused = (await bison.traffic()).select(status=429)
        served = {name: await served_ids(bison, name) for name in sizes}

    assert (job["status"], job["chunks_failed"]) == ("completed", 0)
    assert job["chunks_completed"] == sum(-(-len(ids) // 15) for ids in served.values())
    assert world.db.column("select distinct attempts from chunk_processing_queue") == [0]
    assert len(world.events("acme", "delayed") + world.events("zen", "delayed")) == len(refused)
    assert bool(refused) == (budget is None)
    assert {name: world.live_ids(name) for name in served} == served


async def test_a_limit_that_never_lifts_ends_with_the_jobs_time(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    set_settings(world.db, sweep_interval_seconds=0.1)
    await bison.fault(Status(status=429), from_page=2, times=None)
    async with world.workers():
        job_id = world.start()
        await world.until(lambda: all(world.live_ids(name) for name in ("acme", "zen")))
        await world.until(lambda: len(delays(world)) > 2)
        set_settings(world.db, max_job_duration_seconds=0.1)
        job = await world.ended(job_id)

    assert job["status"] == "partial"
    assert world.run_status(job["id"]) == {"acme": "partial", "zen": "partial"}
    assert world.run("acme")["warnings"] == ["time ran out"]
    assert {event["event"] for event in world.events("acme")} <= {
        "completed",
        "delayed",
        "released",
        "cancelled",
    }
    assert world.live_ids("acme") == (await served_ids(bison, "acme"))[:15]
    assert job["chunks_failed"] == 0


def delays(world: World) -> list[int]:
    return world.db.column("select id from chunk_events where event = 'delayed'")


async def served_ids(bison: BisonControl, workspace: str) -> list[int]:
    return [account["id"] for account in await bison.accounts(workspace)]
