"""The real stack that a test drives: a database of its own, PostgREST, gateway, workers."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pg8000.exceptions import Error
from postgrest import AsyncRPCFilterRequestBuilder
from postgrest.exceptions import APIError

from chunkwise.gateway.compatibility import connected
from chunkwise.settings import Settings
from chunkwise.worker.fetch import Fetcher
from chunkwise.worker.loop import Worker
from local.api import Api
from local.bison import BisonControl
from supabase import AsyncClient, AsyncClientOptions, create_async_client
from tests.support.db import Db, Row
from tests.support.setup import accept_key

CHECKOUT = Path(__file__).resolve().parents[2]
# Where no .env and no .env.local are.
WITHOUT_SETTINGS = CHECKOUT / "tests"
# Bounds what hangs, on a machine that is busy with other tests.
PATIENCE_S = 90.0
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.out)

    @property
    def complaints(self) -> str:
        """What it said on stderr beside why nothing moves, which a busy machine makes it say."""
        lines = self.err.splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("waiting: "))


@dataclass(frozen=True, slots=True)
class World:
    """`env` is what a program needs to reach it."""

    api: Api
    db: Db
    logs: Path

    @property
    def env(self) -> dict[str, str]:
        return {"SUPABASE_URL": self.api.url, "SUPABASE_SECRET_KEY": self.api.secret_key}

    async def register(self, bison: BisonControl, *names: str) -> None:
        """All workspaces of the instance, or those named; their keys are known to be their own, so
        that every request is one for accounts."""
        for info in await bison.workspaces():
            if not names or info.name in names:
                self.db.run(
                    "select register_workspace(:name, :url, :key, 'email_bison', :id)",
                    name=info.name,
                    url=bison.base_url,
                    key=info.key,
                    id=str(info.workspace_id),
                )
                accept_key(self.db, info.name)

    def start(self, *workspaces: str, name: str = "sync") -> UUID:
        """The id of the accepted job."""
        answer = self.db.value(
            "select start_sync_job(:name, p_workspaces => :workspaces)",
            name=name,
            workspaces=list(workspaces) or None,
        )
        assert answer["status"] == "accepted", answer
        return UUID(answer["job_id"])

    async def sync(self, *workspaces: str) -> Row:
        """Start a job and wait for its end; there must be somebody who works."""
        return await self.ended(self.start(*workspaces))

    async def ended(self, job_id: UUID, seconds: float = PATIENCE_S) -> Row:
        """The job's row when it has ended."""
        await self.until(lambda: self.job(job_id)["status"] != "running", seconds)
        return self.job(job_id)

    def job(self, job_id: UUID) -> Row:
        return self.db.one("select * from polling_job_status where id = :id", id=job_id)

    def run(self, workspace: str) -> Row:
        """The newest run of a workspace."""
        return self.db.one(
            "select r.* from workspace_sync_runs r join sync_workspaces w on w.id = r.workspace_id"
            " where w.workspace_name = :name order by r.id desc limit 1",
            name=workspace,
        )

    def run_status(self, job_id: UUID) -> dict[str, str]:
        """Status of each workspace's run in a job."""
        return {
            row["workspace_name"]: row["status"]
            for row in self.db.run(
                "select w.workspace_name, r.status from workspace_sync_runs r"
                " join sync_workspaces w on w.id = r.workspace_id where r.job_id = :id",
                id=job_id,
            )
        }

    def live_ids(self, workspace: str) -> list[int]:
        return self.db.column(
            "select id from sender_emails where workspace_name = :name and deleted_at is null"
            " order by id",
            name=workspace,
        )

    def deleted_ids(self, workspace: str) -> list[int]:
        return self.db.column(
            "select id from sender_emails where workspace_name = :name and deleted_at is not null"
            " order by id",
            name=workspace,
        )

    def events(self, workspace: str, *events: str) -> list[Row]:
        """What happened to the chunks of a workspace's newest run, oldest first."""
        return self.db.run(
            "select e.event, e.details, e.worker_id, c.kind, c.page, c.record_id, c.scan"
            " from chunk_events e join chunked_sync_jobs c on c.id = e.chunk_id"
            " where e.run_id = :run and (:events::text[] = '{}' or e.event = any (:events))"
            " order by e.id",
            run=self.run(workspace)["id"],
            events=list(events),
        )

    def run_pages(self, workspace: str, status: str) -> list[int]:
        """Pages of a workspace's newest run whose chunks stand so."""
        return self.db.column(
            "select page from sync_page_queue where run_id = :run and status = :status order by 1",
            run=self.run(workspace)["id"],
            status=status,
        )

    @asynccontextmanager
    async def client(
        self, token: str | None = None, key: str | None = None
    ) -> AsyncIterator[AsyncClient]:
        """The official client: with the publishable key, or another, and perhaps a user's token."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            options = AsyncClientOptions(httpx_client=http)
            client = await create_async_client(
                self.api.url, key or self.api.publishable_key, options
            )
            if token is not None:
                client.postgrest.auth(token)
            yield client

    async def until(self, condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not so within {seconds:g} s: {self.state()}")
            await asyncio.sleep(LOOK_S)

    def state(self) -> object:
        """What a failing test wants to know."""
        try:
            return self._ask_state()
        except (Error, OSError) as error:
            return f"the database cannot be asked: {error}"

    def _ask_state(self) -> list[object]:
        return [
            self.db.run("select * from sync_progress"),
            self.db.run("select * from chunk_processing_queue where completed_at is null"),
            self.db.run("select id, close_error, warnings from workspace_sync_runs"),
            self.db.column("select last_error from sync.sweep_state"),
        ]

    @asynccontextmanager
    async def workers(self, count: int = 1, concurrency: int = 16) -> AsyncIterator[None]:
        """Workers in this process; they look often, so that no test waits for an interval."""
        stop = asyncio.Event()
        settings = Settings.read(**self.env, CHUNKWISE_IDLE_SECONDS="0.1")
        async with AsyncExitStack() as resources, asyncio.TaskGroup() as tasks:
            for number in range(count):
                named = {"worker_id": f"inside-{number}", "concurrency": concurrency}
                mine = settings.model_copy(update=named)
                gateway = await resources.enter_async_context(connected(mine))
                fetcher = await resources.enter_async_context(Fetcher.open(concurrency))
                tasks.create_task(Worker(mine, gateway, fetcher, stop).run())
            try:
                yield
            finally:
                stop.set()

    @asynccontextmanager
    async def worker_processes(self, count: int = 2, **env: str) -> AsyncIterator[list[Path]]:
        """`chunkwise worker` processes; their log files. Each must end with code 0 on SIGTERM."""
        async with AsyncExitStack() as processes:
            logs = [self.logs / f"worker-{number}.log" for number in range(count)]
            started = [
                await processes.enter_async_context(self._worker_process(log, env)) for log in logs
            ]
            await self.until(lambda: all("worker_started" in log.read_text() for log in logs))
            yield logs
        assert [process.returncode for process in started] == [0] * count

    @asynccontextmanager
    async def _worker_process(self, log: Path, env: dict[str, str]) -> AsyncIterator[Process]:
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "chunkwise", "worker"),
                env=_environment(self.env | {"CHUNKWISE_IDLE_SECONDS": "0.2"} | env),
                stderr=stderr,
                cwd=WITHOUT_SETTINGS,
            )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), PATIENCE_S)

    @asynccontextmanager
    async def command(self, *arguments: str) -> AsyncIterator[Process]:
        """A command that the test itself brings to its end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "chunkwise", *arguments),
            env=_environment(self.env),
            stdout=PIPE,
            stderr=PIPE,
            cwd=WITHOUT_SETTINGS,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def chunkwise(self, *arguments: str, stdin: str = "", **env: str) -> Ended:
        """Run the command to its end."""
        return await run_chunkwise(arguments, self.env | env, stdin)


async def run_chunkwise(arguments: Sequence[str], env: dict[str, str], stdin: str = "") -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chunkwise", *arguments),
        env=_environment(env),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        cwd=WITHOUT_SETTINGS,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), PATIENCE_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ended(process.returncode or 0, out.decode(), err.decode())


async def answered(call: AsyncRPCFilterRequestBuilder) -> Any:  # noqa: ANN401
    """What a function answers over the API."""
    return (await call.execute()).data


async def refused(call: AsyncRPCFilterRequestBuilder) -> APIError:
    """The error of a call that must not succeed."""
    with pytest.raises(APIError) as error:
        await call.execute()
    return error.value


def _environment(env: dict[str, str]) -> dict[str, str]:
    """Nothing of the caller's settings."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env}
