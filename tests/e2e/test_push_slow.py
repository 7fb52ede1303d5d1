"""Pushed work while the database is slow or away: a post is answered all the same, none is lost."""

import asyncio

import httpx
import pytest

from local.bison import BisonControl
from tests.e2e.receivers import assert_all_once, claims, post, ready, receiver
from tests.e2e.world import PATIENCE_S, World
from tests.support.db import Db

WAITING_CLAIMS = (
    "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    " and query like '%claim_chunk_job_safe%' and datname = current_database()"
)


async def finish(world: World, http: httpx.AsyncClient, url: str) -> None:
    """Post what is ready until the one job has ended."""
    while world.db.column("select id from polling_job_status where status = 'running'"):
        await asyncio.gather(*(post(http, url, chunk) for chunk in ready(world)))
        await asyncio.sleep(0.01)


async def test_a_slow_claim_is_answered_202_and_goes_on_and_later_posts_wait_for_it(
    world: World, bison: BisonControl, http: httpx.AsyncClient, lock: Db
) -> None:
    await world.register(bison)
    world.start("acme")
    (chunk,) = ready(world)
    async with receiver(world) as running:
        with lock.transaction():
            lock.run("lock table sync.hinted_claims in share mode")
            answers = [await post(http, running.url, chunk) for _ in range(3)]
            await world.until(lambda: world.db.value(WAITING_CLAIMS) == 1)
            assert claims(world) == {}
        await world.until(lambda: running.hints["late_not_pending"] == 2)
        await finish(world, http, running.url)

    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert running.hints["late_claimed"] >= 1
    assert world.events("acme", "completed") != []
    assert_all_once(world)


async def test_a_claim_that_fails_while_the_sender_waits_is_answered_503(
    world: World, bison: BisonControl, http: httpx.AsyncClient
) -> None:
    await world.register(bison)
    world.start("acme")
    (chunk,) = ready(world)
    async with receiver(world, answer_seconds=PATIENCE_S) as running:
        world.api.stop_postgrest()
        answer = await post(http, running.url, chunk)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        world.api.start_postgrest()
        world.api.wait_until_ready()
        await finish(world, http, running.url)

    assert running.hints["unavailable"] >= 1
    assert_all_once(world)


async def test_a_claim_that_fails_after_its_202_is_repeated(
    world: World,
    bison: BisonControl,
    http: httpx.AsyncClient,
    lock: Db,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody will post that chunk again. How long PostgREST takes to start is the machine's
    affair."""
    monkeypatch.setattr("chunkwise.worker.receiver.MOST_FAILURES", 1_000)
    await world.register(bison)
    world.start("acme")
    (chunk,) = ready(world)
    async with receiver(world) as running:
        with lock.transaction():
            lock.run("lock table sync.hinted_claims in share mode")
            assert (await post(http, running.url, chunk)).status_code == 202
            world.api.stop_postgrest(kill=True)
            await world.until(lambda: running.hints["late_unavailable"] == 1)
            lock.run(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where usename = 'authenticator' and datname = current_database()"
            )
        world.api.start_postgrest()
        world.api.wait_until_ready()
        await world.until(lambda: world.events("acme", "completed") != [])

    assert running.hints["again_claimed"] == 1
    assert_all_once(world)
