"""Conversations that are gone, empty, of another shape, or joined only by an answer; what failed is
fetched again; no text of a message stands where it does not belong."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.bison import (
    BisonControl,
    Conversations,
    FeedSpec,
    FleetSpec,
    Hold,
    Status,
    running_bison,
)
from tests.e2e.threads import (
    STREAMS,
    assert_stored,
    run_of,
    start,
    stored_replies,
    stored_threads,
    sync,
)
from tests.e2e.world import World

THREADS = "conversation_threads"
TEXT = "this is answer"
# Where replies and conversations stand, and nowhere else.
DATA = ("email_replies", "email_messages", "email_threads", "thread_stage")


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    """30 replies in 12 conversations."""
    feeds = {"acme": FeedSpec(30, 12)}
    async with running_bison(FleetSpec({"acme": 1}, replies=feeds)) as control:
        yield control


async def asked(bison: BisonControl) -> list[int]:
    return sorted((await bison.traffic()).per_conversation("acme").elements())


async def test_a_conversation_that_is_gone_is_a_named_warning(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    gone, *others = await bison.conversations("acme")
    await bison.fault(Status(status=404), item=gone[0], times=None)
    async with world.workers():
        job = await sync(world)

    warning = f"conversation_threads: 1 gone, the API answers 404 (asked for {gone[0]})"
    assert (job["status"], job["warnings"]) == ("completed", [f"acme: {warning}"])
    assert stored_threads(world) == others
    assert world.db.value("select count(*) from thread_stage where processed_at is null") == 0


@pytest.mark.parametrize("how", ["empty", "unreadable"])
async def test_an_answer_without_messages_is_kept_and_named(
    world: World, bison: BisonControl, how: str
) -> None:
    await world.register(bison)
    silent, *others = await bison.conversations("acme")
    await bison.fault(Conversations(how=how), item=silent[0])  # type: ignore[arg-type]
    async with world.workers():
        job = await sync(world)
        assert job["status"] == "completed"
        assert "the answer shows no message" in job["warnings"][0]
        assert stored_threads(world) == others
        kept = world.db.one("select id, raw from email_threads where message_count = 0")
        assert kept["id"] == silent[0]
        assert set(kept["raw"]) == {"data"}

        await bison.change_reply("acme", silent[-1], {"read": False})
        assert (await sync(world))["warnings"] == []
    assert stored_threads(world) == [silent, *others]


@pytest.mark.parametrize("how", ["flat", "repeated"])
async def test_other_keys_and_repeated_messages_are_mapped(
    world: World, bison: BisonControl, how: str
) -> None:
    await world.register(bison)
    await bison.fault(Conversations(how=how), times=None)  # type: ignore[arg-type]
    async with world.workers():
        assert (await sync(world))["warnings"] == []

    await assert_stored(world, bison)


async def test_messages_that_no_feed_shows_are_kept_in_order(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await bison.fault(Conversations(how="strangers"), times=None)
    async with world.workers():
        assert (await sync(world))["status"] == "completed"

    threads = await bison.conversations("acme")
    assert [ids[1:] for ids in stored_threads(world)] == threads
    assert world.db.value("select count(*) from email_replies") == 30
    assert world.db.column("select distinct message_count from email_threads order by 1") == [3, 4]


async def test_both_directions_and_the_totals_of_a_conversation(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    first = (await bison.conversations("acme"))[0]
    async with world.workers():
        await sync(world)

    assert world.db.column(
        "select direction from email_messages where thread_id = :id order by position", id=first[0]
    ) == ["incoming", "outgoing", "incoming"]
    replies = {reply["id"]: reply for reply in await bison.replies("acme")}
    thread = world.db.one("select * from email_threads where id = :id", id=first[0])
    assert (thread["message_count"], thread["last_direction"]) == (3, "incoming")
    assert thread["subject"] == replies[first[0]]["subject"]
    assert thread["asked_reply_id"] == first[0]
    received = replies[first[-1]]["date_received"]
    assert thread["last_message_at"].isoformat()[:19] == received[:19]


async def hide_parents(bison: BisonControl) -> list[int]:
    """The first conversation, of which no reply names its parent."""
    ids = (await bison.conversations("acme"))[0]
    for reply_id in ids:
        await bison.change_reply("acme", reply_id, {"parent_id": None})
    return ids


async def test_what_came_with_another_answer_is_covered_and_not_fetched(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    joined = await hide_parents(bison)
    world.db.run("update sync_workspaces set max_concurrency = 1")
    async with world.workers(concurrency=1):
        assert (await sync(world))["status"] == "completed"

    await assert_stored(world, bison)
    assert await asked(bison) == [ids[0] for ids in await bison.conversations("acme")]
    run = run_of(world, THREADS)
    assert (run["extra_fetches"], run["chunks_completed"], run["planned_chunks"]) == (0, 14, 14)
    covered = "select c.record_id::bigint from chunk_events e join chunked_sync_jobs c on c.id ="
    covered += " e.chunk_id where e.event = 'covered' order by 1"
    assert world.db.column(covered) == joined[1:]
    assert world.db.value("select count(*) from thread_stage where processed_at is null") == 0


async def test_what_was_on_its_way_already_is_counted_as_an_extra_fetch(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    joined = await hide_parents(bison)
    world.db.run("update sync_workspaces set max_concurrency = 20")
    rule = await bison.fault(Hold(), kind="conversation", times=None)
    async with world.workers(concurrency=20):
        job_id = start(world)
        await bison.wait_until_held(14, rule)
        await bison.clear_rules(rule)
        assert (await world.ended(job_id))["status"] == "completed"

    await assert_stored(world, bison)
    threads = await bison.conversations("acme")
    assert await asked(bison) == sorted([*joined[1:], *(ids[0] for ids in threads)])
    assert run_of(world, THREADS)["extra_fetches"] == 2
    assert world.db.value("select count(*) from thread_stage where processed_at is null") == 0


async def test_conversations_that_failed_are_fetched_again_and_no_others(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    broken = (await bison.conversations("acme"))[4]
    await bison.fault(Status(status=500), item=broken[0], times=3)
    async with world.workers():
        job = await sync(world)
        assert job["status"] == "partial"
        assert job["warnings"] == ["acme: conversation_threads: 1 could not be fetched"]
        await bison.reset_traffic()
        again = world.db.value("select retry_failed_chunks(:id)", id=job["id"])
        await world.until(lambda: world.job(again["job_id"])["status"] != "running")
        assert world.job(again["job_id"])["status"] == "completed"

    assert await asked(bison) == [broken[0]]
    assert len((await bison.traffic()).requests) == 1
    await assert_stored(world, bison)


async def test_the_child_closes_after_its_parent_and_asks_for_nothing_before(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    rule = await bison.fault(Hold(), kind="replies", page=2)
    async with world.workers():
        job_id = start(world)
        await bison.wait_until_held(1, rule)
        assert run_of(world, THREADS)["phase"] == "parent"
        assert await asked(bison) == []
        assert world.db.value("select count(*) from thread_processing_queue") == 0
        await bison.release(rule)
        await world.ended(job_id)

    parent, child = (run_of(world, name) for name in STREAMS)
    assert child["parent_run_id"] == parent["id"]
    assert parent["completed_at"] <= child["completed_at"]


async def test_texts_and_keys_stand_nowhere_but_in_the_data(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    bad = (await bison.replies("acme"))[20]["id"]
    threads = await bison.conversations("acme")
    await bison.fault(Status(status=500), item=threads[0][0], times=1)
    async with world.worker_processes(1, CHUNKWISE_LOG_LEVEL="debug") as logs:
        assert (await sync(world))["status"] == "completed"
        await bison.change_reply("acme", bad, {"campaign_id": TEXT})
        unfit = await sync(world, streams=["replies"])
        text = logs[0].read_text()

    (warning,) = unfit["warnings"]
    assert unfit["status"] == "completed"
    assert "campaign_id" in warning
    assert str(bad) in warning
    assert len(stored_replies(world)) == 30
    key = (await bison.workspace("acme")).key.partition("|")[2]
    assert TEXT not in text
    assert key not in text
    tables = world.db.column(
        "select format('%I.%I', n.nspname, c.relname) from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r'"
        " and n.nspname in ('public', 'sync', 'net', 'realtime') and c.relname <> all (:data)",
        data=list(DATA),
    )
    assert "public.chunk_events" in tables
    for table in tables:
        for needle in (TEXT, key):
            found = f"select count(*) from {table} as t where position(:needle in t::text) > 0"
            assert (table, world.db.value(found, needle=needle)) == (table, 0)
    assert TEXT not in json.dumps(world.db.run("select * from failed_chunks"), default=str)
