"""The database goes from the last release to this one while its old worker syncs."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

from local.bison import Hold, running_bison
from tests.e2e.projects import ENVIRONMENT, RELEASES, Somebodys
from tests.e2e.world import PATIENCE_S, WITHOUT_SETTINGS, World
from tests.support.background import in_background
from tests.support.db import Db
from tests.support.invariants import violations

# The package as it was released: Python reads it from the archive.
OLD_PROGRAM = Path(__file__).parent / "chunkwise-0.1.0.zip"
TROUBLE = "select id from chunk_processing_queue where attempts > 0 or status = 'failed'"


async def test_nothing_is_lost(somebodys: Somebodys, tmp_path: Path) -> None:
    """A push that is refused lets the old worker go on; the one that passes stops it with code 3,
    its leases come back, and a new worker ends the job with every account, each page once."""
    for stamp, name in (
        ("20261122080000", "chunkwise"),
        ("20261122080100", "chunkwise_email_bison"),
    ):
        somebodys.add(stamp, name, (RELEASES / "0.1.0" / f"{name}.sql").read_text())
    somebodys.configure()
    somebodys.push()
    somebodys.chunkwise("upgrade")
    *_, engine, _ = sorted(somebodys.migrations.iterdir())
    whole = engine.read_text()
    engine.write_text(whole.replace("\nselect public.schedule_jobs();", "\nselect 1 / 0;"))

    api = somebodys.stack.serve(somebodys.database)
    try:
        async with running_bison({"acme": 600, "zen": 20}) as bison:
            with closing(Db.connect(somebodys.database.dsn)) as db:
                world = World(api, db, tmp_path)
                await world.register(bison)
                held = await bison.fault(Hold(), workspace="acme", from_page=20, times=None)
                async with old_worker(world) as worker:
                    job_id = world.start()
                    await bison.wait_until_held(1, held)
                    await pushed(lambda: somebodys.push(code=1))
                    before = len(world.live_ids("acme"))
                    await bison.release(held)
                    await world.until(lambda: len(world.live_ids("acme")) > before)
                    await bison.wait_until_held(1, held)
                    engine.write_text(whole)
                    await pushed(somebodys.push)
                    await bison.release(held)
                    assert await asyncio.wait_for(worker.wait(), PATIENCE_S) == 3
                assert world.job(job_id)["status"] == "running"
                await bison.clear_rules()
                async with world.workers():
                    job = await world.ended(job_id)
                assert job["status"] == "completed", world.state()
                assert [len(world.live_ids(name)) for name in ("acme", "zen")] == [600, 20]
                assert db.column(TROUBLE) == violations(db) == []
    finally:
        api.stop()


@asynccontextmanager
async def old_worker(world: World) -> AsyncIterator[Process]:
    """Of the last release."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "chunkwise", "worker"),
        env={
            **ENVIRONMENT,
            **world.env,
            "PYTHONPATH": f"{OLD_PROGRAM}",
            "CHUNKWISE_IDLE_SECONDS": "0.2",
        },
        cwd=WITHOUT_SETTINGS,
        stderr=DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def pushed(push: Callable[[], str]) -> str:
    """In a thread: the API that the worker asks is served from this one."""
    return await asyncio.wrap_future(in_background(push))
