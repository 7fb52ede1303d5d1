"""Pushed work: receivers claim what they are told, once, whatever happens to the posts."""

import asyncio
import logging
from collections import Counter

import httpx
import pytest

from chunkwise.errors import KeyRefusedError
from chunkwise.gateway.client import Gateway
from chunkwise.secret import Secret
from local.bison import BisonControl, Hold, Status
from tests.e2e.receivers import (
    assert_all_once,
    claims,
    post,
    ready,
    receiver,
    register,
    traces,
)
from tests.e2e.world import PATIENCE_S, World
from tests.support.setup import sweep_only_when_asked

RECEIVER_VERBS = (
    "claim_chunk_job_safe",
    "complete_chunk_job_safe",
    "complete_chunk_jobs_safe",
    "fail_chunk_job_safe",
    "extend_chunk_leases",
    "chunkwise_version",
)


@pytest.mark.usefixtures("deliverer")
async def test_pushes_alone_finish_a_job(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    sweep_only_when_asked(world.db)
    async with receiver(world, "one") as one, receiver(world, "two") as two:
        register(world, one.url, two.url)
        job = await world.sync()
        await world.until(lambda: world.db.column("select id from net.http_request_queue") == [])

    assert job["status"] == "completed"
    assert_all_once(world)
    pages = len((await bison.traffic()).requests)
    assert claims(world) == {"claimed": pages}
    assert world.db.value("select count(*) from hint_deliveries where direction = 'push'") == pages
    assert set(world.db.column("select distinct worker_id from chunk_events")) == {"one", "two"}
    world.db.run("select cleanup_stuck_chunks()")
    assert world.db.run(
        "select outcome, status_code, count(*) from hint_deliveries where direction = 'push'"
        " group by 1, 2"
    ) == [{"outcome": "answered", "status_code": 202, "count": pages}]


async def test_two_hundred_posts_for_one_chunk_are_one_claim(
    world: World, bison: BisonControl, http: httpx.AsyncClient
) -> None:
    await world.register(bison)
    hold = await bison.fault(Hold(), workspace="acme", page=1)
    world.start("acme")
    (chunk,) = ready(world)
    tokens_before = world.db.value("select last_value from sync.lease_tokens")
    async with receiver(world) as running:
        answers = await asyncio.gather(*(post(http, running.url, chunk) for _ in range(200)))
        await bison.wait_until_held(1)
        held = world.db.one("select * from chunk_processing_queue where id = :id", id=chunk)
        assert (held["status"], held["worker_id"]) == ("processing", "receiver")
        assert claims(world)["claimed"] == 1
        await bison.release(hold)
        await world.until(lambda: ready(world) != [])
        done = world.db.one("select * from chunk_processing_queue where id = :id", id=chunk)

    assert {answer.status_code for answer in answers} <= {200, 202}
    assert sum(running.hints.values()) >= 200
    assert done["lease_token"] == held["lease_token"]
    assert world.db.value("select last_value from sync.lease_tokens") <= tokens_before + 1
    assert len((await bison.traffic()).select(page=1)) == 1
    assert [event["event"] for event in world.events("acme")] == ["completed"]


async def test_replayed_forged_and_finished_ids_change_nothing_and_are_told_apart(
    world: World,
    bison: BisonControl,
    http: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "chunkwise")
    await world.register(bison)
    async with world.workers():
        await world.sync("acme")
    hold = await bison.fault(Hold(), workspace="zen", page=1)
    world.start("zen")
    (taken,) = ready(world)
    finished = world.db.value("select min(id) from chunk_processing_queue")
    async with receiver(world, answer_seconds=PATIENCE_S) as running:
        assert (await post(http, running.url, taken)).status_code == 202
        await bison.wait_until_held(1)
        before = traces(world)
        replayed = await post(http, running.url, taken)
        done = await post(http, running.url, finished)
        forged = await post(http, running.url, 999_999_999)
        nameless = await post(http, running.url, None)
        stranger = await post(http, running.url, taken, token="x" * 30)
        assert traces(world) == before
        await bison.release(hold)
        await world.until(lambda: ready(world) != [])

    assert [answer.status_code for answer in (replayed, done, forged)] == [200, 200, 200]
    assert [answer.json()["reason"] for answer in (replayed, done, forged)] == [
        "not_pending",
        "not_pending",
        "not_found",
    ]
    assert replayed.json()["message"] == "not found or already processing"
    assert (nameless.status_code, stranger.status_code) == (200, 401)
    assert claims(world) == {"claimed": 1, "not_pending": 2, "not_found": 1}
    assert running.hints == {
        "claimed": 1,
        "not_pending": 2,
        "not_found": 1,
        "without_id": 1,
        "wrong_token": 1,
    }
    logged = Counter(record.message for record in caplog.records if "hint" in record.message)
    assert logged == {"hint_received": 4, "hint_without_id": 1, "hint_refused": 1}


async def test_three_receivers_that_all_get_every_hint_do_no_chunk_twice(
    world: World, bison: BisonControl, http: httpx.AsyncClient
) -> None:
    await world.register(bison)
    job_id = world.start()
    async with receiver(world, "a") as a, receiver(world, "b") as b, receiver(world, "c") as c:
        while world.job(job_id)["status"] == "running":
            posts = [post(http, at.url, chunk) for chunk in ready(world) for at in (a, b, c)]
            await asyncio.gather(*posts, asyncio.sleep(0.005))

    assert world.job(job_id)["status"] == "completed"
    assert_all_once(world)
    chunks = world.db.value("select count(*) from chunk_processing_queue")
    assert claims(world)["claimed"] == chunks
    assert len((await bison.traffic()).requests) == chunks


async def test_a_chunk_without_a_slot_is_not_due(
    world: World, bison: BisonControl, http: httpx.AsyncClient
) -> None:
    await world.register(bison)
    world.db.run("update sync_workspaces set max_concurrency = 1")
    await bison.fault(Hold(), workspace="acme", page=2)
    world.start("acme")
    async with receiver(world, answer_seconds=PATIENCE_S) as running:
        await post(http, running.url, ready(world)[0])
        await world.until(lambda: world.events("acme", "completed") != [])
        await post(http, running.url, ready(world)[0])
        await bison.wait_until_held(1)
        (waiting,) = world.run_pages("acme", "pending")
        chunk = world.db.value("select id from sync_page_queue where page = :page", page=waiting)
        answer = await post(http, running.url, chunk)
        await bison.clear_rules()

    assert (answer.status_code, answer.json()["reason"]) == (200, "not_due")
    assert world.run_pages("acme", "pending") != []


async def test_a_full_receiver_says_so_and_the_hint_may_come_again(
    world: World, bison: BisonControl, http: httpx.AsyncClient
) -> None:
    await world.register(bison)
    await bison.fault(Hold(), workspace="acme", page=1)
    world.start()
    first, second = (
        world.db.value(
            "select q.id from chunk_processing_queue q"
            " join workspace_sync_runs r on r.id = q.run_id"
            " join sync_workspaces w on w.id = r.workspace_id where w.workspace_name = :name",
            name=name,
        )
        for name in ("acme", "zen")
    )
    async with receiver(world, concurrency=1, claim_ahead=0) as running:
        assert (await post(http, running.url, first)).status_code == 202
        await bison.wait_until_held(1)
        refused = await post(http, running.url, second)
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert claims(world) == {"claimed": 1}
        await bison.clear_rules()
        await world.until(lambda: world.events("acme", "completed") != [])
        assert (await post(http, running.url, second)).status_code in (200, 202)
        await world.until(lambda: world.events("zen", "completed") != [])

    assert running.hints["full"] == 1


@pytest.mark.usefixtures("deliverer")
@pytest.mark.parametrize(
    ("fault", "event"),
    [(Status(status=500), "retry"), (Status(status=429, retry_after_s=1), "delayed")],
)
async def test_delayed_chunks_are_asked_for_again_without_a_hint(
    world: World, bison: BisonControl, fault: Status, event: str
) -> None:
    """Nobody sweeps here: claims are too young for it, and no clock calls."""
    await world.register(bison)
    sweep_only_when_asked(world.db)
    await bison.fault(fault, workspace="acme", page=2, times=1)
    async with receiver(world) as running:
        register(world, running.url)
        job = await world.sync()

    assert job["status"] == "completed"
    assert [row["page"] for row in world.events("acme", event)] == [2]
    assert running.hints["again_claimed"] >= 1
    assert_all_once(world)


@pytest.mark.usefixtures("deliverer")
async def test_a_used_up_budget_is_asked_for_again_when_it_has_room(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    sweep_only_when_asked(world.db)
    world.db.run("select set_budget('email_bison', null, 1)")
    async with receiver(world) as running:
        register(world, running.url)
        job = await world.sync()

    assert job["status"] == "completed"
    assert (await bison.traffic()).peak_in_flight == 1
    assert claims(world)["budget"] >= 1
    assert_all_once(world)


@pytest.mark.usefixtures("deliverer")
async def test_to_claim_by_id_is_all_that_a_receiver_needs(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    for verb in world.db.column(
        "select oid::regprocedure::text from pg_proc where pronamespace = 'public'::regnamespace"
        " and proname <> all (cast(:kept as text[]))",
        kept=list(RECEIVER_VERBS),
    ):
        world.db.run(f"revoke execute on function {verb} from service_role")
    async with Gateway.connect(world.api.url, Secret(world.api.secret_key)) as gateway:
        with pytest.raises(KeyRefusedError, match="claim_next_chunk_job_safe"):
            await gateway.claim_next_chunk_job_safe("nosy", 1)
    async with receiver(world) as running:
        register(world, running.url)
        await bison.fault(Status(status=500), workspace="acme", page=2, times=1)
        job = await world.sync()

    assert job["status"] == "completed"
    assert_all_once(world)
