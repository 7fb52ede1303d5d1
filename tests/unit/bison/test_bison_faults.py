"""Each fault switch, alone and together, fires on the requests it names and on no others."""

import asyncio
import json

import pytest

from local.bison import (
    Add,
    BisonControl,
    BisonControlError,
    BisonReader,
    Body,
    Hold,
    Mutate,
    Remove,
    Size,
    Status,
)
from local.bison.reader import plain_client


async def statuses(reader: BisonReader, *wanted: tuple[str, int]) -> list[int]:
    return [(await reader.page(workspace, page)).status_code for workspace, page in wanted]


async def test_status_fires_on_its_workspace_and_page_only(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Status(status=500), workspace="acme", page=2, times=2)

    wanted = [("acme", 1), ("acme", 2), ("zen", 2), ("acme", 2), ("acme", 2)]
    assert await statuses(reader, *wanted) == [200, 500, 200, 500, 200]
    assert len((await bison.traffic()).select(status=500)) == 2


@pytest.mark.parametrize(("seconds", "header"), [(7, "7"), (0, "0"), (None, None)])
async def test_429_carries_retry_after_in_seconds_or_not_at_all(
    bison: BisonControl, reader: BisonReader, seconds: int | None, header: str | None
) -> None:
    await bison.fault(Status(status=429, retry_after_s=seconds))

    answer = await reader.page("acme", 1)

    assert answer.status_code == 429
    assert answer.headers.get("retry-after") == header
    assert answer.json() == {"message": "Too Many Attempts."}


async def test_rule_without_end_lasts_until_cleared(
    bison: BisonControl, reader: BisonReader
) -> None:
    rule_id = await bison.fault(Status(status=503), kind="page", times=None)

    assert await statuses(reader, *[("acme", 1)] * 4) == [503] * 4
    assert (await reader.get("acme", "/users")).status_code == 200

    (state,) = await bison.rules()
    assert (state.rule_id, state.matched, state.fired) == (rule_id, 4, 4)
    await bison.clear_rules(rule_id)
    assert await bison.rules() == []
    assert await statuses(reader, ("acme", 1)) == [200]


async def test_nth_match_is_where_it_starts(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Status(status=500), nth=3, times=1)

    assert await statuses(reader, *[("acme", 1)] * 4) == [200, 200, 500, 200]


async def test_first_rule_answers_and_the_next_waits_for_its_turn(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Status(status=500))
    await bison.fault(Status(status=429))

    assert await statuses(reader, *[("acme", 1)] * 3) == [500, 429, 200]


@pytest.mark.parametrize(
    "content",
    [
        b'{"success":false,"message":"no"}',
        b'{"data":[{"name":"no id"}]}',
        b'{"data":[{"id":1,"name":"a\\u0000b"}]}',
        b'{"data":[{"id":1,"name":"a\x00b"}]}',
        b"<html>\xff\xfe",
        b"",
    ],
)
async def test_body_is_served_byte_for_byte(
    bison: BisonControl, reader: BisonReader, content: bytes
) -> None:
    await bison.fault(Body(content=content, status=202, content_type="text/html"))

    answer = await reader.page("acme", 1)

    assert (answer.status_code, answer.content) == (202, content)
    assert answer.headers["content-type"] == "text/html"


async def test_size_pads_the_page_and_keeps_its_records(
    bison: BisonControl, reader: BisonReader
) -> None:
    plain = (await reader.page("acme", 1)).json()
    await bison.fault(Size(size=10_000_000), page=1)

    answer = await reader.page("acme", 1)

    assert len(answer.content) == 10_000_000
    assert answer.json() == plain


async def test_held_requests_wait_for_release_oldest_first(
    bison: BisonControl, reader: BisonReader
) -> None:
    rule_id = await bison.fault(Hold(), workspace="acme", times=None)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(reader.page("acme", 1))
        await bison.wait_until_held(1, rule_id)
        second = group.create_task(reader.page("acme", 2))
        await bison.wait_until_held(2)

        traffic = await bison.traffic()
        assert [seen.status for seen in traffic.requests] == [None, None]
        assert traffic.peak_in_flight == traffic.peak_by_workspace["acme"] == 2
        assert await statuses(reader, ("zen", 1)) == [200]

        assert await bison.release(rule_id, count=1) == 1
        assert (await first).status_code == 200
        assert not second.done()
        assert await bison.release() == 1
    assert second.result().status_code == 200


async def test_held_request_is_answered_from_the_data_at_its_release(
    bison: BisonControl, reader: BisonReader
) -> None:
    rule_id = await bison.fault(Hold(), page=1)
    async with asyncio.TaskGroup() as group:
        held = group.create_task(reader.page("zen", 1))
        await bison.wait_until_held(1, rule_id)
        await bison.add_accounts("zen")
        await bison.clear_rules(rule_id)
    assert held.result().json()["meta"]["total"] == 4


async def test_client_that_leaves_a_hold_is_seen_and_counted_out(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Hold())
    async with plain_client(bison.api_url) as leaving:
        key = {"authorization": f"Bearer {reader.keys['acme']}"}
        request = asyncio.create_task(leaving.get("/sender-emails", headers=key))
        await bison.wait_until_held()
        request.cancel()
        await asyncio.wait([request])

    await reader.page("zen", 1)
    traffic = await bison.traffic()
    assert [seen.status for seen in traffic.requests] == [499, 200]
    assert await bison.release() == 0


async def test_waiting_for_what_does_not_come_says_so(bison: BisonControl) -> None:
    with pytest.raises(TimeoutError, match="2 held"):
        await bison.wait_until_held(2, timeout_s=0.01)
    with pytest.raises(TimeoutError, match="1 requests"):
        await bison.wait_for_requests(1, timeout_s=0.01)


async def test_waiting_for_requests_counts_those_of_the_workspace(
    bison: BisonControl, reader: BisonReader
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(bison.wait_for_requests(2, "acme"))
        await statuses(reader, ("zen", 1), ("acme", 1), ("acme", 2))
    with pytest.raises(TimeoutError):
        await bison.wait_for_requests(3, "acme", timeout_s=0.01)


async def test_account_removed_after_page_1_slips_past_page_2(
    bison: BisonControl, reader: BisonReader
) -> None:
    ids = [account["id"] for account in await bison.accounts("acme")]
    gone = Remove(workspace="acme", account_ids=(ids[0],))
    await bison.fault(Mutate(changes=(gone,), when="after"), workspace="acme", page=1)

    assert await reader.page_ids("acme", 1) == ids[:15]
    assert await reader.page_ids("acme", 2) == ids[16:31]
    assert await reader.page_ids("acme", 1) == ids[1:16]


async def test_mutate_before_shows_in_the_same_answer_and_keeps_the_total(
    bison: BisonControl, reader: BisonReader
) -> None:
    ids = [account["id"] for account in await bison.accounts("acme")]
    swap = (Remove(workspace="acme", account_ids=(ids[20],)), Add(workspace="acme"))
    await bison.fault(Mutate(changes=swap, when="before"), page=2, nth=2)

    assert await reader.page_ids("acme", 2) == ids[15:30]
    second = (await reader.page("acme", 2)).json()
    assert ids[20] not in [account["id"] for account in second["data"]]
    assert second["meta"]["total"] == 40
    assert (await reader.page_ids("acme", 3))[-1] not in ids


async def test_mutate_that_cannot_be_done_is_a_500_that_says_why(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Mutate(changes=(Remove(workspace="acme", account_ids=(1,)),)))

    answer = await reader.page("acme", 1)

    assert answer.status_code == 500
    assert "no account [1]" in answer.json()["message"]


async def test_faults_of_one_request_add_up(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Hold())
    await bison.fault(Mutate(changes=(Add(workspace="zen"),)))
    await bison.fault(Status(status=500))
    await bison.fault(Size(size=1_000))
    async with asyncio.TaskGroup() as group:
        held = group.create_task(reader.page("acme", 1))
        await bison.wait_until_held()
        assert (await bison.workspace("zen")).total == 3
        await bison.release()

    assert (held.result().status_code, len(held.result().content)) == (500, 1_000)
    assert json.loads(held.result().content) == {"message": "Internal Server Error"}
    assert (await bison.workspace("zen")).total == 4


async def test_refused_key_burns_no_rule(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Status(status=500))
    await bison.revoke_key("acme")

    assert await statuses(reader, ("acme", 1)) == [401]
    assert [(state.matched, state.fired) for state in await bison.rules()] == [(0, 0)]


async def test_rule_for_an_unknown_workspace_is_refused(bison: BisonControl) -> None:
    with pytest.raises(BisonControlError, match="no workspace 'amce'"):
        await bison.fault(Hold(), workspace="amce")
    with pytest.raises(BisonControlError, match="no workspace 'zne'"):
        await bison.fault(Mutate(changes=(Add(workspace="zne"),)))
    assert await bison.rules() == []
