"""The tables of `net`, over two connections: one that works, one that listens."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Self
from urllib.parse import unquote, urlsplit

from pg8000.native import Connection

BATCH_SIZE = 200
KEPT = "6 hours"


@dataclass(frozen=True, slots=True)
class Request:
    """A row of net.http_request_queue."""

    id: int
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class Response:
    """A row of net._http_response."""

    id: int
    timed_out: bool = False
    status_code: int | None = None
    content_type: str | None = None
    headers: dict[str, str] | None = None
    content: str | None = None
    error_msg: str | None = None


@dataclass(frozen=True, slots=True)
class Faults:
    """The row of stand_in.net_faults."""

    dropped_share: float
    doubled_share: float
    delay_ms: int


class RequestQueue:
    """`take` and `answer` are two ends of one transaction: what was taken and not answered when
    the connection breaks is in the queue again."""

    def __init__(self, worker: Connection, listener: Connection, wire: socket.socket) -> None:
        self._worker = worker
        self._listener = listener
        self._wire = wire

    @classmethod
    @asynccontextmanager
    async def connect(cls, dsn: str) -> AsyncIterator[Self]:
        with contextlib.ExitStack() as opened:
            listener, wire = await asyncio.to_thread(_connect, dsn, "pg_net listener")
            opened.callback(_close, listener)
            worker, _ = await asyncio.to_thread(_connect, dsn, "pg_net worker")
            opened.callback(_close, worker)
            await asyncio.to_thread(listener.run, "listen pg_net")
            yield cls(worker, listener, wire)

    async def is_stand_in(self) -> bool:
        rows = await asyncio.to_thread(
            self._worker.run, "select to_regclass('stand_in.net_faults') is not null"
        )
        return bool(rows[0][0])

    async def woken(self, seconds: float | None = None) -> bool:
        """Wait until somebody wakes the worker, or for so long; whether it must restart."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._wire, readable.set)
        try:
            async with asyncio.timeout(seconds):
                await readable.wait()
        except TimeoutError:
            return False
        finally:
            loop.remove_reader(self._wire)
        await asyncio.to_thread(self._listener.run, "select")
        payloads = {payload for _, _, payload in self._listener.notifications}
        self._listener.notifications.clear()
        return "restart" in payloads

    async def take(self) -> tuple[Faults, list[Request]]:
        return await asyncio.to_thread(self._take)

    async def answer(self, responses: Sequence[Response]) -> None:
        await asyncio.to_thread(self._answer, responses)

    def _take(self) -> tuple[Faults, list[Request]]:
        run = self._worker.run
        run("begin")
        faults = run("select dropped_share, doubled_share, delay_ms from stand_in.net_faults")
        run(
            "delete from net._http_response where ctid = any (array("
            " select ctid from net._http_response where created < now() - cast(:kept as interval)"
            " order by created limit :most))",
            kept=KEPT,
            most=BATCH_SIZE,
        )
        rows = run(
            "with batch as (select id from net.http_request_queue order by id limit :most)"
            " delete from net.http_request_queue as q using batch where q.id = batch.id"
            " returning q.id, q.method, q.url, q.headers, q.body, q.timeout_milliseconds",
            most=BATCH_SIZE,
        )
        return Faults(*faults[0]), [Request(*row) for row in sorted(rows)]

    def _answer(self, responses: Sequence[Response]) -> None:
        self._worker.run(
            "insert into net._http_response"
            " (id, status_code, content_type, headers, content, timed_out, error_msg)"
            " select id, status_code, content_type, headers, content, timed_out, error_msg"
            " from jsonb_populate_recordset(null::net._http_response, cast(:rows as jsonb))",
            rows=json.dumps([asdict(response) for response in responses]),
        )
        self._worker.run("commit")


def _connect(dsn: str, name: str) -> tuple[Connection, socket.socket]:
    url = urlsplit(dsn)
    wire = socket.create_connection((url.hostname, url.port))
    connection = Connection(
        unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.removeprefix("/"),
        application_name=name,
        sock=wire,
    )
    return connection, wire


def _close(connection: Connection) -> None:
    with contextlib.suppress(Exception):
        connection.close()
