"""Finished pages on their way to a database that refuses, or is not there."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Outcome, Page
from chunkwise.secret import Secret
from chunkwise.worker.handover import HandOver
from chunkwise.worker.leases import Held, Leases
from loopback.leases import lease_to
from loopback.server import Server, reply

REFUSED = json.dumps({"code": "SY006", "message": "bad page", "details": None, "hint": None})
RETRIED = json.dumps({"queue_id": 1, "outcome": "retry", "blocked_budgets": []})
OUT_OF_TIME, HELD = (
    json.dumps({"code": code, "message": "canceling statement", "details": None, "hint": None})
    for code in ("57014", "55P03")
)
CLOSE = "Content-Type: application/json\r\nConnection: close\r\n"
Arguments = dict[str, Any]


async def test_a_refused_page_that_cannot_be_handed_back_holds_up_no_other(server: Server) -> None:
    calls: asyncio.Queue[str] = asyncio.Queue()
    is_back = False

    async def answer(writer: asyncio.StreamWriter) -> None:
        if "complete_chunk_jobs_safe" in server.requests[-1]:
            calls.put_nowait("complete")
            await reply(REFUSED.encode(), "400 Bad Request", CLOSE)(writer)
        else:
            calls.put_nowait("fail")
            status = "200 OK" if is_back else "503 Service Unavailable"
            await reply(RETRIED.encode(), status, CLOSE)(writer)
        await writer.drain()
        writer.close()

    server.answer = answer
    leases = Leases()
    ended: list[Outcome] = []
    async with (
        Gateway.connect(server.url, Secret("sb_secret_abc")) as gateway,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        hand_over = HandOver(gateway, leases, ended.extend, tasks)
        running = tasks.create_task(hand_over.run())
        hand_over.put(fetched(leases, 1), page())
        assert [await calls.get(), await calls.get()] == ["complete", "fail"]
        hand_over.put(fetched(leases, 2), page())
        while await calls.get() != "complete":
            pass
        is_back = True
        await leases.none_left()
        running.cancel()
    assert [outcome.outcome for outcome in ended] == ["retry", "retry"]


async def test_pages_for_another_protocol_are_given_up_and_not_failed(server: Server) -> None:
    """Their leases run out, and who knows the protocol fetches them."""
    unknown = json.dumps({"code": "PGRST202", "message": "no such function"})
    newer = json.dumps({"schema_version": 1, "protocol_version": 3})

    async def answer(writer: asyncio.StreamWriter) -> None:
        if "chunkwise_version" in server.requests[-1]:
            await reply(newer.encode(), headers=CLOSE)(writer)
        else:
            await reply(unknown.encode(), "404 Not Found", CLOSE)(writer)
        await writer.drain()
        writer.close()

    server.answer = answer
    leases = Leases()
    async with (
        Gateway.connect(server.url, Secret("sb_secret_abc")) as gateway,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        hand_over = HandOver(gateway, leases, lambda _: None, tasks)
        running = tasks.create_task(hand_over.run())
        for number in (1, 2):
            hand_over.put(fetched(leases, number), page())
        await leases.none_left()
        running.cancel()
    asked = [request.split()[1].rpartition("/")[2] for request in server.requests]
    assert asked == ["complete_chunk_jobs_safe", "chunkwise_version"]


@pytest.mark.parametrize(
    ("status_of_two", "answer_of_two", "said"),
    [
        ("500 Internal Server Error", OUT_OF_TIME, "57014: "),
        ("500 Internal Server Error", HELD, "55P03: "),
        ("200 OK", "<html>", "complete_chunk_jobs_safe answered"),
    ],
    ids=["out of time", "held by another", "another answers in its place"],
)
async def test_a_page_that_the_database_does_not_take_is_postponed(
    status_of_two: str, answer_of_two: str, said: str
) -> None:
    """The call is halved until the page stands alone; what it costs is for SQL to say."""
    failed: list[dict[str, object]] = []
    applied: list[list[int]] = []

    async def answer(arguments: Arguments) -> tuple[str, str]:
        status = "200 OK"
        if "p_pages" in arguments:
            ids = [page["queue_id"] for page in arguments["p_pages"]]
            text = completed(ids)
            if 2 in ids:
                status, text = status_of_two, answer_of_two
            else:
                applied.append(ids)
        elif "p_leases" in arguments:
            text = json.dumps({"lease_ms": 20000, "lost": [], "cancelled": []})
        elif "p_error_class" in arguments:
            failed.append(arguments)
            text = json.dumps({"queue_id": 2, "outcome": "postponed"})
        else:
            text = json.dumps({"schema_version": 1, "protocol_version": 2})
        return status, text

    async with handing_over(answer) as (hand_over, leases, ended, gateway):
        for number in (1, 2, 3, 4):
            hand_over.put(fetched(leases, number), page())
        while leases.held():
            await gateway.extend_chunk_leases([])
            await asyncio.sleep(0)
    assert applied == [[1], [3, 4]] or applied == [[3, 4], [1]]
    assert {outcome.queue_id: outcome.outcome for outcome in ended} == {
        1: "completed", 2: "postponed", 3: "completed", 4: "completed",
    }  # fmt: skip
    assert [failure["p_error_class"] for failure in failed] == ["postponed"]
    assert str(failed[0]["p_error_message"]).startswith(said)


async def test_others_of_its_call_are_through_before_a_held_page_is_sent_again() -> None:
    calls: list[list[int]] = []

    async def answer(arguments: Arguments) -> tuple[str, str]:
        calls.append([page["queue_id"] for page in arguments["p_pages"]])
        if 1 in calls[-1] and calls.count([1]) < 2:
            return "500 Internal Server Error", HELD
        return "200 OK", completed(calls[-1])

    async with handing_over(answer) as (hand_over, leases, ended, _):
        for number in (1, 2, 3, 4):
            hand_over.put(fetched(leases, number), page())
        await leases.none_left()
    assert calls == [[1, 2, 3, 4], [1, 2], [3, 4], [1], [2], [1]]
    assert [outcome.queue_id for outcome in ended] == [3, 4, 2, 1]


async def test_a_call_that_waits_holds_up_no_other_workspace() -> None:
    """What a person holds in the database is waited for by its workspace's pages alone."""
    calls: asyncio.Queue[list[int]] = asyncio.Queue()
    is_free = asyncio.Event()
    held_up = {1, 2}

    async def answer(arguments: Arguments) -> tuple[str, str]:
        ids = [page["queue_id"] for page in arguments["p_pages"]]
        calls.put_nowait(ids)
        if held_up & set(ids):
            await is_free.wait()
        return "200 OK", completed(ids)

    async with handing_over(answer) as (hand_over, leases, ended, _):
        hand_over.put(fetched(leases, 1, "held"), page())
        hand_over.put(fetched(leases, 3, "beside"), page())
        assert await calls.get() == [1, 3]

        for number, workspace in ((2, "held"), (4, "beside"), (5, "third"), (6, "fourth")):
            hand_over.put(fetched(leases, number, workspace), page())
        told = [await calls.get() for _ in range(3)]

        assert told[0] == [5, 6]
        assert sorted(told[1:]) == [[2], [4]]
        hand_over.put(fetched(leases, 7, "third"), page())
        assert await calls.get() == [7]
        while {outcome.queue_id for outcome in ended} != {4, 5, 6, 7}:
            leases.changed.clear()
            await leases.changed.wait()
        is_free.set()
        await leases.none_left()
    assert {outcome.queue_id for outcome in ended} == {1, 2, 3, 4, 5, 6, 7}


@asynccontextmanager
async def handing_over(
    answer: Callable[[Arguments], Awaitable[tuple[str, str]]],
) -> AsyncIterator[tuple[HandOver, Leases, list[Outcome], Gateway]]:
    """Runs, for a database that answers the arguments of each call with a status and a text."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        size = int(head.split("content-length: ")[1].split("\r\n")[0])
        status, text = await answer(json.loads(await reader.readexactly(size)))
        await reply(text.encode(), status, CLOSE)(writer)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    leases = Leases()
    ended: list[Outcome] = []
    async with (
        listening,
        Gateway.connect(url, Secret("sb_secret_abc")) as gateway,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        hand_over = HandOver(gateway, leases, ended.extend, tasks)
        running = tasks.create_task(hand_over.run())
        yield hand_over, leases, ended, gateway
        running.cancel()


def completed(queue_ids: list[int]) -> str:
    return json.dumps(
        {"outcomes": [{"queue_id": each, "outcome": "completed"} for each in queue_ids]}
    )


def fetched(leases: Leases, queue_id: int, workspace: str = "acme") -> Held:
    lease = lease_to(
        "http://127.0.0.1:9", queue_id=queue_id, lease_ms=1_000_000_000, workspace=workspace
    )
    held = leases.add(lease)
    leases.fetched(held)
    return held


def page() -> Page:
    return Page.of(200, b"{}", 1)
