"""The database is upgraded while workers run and before PostgREST has read its schema anew."""

import asyncio

import httpx
import pytest

from local.bison import BisonControl
from local.stack import Database, Stack
from tests.e2e.receivers import post, ready, receiver
from tests.e2e.world import PATIENCE_S, World

NEWER = (
    "create or replace function chunkwise_version() returns jsonb language sql stable"
    " set search_path = pg_catalog, pg_temp set statement_timeout = '5s' as $$ select"
    " pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 3) $$"
)
IN_FLIGHT = "select id from chunk_processing_queue where status = 'processing'"
TROUBLE = "select id from chunk_processing_queue where attempts > 0 or lease_losses > 0"


async def test_a_running_worker_stops_when_the_protocol_is_not_its_own_any_more(
    world: World, bison: BisonControl
) -> None:
    """With code 3; what it was just given is handed back, so that it waits for nobody's lease."""
    await world.register(bison)
    async with world.command("worker") as worker:
        await world.until(lambda: world.db.run("select 1 from sync.workers") != [])
        world.db.run("select set_budget('email_bison', 0.01, null)")
        with world.db.transaction():
            world.db.run(NEWER)
            world.start()
        _, err = await asyncio.wait_for(worker.communicate(), PATIENCE_S)

    *_, said, way_out = err.decode().splitlines()
    assert (worker.returncode, said) == (
        3,
        "chunkwise: the database has protocol 3, newer than this program's 2",
    )
    assert way_out.startswith("Update the worker")
    assert '"event": "worker_misfit"' in err.decode()
    assert world.db.column(IN_FLIGHT) == world.db.column(TROUBLE) == []


async def test_so_does_a_receiver_at_the_next_post(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    async with receiver(world) as running:
        world.db.run(NEWER)
        world.start()
        chunk, *_ = ready(world)
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            await post(http, running.url, chunk)
        await world.until(lambda: running.receiver.misfit is not None)
    assert world.db.column(IN_FLIGHT) == []


@pytest.fixture
def stale(world: World, database: Database, stack: Stack) -> "StaleApi":
    """Nobody tells PostgREST what changes in this database, as far as the platform is concerned."""
    for trigger in ("pgrst_ddl_watch", "pgrst_drop_watch"):
        stack.psql("-c", f"drop event trigger {trigger}", database=database.name)
    return StaleApi(world)


class StaleApi:
    def __init__(self, world: World) -> None:
        self._world = world

    async def of(self, function: str, arguments: str, call: dict[str, object]) -> None:
        """PostgREST read the schema when it had no such function, which a call without effect
        shows. A reading that was asked for earlier may still follow: then once more."""
        db = self._world.db

        def is_unknown() -> bool:
            return self._answer(function, call)["code"] == "PGRST202"

        for _ in range(5):
            db.run(f"alter function {function}({arguments}) rename to not_yet")
            self.reload()
            await self._world.until(is_unknown)
            db.run(f"alter function not_yet({arguments}) rename to {function}")
            if all(is_unknown() for _ in range(20)):
                return
        raise AssertionError("PostgREST reads the schema again and again")

    def reload(self) -> None:
        self._world.db.run("notify pgrst, 'reload schema'")

    def _answer(self, function: str, call: dict[str, object]) -> dict[str, object]:
        api = self._world.api
        url = f"{api.url}/rest/v1/rpc/{function}"
        headers = {"apikey": api.secret_key}
        answer = httpx.post(url, json=call, headers=headers, timeout=PATIENCE_S)
        return {"code": None, **answer.json()}


async def test_a_command_tells_an_old_cache_from_a_missing_schema(
    world: World, stale: StaleApi
) -> None:
    await stale.of("start_sync_job", "text, text[], text[]", {"p_job_name": "no workspace"})
    ended = await world.chunkwise("sync")

    said, way_out = ended.err.splitlines()
    assert (ended.code, ended.out) == (3, "")
    assert said.startswith("chunkwise: the API serves an older schema than the database has")
    assert "notify pgrst, 'reload schema';" in way_out


async def test_a_worker_holds_its_pages_until_the_api_knows_where_to_put_them(
    world: World, bison: BisonControl, stale: StaleApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is failed of it, nor is a page fetched twice."""
    await world.register(bison)
    await stale.of("complete_chunk_jobs_safe", "jsonb", {"p_pages": []})
    async with world.workers():
        job_id = world.start()
        await world.until(lambda: "complete_repeated" in caplog.messages)
        stale.reload()
        job = await world.ended(job_id)

    assert job["status"] == "completed"
    assert world.db.column(TROUBLE) == []
    seen = [(one.workspace, one.page) for one in (await bison.traffic()).requests]
    assert len(seen) == len(set(seen)) == 5
