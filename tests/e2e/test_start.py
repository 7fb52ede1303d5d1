"""start_sync_job over HTTP: answers at once, and refuses with a name and a way out."""

import asyncio

import httpx

from local.bison import BisonControl, Hold
from tests.e2e.world import PATIENCE_S, World, answered, refused


async def test_start_answers_202_before_any_page_is_read(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answer = await http.post(
            f"{world.api.url}/rest/v1/rpc/start_sync_job",
            headers={"apikey": world.api.secret_key},
            json={"p_job_name": "nightly"},
        )
    job = world.db.one("select * from polling_job_status")

    assert answer.status_code == 202
    assert answer.json() == {
        "success": True,
        "job_id": str(job["id"]),
        "status": "accepted",
        "message": "syncing 2 workspaces",
        "workspaces_skipped": [],
    }
    assert (job["job_name"], job["status"]) == ("nightly", "running")
    assert (await bison.traffic()).requests == ()


async def test_a_request_for_what_is_not_there_is_refused(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    world.db.run("select deactivate_workspace('zen')")
    cases: list[tuple[dict[str, object], str, str, str]] = [
        ({"p_workspaces": ["acme", "nobody"]}, "SY002", "'nobody'", "register_workspace()"),
        ({"p_streams": ["sender_emails", "tea"]}, "SY003", "'tea'", "declare_stream()"),
        ({"p_workspaces": ["acme", "zen"]}, "SY004", "'zen'", "register_workspace()"),
        ({"p_workspaces": []}, "SY005", "no active workspace", "register_workspace()"),
        ({"p_streams": []}, "SY005", "no active workspace", "sync_streams"),
        ({"p_job_name": " "}, "SY006", "name", "start_sync_job('nightly')"),
    ]
    async with world.client(world.api.operator_token()) as client:
        for arguments, code, thing, way_out in cases:
            error = await refused(client.rpc("start_sync_job", arguments))
            assert error.code == code
            assert thing in (error.message or "")
            assert way_out in (error.hint or "")

    assert world.db.column("select id from polling_job_status") == []


async def test_an_empty_fleet_is_refused(world: World) -> None:
    async with world.client(world.api.operator_token()) as client:
        error = await refused(client.rpc("start_sync_job", {}))

    assert (error.code, world.db.column("select id from polling_job_status")) == ("SY005", [])
    assert error.hint is not None
    assert "register_workspace()" in error.hint


async def test_an_inactive_workspace_is_left_out_of_a_sync_of_all(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    world.db.run("select deactivate_workspace('zen')")
    async with world.workers():
        job = await world.sync()

    assert (job["status"], job["total_workspaces"]) == ("completed", 1)
    assert (await bison.traffic()).select("zen") == ()


async def test_an_empty_workspace_completes_with_nothing(world: World, bison: BisonControl) -> None:
    ids = [record["id"] for record in await bison.accounts("zen")]
    await bison.remove_accounts("zen", *ids)
    await world.register(bison)
    async with world.workers():
        job = await world.sync()

    assert job["status"] == "completed"
    assert world.live_ids("zen") == []
    assert len((await bison.traffic()).select("zen")) == 1
    assert world.db.column("select workspace_name from missing_workspaces") == ["zen"]


async def test_what_is_being_synced_is_skipped_by_name_or_is_the_job_itself(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    held = await bison.fault(Hold(), workspace="acme", page=1)
    async with world.workers(), world.client(world.api.operator_token()) as client:
        first = world.start("acme")
        await bison.wait_until_held(1, held)
        again, busy, rest = await asyncio.gather(
            answered(client.rpc("start_sync_job", {})),
            answered(client.rpc("start_sync_job", {"p_job_name": "b", "p_workspaces": ["acme"]})),
            answered(client.rpc("start_sync_job", {"p_job_name": "c"})),
        )
        await bison.release(held)
        job = await world.ended(first)
        other = await world.ended(rest["job_id"])

    assert (again["status"], again["job_id"]) == ("already_running", str(first))
    assert (busy["status"], busy["job_id"]) == ("already_running", str(first))
    assert (rest["status"], rest["workspaces_skipped"]) == ("accepted", ["acme"])
    assert [job["status"], other["status"]] == ["completed", "completed"]
    assert other["workspaces_skipped"] == 1
    assert other["warnings"] == ["acme: skipped, it is already being synced"]
    assert world.run_status(other["id"]) == {"zen": "completed"}
