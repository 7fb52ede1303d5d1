"""Answers that break off, hang or drip; limits of rate; chaos that repeats by its seed."""

import asyncio
from typing import Literal

import httpx
import pytest

from local.bison import (
    BisonControl,
    BisonReader,
    Break,
    Chaos,
    Drip,
    RateLimit,
    Size,
    Status,
    TokenBucket,
    running_bison,
)
from local.bison.faults import PASSING, PlainFault
from local.bison.memory import Buckets, Dice, Limiter
from local.bison.traffic import SeenRequest


def request(arrived_ms: float, page: int = 1, workspace: str = "acme") -> SeenRequest:
    return SeenRequest(
        number=1, workspace=workspace, kind="page", path="/p", page=page, arrived_ms=arrived_ms
    )


@pytest.mark.parametrize("after_bytes", [None, 0, 100])
async def test_a_reset_reaches_the_client_as_one(
    bison: BisonControl, reader: BisonReader, after_bytes: int | None
) -> None:
    await bison.fault(Break(how="reset", after_bytes=after_bytes))

    # A connection that is closed in order gives a RemoteProtocolError.
    with pytest.raises(httpx.ReadError):
        await reader.page("acme", 1)
    assert (await reader.page("acme", 1)).status_code == 200


async def test_a_body_may_be_shorter_than_its_content_length(
    bison: BisonControl, reader: BisonReader
) -> None:
    whole = len((await reader.page("acme", 1)).content)
    await bison.fault(Break(how="cut", after_bytes=100))

    with pytest.raises(httpx.RemoteProtocolError, match=f"received 100 bytes, expected {whole}"):
        await reader.page("acme", 1)


async def test_a_connection_may_close_without_an_answer(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Break(how="cut"))

    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await reader.page("acme", 1)


@pytest.mark.parametrize("after_bytes", [None, 100])
async def test_a_hang_lasts_until_the_client_leaves(
    bison: BisonControl, reader: BisonReader, after_bytes: int | None
) -> None:
    await bison.fault(Break(how="hang", after_bytes=after_bytes))

    hanging = asyncio.create_task(reader.page("acme", 1))
    await bison.wait_for_requests(1)
    assert (await reader.page("zen", 1)).status_code == 200
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait([hanging])


async def test_a_drip_arrives_whole_and_in_parts(bison: BisonControl, reader: BisonReader) -> None:
    """In fewer parts if the client is late: it then reads two at once."""
    plain = (await reader.page("acme", 1)).content
    await bison.fault(Drip(parts=4, pause_ms=200))

    key = {"authorization": f"Bearer {reader.keys['acme']}"}
    async with reader.http.stream("GET", "/sender-emails?page=1", headers=key) as answer:
        parts = [part async for part in answer.aiter_raw()]
    assert b"".join(parts) == plain
    assert 1 < len(parts) <= 4


async def test_what_spoils_the_wire_adds_to_what_spoils_the_answer(
    bison: BisonControl, reader: BisonReader
) -> None:
    await bison.fault(Status(status=500))
    await bison.fault(Size(size=1_000))
    await bison.fault(Break(how="cut", after_bytes=500))

    with pytest.raises(httpx.RemoteProtocolError, match="received 500 bytes, expected 1000"):
        await reader.page("acme", 1)


async def test_retry_after_may_stand_in_the_body(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(Status(status=429, retry_after_s=3, retry_after_in="body"))

    answer = await reader.page("acme", 1)
    assert answer.json() == {"message": "Too Many Attempts.", "retry_after": 3}
    assert "retry-after" not in answer.headers


def test_any_second_lets_so_many_through_and_a_refusal_blankets_the_next_ones() -> None:
    limiter = Limiter(RateLimit(per_second=2, blanket_s=1.5, retry_after_s=1))
    refusal = Status(status=429, retry_after_s=1)

    given = [limiter.judge(ms) for ms in (0, 10, 20, 1_100, 1_519, 1_520, 2_000, 2_100)]
    assert given == [None, None, refusal, refusal, refusal, None, None, refusal]


async def test_the_rate_of_an_instance_counts_all_keys(
    bison: BisonControl, reader: BisonReader
) -> None:
    """Of three keys within one second, which a machine that stalls may miss at first."""
    within_a_second = False
    while not within_a_second:
        rule = await bison.fault(RateLimit(per_second=2, blanket_s=60), kind="page", times=None)
        seen = len((await bison.traffic()).requests)
        wanted = ("acme", "zen", "void", "acme")
        given = [(await reader.page(name, 1)).status_code for name in wanted]
        first, _, third, _ = (await bison.traffic()).requests[seen:]
        within_a_second = third.arrived_ms - first.arrived_ms < 1000
        if not within_a_second:
            await bison.clear_rules(rule)
    assert given == [200, 200, 429, 429]
    assert (await reader.get("acme", "/users")).status_code == 200


def said(buckets: Buckets, arrived_ms: float, workspace: str = "acme") -> tuple[object, ...]:
    """Retry-After in seconds, or None for a request that is let in; remaining and reset."""
    asked = request(arrived_ms, workspace=workspace)
    refusal = buckets.judge(asked)
    headers = buckets.headers(asked)
    retry_after = refusal.retry_after_s if refusal else None
    return retry_after, headers["x-ratelimit-remaining"], headers["x-ratelimit-reset"]


def test_a_bucket_lets_in_its_burst_and_then_its_rate() -> None:
    buckets = Buckets(TokenBucket(per_second=4, burst=2))

    assert [said(buckets, ms) for ms in (0, 0, 0, 249, 250, 251, 1_000, 10_000)] == [
        (None, "1", "1"),
        (None, "0", "1"),
        (1, "0", "1"),
        (1, "0", "1"),
        (None, "0", "1"),
        (1, "0", "1"),
        (None, "1", "1"),
        (None, "1", "1"),
    ]


def test_a_slow_bucket_says_when_there_is_a_token_in_whole_seconds() -> None:
    buckets = Buckets(TokenBucket(per_second=0.4))

    given = [said(buckets, ms)[0] for ms in (0, 1, 500, 501, 1_499, 2_499, 2_500)]
    assert given == [None, 3, 2, 2, 2, 1, None]


def test_a_clock_that_steps_back_fills_no_bucket() -> None:
    buckets = Buckets(TokenBucket(per_second=1))

    assert [said(buckets, ms)[0] for ms in (1_000, 0, 1_500, 2_000)] == [None, 1, 1, None]


@pytest.mark.parametrize(("per", "others"), [("instance", 1), ("key", None)])
def test_a_bucket_is_the_instances_or_a_keys_own(
    per: Literal["instance", "key"], others: int | None
) -> None:
    buckets = Buckets(TokenBucket(per_second=1, per=per))

    assert [said(buckets, 0, name)[0] for name in ("acme", "acme", "zen")] == [None, 1, others]


async def test_a_token_bucket_speaks_in_headers(bison: BisonControl, reader: BisonReader) -> None:
    await bison.fault(TokenBucket(per_second=0.01, burst=2, per="key"), kind="page", times=None)

    answers = [await reader.page(name, 1) for name in ("acme", "acme", "acme", "zen")]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert [answer.headers.get("x-ratelimit-remaining") for answer in answers] == list("1001")
    assert {answer.headers["x-ratelimit-limit"] for answer in answers} == {"2"}
    assert ["retry-after" in answer.headers for answer in answers] == [False, False, True, False]
    assert "x-ratelimit-limit" not in (await reader.get("acme", "/users")).headers


def throws(seed: int, pages: list[int], in_a_row: int = 1) -> list[PlainFault | None]:
    dice = Dice(Chaos(seed=seed, rate=0.5, in_a_row=in_a_row))
    return [dice.throw(request(0, page)) for page in pages]


def test_the_same_seed_gives_the_same_faults_in_any_order() -> None:
    pages = list(range(1, 60))
    first = dict(zip(pages, throws(7, pages), strict=True))

    assert dict(zip(pages[::-1], throws(7, pages[::-1]), strict=True)) == first
    assert throws(8, pages) != list(first.values())
    assert set(first.values()) == {None, *PASSING}


@pytest.mark.parametrize("in_a_row", [1, 2])
def test_the_same_page_is_spoilt_so_often_in_a_row_at_most(in_a_row: int) -> None:
    spoilt = "".join("x" if fault else "." for fault in throws(1, [1] * 300, in_a_row))

    assert max(map(len, spoilt.split("."))) == in_a_row


async def test_chaos_repeats_over_the_wire() -> None:
    async def seen() -> list[tuple[int | None, int | str]]:
        async with running_bison({"acme": 300}) as bison, BisonReader.connect(bison) as reader:
            faults = (Status(status=500), Status(status=429), Break(how="cut", after_bytes=3))
            await bison.fault(Chaos(seed=3, rate=0.5, faults=faults), times=None)
            found: list[tuple[int | None, int | str]] = []
            for page in range(1, 21):
                try:
                    found.append((page, (await reader.page("acme", page)).status_code))
                except httpx.RemoteProtocolError as error:
                    found.append((page, type(error).__name__))
            return found

    first = await seen()
    assert await seen() == first
    assert {what for _, what in first} == {200, 429, 500, "RemoteProtocolError"}
