"""Access tokens of a real endpoint, with two workers: asked for once, renewed once, asked for again
where an answer is lost on the way, and refused by name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from local.delivery import Break
from local.habits import Auth, Reply, running_habits
from local.habits.catalog import AUTHS
from tests.e2e.world import World
from tests.support.habits import Tenant

RECORDS = 63
HTML = Reply(body=b"<html>Just a moment</html>")


async def test_a_token_is_asked_for_once_and_again_when_it_is_refused(world: World) -> None:
    rotating = Auth(kind="oauth2_refresh", forgives=False)
    async with tenant_of(world, rotating) as tenant, world.workers(2):
        first = await world.sync()
        granted = [tenant.running.desk.granted]
        tenant.running.desk.expire()
        second = await world.sync()
        granted.append(tenant.running.desk.granted)

    assert [first["status"], second["status"]] == ["completed", "completed"]
    assert granted == [1, 2]
    assert tenant.found().is_exact
    assert (tenant.found().attempts, second["chunks_failed"]) == (0, 0)
    assert tenant.running.desk.is_revoked is False


async def test_answers_that_are_lost_on_the_way_are_asked_for_again(world: World) -> None:
    """The endpoint rotates the refresh token, and one answer with the new one breaks off."""
    async with tenant_of(world, Auth(kind="oauth2_refresh")) as tenant:
        tenant.running.plant("token", Reply(status=503), HTML, Break(how="cut", after_bytes=20))
        world.db.run("select set_setting('retry_base_seconds', '0.1')")
        async with world.workers(2):
            job = await world.sync()

    assert (job["status"], tenant.running.desk.granted) == ("completed", 2)
    assert tenant.found().is_exact
    assert world.db.column("select status from sync.token_requests") == ["completed"]


async def test_a_spent_grant_ends_its_run_and_nobody_elses(world: World) -> None:
    spent, plain_auth = Auth(kind="oauth2_refresh", forgives=False), Auth(kind="basic")
    async with tenant_of(world, spent) as strict, tenant_of(world, plain_auth) as plain:
        strict.running.plant("token", Break(how="cut", after_bytes=20))
        world.db.run("select set_setting('retry_base_seconds', '0.1')")
        async with world.workers(2):
            job_id = world.start()
            await world.ended(job_id)
        asked = len(strict.running.seen.requests("token"))

    assert world.run_status(job_id) == {strict.name: "failed", plain.name: "completed"}
    assert plain.found().is_exact
    assert asked == 2
    assert "invalid_grant" in world.run(strict.name)["error_message"]
    assert "refresh-of" not in str(world.run(strict.name))


@asynccontextmanager
async def tenant_of(world: World, auth: Auth) -> AsyncIterator[Tenant]:
    habit = AUTHS["a password" if auth.kind == "basic" else "a refreshed token"]
    habit = replace(habit, api=replace(habit.api, auth=auth))
    name = auth.kind
    async with running_habits({name: habit.api}) as habits:
        tenant = Tenant(habit, habits[name], world.db)
        with tenant.book() as book:
            book.fill(RECORDS)
        tenant.register()
        yield tenant
