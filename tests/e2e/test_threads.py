"""Every conversation of the default fleet once; then only what is new or edited."""

from local.bison import BisonControl, running_bison
from tests.e2e.threads import assert_stored, start, stored_threads, sync
from tests.e2e.world import World


async def asked(bison: BisonControl, workspace: str) -> list[int]:
    """The replies whose conversations were fetched, each as often as it was."""
    return sorted((await bison.traffic()).per_conversation(workspace).elements())


async def test_3000_replies_in_1200_threads_of_26_workspaces(world: World) -> None:
    async with running_bison() as bison, world.workers(3):
        await world.register(bison)
        names = [info.name for info in await bison.workspaces()]
        job = await world.ended(start(world), seconds=300)
        conversations = {name: await bison.conversations(name) for name in names}

        assert (job["status"], job["workspaces_processed"], job["warnings"]) == (
            "completed",
            26,
            [],
        )
        assert sum(len(threads) for threads in conversations.values()) == 1_200
        assert world.db.value("select count(*) from email_messages") == 3_000
        for name in names:
            await assert_stored(world, bison, name)
            assert await asked(bison, name) == [ids[0] for ids in conversations[name]]
        assert _totals(world) == {"extra_fetches": 0, "parts": 26, "staged": 0}
        await _only_what_is_new_or_edited(world, bison, conversations)


async def _only_what_is_new_or_edited(
    world: World, bison: BisonControl, conversations: dict[str, list[list[int]]]
) -> None:
    first, second, *others = conversations
    await bison.add_replies(first, joins=conversations[first][3][-1])
    (alone,) = await bison.add_replies(first)
    edited = conversations[second][-1]
    await bison.change_reply(second, edited[-1], {"interested": True})
    await bison.reset_traffic()
    job = await sync(world)

    assert job["status"] == "completed"
    assert await asked(bison, first) == [conversations[first][3][0], alone]
    assert await asked(bison, second) == [edited[0]]
    for name in (first, second):
        await assert_stored(world, bison, name)
    for name in others:
        assert await asked(bison, name) == []
        pages = (await bison.traffic()).select(name, "replies")
        assert sorted(seen.page or 0 for seen in pages) == [1, 2, 3, 4]
    assert alone in (ids[0] for ids in stored_threads(world, first))


def _totals(world: World) -> dict[str, int]:
    """The database's own count: extra fetches, runs with conversations, replies left staged."""
    return world.db.one(
        "select sum(r.extra_fetches)::int as extra_fetches, count(*) filter"
        " (where r.chunks_completed > 0)::int as parts, (select count(*)::int from thread_stage"
        " where processed_at is null) as staged from workspace_sync_runs r"
        " join sync_streams s on s.id = r.stream_id where s.stream_name = 'conversation_threads'"
    )
