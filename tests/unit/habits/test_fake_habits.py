"""The fake of habits: whole for who reads it as it should be read, and no kinder than real APIs."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest

from local.delivery import Break
from local.habits import Api, Auth, Limit, Listing, Reply, RunningApi, running_habits
from local.habits.catalog import COUNTED_LIST, HABITS
from tests.unit.habits.plain_reader import Reader

OPEN = Auth(kind="none")
BY_OFFSET = Listing(path="/rows", position="offset", position_at=("offset",))
BY_CURSOR = replace(BY_OFFSET, position="token", position_at=("cursor",), next_as="value")


@asynccontextmanager
async def reading(api: Api, records: int = 23) -> AsyncIterator[tuple[RunningApi, Reader]]:
    async with (
        running_habits({"it": api}) as habits,
        httpx.AsyncClient(trust_env=False, verify=False, timeout=60) as http,
    ):
        running = habits["it"]
        name = next(iter(api.lists))
        with running.book(name) as book:
            book.fill(records)
        yield running, Reader(running, http)


def one_list(listing: Listing) -> Api:
    return Api(lists={"rows": listing}, auth=OPEN)


# Ties that turn are read in part, unless pages overlap.
STEADY = [
    name
    for name, habit in HABITS.items()
    if all(listing.ties == "stand" for listing in habit.api.lists.values())
]


@pytest.mark.parametrize("name", STEADY)
async def test_who_reads_by_the_habit_reads_the_truth(name: str) -> None:
    async with reading(HABITS[name].api) as (running, reader):
        root = next(iter(running.api.lists))

        read = await reader.read(root)
        assert [record["id"] for record in read] == list(
            dict.fromkeys(record["id"] for record in read)
        )
        assert {(None, record["id"]): record for record in read} == running.truth(root)


async def test_offsets_shift_when_a_record_goes() -> None:
    async with reading(one_list(BY_OFFSET)) as (running, reader):
        first = (await reader.ask("rows", 0)).json()["data"]
        with running.book("rows") as book:
            book.remove(first[0]["id"])
        second = (await reader.ask("rows", 10)).json()["data"]

    assert second[0]["id"] == first[-1]["id"] + 2


async def test_a_cursor_of_a_place_does_not_shift_and_one_of_an_offset_does() -> None:
    for listing, skipped in ((BY_CURSOR, 0), (replace(BY_CURSOR, token="offset"), 1)):
        async with reading(one_list(listing)) as (running, reader):
            first = (await reader.ask("rows")).json()
            with running.book("rows") as book:
                book.remove(first["data"][0]["id"])
            second = (await reader.ask("rows", first["next"])).json()

        assert second["data"][0]["id"] == first["data"][-1]["id"] + 1 + skipped


async def test_a_cursor_expires_and_a_strange_one_is_refused() -> None:
    async with reading(one_list(replace(BY_CURSOR, token_lives=1))) as (_, reader):
        cursor = (await reader.ask("rows")).json()["next"]

        given = [(await reader.ask("rows", text)).status_code for text in (cursor, cursor, "{}")]
    assert given == [200, 400, 400]


async def test_fewer_are_served_than_asked_for_and_none_below_the_cap() -> None:
    listing = replace(BY_OFFSET, size=500, most=10, total_at=("total",), result_cap=15)
    async with reading(one_list(listing)) as (_, reader):
        answers = [await reader.ask("rows", offset) for offset in (0, 10, 15)]

    assert [answer.status_code for answer in answers] == [200, 200, 400]
    assert [len(answer.json()["data"]) for answer in answers[:2]] == [10, 5]
    assert answers[0].json()["total"] == 15


async def test_ties_turn_and_what_is_filtered_after_paging_makes_pages_short() -> None:
    turning = replace(BY_OFFSET, order="created_at", tied=10, ties="turn")
    async with reading(one_list(turning)) as (_, reader):
        orders = [
            tuple(record["id"] for record in (await reader.ask("rows")).json()["data"])
            for _ in range(5)
        ]
    assert len(set(orders)) > 1
    assert {frozenset(order) for order in orders} == {frozenset(range(1, 11))}

    async with reading(one_list(replace(BY_OFFSET, filtered_every=5))) as (_, reader):
        first = (await reader.ask("rows")).json()["data"]
    assert [record["id"] for record in first] == [2, 3, 4, 5, 7, 8, 9, 10]


async def test_a_removed_record_stays_with_its_status_where_removals_are_soft() -> None:
    listing = replace(BY_OFFSET, since_at=("since",), keeps_removed=True, size=100)
    async with reading(one_list(listing)) as (running, reader):
        with running.book("rows") as book:
            book.remove(3)
        shown = (await reader.ask("rows")).json()["data"]
        recent = (await reader.http.get(f"{running.base_url}/rows?since=2026-01-01")).json()

    assert {record["status"] for record in shown if record["id"] == 3} == {"deleted"}
    assert len(recent["data"]) == 23
    assert (None, 3) not in running.truth("rows")


async def test_an_unchanged_page_is_a_304_for_who_knows_its_tag() -> None:
    async with reading(one_list(replace(BY_OFFSET, version_header="etag"))) as (running, reader):
        tag = {"if-none-match": (await reader.ask("rows")).headers["etag"]}
        same = await reader.ask("rows", headers=tag)
        with running.book("rows") as book:
            book.change(1)
        other = await reader.ask("rows", headers=tag)

    assert (same.status_code, same.content, other.status_code) == (304, b"", 200)


@pytest.mark.parametrize(
    ("says", "status", "told"),
    [
        ("retry_after", 429, "retry-after"),
        ("reset", 429, "x-ratelimit-reset"),
        ("forbidden", 403, "x-ratelimit-remaining"),
        ("success_false", 200, None),
        ("body", 429, None),
    ],
)
async def test_a_limit_refuses_in_its_own_way(says: str, status: int, told: str | None) -> None:
    limit = Limit(per_second=0.01, says=says)  # type: ignore[arg-type]
    async with reading(Api(lists={"rows": BY_OFFSET}, auth=OPEN, limit=limit)) as (run, reader):
        first, second = await reader.ask("rows"), await reader.ask("rows")

    assert (first.status_code, second.status_code) == (200, status)
    assert told is None or re.fullmatch("[0-9]+", second.headers[told])
    assert run.refused == 1
    assert "data" not in second.json()


async def test_a_spent_refresh_token_ends_the_grant_unless_its_successor_was_never_used() -> None:
    api = Api(lists={"rows": BY_OFFSET}, auth=Auth(kind="oauth2_refresh"))
    async with reading(api) as (running, reader):
        secret = json.loads(running.desk.secret)

        async def refresh() -> httpx.Response:
            form = {"grant_type": "refresh_token", **secret}
            return await reader.http.post(f"{running.base_url}/oauth/token", data=form)

        running.plant("token", Break(how="cut"))
        with pytest.raises(httpx.RemoteProtocolError):
            await refresh()
        again = await refresh()
        bearer = {"authorization": f"Bearer {again.json()['access_token']}"}
        used = await reader.http.get(f"{running.base_url}/rows", headers=bearer)
        spent = await refresh()
        after = await reader.http.get(f"{running.base_url}/rows", headers=bearer)

    assert (again.status_code, used.status_code) == (200, 200)
    assert (spent.status_code, spent.json()) == (400, {"error": "invalid_grant"})
    assert after.status_code == 401


async def test_what_is_planted_is_answered_once_and_everything_is_on_record() -> None:
    api = Api(lists={"widgets": COUNTED_LIST})
    async with reading(api) as (running, reader):
        running.plant("widgets", Reply(status=302, headers={"location": "http://else.example"}))
        given = [(await reader.ask("widgets")).status_code for _ in range(2)]
        seen = running.seen.requests("widgets")

    assert given == [302, 200]
    assert [one.status for one in seen] == given
    assert {one.credential for one in seen} == {f"Bearer {running.desk.secret}"}
