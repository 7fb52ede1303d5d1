"""What the demo and the benchmarks start: a database behind its API, a fake fleet, workers."""

import os
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pg8000.native

from local.api import Api
from local.bison import BisonControl
from local.folders import CHECKOUT
from local.process import Child
from local.stack import Database, Stack
from supabase import AsyncClient, acreate_client

CHUNKWISE = Path(sys.executable).with_name("chunkwise")


@contextmanager
def connect(database: Database) -> Iterator[pg8000.native.Connection]:
    """Direct SQL as `postgres`, as the SQL editor has it."""
    connection = pg8000.native.Connection(
        "postgres",
        host="127.0.0.1",
        port=database.stack.state.port,
        password="postgres",
        database=database.name,
    )
    try:
        yield connection
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Target:
    """A database of a stack and the API before it."""

    database: Database
    api: Api

    @classmethod
    def fresh(cls, stack: Stack, name: str) -> "Target":
        """Every migration, no rows."""
        database = stack.create_database(name)
        return cls(database, stack.serve(database))

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Verbs"]:
        """The verbs over PostgREST, with the secret key."""
        client = await acreate_client(self.api.url, self.api.secret_key)
        async with client.postgrest:
            yield Verbs(client)


@dataclass(frozen=True, slots=True)
class Verbs:
    """Calls through the official client."""

    _client: AsyncClient

    async def call(self, verb: str, **arguments: object) -> dict[str, Any]:
        answer = await self._client.rpc(verb, arguments).execute()
        return cast("dict[str, Any]", answer.data)


async def register(verbs: Verbs, bison: BisonControl) -> int:
    """Every workspace of the fleet, with its key; how many."""
    workspaces = await bison.workspaces()
    for workspace in workspaces:
        await verbs.call(
            "register_workspace",
            p_workspace_name=workspace.name,
            p_base_url=bison.base_url,
            p_api_key=workspace.key,
            p_external_id=str(workspace.workspace_id),
        )
    return len(workspaces)


@contextmanager
def workers(
    target: Target,
    count: int,
    *,
    concurrency: int,
    idle_seconds: float,
    options: Sequence[str] = (),
    **settings: str,
) -> Iterator[list[Child]]:
    """`chunkwise worker` processes; at the end they hand back what they hold."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "SUPABASE_URL": target.api.url,
        "SUPABASE_SECRET_KEY": target.api.secret_key,
        "CHUNKWISE_CONCURRENCY": str(concurrency),
        "CHUNKWISE_IDLE_SECONDS": str(idle_seconds),
        **settings,
    }
    started: list[Child] = []
    try:
        for number in range(1, count + 1):
            log = target.database.stack.folder.logs / f"worker-{number}.log"
            log.unlink(missing_ok=True)
            command = [str(CHUNKWISE), "worker", *options]
            started.append(Child.start(f"worker {number}", command, log, environment=environment))
        yield started
    finally:
        for worker in started:
            worker.process.terminate()
        for worker in started:
            worker.stop()
