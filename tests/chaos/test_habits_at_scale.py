"""Each habit with 10,000 records: workers die, answers fail, records come and go. What a run calls
completed is exact, or misses nothing that stayed; otherwise it is partial, with its numbers."""

import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random
from uuid import UUID

import pytest
import pytest_asyncio

from local.habits import Churn, running_habits
from local.habits.catalog import ALL
from tests.chaos.crew import Crew
from tests.e2e.world import World
from tests.support.habits import NAMES, Found, Tenant, slug
from tests.support.invariants import assert_ended
from tests.support.setup import set_settings

RECORDS = 10_000
# Pages of 100 records.
FACTOR = 10
PAGES = 100
ROUND = int(os.environ.get("ROUND", "0"))
CHANGES = Churn(rate=0.2, what=("swap", "add", "remove", "change"), seed=ROUND)
# Where an API has a limit: far below what two workers would ask for.
PER_SECOND, BURST = 20.0, 5
MOST_REFUSED = 0.1
CHANGED = 150
# How long a sync takes is the machine's affair, as long as it goes on asking; how much it asks is
# not: for each page, each list below a record, and each record that changed, so often at most.
STILL_S = 60.0
MOST_LOOKS = 5
# Until two complete scans in a row have missed what is gone, or one has while nothing moved.
QUIET_SYNCS = 3


# All of them in the first round, then a third in each.
CHOSEN = NAMES if ROUND == 1 else NAMES[ROUND % 3 :: 3]
pytestmark = pytest.mark.skipif(ROUND == 0, reason="takes minutes: make chaos reads them")


@pytest.fixture(params=CHOSEN)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def tenant(world: World, name: str) -> AsyncIterator[Tenant]:
    habit = ALL[name].scaled(FACTOR)
    async with running_habits({slug(name): habit.api}) as habits:
        tenant = Tenant(habit, habits[slug(name)], world.db)
        limit = habit.api.limit
        tenant.running.limit(limit and replace(limit, per_second=PER_SECOND, burst=BURST))
        with tenant.book() as book:
            book.fill(RECORDS // tenant.records_each)
        tenant.register()
        set_settings(world.db, retry_base_seconds=0.01, lease_seconds=1, sweep_interval_seconds=0.2)
        yield tenant


async def test_ten_thousand_records_are_exact_or_partial(world: World, tenant: Tenant) -> None:
    crew = Crew(world)
    await crew.hire("steady")
    try:
        tenant.running.faults(0.03, seed=ROUND)
        (await sync_while_one_dies(crew, tenant, 1)).assert_exact()
        first = tenant.found()

        tenant.running.faults(0)
        await sync(world, tenant)
        again = tenant.found()
        again.assert_exact()
        assert again.versions == first.versions

        with tenant.book() as book:
            chosen = Random(ROUND).sample(list(book.records), CHANGED)
            book.remove(*chosen[:50])
            for record_id in chosen[50:]:
                book.change(record_id)
            book.add(50)
            moment = book.moment
        tenant.running.faults(0.03, seed=ROUND)
        tenant.running.churn(CHANGES)
        await sync_while_one_dies(crew, tenant, 2)
        tenant.running.churn(None)
        with tenant.book() as book:
            steady = {(tenant.root, str(record_id)) for record_id in book.steady(moment)}
        assert_nothing_lost(tenant.found(), steady)

        tenant.running.faults(0)
        for _ in range(QUIET_SYNCS):
            await sync(world, tenant)
            if tenant.found().is_exact:
                break
        tenant.found().assert_exact()
    finally:
        await crew.stop_all()
    assert_ended(world.db)
    assert (tenant.running.refused > 0) is (tenant.habit.api.limit is not None)
    assert tenant.running.refused <= MOST_REFUSED * tenant.running.seen.arrived


async def sync(world: World, tenant: Tenant) -> None:
    before = asked(tenant)
    await ended(world, tenant, world.start(), before)


async def sync_while_one_dies(crew: Crew, tenant: Tenant, number: int) -> Found:
    """A second worker is killed while it has leases, somewhere on the way."""
    doomed = f"doomed-{number}"
    before = asked(tenant)
    kill_after = Random(f"{ROUND} {number}").randint(5, 60)
    await crew.hire(doomed)
    job_id = crew.world.start()

    def is_time() -> bool:
        is_over = crew.world.job(job_id)["status"] != "running"
        return is_over or (asked(tenant) - before >= kill_after and bool(crew.chunks_of(doomed)))

    await crew.world.until(is_time)
    await crew.kill(doomed)
    await ended(crew.world, tenant, job_id, before)
    return tenant.found()


def asked(tenant: Tenant) -> int:
    """How many requests its API let through so far."""
    return tenant.running.seen.arrived - tenant.running.refused


async def ended(world: World, tenant: Tenant, job_id: UUID, before: int) -> None:
    """As long as it goes on asking, and sensibly."""
    seen = tenant.running.seen
    lists = RECORDS // tenant.records_each if tenant.lists_below else 0

    def is_over() -> bool:
        return bool(world.job(job_id)["status"] != "running")

    def goes_on(known: int) -> Callable[[], bool]:
        return lambda: seen.arrived > known or is_over()

    while not is_over():
        await world.until(goes_on(seen.arrived), STILL_S)
        assert asked(tenant) - before <= MOST_LOOKS * (PAGES + lists + CHANGED)


def assert_nothing_lost(found: Found, steady: set[tuple[str, str]]) -> None:
    assert steady <= found.live.keys()
    assert not steady & found.deleted
    for run in found.runs.values():
        assert run["status"] == "completed" or (run["status"] == "partial" and run["warnings"])
