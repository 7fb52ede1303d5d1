"""SIGTERM: what was not sent goes back at once, what was sent is finished if it can be."""

from local.bison import BisonControl, Hold
from tests.chaos.crew import Crew, assert_synced_exactly, events


async def test_sent_requests_are_finished(crew: Crew, bison: BisonControl) -> None:
    """Of acme's pages 2 to 4 two are asked for, the third waits in the worker for its turn."""
    job_id = crew.world.start("acme")
    rule = await bison.fault(Hold(), workspace="acme", nth=2, times=None)
    await crew.hire("leaving", CHUNKWISE_CONCURRENCY="2", CHUNKWISE_CLAIM_AHEAD="2")
    await bison.wait_until_held(2, rule)
    await crew.world.until(lambda: len(crew.chunks_of("leaving")) == 3)
    crew.tell_to_stop("leaving")
    await crew.world.until(lambda: len(events(crew.world, "released")) == 1)
    await bison.clear_rules(rule)

    assert await crew.exit_code("leaving") == 0
    assert crew.chunks_of("leaving") == []
    assert len(events(crew.world, "completed")) == 3
    assert events(crew.world, "lease_lost", "retry", "failed") == []
    await crew.hire("next")
    assert (await crew.world.ended(job_id))["status"] == "completed"
    await assert_synced_exactly(crew.world, bison, "acme")


async def test_requests_that_do_not_end_in_time_are_handed_back(
    crew: Crew, bison: BisonControl
) -> None:
    job_id = crew.world.start()
    rule = await bison.fault(Hold(), times=None)
    await crew.hire("leaving", CHUNKWISE_STOP_SECONDS="0")
    await bison.wait_until_held(3, rule)
    held = crew.chunks_of("leaving")

    assert await crew.stop("leaving") == 0
    # The worker waits 3 s for its calls; one that is slower still ends in the database.
    await crew.world.until(lambda: events(crew.world, "released") == held)
    assert events(crew.world, "lease_lost", "retry", "failed") == []
    await bison.clear_rules(rule)
    await crew.hire("next")
    assert (await crew.world.ended(job_id))["status"] == "completed"
    await assert_synced_exactly(crew.world, bison)
