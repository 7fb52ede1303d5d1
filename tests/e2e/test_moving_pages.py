"""Accounts come and go while pages are read: counted, scanned again, right or partial."""

from local.bison import Add, BisonControl, Hold, Mutate
from tests.e2e.world import World


async def test_an_account_removed_while_pages_are_in_flight_is_caught_by_the_count(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    async with world.workers():
        await world.sync()
        removed = world.live_ids("acme")[20]
        rules = [await bison.fault(Hold(), workspace="acme", page=page) for page in (2, 3)]
        job_id = world.start()
        for rule in rules:
            await bison.wait_until_held(1, rule)
        await bison.remove_accounts("acme", removed)
        for rule in rules:
            await bison.release(rule)
        job = await world.ended(job_id)

    run = world.run("acme")
    assert job["status"] == "completed"
    assert run["scan"] == 2
    assert run["warnings"] == ["scan 1: the total moved between 39 and 40"]
    assert job["total_accounts_synced"] == 39
    assert world.deleted_ids("acme") == [removed]
    assert world.live_ids("acme") == [record["id"] for record in await bison.accounts("acme")]


async def test_changes_in_every_scan_end_as_partial_with_the_numbers(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await world.sync()
        gone = world.live_ids("acme")[0]
        await bison.remove_accounts("acme", gone)
        one_more = Mutate(changes=(Add(workspace="acme"),))
        await bison.fault(one_more, workspace="acme", page=1, times=None)
        before = world.db.value("select last_successful_sync_at from client_registry limit 1")
        job = await world.sync()

    assert job["status"] == "partial"
    assert world.run_status(job["id"]) == {"acme": "partial", "zen": "completed"}
    assert job["workspaces_processed"] == 1
    run = world.run("acme")
    assert run["scan"] == 3
    assert run["warnings"] == [
        "scan 1: the total moved between 39 and 40",
        "scan 2: the total moved between 40 and 41",
        "after 3 scans: the total moved between 41 and 42",
    ]
    assert job["warnings"] == ["acme: " + "; ".join(run["warnings"])]
    assert world.deleted_ids("acme") == []
    assert gone in world.live_ids("acme")
    registry = "select last_successful_sync_at from client_registry where workspace_name = 'acme'"
    assert world.db.value(registry) == before


async def test_a_page_past_the_end_is_an_empty_page(world: World, bison: BisonControl) -> None:
    """The last page is read when it no longer exists."""
    await world.register(bison, "zen")
    held = await bison.fault(Hold(), workspace="zen", page=2)
    async with world.workers():
        job_id = world.start()
        await bison.wait_until_held(1, held)
        gone = [record["id"] for record in await bison.accounts("zen")][-6:]
        await bison.remove_accounts("zen", *gone)
        await bison.release(held)
        job = await world.ended(job_id)

    assert job["status"] == "completed"
    assert job["chunks_failed"] == 0
    assert world.live_ids("zen") == [record["id"] for record in await bison.accounts("zen")]
