"""The main job: 26 workspaces with 4,839 accounts, by two worker processes."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
import pytest_asyncio

from local.bison import BisonControl, spawned_bison
from tests.e2e.world import World
from tests.support.db import Row

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGEST = "Northwind Outbound"
SUMMED = (
    "emails_sent_count",
    "total_replied_count",
    "unique_replied_count",
    "bounced_count",
    "unsubscribed_count",
    "interested_leads_count",
)


@dataclass(frozen=True, slots=True)
class Synced:
    """The fleet after its first sync, with workers that go on."""

    world: World
    bison: BisonControl
    job: Row


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def synced(fleet_world: World) -> AsyncIterator[Synced]:
    async with spawned_bison(latency_ms=0) as bison:
        await fleet_world.register(bison)
        async with fleet_world.worker_processes(2):
            yield Synced(fleet_world, bison, await fleet_world.sync())


async def test_the_first_sync_completes_every_workspace(synced: Synced) -> None:
    job, db = synced.job, synced.world.db

    assert job["status"] == "completed"
    assert job["total_workspaces"] == job["workspaces_processed"] == 26
    assert job["total_accounts_synced"] == 4839
    assert (job["workspaces_skipped"], job["warnings"], job["error_message"]) == (0, [], None)
    assert set(synced.world.run_status(job["id"]).values()) == {"completed"}
    assert job["chunks_completed"] == 335
    assert db.value("select count(*) from sync.sender_emails where deleted_at is null") == 4839
    events = db.run(
        "select event, count(*), sum((details ->> 'records')::int) as records from chunk_events"
        " group by event"
    )
    assert events == [{"event": "completed", "count": 335, "records": 4839}]


async def test_each_page_is_asked_for_once(synced: Synced) -> None:
    fleet = await synced.bison.workspaces()
    traffic = await synced.bison.traffic()
    first_sync = traffic.requests[:335]

    assert sum(workspace.last_page for workspace in fleet) == 335
    assert Counter((seen.workspace, seen.page) for seen in first_sync) == {
        (workspace.name, page): 1
        for workspace in fleet
        for page in range(1, workspace.last_page + 1)
    }
    assert {(seen.kind, seen.status) for seen in first_sync} == {("page", 200)}


async def test_every_row_equals_the_records_of_the_api(synced: Synced) -> None:
    for workspace in await synced.bison.workspaces():
        served = await synced.bison.accounts(workspace.name)
        stored = synced.world.db.run(
            "select * from sender_emails where workspace_name = :name order by id",
            name=workspace.name,
        )
        assert [row["raw"] for row in stored] == served
        assert [typed(row) for row in stored] == [expected(record) for record in served]


async def test_repeated_email_addresses_are_rows_of_their_own(synced: Synced) -> None:
    counted = synced.world.db.one(
        "select count(*) as rows, count(distinct id) as ids,"
        " count(distinct email_address) as emails"
        " from sender_emails where workspace_name = :name",
        name=LARGEST,
    )
    assert counted == {"rows": 433, "ids": 433, "emails": 360}


async def test_statistics_and_registry_are_written(synced: Synced) -> None:
    for workspace in await synced.bison.workspaces():
        served = await synced.bison.accounts(workspace.name)
        statistics = synced.world.db.one(
            "select s.* from workspace_statistics s join sync_workspaces w on w.id = s.workspace_id"
            " where w.workspace_name = :name",
            name=workspace.name,
        )
        assert statistics["accounts"] == workspace.total
        assert statistics["distinct_emails"] == len({record["email"] for record in served})
        connected = sum(record["status"] == "Connected" for record in served)
        assert statistics["connected_accounts"] == connected
        for counter in SUMMED:
            assert statistics[counter] == sum(record[counter] for record in served)
        registry = synced.world.db.one(
            "select * from client_registry where workspace_name = :name", name=workspace.name
        )
        assert registry["bison_instance"] == synced.bison.base_url
        assert registry["estimated_account_count"] == workspace.total
        assert registry["last_successful_sync_at"] >= synced.job["started_at"]
        assert registry["last_sync_duration_ms"] >= 0


async def test_a_sync_without_changes_writes_no_row_version(synced: Synced) -> None:
    world = synced.world
    before = versions(world)
    pages_before = len((await synced.bison.traffic()).requests)

    job = await world.sync()

    assert job["status"] == "completed"
    assert versions(world) == before
    assert len((await synced.bison.traffic()).requests) - pages_before == 335
    assert world.db.value(
        "select sum(records_changed) from workspace_sync_runs where job_id = :id", id=job["id"]
    ) == 0  # fmt: skip
    oldest: datetime = world.db.value("select min(last_synced_at) from sender_emails")
    assert job["started_at"] <= oldest <= job["completed_at"]


async def test_a_sync_after_few_changes_writes_exactly_those(synced: Synced) -> None:
    world, bison = synced.world, synced.bison
    changes: tuple[tuple[str, int, dict[str, Any]], ...] = (
        (LARGEST, 200, {"daily_limit": 7}),
        ("Müller & Söhne", 3, {"name": "Jürgen", "tags": []}),
        ("Yarrow Foods", 0, {"warmup_enabled": None}),
    )
    changed = {}
    for workspace, position, fields in changes:
        account_id = (await bison.accounts(workspace))[position]["id"]
        await bison.change_account(workspace, account_id, fields)
        changed[workspace, account_id] = fields
    before = versions(world)

    job = await world.sync()

    after = versions(world)
    assert job["status"] == "completed"
    assert {key for key, version in after.items() if before[key] != version} == set(changed)
    for (workspace, account_id), fields in changed.items():
        row = world.db.one(
            "select * from sender_emails where workspace_name = :name and id = :id",
            name=workspace,
            id=account_id,
        )
        assert {name: row[name] for name in fields} == fields
        assert job["started_at"] <= row["last_changed_at"] <= job["completed_at"]
    assert world.db.value(
        "select sum(records_changed) from workspace_sync_runs where job_id = :id", id=job["id"]
    ) == len(changed)  # fmt: skip


def versions(world: World) -> dict[tuple[str, int], tuple[str, str]]:
    """Where each row version stands and which transaction wrote it."""
    return {
        (row["workspace_name"], row["id"]): (row["place"], row["writer"])
        for row in world.db.run(
            "select w.workspace_name, e.id, e.ctid::text as place, e.xmin::text as writer"
            " from sync.sender_emails e join sync_workspaces w on w.id = e.workspace_id"
        )
    }


def typed(row: Row) -> dict[str, Any]:
    """The typed columns under the API's names."""
    ours = {
        "workspace_name",
        "raw",
        "last_changed_at",
        "last_synced_at",
        "unlisted_at",
        "deleted_at",
    }
    return {
        "email" if name == "email_address" else name: value
        for name, value in row.items()
        if name not in ours
    }


def expected(record: dict[str, Any]) -> dict[str, Any]:
    times = {name: datetime.fromisoformat(record[name]) for name in ("created_at", "updated_at")}
    return {**record, **times}
