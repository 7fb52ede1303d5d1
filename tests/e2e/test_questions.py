"""What people type into the SQL editor, while a job runs, one has finished and one has failed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from local.bison import BisonControl, Hold, Status, running_bison
from tests.e2e.world import LOOK_S, PATIENCE_S, World
from tests.support.setup import set_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Jobs:
    """The running one has read page 1 of 12, has 8 pages in flight, and 3 wait."""

    world: World
    bison: BisonControl
    finished: UUID
    failed: UUID
    running: UUID


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs(fleet_world: World) -> AsyncIterator[Jobs]:
    """Between two tests the workers stand still, so their leases and requests last longer."""
    world = fleet_world
    set_settings(world.db, lease_seconds=300)
    world.db.run("update sync_streams set timeout_ms = 300000")
    async with running_bison({"acme": 180, "zen": 20, "bolt": 40, "idle": 5}) as bison:
        await world.register(bison)
        world.db.run("select deactivate_workspace('idle')")
        await bison.fault(Status(status=403), workspace="zen", page=2, times=None)
        for page in range(2, 10):
            await bison.fault(Hold(), workspace="acme", page=page)
        async with world.workers():
            finished = (await world.ended(world.start("bolt", name="finished")))["id"]
            failed = (await world.ended(world.start("zen", name="failed")))["id"]
            running = world.start("acme", name="running")
            await bison.wait_until_held(8)
            await world.until(lambda: world.run_pages("acme", "completed") == [1])
            yield Jobs(world, bison, finished, failed, running)
            await bison.clear_rules()
            await world.ended(running)


async def test_chunk_processing_status(jobs: Jobs) -> None:
    answers = {
        row.pop("parent_sync_job_id"): {
            **row,
            "progress_percentage": float(row["progress_percentage"]),
        }
        for row in jobs.world.db.run("select * from chunk_processing_status;")
    }
    one = jobs.world.db.one(
        f"select * from chunk_processing_status where parent_sync_job_id = '{jobs.running}'"
    )

    names = ("pending_chunks", "processing_chunks", "completed_chunks", "failed_chunks")
    told = {
        job_id: (
            *(answer[name] for name in names),
            answer["overall_status"],
            float(answer["progress_percentage"]),
        )
        for job_id, answer in answers.items()
    }
    assert told == {
        jobs.finished: (0, 0, 3, 0, "completed", 100.0),
        jobs.failed: (0, 0, 1, 1, "partial_failure", 50.0),
        jobs.running: (3, 8, 1, 0, "processing", 8.3),
    }
    assert one["overall_status"] == "processing"


async def test_get_sync_job_progress(jobs: Jobs) -> None:
    running, failed, finished = (
        jobs.world.db.value(f"select get_sync_job_progress('{job_id}')")
        for job_id in (jobs.running, jobs.failed, jobs.finished)
    )

    assert (running["status"], running["percentage"]) == ("running", 8.3)
    assert running["chunks"] == {
        "planned": 12,
        "pending": 3,
        "processing": 8,
        "completed": 1,
        "failed": 0,
        "cancelled": 0,
    }
    (run,) = running["runs"]
    assert (run["workspace"], run["stream"], run["status"]) == ("acme", "sender_emails", "running")
    assert (run["records"], run["changed"], run["processing"]) == (15, 15, 8)
    assert (failed["status"], failed["percentage"]) == ("failed", 50.0)
    assert failed["runs"][0]["error_message"].startswith("HTTP 403")
    assert (finished["status"], finished["total_accounts_synced"]) == ("completed", 40)
    assert finished["runs"][0]["expected_total"] == 40


async def test_chunk_processing_queue(jobs: Jobs) -> None:
    newest = jobs.world.db.run(
        "select * from chunk_processing_queue order by created_at desc limit 10"
    )

    assert {chunk["parent_sync_job_id"] for chunk in newest} == {jobs.running}
    assert sorted(chunk["status"] for chunk in newest) == ["pending"] * 3 + ["processing"] * 7
    for chunk in newest:
        in_flight = chunk["status"] == "processing"
        assert (chunk["worker_id"] is not None) == in_flight
        assert (chunk["started_at"] is not None) == in_flight
        assert (chunk["attempts"], chunk["max_attempts"]) == (0, 3)
        assert (chunk["completed_at"], chunk["error_message"]) == (None, None)


async def test_polling_job_status(jobs: Jobs) -> None:
    newest = jobs.world.db.run("select * from polling_job_status order by started_at desc limit 5")
    by_status = {
        status: jobs.world.db.column(f"select id from polling_job_status where status = '{status}'")
        for status in ("running", "completed", "failed", "partial", "cancelled")
    }

    assert [job["id"] for job in newest] == [jobs.running, jobs.failed, jobs.finished]
    assert [job["completed_at"] is None for job in newest] == [True, False, False]
    assert newest[1]["error_message"].startswith("zen: HTTP 403")
    assert newest[2]["total_accounts_synced"] == 40
    assert by_status == {
        "running": [jobs.running],
        "completed": [jobs.finished],
        "failed": [jobs.failed],
        "partial": [],
        "cancelled": [],
    }


async def test_sync_progress(jobs: Jobs) -> None:
    rows = jobs.world.db.run("select * from sync_progress order by updated_at desc limit 3")

    assert [
        (row["job_id"], row["status"], row["workspaces_completed"], row["total_workspaces"])
        for row in rows
    ] == [
        (jobs.running, "running", 0, 1),
        (jobs.failed, "failed", 0, 1),
        (jobs.finished, "completed", 1, 1),
    ]
    assert rows[0]["happening_now"] == "8 chunks in flight, 0 ready, 0 delayed, 3 waiting"
    assert rows[1]["happening_now"].startswith("zen: HTTP 403")
    assert rows[2]["happening_now"] is None


async def test_cleanup_stuck_chunks(jobs: Jobs) -> None:
    assert jobs.world.db.value("select cleanup_stuck_chunks()") == 0
    assert jobs.world.run_pages("acme", "processing") == list(range(2, 10))


async def test_client_registry(jobs: Jobs) -> None:
    rows = jobs.world.db.run(
        "select workspace_name, last_successful_sync_at, now() - last_successful_sync_at as"
        " time_since_sync, estimated_account_count from client_registry where is_active"
        " order by last_successful_sync_at nulls first, workspace_name"
    )

    assert [(row["workspace_name"], row["estimated_account_count"]) for row in rows] == [
        ("acme", None),
        ("zen", None),
        ("bolt", 40),
    ]
    finished_at = jobs.world.job(jobs.finished)["completed_at"]
    assert rows[2]["last_successful_sync_at"] <= finished_at
    assert rows[2]["time_since_sync"].total_seconds() >= 0


async def test_the_views_of_the_operator(jobs: Jobs) -> None:
    def names(view: str) -> list[str]:
        """Of the accounts only: other streams have never been synced here."""
        return jobs.world.db.column(
            f"select workspace_name from {view} where stream = 'sender_emails' order by 1"
        )

    await jobs.world.until(lambda: jobs.world.db.value("select is_alive from worker_health"))
    health = jobs.world.db.one("select * from queue_health")
    (worker,) = jobs.world.db.run("select * from worker_health")

    assert names("stale_workspaces") == ["acme", "zen"]
    assert names("failed_chunks") == ["zen"]
    assert jobs.world.db.run("select * from missing_workspaces") == []
    assert names("workspace_health") == ["acme", "bolt", "idle", "zen"]
    assert (health["live_jobs"], health["live_runs"]) == (1, 1)
    assert (health["ready_chunks"], health["chunks_in_flight"]) == (0, 8)
    assert (health["waiting_chunks"], health["workers_alive"]) == (3, 1)
    assert (worker["chunks_in_flight"], worker["is_alive"]) == (8, True)


async def test_progress_never_goes_back(world: World) -> None:
    """Page by page, through a second scan, to the end."""
    answers: list[dict[str, Any]] = []
    added: list[int] = []
    async with running_bison({"acme": 60}) as bison:
        await world.register(bison)
        hold = await bison.fault(Hold(), kind="page", times=None)
        async with world.workers(), asyncio.timeout(PATIENCE_S):
            job_id = world.start()
            while not answers or answers[-1]["status"] == "running":
                answers.append(world.db.value("select get_sync_job_progress(:id)", id=job_id))
                if not added and world.run_pages("acme", "completed"):
                    added = await bison.add_accounts("acme")
                await bison.release(hold, count=1)
                await asyncio.sleep(LOOK_S)

    assert world.run("acme")["scan"] > 1
    percentages = [answer["percentage"] for answer in answers]
    known = [percentage for percentage in percentages if percentage is not None]
    ended = [answer["chunks"]["completed"] for answer in answers]
    assert percentages[0] is None
    assert known == sorted(known)
    assert ended == sorted(ended)
    assert known[-1] == 100.0
