"""A key that is good, but for another workspace.

Of a workspace that was registered with the API's id, `GET /api/users` is asked first. Without an id
there is nothing to compare: then no other workspace is touched, and nothing is lost unapproved.
"""

from local.bison import BisonControl, OtherWorkspace
from tests.e2e.world import World


async def test_where_the_id_is_known_a_key_of_another_workspace_writes_nothing(
    world: World, bison: BisonControl
) -> None:
    acme, zen = await bison.workspace("acme"), await bison.workspace("zen")
    for name, own in (("acme", acme), ("zen", zen)):
        world.db.run(
            "select register_workspace(:name, :url, :key, p_external_id => :id)",
            name=name,
            url=bison.base_url,
            key=zen.key,
            id=str(own.workspace_id),
        )
    async with world.workers():
        job = await world.sync()
    traffic = await bison.traffic()

    assert world.run_status(job["id"]) == {"acme": "failed", "zen": "completed"}
    assert world.run("acme")["error_message"].startswith(
        f"its key belongs to workspace {zen.workspace_id} (zen), not to {acme.workspace_id}"
    )
    counted = [world.run("acme")[f"chunks_{how}"] for how in ("completed", "failed", "cancelled")]
    assert counted == [1, 0, 0]
    assert [event["kind"] for event in world.events("acme")] == ["connection"]
    assert (len(traffic.select(kind="users")), len(traffic.select(kind="page"))) == (2, 2)
    assert world.live_ids("acme") == []
    assert world.live_ids("zen") == await served_ids(bison, "zen")


async def test_the_owner_of_the_key_keeps_its_rows(world: World, bison: BisonControl) -> None:
    await world.register(bison, "zen")
    register_under_the_key_of_zen = "select register_workspace('acme', :url, :key)"
    key = (await bison.workspace("zen")).key
    world.db.run(register_under_the_key_of_zen, url=bison.base_url, key=key)
    async with world.workers():
        job = await world.sync()
        await bison.remove_accounts("zen", (await served_ids(bison, "zen"))[0])
        again = await world.sync("zen")

    assert (job["status"], again["status"]) == ("completed", "completed")
    assert world.live_ids("zen") == await served_ids(bison, "zen")
    assert len(world.deleted_ids("zen")) == 1
    assert len(world.live_ids("acme")) == 20
    assert world.deleted_ids("acme") == []


async def test_a_key_that_begins_to_show_another_workspace_deletes_nothing_unapproved(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    own = await served_ids(bison, "acme")
    async with world.workers():
        await world.sync()
        await bison.fault(OtherWorkspace(serves="zen"), workspace="acme", times=None)
        job = await world.sync()

    run = world.run("acme")
    foreign = await served_ids(bison, "zen")
    assert world.run_status(job["id"]) == {"acme": "completed", "zen": "completed"}
    assert run["warnings"] == [
        f"40 of 60 rows would be deleted: waiting for approve_deletions({run['id']})"
    ]
    assert world.deleted_ids("acme") == []
    assert world.live_ids("acme") == sorted(own + foreign)
    assert world.live_ids("zen") == foreign


async def test_a_key_that_shows_another_workspace_for_a_page_is_caught_by_the_count(
    world: World, bison: BisonControl
) -> None:
    """What a super-admin's key does when its user looks at another workspace meanwhile."""
    await world.register(bison)
    await bison.fault(OtherWorkspace(serves="zen"), workspace="acme", page=2)
    async with world.workers():
        job = await world.sync()

    foreign = await served_ids(bison, "zen")
    assert (job["status"], world.run("acme")["scan"]) == ("completed", 2)
    assert world.run("acme")["warnings"][0] == "scan 1: the total moved between 20 and 40"
    assert world.live_ids("acme") == await served_ids(bison, "acme")
    assert world.deleted_ids("acme") == foreign[15:]
    assert world.live_ids("zen") == foreign


async def served_ids(bison: BisonControl, workspace: str) -> list[int]:
    return [account["id"] for account in await bison.accounts(workspace)]
