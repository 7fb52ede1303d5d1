"""Each habit of the catalog, counted against its truth: first load, unchanged, changed, added and
removed, faults and limits of rate with two workers, records that come and go while pages are read,
and a worker that is killed.

All habits share a database, a fake and each of the jobs; a habit has a workspace of its own.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from local.habits import Churn, running_habits
from local.habits.catalog import ALL, LIMITS
from tests.e2e.world import WITHOUT_SETTINGS, World
from tests.support.habits import NAMES, Found, Key, Tenant, slug
from tests.support.setup import set_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")

# With the one that comes, the last page is full.
RECORDS = 29
QUIET_SYNCS = 3
CHAINED = "offsets and a root array"


@dataclass(slots=True)
class Story:
    """What was found of each habit after each phase."""

    tenants: Mapping[str, Tenant]
    phases: dict[str, dict[str, Found]] = field(default_factory=dict)
    bodies: dict[str, int] = field(default_factory=dict)
    steady: dict[str, set[Key]] = field(default_factory=dict)
    at_once: list[int] = field(default_factory=list)

    def note(self, phase: str) -> None:
        self.phases[phase] = {name: tenant.found() for name, tenant in self.tenants.items()}

    def found(self, phase: str, name: str) -> Found:
        return self.phases[phase][name]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(fleet_world: World) -> AsyncIterator[Story]:
    apis = {slug(name): ALL[name].api for name in NAMES}
    async with running_habits(apis) as habits:
        tenants = {name: Tenant(ALL[name], habits[slug(name)], fleet_world.db) for name in NAMES}
        story = Story(tenants)
        for tenant in tenants.values():
            with tenant.book() as book:
                book.fill(RECORDS)
            tenant.register()
        async with fleet_world.workers(2):
            await first_and_again(fleet_world, story)
            await changed_and_removed(fleet_world, story)
            await faults(fleet_world, story)
            await comings_and_goings(fleet_world, story)
        await a_killed_worker(fleet_world, story)
        yield story


async def first_and_again(world: World, story: Story) -> None:
    """Somebody else has used up what the limits let through; once they were met they are lifted, so
    that the rest need not wait for them."""
    limited = [tenant.running for name, tenant in story.tenants.items() if name in LIMITS]
    for api in limited:
        api.use_up()
    job_id = world.start()
    await world.until(lambda: all(api.refused for api in limited))
    for api in limited:
        api.limit(None)
    await world.ended(job_id)
    story.note("first")
    chain = story.tenants[CHAINED].running
    story.at_once.append(chain.seen.peak)
    pages = len(chain.seen.requests())
    for tenant in story.tenants.values():
        tenant.running.seen.reset()
    chain.stall(after=1)
    job_id = world.start()
    await world.until(lambda: chain.seen.in_flight == pages - 2)
    story.at_once.append(chain.seen.peak)
    chain.go_on()
    await world.ended(job_id)
    story.note("again")
    for name, tenant in story.tenants.items():
        lists = tenant.running.api.lists
        seen = [seen for kind in lists for seen in tenant.running.seen.requests(kind)]
        story.bodies[name] = sum(one.sent for one in seen)


async def changed_and_removed(world: World, story: Story) -> None:
    for tenant in story.tenants.values():
        with tenant.book() as book:
            first, second, *_, third, last = list(book.records)
            book.change(second)
            book.change(last)
            book.add(3)
            book.remove(first, third)
        for name in tenant.lists_below:
            with tenant.running.book(name, second) as book:
                below, *_, gone = list(book.records)
                book.change(below)
                book.add()
                book.remove(gone)
    await world.sync()
    story.note("changed")
    await world.sync()
    story.note("removed")


async def faults(world: World, story: Story) -> None:
    for tenant in story.tenants.values():
        tenant.running.faults(0.25)
        with tenant.book() as book:
            book.change(list(book.records)[9])
    await world.sync()
    story.note("faults")
    for tenant in story.tenants.values():
        tenant.running.faults(0)


async def comings_and_goings(world: World, story: Story) -> None:
    moments = {}
    for name, tenant in story.tenants.items():
        tenant.running.churn(Churn(rate=0.3, what=("swap", "add", "remove", "change")))
        with tenant.book() as book:
            moments[name] = book.moment
    await world.sync()
    for name, tenant in story.tenants.items():
        tenant.running.churn(None)
        with tenant.book() as book:
            story.steady[name] = {
                (tenant.root, str(record_id)) for record_id in book.steady(moments[name])
            }
    story.note("churn")
    # A record that is gone is deleted once two complete scans in a row have missed it.
    for _ in range(QUIET_SYNCS):
        await world.sync()
        story.note("quiet")
        if all(found.is_exact for found in story.phases["quiet"].values()):
            break


async def a_killed_worker(world: World, story: Story) -> None:
    set_settings(world.db, lease_seconds=1, sweep_interval_seconds=0.2)
    for tenant in story.tenants.values():
        tenant.running.stall()
    job_id = world.start()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chunkwise", "worker"),
        env={"PATH": os.environ["PATH"], "HOME": "/", **world.env},
        stderr=asyncio.subprocess.DEVNULL,
        cwd=WITHOUT_SETTINGS,
    )
    running = [tenant.running for tenant in story.tenants.values()]
    await world.until(lambda: any(api.seen.in_flight for api in running))
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for api in running:
        api.go_on()
    set_settings(world.db, lease_seconds=20)
    async with world.workers(2):
        await world.ended(job_id)
    story.note("killed")


@pytest.mark.parametrize("name", NAMES)
async def test_a_first_load_has_every_record(story: Story, name: str) -> None:
    story.found("first", name).assert_exact()


@pytest.mark.parametrize("name", NAMES)
async def test_what_has_not_changed_costs_no_row_version(story: Story, name: str) -> None:
    again = story.found("again", name)

    again.assert_exact()
    assert again.versions == story.found("first", name).versions


async def test_a_list_without_a_total_is_a_chain_once_and_then_read_side_by_side(
    story: Story,
) -> None:
    first, again = story.at_once

    assert first == 1
    assert again > 1


async def test_what_has_not_changed_costs_no_body_where_answers_have_versions(
    story: Story,
) -> None:
    conditional = {name for name, tenant in story.tenants.items() if tenant.is_conditional}

    assert {name: story.bodies[name] for name in conditional} == dict.fromkeys(conditional, 0)


@pytest.mark.parametrize("name", NAMES)
async def test_what_was_changed_and_added_is_there_after_one_sync(story: Story, name: str) -> None:
    found = story.found("changed", name)

    assert found.statuses <= {"completed", "partial"}, found.runs
    assert {key: found.live.get(key) for key in found.truth} == found.truth


@pytest.mark.parametrize("name", NAMES)
async def test_what_was_removed_is_deleted_after_two_syncs_at_most(story: Story, name: str) -> None:
    found = story.found("removed", name)

    found.assert_exact()
    assert found.deleted == story.found("first", name).truth.keys() - found.truth.keys()


@pytest.mark.parametrize("name", NAMES)
async def test_faults_that_pass_cost_nothing(story: Story, name: str) -> None:
    story.found("faults", name).assert_exact()
    assert sum(run["chunks_failed"] for run in story.found("faults", name).runs.values()) == 0


@pytest.mark.parametrize("name", NAMES)
async def test_no_record_that_stays_is_lost_while_others_come_and_go(
    story: Story, name: str
) -> None:
    """A run that cannot prove it is partial and says why; the next ones are right again."""
    found = story.found("churn", name)

    assert story.steady[name] <= found.live.keys()
    assert not story.steady[name] & found.deleted
    for run in found.runs.values():
        assert run["status"] == "completed" or (run["status"] == "partial" and run["warnings"])
    story.found("quiet", name).assert_exact()


@pytest.mark.parametrize("name", NAMES)
async def test_a_killed_workers_pages_come_back(story: Story, name: str) -> None:
    story.found("killed", name).assert_exact()


@pytest.mark.parametrize("name", [name for name in NAMES if name in LIMITS])
async def test_a_limit_was_met_and_cost_no_attempt(story: Story, name: str) -> None:
    """Otherwise it says nothing that all the rest went well."""
    tenant = story.tenants[name]

    assert tenant.running.refused > 0
    assert story.found("again", name).attempts == 0
