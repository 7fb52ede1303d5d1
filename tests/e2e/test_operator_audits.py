"""`chunkwise workspaces audit|missing|stale` and `chunkwise keys check|rotate`."""

import asyncio

from local.bison import BisonControl, Status
from tests.e2e.world import World


async def test_an_audit_names_what_was_missing_stale_and_surplus(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await world.sync()
        ids = world.live_ids("acme")
        world.db.run("delete from sync.sender_emails where id = :id", id=ids[3])
        await bison.change_account("acme", ids[5], {"emails_sent_count": 43})
        await bison.remove_accounts("acme", ids[7])
        different = await world.chunkwise("workspaces", "audit", "--json")
        same = await world.chunkwise("workspaces", "audit", "acme")

    acme, zen = different.json["runs"]
    assert (different.code, different.complaints, same.code) == (1, "", 0)
    assert (acme["api_total"], acme["rows_before"], acme["rows_now"]) == (39, 39, 39)
    assert (acme["missing"], acme["stale"]) == ([str(ids[3])], [str(ids[5])])
    assert (acme["surplus"], acme["repeated"]) == ([str(ids[7])], [])
    assert [zen[kind] for kind in ("missing", "stale", "surplus", "repeated")] == [[]] * 4
    assert (zen["status"], zen["api_total"], zen["distinct_ids"]) == ("completed", 20, 20)
    assert "acme" in same.out


async def test_an_audit_that_could_not_read_everything_is_not_clean(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await world.sync("zen")
        await bison.fault(Status(status=403), workspace="zen", times=None)
        ended = await world.chunkwise("workspaces", "audit", "zen", "--json")
        for_people = await world.chunkwise("workspaces", "audit", "zen")
    (run,) = ended.json["runs"]
    assert (ended.code, run["status"], run["api_total"]) == (1, "failed", None)
    assert (run["rows_before"], run["surplus"]) == (20, None)
    assert (for_people.code, "20: " in for_people.out) == (1, False)


async def test_another_audit_that_runs_is_no_answer(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    audit, check = (
        world.db.value(f"select {start} ->> 'job_id'")
        for start in (
            "start_audit('{zen}')",
            "start_sync_job('keys check', '{connection}', '{zen}')",
        )
    )
    other, busy = await asyncio.gather(
        world.chunkwise("workspaces", "audit", "acme", "--json"),
        world.chunkwise("keys", "check", "acme", "--json"),
    )

    for ended, what, job in ((other, "audited", audit), (busy, "checked", check)):
        assert (ended.code, ended.out) == (1, "")
        said, way_out = ended.err.splitlines()
        assert f"{what}: " in said
        assert said.endswith(f"is already running (job {job})")
        assert f"chunkwise status {job} --watch" in way_out


async def test_stale_and_missing_workspaces_are_listed(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    never = await world.chunkwise("workspaces", "stale", "--json")
    empty = await world.chunkwise("workspaces", "missing", "--json")
    async with world.workers():
        await world.sync()
    pass_days(world, 18)
    async with world.workers():
        await world.sync("zen")
    stale = await world.chunkwise("workspaces", "stale", "--json")
    none_missing = await world.chunkwise("workspaces", "missing")

    assert [row["workspace_name"] for row in never.json] == ["acme", "zen"]
    assert [row["workspace_name"] for row in empty.json] == ["acme", "zen"]
    assert (never.code, empty.code, stale.code, none_missing.code) == (1, 1, 1, 0)
    assert [row["workspace_name"] for row in stale.json] == ["acme"]
    assert stale.json[0]["command"] == "chunkwise sync --workspace acme --watch"
    assert "18 days" in stale.json[0]["time_since_sync"]
    assert none_missing.out == "Every active workspace has accounts.\n"


async def test_keys_check_tells_whose_each_key_is(world: World, bison: BisonControl) -> None:
    acme, zen = await bison.workspace("acme"), await bison.workspace("zen")
    register = "select register_workspace(:name, :url, :key, p_external_id => :id)"
    for name, key, external in (
        ("acme", acme.key, acme.workspace_id),
        ("wrong", zen.key, acme.workspace_id + zen.workspace_id),
        ("zen", zen.key, zen.workspace_id),
    ):
        world.db.run(register, name=name, url=bison.base_url, key=key, id=str(external))
    async with world.workers():
        mixed = await world.chunkwise("keys", "check", "--json")
        good = await world.chunkwise("keys", "check", "ACME", "zen")
        await bison.revoke_key("acme")
        revoked = await world.chunkwise("keys", "check", "acme", "--json")

    keys = {key["workspace"]: key for key in mixed.json["keys"]}
    assert {name: key["verdict"] for name, key in keys.items()} == {
        "acme": "accepted",
        "wrong": "other_workspace",
        "zen": "accepted",
    }
    assert keys["wrong"]["key_owner"] == f"{zen.workspace_id} (zen)"
    assert all(isinstance(key["latency_ms"], int) for key in keys.values())
    assert (mixed.code, good.code, revoked.code) == (1, 0, 1)
    assert revoked.json["keys"][0]["verdict"] == "refused"
    for ended in (mixed, good, revoked):
        for key in (acme.key, zen.key):
            assert key.split("|")[1] not in ended.out + ended.err


async def test_a_key_of_another_workspace_is_refused_before_it_writes(
    world: World, bison: BisonControl
) -> None:
    acme, zen = await bison.workspace("acme"), await bison.workspace("zen")
    world.db.run(
        "select register_workspace('acme', :url, :key, p_external_id => :id)",
        url=bison.base_url,
        key=zen.key,
        id=str(acme.workspace_id),
    )
    async with world.workers():
        refused = await world.chunkwise("sync", "--watch")
        rows = world.db.column("select id from sync.sender_emails")
        at_a_glance = await world.chunkwise("status", "--json")
        rotated = await world.chunkwise("keys", "rotate", "acme", stdin=f"{acme.key}\n")
        accepted = await world.chunkwise("sync", "--watch", "--json")

    assert (refused.code, rows) == (1, [])
    assert f"its key belongs to workspace {zen.workspace_id} (zen)" in refused.out
    assert at_a_glance.json["failed"][0]["command"] == "chunkwise keys rotate acme"
    assert (rotated.code, accepted.code) == (0, 0)
    assert acme.key.split("|")[1] not in rotated.out + rotated.err
    assert len(world.live_ids("acme")) == 40


def pass_days(world: World, days: int) -> None:
    world.db.run(
        "create or replace function sync.now() returns timestamptz language sql stable"
        " set search_path = pg_catalog, pg_temp as $$ select pg_catalog.clock_timestamp()"
        f" + interval '{days} days' $$"
    )
