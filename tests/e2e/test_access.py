"""Who may do what, asked of the real PostgREST with the official client, over the whole catalog.

A function or table that is added is denied to everybody but the secret key, or it is listed here.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from postgrest.exceptions import APIError

from local.stack import Stack
from tests.e2e.callers import DENIED, Callers, count, denied, may_call, seen_by_everybody
from tests.e2e.conftest import new_world
from tests.e2e.world import PATIENCE_S, World, answered, refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

# A view that cannot be written by its nature; Postgres says so before it looks at grants.
READ_ONLY = "55000"
OPERATORS_VERBS = {
    "approve_deletions",
    "cancel_sync_job",
    "pause_sync",
    "resume_sync",
    "retry_failed_chunks",
    "start_sync_job",
    "unblock_budget",
}
OPERATORS_QUESTIONS = {
    "get_alerts_page",
    "get_engine_page",
    "get_fleet",
    "get_held_deletions",
    "get_job_page",
    "get_jobs_page",
    "get_sources_page",
    "get_workspace_page",
}
FOR_SIGNED_IN_USERS = OPERATORS_VERBS | OPERATORS_QUESTIONS | {"get_sync_job_progress"}
# What a service may write through the API: (table, method).
WRITABLE = {
    ("polling_job_status", "POST"),
    ("polling_job_status", "PATCH"),
    ("polling_job_status", "DELETE"),
    ("client_registry", "POST"),
    ("client_registry", "PATCH"),
    ("sync_workspaces", "PATCH"),
    ("sync_page_queue", "POST"),
    ("sync_page_queue", "PATCH"),
    ("sync_page_queue", "DELETE"),
    ("thread_processing_queue", "POST"),
    ("thread_processing_queue", "PATCH"),
    ("thread_processing_queue", "DELETE"),
}
DASHBOARD = (
    "id, job_name, started_at, completed_at, status, total_workspaces, workspaces_processed,"
    " workspaces_skipped, total_accounts_synced, duration_ms, created_at, updated_at"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def callers(fleet_world: World) -> AsyncIterator[Callers]:
    async with seen_by_everybody(fleet_world) as callers:
        yield callers


async def test_strangers_can_call_nothing(callers: Callers) -> None:
    await strangers_can_call_nothing(callers)


async def test_strangers_see_nothing(callers: Callers) -> None:
    await strangers_see_nothing(callers)


async def test_operators_can_call_their_verbs_and_no_other(callers: Callers) -> None:
    await operators_can_call_their_verbs_and_no_other(callers)


async def test_nobody_writes_but_what_is_listed(callers: Callers) -> None:
    await nobody_writes_but_what_is_listed(callers)


async def test_under_the_old_default_grants_it_is_all_the_same(
    worker_id: str, tmp_path: Path
) -> None:
    """Hosted projects made before the new defaults grant everything to everybody at creation."""
    with (
        Stack.start_free(f"test-old-{worker_id}", grants="old") as stack,
        new_world(stack, stack.create_database("old"), tmp_path) as world,
    ):
        async with seen_by_everybody(world) as callers:
            await strangers_can_call_nothing(callers)
            await strangers_see_nothing(callers)
            await nobody_writes_but_what_is_listed(callers)
            await operators_can_call_their_verbs_and_no_other(callers)


async def test_operators_read_whatever_a_service_reads(callers: Callers) -> None:
    counted = {}
    for name in callers.names():
        counted[name] = await count(callers.service, name)
        assert await count(callers.operator, name) == counted[name], name

    filled = {name for name, rows in counted.items() if rows}
    assert filled >= {
        "chunk_events",
        "chunk_processing_queue",
        "chunk_processing_status",
        "chunked_sync_jobs",
        "client_registry",
        "failed_chunks",
        "polling_job_status",
        "queue_health",
        "sender_emails",
        "stale_workspaces",
        "sync_page_queue",
        "sync_progress",
        "sync_workspaces",
        "worker_health",
        "workspace_health",
        "workspace_statistics",
        "workspace_sync_runs",
    }


async def test_an_operator_reads_progress_and_a_plain_user_does_not(callers: Callers) -> None:
    job_id = str(callers.world.db.value("select id from polling_job_status limit 1"))
    progress = await answered(callers.operator.rpc("get_sync_job_progress", {"p_job_id": job_id}))
    error = await refused(callers.user.rpc("get_sync_job_progress", {"p_job_id": job_id}))

    assert (progress["job_id"], len(progress["runs"])) == (job_id, 2)
    assert error.code == "SY007"


async def test_an_operator_starts_pauses_resumes_cancels_and_retries(callers: Callers) -> None:
    call = callers.operator.rpc
    assert (await answered(call("pause_sync", {})))["paused"] is True
    started = await answered(call("start_sync_job", {"p_job_name": "by an operator"}))
    assert (await answered(call("resume_sync", {})))["paused"] is False
    cancelled = await answered(call("cancel_sync_job", {"p_job_id": started["job_id"]}))
    assert (started["status"], cancelled["status"]) == ("accepted", "cancelled")
    retried = await answered(call("retry_failed_chunks", {"p_job_id": started["job_id"]}))
    assert retried["status"] == "accepted"
    await answered(call("cancel_sync_job", {"p_job_id": retried["job_id"]}))


async def test_the_dashboard_shows_its_columns_only_while_it_is_on(callers: Callers) -> None:
    table = callers.anonymous.table("polling_job_status")
    while_off = (await table.select(DASHBOARD).execute()).data
    callers.world.db.run("select set_setting('public_dashboard', 'true')")
    while_on = (await table.select(DASHBOARD).execute()).data
    refusals = [
        await denied(callers.anonymous, "polling_job_status", columns)
        for columns in ("*", "error_message", "warnings", "id, retry_of_job_id")
    ]
    users = await count(callers.user, "polling_job_status")
    callers.world.db.run("select set_setting('public_dashboard', 'false')")

    assert while_off == []
    assert len(while_on) == callers.world.db.value("select count(*) from polling_job_status")
    assert refusals == [True] * 4
    assert users == 0
    assert (await table.select(DASHBOARD).execute()).data == []


async def test_a_service_changes_of_a_workspace_what_the_registry_shows(callers: Callers) -> None:
    workspaces = callers.service.table("sync_workspaces")
    for column in ("secret_id", "key_status", "budget_id", "max_concurrency"):
        with pytest.raises(APIError) as error:
            await workspaces.update({column: None}).eq("workspace_name", "acme").execute()
        assert error.value.code == DENIED, column

    registry = callers.service.table("client_registry")
    await registry.update({"is_active": False}).eq("workspace_name", "acme").execute()
    changed = callers.world.db.value(
        "select is_active from sync_workspaces where workspace_name = 'acme'"
    )
    await registry.update({"is_active": True}).eq("workspace_name", "acme").execute()
    assert changed is False


async def test_schema_sync_is_not_reachable(callers: Callers) -> None:
    for client in (callers.anonymous, callers.user, callers.operator, callers.service):
        hidden = client.postgrest.schema("sync")
        with pytest.raises(APIError) as error:
            await hidden.table("sender_emails").select("*").limit(1).execute()
        assert error.value.code == "PGRST106"
        assert (await refused(hidden.rpc("sweep", {}))).code == "PGRST106"


async def test_without_a_key_nothing_passes(callers: Callers) -> None:
    url = f"{callers.world.api.url}/rest/v1"
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        for headers in ({}, {"apikey": "sb_secret_guessed"}):
            answer = await http.get("/polling_job_status", headers=headers)
            assert answer.status_code == 401


async def strangers_can_call_nothing(callers: Callers) -> None:
    for name, arguments in callers.functions().items():
        error = await refused(callers.anonymous.rpc(name, arguments))
        assert error.code == DENIED, name
        error = await refused(callers.user.rpc(name, arguments))
        assert error.code == ("SY007" if name == "get_sync_job_progress" else DENIED), name


async def strangers_see_nothing(callers: Callers) -> None:
    for name in callers.names():
        assert await denied(callers.anonymous, name), name
        assert await count(callers.user, name) == 0, name


async def operators_can_call_their_verbs_and_no_other(callers: Callers) -> None:
    functions = callers.functions()
    assert functions.keys() > FOR_SIGNED_IN_USERS
    for name, arguments in functions.items():
        allowed = await may_call(callers.operator, name, arguments)
        assert allowed == (name in FOR_SIGNED_IN_USERS), name
        assert await may_call(callers.service, name, arguments), name
    for job in callers.world.db.run("select id from polling_job_status where status = 'running'"):
        await answered(callers.service.rpc("cancel_sync_job", {"p_job_id": str(job["id"])}))
    await answered(callers.service.rpc("resume_sync", {}))


async def nobody_writes_but_what_is_listed(callers: Callers) -> None:
    """Writes that would touch no row, or only one without a value."""
    api, keys = callers.world.api, callers.world.api
    passes = {
        "anonymous": {"apikey": keys.publishable_key},
        "user": bearer(keys.publishable_key, api.user_token()),
        "operator": bearer(keys.publishable_key, api.operator_token()),
        "service": {"apikey": keys.secret_key},
    }
    async with httpx.AsyncClient(base_url=f"{api.url}/rest/v1", timeout=PATIENCE_S) as http:
        for row in callers.relations():
            name, column = row["name"], row["any_column"]
            for who, headers in passes.items():
                for method in ("POST", "PATCH", "DELETE"):
                    answer = await http.request(
                        method,
                        f"/{name}",
                        params={} if method == "POST" else {column: "is.null"},
                        json=None if method == "DELETE" else {column: None},
                        headers=headers | {"Prefer": "return=minimal"},
                    )
                    is_denied = answer.is_error and answer.json()["code"] in (DENIED, READ_ONLY)
                    may_write = who == "service" and (name, method) in WRITABLE
                    assert is_denied != may_write, (name, who, method, answer.text)


def bearer(key: str, token: str) -> dict[str, str]:
    return {"apikey": key, "Authorization": f"Bearer {token}"}
