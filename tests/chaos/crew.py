"""Real worker processes, to be killed."""

import os
import signal
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from dataclasses import dataclass, field
from pathlib import Path

from local.bison import BisonControl
from tests.e2e.world import WITHOUT_SETTINGS, World

QUICK = {"CHUNKWISE_IDLE_SECONDS": "0.1", "CHUNKWISE_CONCURRENCY": "4"}


@dataclass(slots=True)
class Crew:
    """`chunkwise worker` processes of one test, by worker id."""

    world: World
    processes: dict[str, Process] = field(default_factory=dict)

    async def hire(self, name: str, **env: str) -> None:
        """Start a worker; it looks for work often."""
        own = {"PATH": os.environ["PATH"], "HOME": "/", "CHUNKWISE_WORKER_ID": name}
        with self.log(name).open("ab") as log:
            self.processes[name] = await create_subprocess_exec(
                *(sys.executable, "-m", "chunkwise", "worker"),
                env={**own, **QUICK, **self.world.env, **env},
                stderr=log,
                cwd=WITHOUT_SETTINGS,
            )

    def log(self, name: str) -> Path:
        return self.world.logs / f"{name}.log"

    async def kill(self, name: str) -> None:
        await self._end(name, signal.SIGKILL)

    async def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        return await self._end(name, signal.SIGTERM)

    def tell_to_stop(self, name: str) -> None:
        """SIGTERM, without waiting for the end."""
        self.processes[name].send_signal(signal.SIGTERM)

    async def exit_code(self, name: str) -> int:
        return await self.processes.pop(name).wait()

    async def stop_all(self) -> None:
        for name in list(self.processes):
            await self.kill(name)

    def is_running(self, name: str) -> bool:
        return self.processes[name].returncode is None

    def chunks_of(self, name: str) -> list[int]:
        """Chunks that are leased to a worker."""
        return self.world.db.column(
            "select id from chunk_processing_queue where status = 'processing' "
            "and worker_id = :name order by id",
            name=name,
        )

    async def _end(self, name: str, how: signal.Signals) -> int:
        process = self.processes.pop(name)
        if process.returncode is None:
            process.send_signal(how)
        return await process.wait()


def events(world: World, *kinds: str) -> list[int]:
    """Chunks to which such things happened, once for each time."""
    return world.db.column(
        "select chunk_id from chunk_events where event = any (cast(:kinds as text[])) order by 1",
        kinds=list(kinds),
    )


async def assert_synced_exactly(world: World, bison: BisonControl, *names: str) -> None:
    """Every row of these workspaces, or all, is the API's, and every chunk was applied once."""
    for info in await bison.workspaces():
        if names and info.name not in names:
            continue
        stored = world.db.column(
            "select raw from sender_emails where workspace_name = :name and deleted_at is null "
            "order by id",
            name=info.name,
        )
        assert stored == await bison.accounts(info.name)
    assert events(world, "completed") == world.db.column(
        "select id from chunk_processing_queue order by 1"
    )
    assert world.db.column("select distinct status from workspace_sync_runs") == ["completed"]
    assert world.db.value("select sum(attempts) from chunk_processing_queue") == 0
