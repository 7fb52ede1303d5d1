"""Finished pages on their way to a database that refuses, or is not there."""

import asyncio
import json

from chunkwise.gateway.client import Gateway
from chunkwise.gateway.protocol import Outcome, Page
from chunkwise.secret import Secret
from chunkwise.worker.handover import HandOver
from chunkwise.worker.leases import Held, Leases
from loopback.leases import lease_to
from loopback.server import Server, reply

REFUSED = json.dumps({"code": "SY006", "message": "bad page", "details": None, "hint": None})
RETRIED = json.dumps({"queue_id": 1, "outcome": "retry", "blocked_budgets": []})
CLOSE = "Content-Type: application/json\r\nConnection: close\r\n"


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
        asyncio.timeout(10),
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
    newer = json.dumps({"schema_version": 1, "protocol_version": 2})

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
        asyncio.timeout(10),
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


def fetched(leases: Leases, queue_id: int) -> Held:
    held = leases.add(lease_to("http://127.0.0.1:9", queue_id=queue_id, lease_ms=1_000_000_000))
    leases.fetched(held)
    return held


def page() -> Page:
    return Page.of(200, b"{}", 1)
