"""PostgREST gives 1,000 rows at once: every command that lists something reads on to the end."""

import asyncio
import json
from typing import Any

from tests.e2e.world import PATIENCE_S, World

MANY = 1_600
REGISTER = """
insert into sync_workspaces (workspace_name, source_id, base_url)
select 'w' || n, s.id, 'http://127.0.0.1:9'
from sync_sources as s, generate_series(1, cast(:many as int)) as n
where s.source_name = 'email_bison'
"""
ALERTS = """
insert into sync_alerts (kind, subject, message)
select 'stale_workspace', workspace_name, 'it is stale' from sync_workspaces
"""
LIVE = "select id from polling_job_status where status = 'running'"


async def test_every_list_is_read_to_its_end(world: World) -> None:
    world.db.run(REGISTER, many=MANY)
    world.db.run(ALERTS)
    listed = await world.chunkwise("workspaces", "list", "--json")
    missing = await world.chunkwise("workspaces", "missing", "--json")
    stale = await world.chunkwise("workspaces", "stale", "--json")
    assert all_of(listed.json, "workspace_name")
    assert all_of(missing.json, "workspace_name")
    assert all_of(stale.json, "workspace_name")

    idle = (await world.chunkwise("status", "--json")).json
    assert all_of(idle["failed"], "workspace")
    assert all_of(idle["alerts"], "subject")

    world.db.run("select pause_sync()")
    world.start()
    busy = (await world.chunkwise("status", "--json")).json
    assert all_of(busy["waiting"], "workspace_name")
    job = (await world.chunkwise("status", "last", "--json")).json
    assert all_of(job["runs"], "workspace")
    assert all_of(job["waiting"], "workspace_name")
    cancel(world)

    checked = await cancelled(world, "keys", "check", "--json")
    assert all_of(checked["keys"], "workspace")
    audited = await cancelled(world, "workspaces", "audit", "--json")
    assert all_of(audited["runs"], "workspace")


def all_of(rows: list[dict[str, Any]], field: str) -> bool:
    return sorted(row[field] for row in rows) == sorted(f"w{n + 1}" for n in range(MANY))


def cancel(world: World) -> None:
    """What one call has no time for, the sweep does."""
    world.db.run("select cancel_sync_job(id) from polling_job_status where status = 'running'")
    while world.db.column(LIVE):
        world.db.run("select cleanup_stuck_chunks()")


async def cancelled(world: World, *arguments: str) -> dict[str, Any]:
    """What a command says when the job that it starts and follows is cancelled."""
    async with world.command(*arguments) as command:
        await world.until(lambda: bool(world.db.column(LIVE)))
        cancel(world)
        out, _ = await asyncio.wait_for(command.communicate(), PATIENCE_S)
    answer: dict[str, Any] = json.loads(out)
    return answer
