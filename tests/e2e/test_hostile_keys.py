"""A key that is good, but for another workspace.

`GET /api/users` is asked first of every key; the first owner seen is the workspace from then on, if
it was registered without an id. A key that changes whom it shows later is caught by the count.
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


async def test_one_key_is_one_workspace_whatever_it_is_called(
    world: World, bison: BisonControl
) -> None:
    """As README has it, without an id: one key under three names made sixty rows of twenty."""
    key = (await bison.workspace("zen")).key
    names = ("zen", "zen too", "ZEN ")
    for name in names:
        world.db.run(
            "select register_workspace(:name, :url, :key)", name=name, url=bison.base_url, key=key
        )
    async with world.workers():
        job = await world.sync("zen")
        other = await world.sync("zen too")

    assert (job["status"], other["status"]) == ("completed", "failed")
    assert world.live_ids("zen") == await served_ids(bison, "zen")
    assert world.live_ids("zen too") == []
    assert world.db.column("select workspace_name from sync_workspaces order by id") == [
        "zen",
        "zen too",
    ]


async def test_a_key_of_another_workspace_without_an_id_writes_nothing(
    world: World, bison: BisonControl
) -> None:
    """Rotated to another's key, its own rows would be called missing and its approval advised."""
    for info in await bison.workspaces():
        world.db.run(
            "select register_workspace(:name, :url, :key)",
            name=info.name,
            url=bison.base_url,
            key=info.key,
        )
    async with world.workers():
        first = await world.sync()
        zen = (await bison.workspace("zen")).key
        world.db.run("select rotate_workspace_key('acme', :key)", key=zen)
        job = await world.sync()

    assert (first["status"], job["status"]) == ("completed", "partial")
    assert world.run_status(job["id"]) == {"acme": "failed", "zen": "completed"}
    assert world.live_ids("acme") == await served_ids(bison, "acme")
    assert world.deleted_ids("acme") == []
    assert world.db.column("select deletions_waiting from workspace_health") == [0] * 8


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
