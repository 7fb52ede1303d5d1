"""Workers die while they hold leases: the pages come back, nothing is lost or applied twice."""

from collections import Counter

from local.bison import BisonControl, Hold
from tests.chaos.crew import Crew, assert_synced_exactly, events
from tests.support.setup import advance_clock, set_settings

LONGEST_RECOVERY_SECONDS = 30
LONGEST_IDLE_SECONDS = 5
LOSSES_BEFORE_ALONE = 2
KILLS = 5
# With three leases it claims no more: no claim of it is under way when it dies.
WITHOUT_ROOM_FOR_MORE = {"CHUNKWISE_CONCURRENCY": "3", "CHUNKWISE_CLAIM_AHEAD": "0"}


async def test_killed_worker_s_leases_come_back(crew: Crew, bison: BisonControl) -> None:
    """By the clock of the wall. The leases are shortened when their holder is dead: before, it
    might lose them while the machine stalls."""
    set_settings(crew.world.db, sweep_interval_seconds=0.2)
    job_id = crew.world.start()
    await hold_and_kill(crew, bison, "doomed")
    lost = crew.chunks_of("doomed")
    assert len(lost) == 3

    crew.world.db.run(
        "update chunk_processing_queue set lease_expires_at = sync.now() + interval '1 second'"
        " where status = 'processing'"
    )
    await crew.hire("second")
    job = await crew.world.ended(job_id)
    assert job["status"] == "completed"
    assert events(crew.world, "lease_lost") == lost
    await assert_synced_exactly(crew.world, bison)


async def test_recovery_with_the_settings_of_the_schema(crew: Crew, bison: BisonControl) -> None:
    """Lease, sweep and look at work are 30 s together; the clock moves by exactly that."""
    lease, sweep = settings_of(crew, "lease_seconds", "sweep_interval_seconds")
    assert (lease, sweep) == (20, 5)
    assert lease + sweep + LONGEST_IDLE_SECONDS <= LONGEST_RECOVERY_SECONDS
    job_id = crew.world.start()
    await hold_and_kill(crew, bison, "doomed")
    lost = crew.chunks_of("doomed")
    # A heartbeat may have come before the kill: no lease is longer from now on.
    last = crew.world.db.value(
        "select extract(epoch from max(lease_expires_at) - sync.now()) from chunk_processing_queue "
        "where status = 'processing'"
    )
    assert last <= lease
    assert events(crew.world, "lease_lost") == []

    advance_clock(crew.world.db, lease + sweep)
    await crew.hire("second")
    job = await crew.world.ended(job_id)
    assert job["status"] == "completed"
    assert events(crew.world, "lease_lost") == lost
    asked = await requests_by_page(bison)
    assert Counter(asked.values()) == {2: len(lost), 1: len(asked) - len(lost)}
    await assert_synced_exactly(crew.world, bison)


async def test_five_kills_in_a_row_fail_no_page(crew: Crew, bison: BisonControl) -> None:
    job_id = crew.world.start()
    for kill in range(1, KILLS + 1):
        # What was lost twice is leased alone, and while it is, nothing else is.
        at_once = 3 if kill <= LOSSES_BEFORE_ALONE else 1
        await hold_and_kill(crew, bison, f"doomed-{kill}", at_once)
        advance_clock(crew.world.db, kill * 30)
    await crew.hire("survivor")
    assert (await crew.world.ended(job_id))["status"] == "completed"
    losses = crew.world.db.column(
        "select lease_losses from chunk_processing_queue where lease_losses > 0"
    )
    assert len(losses) == 3
    assert sum(losses) == 3 * LOSSES_BEFORE_ALONE + KILLS - LOSSES_BEFORE_ALONE
    await assert_synced_exactly(crew.world, bison)


async def test_worker_killed_after_its_pages_were_handed_over(
    crew: Crew, bison: BisonControl
) -> None:
    """It dies between pages, again and again, while others work."""
    set_settings(crew.world.db, lease_seconds=1, sweep_interval_seconds=0.2)
    await crew.hire("steady")
    for page, workspace in ((2, "acme"), (1, "zen"), (3, "north")):
        rule = await bison.fault(Hold(), workspace=workspace, kind="page", page=page)
        await crew.hire("doomed")
        job_id = crew.world.start(name=f"job {workspace}")
        await bison.wait_until_held(1, rule)
        await crew.kill("doomed")
        await bison.clear_rules(rule)
        assert (await crew.world.ended(job_id))["status"] == "completed"
    await assert_synced_exactly(crew.world, bison)


async def hold_and_kill(crew: Crew, bison: BisonControl, name: str, at_once: int = 3) -> None:
    """Page 1 of so many workspaces is asked for and not answered when the worker dies."""
    rule = await bison.fault(Hold(), times=None)
    await crew.hire(name, **WITHOUT_ROOM_FOR_MORE)
    await bison.wait_until_held(at_once, rule)
    await crew.kill(name)
    await bison.clear_rules(rule)


async def requests_by_page(bison: BisonControl) -> Counter[tuple[str | None, int | None]]:
    traffic = await bison.traffic()
    return Counter((seen.workspace, seen.page) for seen in traffic.requests if seen.kind == "page")


def settings_of(crew: Crew, *names: str) -> list[int]:
    return [
        crew.world.db.value("select cast(sync.setting(:name) as int)", name=name) for name in names
    ]
