"""`chunkwise cancel`, `retry`, `approve`, `pause`, `resume` and what `status` says meanwhile."""

import asyncio
import signal

from local.bison import BisonControl, Hold, Status
from tests.e2e.world import World


async def test_status_says_what_waits_and_why(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    job_id = world.start()
    nobody = await world.chunkwise("status", "--json")
    paused = await world.chunkwise("pause", "--workspace", "acme", "--json")
    one = await world.chunkwise("status", str(job_id), "--json")
    resumed = await world.chunkwise("resume", "--workspace", "acme")
    for_people = await world.chunkwise("status")

    assert [paused.code, resumed.code, one.code, nobody.code] == [0] * 4
    assert [(run["workspace_name"], run["why"]) for run in nobody.json["waiting"]] == [
        ("acme", "no_worker"),
        ("zen", "no_worker"),
    ]
    assert nobody.json["queue"]["ready_chunks"] == 2
    assert nobody.json["jobs"][0]["command"] == f"chunkwise status {job_id} --watch"
    assert paused.json == {"paused": True, "live_runs": 1}
    assert {run["workspace_name"]: run["why"] for run in one.json["waiting"]} == {
        "acme": "paused",
        "zen": "no_worker",
    }
    assert one.json["waiting"][0]["message"].startswith("paused: chunkwise resume --workspace acme")
    assert "Resumed: 1 run in progress goes on." in resumed.out
    assert "start one with chunkwise worker" in for_people.out
    assert "2 ready" in for_people.out


async def test_a_rate_limit_and_a_retry_are_named_with_their_time(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await bison.fault(Status(status=429, retry_after_s=600), workspace="acme", times=None)
    async with world.workers():
        job_id = world.start("acme")
        await world.until(lambda: waits(world) == ["rate_limited"])
        limited = await world.chunkwise("status", str(job_id), "--json")
        await world.chunkwise("cancel", str(job_id))
        world.db.run("select unblock_budget('email_bison')")
        await bison.fault(Status(status=500, retry_after_s=600), workspace="zen", times=None)
        job_id = world.start("zen")
        await world.until(lambda: waits(world) == ["retry"])
        retried = await world.chunkwise("status", str(job_id), "--json")

    (limit,), (retry,) = limited.json["waiting"], retried.json["waiting"]
    assert limit["waits_until"] is not None
    assert "limits the rate of 127.0.0.1" in limit["message"]
    assert retry["waits_until"] is not None
    assert "HTTP 500" in retry["message"]


async def test_what_failed_is_named_with_the_command_that_helps(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    rule = await bison.fault(Status(status=403), workspace="zen", page=2, times=None)
    async with world.workers():
        job = await world.sync()
        at_a_glance, one = await asyncio.gather(
            world.chunkwise("status", "--json"), world.chunkwise("status", str(job["id"]))
        )
        await bison.clear_rules(rule)
        retried = await world.chunkwise("retry", str(job["id"]), "--json")
        again = await world.ended(retried.json["job_id"])
        nothing_left = await world.chunkwise("retry", str(again["id"]))

    (failed,) = at_a_glance.json["failed"]
    assert (failed["workspace"], failed["status"]) == ("zen", "failed")
    assert failed["command"] == f"chunkwise retry {job['id']}"
    assert "HTTP 403" in failed["why"]
    assert "Failed chunks" in one.out
    assert f"Go on with: chunkwise retry {job['id']}" in one.out
    assert (retried.code, again["status"]) == (0, "completed")
    assert world.run_status(again["id"]) == {"zen": "completed"}
    assert nothing_left.code == 1
    assert "there is nothing to retry" in nothing_left.err


async def test_only_a_retry_that_is_taken_is_offered(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    rule = await bison.fault(Status(status=403), times=None)
    async with world.workers():
        older, newer = await world.sync(), await world.sync()
        both = await world.chunkwise("status", "--json")
        await bison.clear_rules(rule)
        await world.sync("zen")
        one = await world.chunkwise("status", "--json")
        not_taken = await world.chunkwise("retry", str(newer["id"]))
    world.start("acme")
    again = await world.chunkwise("status", "--json")

    commands = {job["id"]: job["command"] for job in both.json["jobs"]}
    assert commands == {
        str(older["id"]): None,
        str(newer["id"]): f"chunkwise retry {newer['id']}",
    }
    assert {row["command"] for row in both.json["failed"]} == {f"chunkwise retry {newer['id']}"}
    assert (not_taken.code, {job["command"] for job in one.json["jobs"]}) == (1, {None})
    (acme,) = one.json["failed"]
    assert acme["command"] == "chunkwise sync --workspace acme --stream sender_emails --watch"
    (acme,) = again.json["failed"]
    assert (acme["workspace"], acme["status"]) == ("acme", "failed")
    assert "HTTP 403" in acme["why"]


async def test_a_cancelled_job_ends_with_what_is_in_flight(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    rule = await bison.fault(Hold(), workspace="acme", page=1)
    async with world.workers():
        job_id = world.start()
        await bison.wait_until_held(1, rule)
        cancelled = await world.chunkwise("cancel", str(job_id), "--json")
        await bison.release(rule)
        job = await world.ended(job_id)
    again = await world.chunkwise("cancel", str(job_id))

    assert (cancelled.code, cancelled.json["chunks_in_flight"]) == (0, 1)
    assert (job["status"], world.live_ids("acme")) == ("cancelled", [])
    assert again.code == 1
    assert "has ended already" in again.err


async def test_many_deletions_wait_for_approve(world: World, bison: BisonControl) -> None:
    await world.register(bison, "acme")
    async with world.workers():
        await world.sync()
        doomed = [account["id"] for account in (await bison.accounts("acme"))[:20]]
        await bison.remove_accounts("acme", *doomed)
        await world.sync()
    run_id = world.run("acme")["id"]
    status = await world.chunkwise("status", "--json")
    approved = await world.chunkwise("approve", str(run_id))
    again = await world.chunkwise("approve", str(run_id), "--json")

    assert status.json["failed"][0]["command"] == f"chunkwise approve {run_id}"
    assert (approved.code, approved.out) == (0, "20 rows deleted.\n")
    assert world.deleted_ids("acme") == sorted(doomed)
    assert (again.code, again.out) == (1, "")


async def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.command("sync", "--watch") as watching:
        assert watching.stdout is not None
        first_line = await watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        _, err = await watching.communicate()
    (job_id,) = world.db.column("select id from polling_job_status where status = 'running'")
    async with world.workers():
        followed = await world.chunkwise("status", str(job_id), "--watch", "--json")

    assert b"0/2 workspaces" in first_line
    assert watching.returncode == 130
    assert f"Watch it again with: chunkwise status {job_id} --watch" in err.decode()
    assert "Traceback" not in err.decode()
    assert (followed.code, followed.json["status"]) == (0, "completed")


def waits(world: World) -> list[str]:
    return world.db.column("select why from waiting_runs order by run_id")
