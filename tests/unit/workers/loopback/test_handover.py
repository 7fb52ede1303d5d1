"""Finished pages on their way to a database that refuses, or is not there."""

import asyncio
import json

from loopback.leases import lease_to
from loopback.server import Server, reply
from workers.gateway import Gateway
from workers.handover import HandOver
from workers.leases import Held, Leases
from workers.protocol import Page
from workers.secret import Secret

REFUSAL = json.dumps({"code": "SY006", "message": "bad page", "details": None, "hint": None})


class _SeenError(Exception):
    """Ends the task group, whose loops are endless."""


async def test_a_refused_page_that_cannot_be_handed_back_holds_up_no_other(server: Server) -> None:
    calls: asyncio.Queue[str] = asyncio.Queue()

    async def answer(writer: asyncio.StreamWriter) -> None:
        call = "fail" if "fail_chunk_job_safe" in server.requests[-1] else "complete"
        calls.put_nowait(call)
        refused = reply(REFUSAL.encode(), "400 Bad Request", "Connection: close\r\n")
        away = reply(b"", "503 Service Unavailable", "Connection: close\r\n")
        await (away if call == "fail" else refused)(writer)
        await writer.drain()
        writer.close()

    server.answer = answer
    leases = Leases()
    try:
        async with (
            Gateway.connect(server.url, Secret("sb_secret_abc")) as gateway,
            asyncio.timeout(10),
            asyncio.TaskGroup() as tasks,
        ):
            hand_over = HandOver(gateway, leases, lambda outcomes: None, tasks)
            tasks.create_task(hand_over.run())
            hand_over.put(fetched(leases, 1), page())
            assert [await calls.get(), await calls.get()] == ["complete", "fail"]
            hand_over.put(fetched(leases, 2), page())
            while await calls.get() != "complete":
                pass
            raise _SeenError
    except* _SeenError:
        assert [held.lease.queue_id for held in leases.held()] == [1, 2]


def fetched(leases: Leases, queue_id: int) -> Held:
    held = leases.add(lease_to("http://127.0.0.1:9", queue_id=queue_id, lease_ms=1_000_000_000))
    leases.fetched(held)
    return held


def page() -> Page:
    return Page(200, "{}", 1, 2)
