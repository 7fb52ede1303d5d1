"""Tenants that do not answer hold their share of a worker, and no more, while others have work."""

from local.bison import Hold, running_bison
from tests.e2e.world import World

SLOW = ("slow 1", "slow 2")
CONCURRENCY = 16
SLOTS = 8


async def test_two_tenants_whose_answers_are_held_leave_a_worker_room_for_others(
    world: World,
) -> None:
    """Together they could hold all 16 requests of it. That no answer comes from them before all
    others are complete is for the test to say, and no timeout's business."""
    world.db.run("update sync_streams set timeout_ms = 300000")
    others = [f"quick {number}" for number in range(4)]
    async with running_bison(dict.fromkeys([*SLOW, *others], 300)) as bison:
        await world.register(bison)
        for name in SLOW:
            await bison.fault(Hold(), workspace=name, from_page=2, times=None)
        async with world.workers(1, concurrency=CONCURRENCY):
            job_id = world.start(name="all")
            # Both begin with more than the worker can send.
            await bison.wait_until_held(2)
            await world.until(
                lambda: all(world.run(name)["status"] == "completed" for name in others)
            )
            assert [world.run(name)["status"] for name in SLOW] == ["running"] * len(SLOW)
            assert all(world.run_pages(name, "completed") == [1] for name in SLOW)

            # When nobody else has work, they have all of it.
            await bison.wait_until_held(CONCURRENCY)
            assert all(len(world.run_pages(name, "processing")) == SLOTS for name in SLOW)
            await bison.clear_rules()
            job = await world.ended(job_id)

    assert job["status"] == "completed"
    assert world.db.column("select distinct attempts from chunk_processing_queue") == [0]
