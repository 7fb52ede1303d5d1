"""Receivers on the real stack, posts to them, and a host that starts them on demand."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from chunkwise.gateway.compatibility import connected
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.http_server import Listener, listening_on
from chunkwise.worker.receiver import Receiver
from tests.e2e.world import PATIENCE_S, WITHOUT_SETTINGS, World
from tests.support.setup import wait_for_posts

# It has asked, and holds nothing.
DONE = (
    "select exists (select from hint_deliveries where worker_id = :name) and not exists"
    " (select from chunk_processing_queue where worker_id = :name and status = 'processing')"
)
APPLIED_TWICE = (
    "select chunk_id from chunk_events where event = 'completed' group by 1 having count(*) > 1"
)
TOKEN = "wake-token-of-these-tests"


@dataclass(frozen=True, slots=True)
class Running:
    """A receiver in this process, at its URL."""

    receiver: Receiver
    url: str

    @property
    def hints(self) -> Counter[str]:
        return self.receiver.hints


def token_env() -> dict[str, str]:
    return {"CHUNKWISE_WAKE_TOKEN": TOKEN}


@asynccontextmanager
async def receiver(
    world: World,
    name: str = "receiver",
    concurrency: int = 16,
    claim_ahead: int = 4,
    answer_seconds: float = 0.15,
) -> AsyncIterator[Running]:
    """In this process, with a real socket; stopped as by SIGTERM. `answer_seconds` is long where
    the answer must say what became of the claim, however busy the machine is."""
    mine = {
        "worker_id": name,
        "concurrency": concurrency,
        "claim_ahead": claim_ahead,
        "answer_seconds": answer_seconds,
    }
    settings = Settings.read(**world.env, **token_env()).model_copy(update=mine)
    stop = asyncio.Event()
    with listening_on("127.0.0.1:0") as sock:
        url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with (
            connected(settings) as gateway,
            Fetcher.open(concurrency) as fetcher,
            asyncio.TaskGroup() as tasks,
        ):
            served = Receiver(settings, gateway, fetcher, sock, stop)
            tasks.create_task(served.run())
            await served.listening()
            try:
                yield Running(served, url)
            finally:
                stop.set()


@dataclass(frozen=True, slots=True)
class ReceiverProcess:
    """`chunkwise worker --listen` in a process of its own."""

    process: Process
    log: Path

    def events(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == event]

    @property
    def url(self) -> str:
        return f"http://{self.events('worker_started')[0]['listen']}"

    async def kill(self) -> None:
        """As a host does that loses power: no farewell."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.process.wait(), PATIENCE_S) == 0


@asynccontextmanager
async def receiver_process(world: World, name: str = "receiver") -> AsyncIterator[ReceiverProcess]:
    log = world.logs / f"{name}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chunkwise", "worker", "--listen", "127.0.0.1:0"),
            env={
                "PATH": os.environ["PATH"],
                **world.env,
                **token_env(),
                "CHUNKWISE_WORKER_ID": name,
            },
            stderr=stderr,
            cwd=WITHOUT_SETTINGS,
        )
    running = ReceiverProcess(process, log)
    try:
        await world.until(lambda: "worker_started" in log.read_text())
        yield running
    finally:
        if process.returncode is None:
            await running.stop()


async def post(
    http: httpx.AsyncClient, url: str, queue_id: int | None, token: str = TOKEN
) -> httpx.Response:
    """As the database posts it; None: a hint that names nothing."""
    record = {"status": "pending"} if queue_id is None else {"id": queue_id, "status": "pending"}
    hint = {"type": "UPDATE", "table": "sync_page_queue", "schema": "public", "record": record}
    return await http.post(url, json=hint, headers={"Authorization": f"Bearer {token}"})


def register(world: World, *urls: str) -> None:
    wait_for_posts(world.db)
    for url in urls:
        world.db.run("select register_worker_endpoint(:url, :token)", url=url, token=TOKEN)


@asynccontextmanager
async def on_demand(world: World) -> AsyncIterator[str]:
    """The URL of a host that scales to zero: each push gets a receiver that is started for it, and
    stopped when it has nothing in hand."""
    started = 0
    instances = asyncio.TaskGroup()

    async def instance(body: bytes, headers: dict[str, str], answer: "asyncio.Future[int]") -> None:
        nonlocal started
        started += 1
        name = f"instance-{started}"
        async with receiver(world, name) as running, httpx.AsyncClient(timeout=PATIENCE_S) as http:
            answered = await http.post(running.url, content=body, headers=headers)
            answer.set_result(answered.status_code)
            await world.until(lambda: world.db.value(DONE, name=name))

    async def push(request: Request) -> Response:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        headers = {"Authorization": request.headers["Authorization"]}
        instances.create_task(instance(await request.body(), headers, answer))
        return Response(status_code=await answer)

    with listening_on("127.0.0.1:0") as sock:
        app = Starlette(routes=[Route("/", push, methods=["POST"])])
        listener = Listener(app, sock)
        async with instances:
            serving = instances.create_task(listener.serve())
            await listener.started()
            yield f"http://{listener.address}"
            listener.close()
            await serving


def ready(world: World) -> list[int]:
    return world.db.column(
        "select id from chunk_processing_queue where ready_seq is not null order by ready_seq"
    )


def claims(world: World) -> Counter[str]:
    """What was asked for by id, by verdict."""
    rows = world.db.run(
        "select outcome, sum(attempt) as times from hint_deliveries"
        " where direction = 'claim' group by 1"
    )
    return Counter({row["outcome"]: row["times"] for row in rows})


def traces(world: World) -> list[object]:
    """All that a claim or a page would change, and a heartbeat would not."""
    return [
        world.db.run(
            "select case status when 'processing' then to_jsonb(q) - 'lease_expires_at'"
            " else jsonb_build_array(id, xmin::text, ctid::text) end"
            " from chunk_processing_queue as q order by id"
        ),
        world.db.value("select count(*) from chunk_events"),
        world.db.value("select last_value from sync.lease_tokens"),
    ]


def assert_all_once(world: World) -> None:
    assert world.db.column(APPLIED_TWICE) == []
    assert world.db.column("select distinct lease_losses from chunk_processing_queue") == [0]
