"""Replies by page and by cursor, conversations, and the traps of both."""

from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from local.bison import (
    BisonControl,
    BisonControlError,
    BisonReader,
    Conversations,
    Cursors,
    FeedSpec,
    FleetSpec,
    Paging,
    Status,
    default_fleet,
    running_bison,
)
from local.bison.fleet import Fleet
from local.bison.reply_pages import Cursor

SPEC = FleetSpec(
    {"acme": 5, "zen": 3, "void": 0}, replies={"acme": FeedSpec(100, 40), "zen": FeedSpec(3, 2)}
)


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    async with running_bison(SPEC) as control:
        yield control


async def ids_by_page(reader: BisonReader, workspace: str) -> list[int]:
    ids: list[int] = []
    for page in range(1, 8):
        answer = (await reader.get(workspace, f"/replies?page={page}")).json()
        ids += [reply["id"] for reply in answer["data"]]
    return ids


async def ids_by_cursor(reader: BisonReader, workspace: str) -> list[list[int]]:
    pages, cursor = [], ""
    while True:
        path = f"/replies?pagination_type=cursor&cursor={cursor}"
        answer = (await reader.get(workspace, path)).json()
        assert "total" not in answer["meta"]
        pages.append([reply["id"] for reply in answer["data"]])
        if answer["meta"]["next_cursor"] is None:
            return pages
        cursor = answer["meta"]["next_cursor"]


async def test_pages_are_newest_first_by_date_and_their_ids_out_of_order(
    bison: BisonControl, reader: BisonReader
) -> None:
    replies = {reply["id"]: reply for reply in await bison.replies("acme")}
    ids = await ids_by_page(reader, "acme")
    dates = [replies[reply_id]["date_received"] for reply_id in ids]

    assert sorted(ids) == sorted(replies)
    assert dates == sorted(dates, reverse=True)
    assert ids != sorted(ids, reverse=True)
    meta = (await reader.get("acme", "/replies?page=7")).json()["meta"]
    assert (meta["last_page"], meta["total"], meta["to"]) == (7, 100, 100)


async def test_cursor_pages_are_every_id_descending(
    bison: BisonControl, reader: BisonReader
) -> None:
    pages = await ids_by_cursor(reader, "acme")

    assert [len(page) for page in pages] == [15] * 6 + [10]
    shown = [reply_id for page in pages for reply_id in page]
    assert shown == [reply["id"] for reply in await bison.replies("acme")][::-1]
    assert await ids_by_cursor(reader, "void") == [[]]


async def test_cursors_are_read_with_and_without_padding_and_built_by_anyone(
    reader: BisonReader,
) -> None:
    (newest, *_, last), *_ = await ids_by_cursor(reader, "acme")
    plain = f'{{"id":{last},"_pointsToNextItems":true}}'.encode()
    back = f'{{"id":{last},"_pointsToNextItems":false}}'.encode()

    async def first(cursor: str) -> int:
        path = f"/replies?pagination_type=cursor&cursor={cursor}"
        first_id: int = (await reader.get("acme", path)).json()["data"][0]["id"]
        return first_id

    padded, bare = b64encode(plain).decode(), b64encode(plain).decode().rstrip("=")
    assert await first(padded) == await first(bare) < last
    assert await first(b64encode(back).decode()) == newest
    assert await first("nonsense!") == newest


async def test_links_of_a_cursor_page_drop_what_asked_for_the_mode(reader: BisonReader) -> None:
    answer = (await reader.get("acme", "/replies?pagination_type=cursor&folder=Inbox")).json()

    assert answer["links"]["next"].partition("?")[2] == f"cursor={answer['meta']['next_cursor']}"


async def test_deep_pages_are_refused(bison: BisonControl, reader: BisonReader) -> None:
    await bison.set_deep_page_limit(2)

    answers = [await reader.get("acme", f"/replies?page={page}") for page in (2, 3)]
    assert [answer.status_code for answer in answers] == [200, 422]


async def test_conversations_hold_each_reply_once_both_directions(
    bison: BisonControl, reader: BisonReader
) -> None:
    seen: Counter[int] = Counter()
    for ids in await bison.conversations("acme"):
        data = (await reader.get("acme", f"/replies/{ids[1]}/conversation-thread")).json()["data"]
        shown = [*data["older_messages"], data["current_reply"], *data["newer_messages"]]
        assert [message["id"] for message in shown] == ids
        assert {message["type"] for message in shown} == {"Tracked Reply", "Outgoing Email"}
        seen.update(ids)

    assert seen == Counter({reply["id"]: 1 for reply in await bison.replies("acme")})
    counted = (await bison.traffic()).per_conversation("acme")
    assert len(counted) == 40
    assert set(counted.values()) == {1}


async def test_added_replies_come_first_and_join_their_conversation(
    bison: BisonControl, reader: BisonReader
) -> None:
    root = (await bison.conversations("acme"))[0][0]
    (answer,) = await bison.add_replies("acme", joins=root)
    (alone,) = await bison.add_replies("acme")
    (late,) = await bison.add_replies("acme", [{"date_received": "2025-05-01T08:00:00.000000Z"}])

    assert (await ids_by_page(reader, "acme"))[:2] == [alone, answer]
    assert (await ids_by_page(reader, "acme"))[-1] != late
    assert (await ids_by_cursor(reader, "acme"))[0][:3] == [late, alone, answer]
    threads = await bison.conversations("acme")
    assert [alone] in threads
    assert next(ids for ids in threads if root in ids)[-1] == answer
    with pytest.raises(BisonControlError):
        await bison.add_replies("acme", [{"id": root}])


async def test_edited_replies_keep_their_place_and_conversation(
    bison: BisonControl, reader: BisonReader
) -> None:
    before = await ids_by_page(reader, "acme"), await bison.conversations("acme")
    edited = (await bison.replies("acme"))[60]
    await bison.change_reply("acme", edited["id"], {"parent_id": None, "interested": True})

    assert (await ids_by_page(reader, "acme"), await bison.conversations("acme")) == before
    after = (await bison.replies("acme"))[60]
    changed = {name for name in after if after[name] != edited[name]}
    assert changed <= {"parent_id", "interested", "updated_at"}
    assert after["parent_id"] is None


async def test_traps_of_cursors(bison: BisonControl, reader: BisonReader) -> None:
    cursor = Cursor(1_500)
    path = f"/replies?pagination_type=cursor&cursor={cursor}"

    await bison.fault(Cursors(how="repeats"), kind="cursor")
    assert (await reader.get("acme", path)).json()["meta"]["next_cursor"] == str(cursor)
    await bison.fault(Cursors(how="backwards"), kind="cursor")
    assert Cursor.read((await reader.get("acme", path)).json()["meta"]["next_cursor"]) == Cursor(
        1_501
    )


async def test_an_install_switches_modes(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Paging(how="cursor"), kind="replies", from_page=3)

    meta = (await reader.get("acme", "/replies?page=3")).json()["meta"]
    assert meta.keys() == {"path", "per_page", "next_cursor", "prev_cursor"}


@pytest.mark.parametrize(
    ("how", "messages"),
    [("empty", 0), ("flat", 3), ("strangers", 4), ("repeated", 7), ("unreadable", 0)],
)
async def test_shapes_of_conversations(
    bison: BisonControl, reader: BisonReader, how: str, messages: int
) -> None:
    (asked, *_) = (await bison.conversations("acme"))[0]
    await bison.fault(Conversations(how=how), item=asked)  # type: ignore[arg-type]

    body = (await reader.get("acme", f"/replies/{asked}/conversation-thread")).text
    assert body.count('"raw_message_id"') == messages


async def test_conversations_that_are_not_there(bison: BisonControl, reader: BisonReader) -> None:
    asked = (await bison.conversations("acme"))[0][0]
    await bison.fault(Status(status=404), item=asked)

    for reply_id in (asked, 1, "x"):
        answer = await reader.get("acme", f"/replies/{reply_id}/conversation-thread")
        assert answer.status_code == 404


def test_default_fleet_has_3000_replies_in_1200_conversations() -> None:
    feeds = [workspace.feed for workspace in Fleet(default_fleet(), 1)]
    ids = [reply_id for feed in feeds for reply_id in feed.ids]

    assert (len(feeds), len(ids), len(set(ids))) == (26, 3_000, 3_000)
    assert sum(len(feed.conversations()) for feed in feeds) == 1_200
