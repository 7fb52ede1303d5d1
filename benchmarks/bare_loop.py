"""What one would write by hand: fetch with httpx, write each page with one upsert.

What fails is asked again, after the Retry-After of a 429 or a backoff like the engine's. No queue,
no lease, no count of what arrived, no history.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from http import HTTPStatus
from queue import SimpleQueue
from typing import TYPE_CHECKING

import httpx

from local.bison import BisonControl, WorkspaceInfo
from local.demo.world import connect
from local.stack import Database

if TYPE_CHECKING:
    from pg8000.native import Connection

WRITERS = 8
# As the settings of the engine are.
RETRY_BASE_SECONDS = 2.0
RETRY_CAP_SECONDS = 60.0
TABLE = "create table bare.sender_emails (like sync.sender_emails including all)"
COLUMNS = """
select string_agg(attname, ', ' order by attnum), string_agg('r.' || attname, ', ' order by attnum),
  string_agg(format('%1$s = excluded.%1$s', attname), ', ' order by attnum)
from pg_catalog.pg_attribute
where attrelid = 'bare.sender_emails'::regclass and attnum > 0
  and attname not in ('workspace_id', 'id', 'raw', 'last_changed_at', 'deleted_at')
"""
UPSERT = """
insert into bare.sender_emails (workspace_id, id, raw, {names})
select :workspace_id, r.id, x.record, {values}
from jsonb_array_elements(cast(:body as jsonb) -> 'data') as x (record)
cross join jsonb_populate_record(null::bare.sender_emails, x.record) as r
on conflict (workspace_id, id) do update set raw = excluded.raw, {changes}
"""


class BareLoop:
    """`seconds(n)` reads and writes the whole fleet with n requests in flight."""

    def __init__(
        self, api_url: str, workspaces: Sequence[WorkspaceInfo], upsert: str,
        connections: "SimpleQueue[Connection]", threads: ThreadPoolExecutor,
    ) -> None:  # fmt: skip
        self._api_url = api_url
        self._workspaces = workspaces
        self._upsert = upsert
        self._connections = connections
        self._threads = threads

    @classmethod
    @asynccontextmanager
    async def open(cls, database: Database, bison: BisonControl) -> "AsyncIterator[BareLoop]":
        connections: SimpleQueue[Connection] = SimpleQueue()
        with ExitStack() as opened, ThreadPoolExecutor(WRITERS) as threads:
            for _ in range(WRITERS):
                connections.put(opened.enter_context(connect(database)))
            owner = opened.enter_context(connect(database))
            owner.run("create schema bare")
            owner.run(TABLE)
            names, values, changes = owner.run(COLUMNS)[0]
            upsert = UPSERT.format(names=names, values=values, changes=changes)
            yield cls(bison.api_url, await bison.workspaces(), upsert, connections, threads)

    async def seconds(self, in_flight: int) -> float:
        limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
        turns = asyncio.Semaphore(in_flight)
        async with httpx.AsyncClient(limits=limits, timeout=30) as http:
            started = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                for workspace in self._workspaces:
                    tasks.create_task(self._sync(http, turns, tasks, workspace))
            return time.monotonic() - started

    async def _sync(
        self, http: httpx.AsyncClient, turns: asyncio.Semaphore, tasks: asyncio.TaskGroup,
        workspace: WorkspaceInfo,
    ) -> None:  # fmt: skip
        body = await self._page(http, turns, workspace, 1)
        for number in range(2, json.loads(body)["meta"]["last_page"] + 1):
            tasks.create_task(self._page(http, turns, workspace, number))

    async def _page(
        self, http: httpx.AsyncClient, turns: asyncio.Semaphore, workspace: WorkspaceInfo,
        number: int,
    ) -> str:  # fmt: skip
        answer, attempts = None, 0
        while answer is None or not answer.is_success:
            try:
                async with turns:
                    answer = await http.get(
                        f"{self._api_url}/sender-emails",
                        params={"page": number},
                        headers={"Authorization": f"Bearer {workspace.key}"},
                    )
            except httpx.TransportError:
                answer = None
            if answer is None or not answer.is_success:
                await asyncio.sleep(_wait_seconds(answer, attempts))
                attempts += 1
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, self._write, workspace, answer.text)
        return answer.text

    def _write(self, workspace: WorkspaceInfo, body: str) -> None:
        connection = self._connections.get()
        try:
            connection.run(self._upsert, workspace_id=workspace.workspace_id, body=body)
        finally:
            self._connections.put(connection)


def _wait_seconds(answer: httpx.Response | None, attempts: int) -> float:
    if answer is not None and answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return float(answer.headers["retry-after"])
    return random.uniform(0, min(RETRY_CAP_SECONDS, RETRY_BASE_SECONDS * 2**attempts))
