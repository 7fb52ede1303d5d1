"""PostgREST, the gateway and Postgres restart in the middle of a sync; the workers stay."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from local.bison import BisonControl, Hold
from local.stack import Stack
from tests.chaos.crew import Crew, assert_synced_exactly, events
from tests.e2e.world import World
from tests.support.db import Db
from tests.support.invariants import assert_ended

PAGES_HELD = 3
Step = Callable[[], object]


@pytest.mark.parametrize("what", ["postgrest", "gateway"])
async def test_restart_of_the_api(crew: Crew, bison: BisonControl, what: str) -> None:
    api = crew.world.api

    def stop() -> None:
        if what == "postgrest":
            api.stop_postgrest(kill=True)
        else:
            api.stop_gateway(kill=True)

    def start() -> None:
        if what == "postgrest":
            api.start_postgrest()
        else:
            api.start_gateway()
        api.wait_until_ready()

    await start_sync(crew, bison)
    await restart_in_between(crew, bison, stop, start)
    await assert_completed(crew, bison)


async def test_restart_of_postgres(worker_id: str, tmp_path: Path, bison: BisonControl) -> None:
    """An immediate stop, as a crash: the next start recovers from the log."""
    with Stack.start_free(f"crash-{worker_id}", fsync=True) as stack:
        database = stack.create_database("crash")
        api = stack.serve(database)
        crew = Crew(World(api, Db.connect(database.dsn), tmp_path))
        try:
            await crew.world.register(bison)
            crew.world.db.run("select set_budget('email_bison', null, null)")
            await start_sync(crew, bison)
            crew.world.db.close()
            await restart_in_between(
                crew, bison, lambda: stack.stop_postgres(immediate=True), stack.start_postgres
            )
            crew.world = World(api, Db.connect(database.dsn), tmp_path)
            await assert_completed(crew, bison)
            assert_ended(crew.world.db)
            crew.world.db.close()
            database.drop()
        finally:
            await crew.stop_all()


async def start_sync(crew: Crew, bison: BisonControl) -> None:
    """Two workers are in the middle of it: pages of acme are asked for and not answered."""
    await bison.fault(Hold(), workspace="acme", nth=2, times=None)
    for name in ("one", "two"):
        await crew.hire(name)
    # One that cannot reach the API while it starts ends with a sentence, as it should.
    await crew.world.until(lambda: crew.world.db.value("select count(*) from sync.workers") == 2)
    crew.world.start()
    await bison.wait_until_held(PAGES_HELD)


async def restart_in_between(crew: Crew, bison: BisonControl, stop: Step, start: Step) -> None:
    """The answers arrive while there is nobody to hand them to."""
    stop()
    await bison.clear_rules()
    await crew.world.until(partial(is_repeating_completions, crew))
    start()


def is_repeating_completions(crew: Crew) -> bool:
    return any("complete_repeated" in crew.log(name).read_text() for name in crew.processes)


async def assert_completed(crew: Crew, bison: BisonControl) -> None:
    job_id = crew.world.db.value("select id from polling_job_status")
    assert (await crew.world.ended(job_id))["status"] == "completed"
    assert crew.is_running("one")
    assert crew.is_running("two")
    assert events(crew.world, "failed", "retry") == []
    await assert_synced_exactly(crew.world, bison)
