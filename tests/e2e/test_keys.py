"""Keys and addresses that do not work: their workspace is flagged, the others complete."""

import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.bison import BisonControl, Hold, running_bison
from local.stack import Database, Stack
from tests.e2e.world import World, refused

STATUSES = {"acme": "completed", "bolt": "completed", "zen": "completed"}


@pytest_asyncio.fixture
async def fleet() -> AsyncIterator[BisonControl]:
    async with running_bison({"acme": 40, "zen": 20, "bolt": 20}) as control:
        yield control


async def test_a_refused_key_is_flagged_and_a_new_one_mends_it(
    world: World, fleet: BisonControl
) -> None:
    await world.register(fleet)
    await fleet.revoke_key("zen")
    async with world.workers(2):
        job = await world.sync()
        status_after_the_refusal = key_status(world)
        run = world.run("zen")
        await fleet.restore_key("zen")
        key = (await fleet.workspace("zen")).key
        world.db.run("select rotate_workspace_key('zen', :key)", key=key)
        status_after_the_rotation = key_status(world)
        again = await world.sync()

    assert (job["status"], job["workspaces_processed"]) == ("partial", 2)
    assert world.run_status(job["id"]) == {
        "acme": "completed",
        "bolt": "completed",
        "zen": "failed",
    }
    assert run["error_message"].startswith('HTTP 401: {"message":"Unauthenticated."}')
    assert "rotate_workspace_key()" in run["error_message"]
    assert status_after_the_refusal == {
        "acme": "accepted",
        "bolt": "accepted",
        "zen": "refused",
    }
    assert len((await fleet.traffic()).select(status=401)) == 1
    assert status_after_the_rotation["zen"] == "unchecked"
    assert (again["status"], again["workspaces_processed"]) == ("completed", 3)
    assert set(key_status(world).values()) == {"accepted"}
    assert world.live_ids("zen") == [record["id"] for record in await fleet.accounts("zen")]


@pytest.mark.parametrize("loss", ["taken out", "undecryptable"])
async def test_a_key_that_cannot_be_read_holds_up_its_workspace_alone(
    world: World, fleet: BisonControl, stack: Stack, database: Database, loss: str
) -> None:
    """Nothing is sent without it; the others complete; with a new key it goes on by itself."""
    await world.register(fleet)
    of_zen = "where id = (select secret_id from sync_workspaces where workspace_name = 'zen')"
    lose = {
        "taken out": f"delete from vault.secrets {of_zen}",
        "undecryptable": f"update vault.secrets set secret = encode('no key', 'base64') {of_zen}",
    }
    stack.psql("-c", lose[loss], database=database.name)
    async with world.workers(2):
        job_id = world.start()
        await world.until(
            lambda: (
                world.run_status(job_id) == STATUSES | {"zen": "running"}
                and key_status(world)["zen"] == "unreadable"
            )
        )
        waiting = world.db.run("select workspace_name, why from waiting_runs")
        world.db.run("select sync.check_health()")
        alerts = world.db.column("select kind from sync_alerts where kind like 'key%'")
        sent = (await fleet.traffic()).select("zen")
        rotated = await world.chunkwise(
            "keys", "rotate", "zen", stdin=(await fleet.workspace("zen")).key
        )
        job = await world.ended(job_id)

    assert waiting == [{"workspace_name": "zen", "why": "no_key"}]
    assert (alerts, sent, rotated.code) == (["keys_unreadable"], (), 0)
    assert (job["status"], job["workspaces_processed"]) == ("completed", 3)
    assert world.live_ids("zen") == [record["id"] for record in await fleet.accounts("zen")]


async def test_a_key_of_another_workspace_writes_nothing(world: World, fleet: BisonControl) -> None:
    """Where the workspace's id is registered, the key's owner is asked for first."""
    infos = {info.name: info for info in await fleet.workspaces()}
    register = "select register_workspace(:name, :url, :key, p_external_id => :id)"
    for name, key_of in (("acme", "zen"), ("zen", "zen")):
        world.db.run(
            register,
            name=name,
            url=fleet.base_url,
            key=infos[key_of].key,
            id=str(infos[name].workspace_id),
        )
    async with world.workers():
        job = await world.sync()
        error, status = world.run("acme")["error_message"], key_status(world)
        rows_of_acme = world.live_ids("acme")
        world.db.run("select rotate_workspace_key('acme', :key)", key=infos["acme"].key)
        again = await world.sync()

    assert world.run_status(job["id"]) == {"acme": "failed", "zen": "completed"}
    assert status == {"acme": "other_workspace", "zen": "accepted"}
    assert f"belongs to workspace {infos['zen'].workspace_id} (zen)" in error
    assert f"not to {infos['acme'].workspace_id}" in error
    assert "rotate_workspace_key()" in error
    assert rows_of_acme == []
    assert again["status"] == "completed"
    assert world.live_ids("acme") == [record["id"] for record in await fleet.accounts("acme")]
    assert len((await fleet.traffic()).select(kind="users")) == 3
    registered = world.db.run("select workspace_name, bison_workspace_id from client_registry")
    assert {row["workspace_name"]: row["bison_workspace_id"] for row in registered} == {
        name: str(infos[name].workspace_id) for name in ("acme", "zen")
    }


@pytest.mark.parametrize("is_put_right", [False, True])
async def test_a_key_of_another_workspace_in_the_middle_of_a_run_writes_nothing(
    world: World, fleet: BisonControl, is_put_right: bool
) -> None:
    """Put right meanwhile, the run ends as if nothing had been."""
    acme, zen = await fleet.workspace("acme"), await fleet.workspace("zen")
    world.db.run(
        "select register_workspace('acme', :url, :key, p_external_id => :id)",
        url=fleet.base_url,
        key=acme.key,
        id=str(acme.workspace_id),
    )
    held = await fleet.fault(Hold(), workspace="acme", page=2)
    async with world.workers():
        job_id = world.start()
        await fleet.wait_until_held(1, held)
        await world.until(lambda: world.run_pages("acme", "completed") == [1, 3])
        for key in (zen.key, acme.key) if is_put_right else (zen.key,):
            world.db.run("select rotate_workspace_key('acme', :key)", key=key)
        await fleet.release(held)
        job = await world.ended(job_id)

    own = [record["id"] for record in await fleet.accounts("acme")]
    if is_put_right:
        assert (job["status"], world.live_ids("acme")) == ("completed", own)
    else:
        assert (job["status"], world.live_ids("acme")) == ("failed", own[:15] + own[30:])
        assert (
            f"belongs to workspace {zen.workspace_id} (zen)" in world.run("acme")["error_message"]
        )
    assert world.deleted_ids("acme") == []
    assert (await fleet.traffic()).select("zen", kind="page") == ()


async def test_a_host_that_does_not_answer_fails_its_workspace_alone(
    world: World, fleet: BisonControl
) -> None:
    await world.register(fleet)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{closed.getsockname()[1]}"
        world.db.run("select register_workspace('nowhere', :url, '1|key')", url=f"http://{host}")
        async with world.workers():
            job = await world.sync()

    assert job["status"] == "partial"
    assert world.run_status(job["id"]) == {
        "acme": "completed",
        "bolt": "completed",
        "zen": "completed",
        "nowhere": "failed",
    }
    assert [event["event"] for event in world.events("nowhere")] == ["retry", "retry", "failed"]
    error = world.run("nowhere")["error_message"]
    assert error.startswith(f"no answer from {host}: ")
    assert "Look at the workspace's base URL" in error
    assert key_status(world)["nowhere"] == "unchecked"


async def test_an_address_that_may_not_be_used_is_refused_at_once(world: World) -> None:
    async with world.client(key=world.api.secret_key) as client:
        for url in ("http://bison.example", "https://10.0.0.7", "ftp://x", "bison", ""):
            arguments = {"p_workspace_name": "acme", "p_base_url": url, "p_api_key": "1|key"}
            error = await refused(client.rpc("register_workspace", arguments))
            assert error.code == "SY015", url
            assert error.hint, url

    assert world.db.column("select workspace_name from sync_workspaces") == []


def key_status(world: World) -> dict[str, str]:
    return {
        row["workspace_name"]: row["key_status"]
        for row in world.db.run("select workspace_name, key_status from sync_workspaces")
    }
