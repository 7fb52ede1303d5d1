"""Replies by page and by cursor: deep pages, switched modes, ranges side by side, cursors that lie,
and until where a scan reads."""

from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.bison import (
    AddReplies,
    BisonControl,
    Cursors,
    FeedSpec,
    FleetSpec,
    Hold,
    Mutate,
    Paging,
    Status,
    running_bison,
)
from tests.e2e.threads import assert_stored, marks, run_of, start, stored_replies, sync
from tests.e2e.world import World
from tests.support.setup import advance_clock

PAGES = 20


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    """A feed of 20 pages."""
    feeds = {"acme": FeedSpec(15 * PAGES, 20)}
    async with running_bison(FleetSpec({"acme": 20}, replies=feeds)) as control:
        yield control


def declare_deep_page_limit(world: World, limit: int) -> None:
    world.db.run(
        "update sync_streams set deep_page_limit = cast(:n as int) where stream_name = 'replies'",
        n=limit,
    )


async def ids_of(bison: BisonControl) -> list[int]:
    return [reply["id"] for reply in await bison.replies("acme")]


async def asked(bison: BisonControl, kind: str) -> int:
    return len((await bison.traffic()).select("acme", kind))  # type: ignore[arg-type]


async def test_beyond_the_deep_page_limit_ranges_are_read_by_cursor_side_by_side(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    declare_deep_page_limit(world, 6)
    async with world.workers():
        await sync(world, streams=["replies"])

    assert stored_replies(world) == await bison.replies("acme")
    pages = [seen.page for seen in (await bison.traffic()).select("acme", "replies")]
    assert sorted(page or 0 for page in pages) == [1, 2, 3, 4, 5, 6]
    chains = world.db.column(
        "select count(*) from chunked_sync_jobs where kind = 'cursor' group by reading -> 'chain'"
    )
    assert len(chains) == 3
    seen: Counter[str] = Counter(
        world.db.column("select unnest(record_ids) from sync.seen_pages where page is null")
    )
    # Beside the overlap of three pages, a range ends within the page that crosses its edge.
    assert sum(seen.values()) - len(seen) <= 15 * len(chains)
    assert await asked(bison, "cursor") <= (PAGES - 6) + 3 + len(chains) + 1


async def test_deep_pages_that_answer_422_sooner_than_declared(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await bison.set_deep_page_limit(5)
    async with world.workers():
        job = await sync(world)

    assert (job["status"], job["warnings"]) == ("completed", [])
    await assert_stored(world, bison)
    assert run_of(world, "replies")["chunks_cancelled"] > 0
    assert await asked(bison, "replies") + run_of(world, "replies")["chunks_cancelled"] == PAGES


async def test_an_install_that_switches_to_cursors_mid_scan(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await bison.fault(Paging(how="cursor"), kind="replies", from_page=7, times=None)
    async with world.workers():
        job = await sync(world)

    assert (job["status"], job["warnings"]) == ("completed", [])
    await assert_stored(world, bison)
    assert await asked(bison, "replies") < PAGES


async def test_an_install_in_cursor_mode_from_the_first_page_on(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    await bison.fault(Paging(how="cursor"), kind="replies", times=None)
    async with world.workers():
        assert (await sync(world))["status"] == "completed"
        await assert_stored(world, bison)
        await bison.add_replies("acme")
        await bison.reset_traffic()
        assert (await sync(world))["status"] == "completed"

    await assert_stored(world, bison)
    assert await asked(bison, "cursor") == 5


@pytest.mark.parametrize(
    ("how", "says"), [("repeats", "the cursor repeats"), ("backwards", "the cursor goes backwards")]
)
async def test_a_cursor_that_leads_where_the_scan_was_fails_the_run_by_name(
    world: World, bison: BisonControl, how: str, says: str
) -> None:
    await world.register(bison)
    declare_deep_page_limit(world, 3)
    await bison.fault(Cursors(how=how), kind="cursor", times=None)  # type: ignore[arg-type]
    async with world.workers():
        job = await sync(world, streams=["replies"])
        run = run_of(world, "replies")

        assert (job["status"], run["status"]) == ("failed", "failed")
        assert says in run["error_message"]
        codes = world.db.column(
            "select details ->> 'code' from chunk_events where event = 'failed'"
        )
        assert set(codes) == {"SY020"}
        chains = len(codes)
        assert await asked(bison, "cursor") == 3 * chains
        assert marks(world) == {}

        await bison.clear_rules()
        assert (await sync(world))["status"] == "completed"
    await assert_stored(world, bison)


async def test_a_mark_that_moved_back_by_one_page_only_costs_that_page(
    world: World, bison: BisonControl
) -> None:
    """A cursor that lies once is tried again."""
    await world.register(bison)
    declare_deep_page_limit(world, 3)
    await bison.fault(Cursors(how="repeats"), kind="cursor", nth=2)
    async with world.workers():
        assert (await sync(world))["status"] == "completed"
    await assert_stored(world, bison)


async def test_a_high_id_with_an_old_date_is_read(world: World, bison: BisonControl) -> None:
    """It stands on a page too deep to be served, and above every cursor of the ranges."""
    await world.register(bison)
    await bison.set_deep_page_limit(5)
    (late,) = await bison.add_replies("acme", [{"date_received": "2025-05-01T08:00:00.000000Z"}])
    async with world.workers():
        await sync(world)

    assert late == max(await ids_of(bison))
    await assert_stored(world, bison)


async def test_replies_that_come_while_pages_are_read_are_not_lost(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    coming = Mutate(changes=(AddReplies(workspace="acme", records=({},) * 4),))
    await bison.fault(coming, kind="replies", nth=3, times=10)
    async with world.workers():
        await sync(world)
        assert set((await ids_of(bison))[: 15 * PAGES]) <= {
            reply["id"] for reply in stored_replies(world)
        }
        await sync(world)

    await assert_stored(world, bison)


async def test_a_scan_reads_to_the_mark_and_the_overlap_and_weekly_everything(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await sync(world)
        assert marks(world)["newest_id"] == max(await ids_of(bison))
        await bison.add_replies("acme", [{}] * 20)
        old = (await ids_of(bison))[5]
        await bison.change_reply("acme", old, {"read": False})

        assert await _pages_of_a_sync(world, bison) == 6
        assert stored_replies(world)[5]["read"] is True
        world.db.run("select request_full_scan('replies', 'acme')")
        assert await _pages_of_a_sync(world, bison) == PAGES + 2
        assert stored_replies(world) == await bison.replies("acme")
        assert await _pages_of_a_sync(world, bison) == 4
        advance_clock(world.db, 8 * 86_400)
        assert await _pages_of_a_sync(world, bison) == PAGES + 2


async def _pages_of_a_sync(world: World, bison: BisonControl) -> int:
    await bison.reset_traffic()
    assert (await sync(world, streams=["replies"]))["status"] == "completed"
    return await asked(bison, "replies")


async def test_the_mark_moves_only_when_a_scan_is_complete(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await sync(world, streams=["replies"])
        before = marks(world)
        (new,) = await bison.add_replies("acme")
        await bison.fault(Status(status=403), kind="replies", page=2)
        assert (await sync(world, streams=["replies"]))["status"] == "failed"
        assert new in {reply["id"] for reply in stored_replies(world)}
        assert marks(world) == before
        assert run_of(world, "replies")["mark"] == before["newest_id"]
        await sync(world, streams=["replies"])

    assert marks(world)["newest_id"] == new


async def test_accounts_and_replies_share_their_workspaces_budget(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    world.db.run("select set_budget('email_bison', null, 2)")
    await bison.set_latency(10)
    first_two = await bison.fault(Hold(), times=2)
    async with world.workers(2):
        start(world, streams=["sender_emails", "replies"])
        await bison.wait_until_held(2, first_two)
        await bison.release(first_two)
        await world.until(
            lambda: (
                not world.db.column("select id from workspace_sync_runs where status = 'running'")
            )
        )
    traffic = await bison.traffic()

    assert {seen.kind for seen in traffic.requests} == {"page", "replies"}
    assert traffic.peak_in_flight == 2


async def test_a_good_replies_sync_never_makes_accounts_look_fresh(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    async with world.workers():
        await sync(world)

    assert world.db.one(
        "select last_successful_sync_at, last_sync_duration_ms, estimated_account_count"
        " from client_registry"
    ) == {
        "last_successful_sync_at": None,
        "last_sync_duration_ms": None,
        "estimated_account_count": None,
    }
    assert world.db.column("select stream from stale_workspaces") == ["sender_emails"]
