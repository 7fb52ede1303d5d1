"""The role that KEDA logs in with: it asks for one number, and nothing else."""

from urllib.parse import urlsplit

import pytest
import yaml
from pg8000.exceptions import DatabaseError

from local.bison import BisonControl, Hold
from local.stack import Database
from tests.e2e.world import CHECKOUT, World
from tests.support.db import Db, sqlstate

KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
PASSWORD = "change me"
DENIED = "42501"


def query() -> str:
    _, scaled = yaml.safe_load_all((KUBERNETES / "keda.yaml").read_text())
    return str(scaled["spec"]["triggers"][0]["metadata"]["query"])


async def test_the_scaler_sees_the_work_and_nothing_else(
    database: Database, world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    held = await bison.fault(Hold(), workspace="acme", page=2)
    world.db.run((KUBERNETES / "scaler-role.sql").read_text())
    scaler = Db.connect(as_scaler(database.dsn))
    try:
        idle = scaler.value(query())
        job_id = world.start()
        ready = scaler.value(query())
        world.db.run("select pause_sync()")
        paused = scaler.value(query())
        world.db.run("select resume_sync()")
        async with world.workers():
            await bison.wait_until_held(1, held)
            await world.until(lambda: world.run_pages("acme", "completed") == [1, 3])
            await world.until(lambda: world.run("zen")["status"] == "completed")
            world.db.run("select pause_sync()")
            in_flight = scaler.value(query())
            world.db.run("select resume_sync()")
            await bison.release(held)
            await world.ended(job_id)
        ended = scaler.value(query())
        refusals = [refused(scaler, relation) for relation in forbidden(world.db)]
    finally:
        scaler.close()
        world.db.run("drop schema chunkwise_scaler cascade; drop role chunkwise_scaler")

    assert [idle, ready, paused, in_flight, ended] == [0, 2, 0, 1, 0]
    assert set(refusals) == {DENIED}
    assert len(refusals) > 20


def as_scaler(dsn: str) -> str:
    url = urlsplit(dsn)
    host = f"chunkwise_scaler:{PASSWORD.replace(' ', '%20')}@{url.hostname}:{url.port}"
    return url._replace(netloc=host).geturl()


def forbidden(db: Db) -> list[str]:
    return db.column(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = any ('{public,sync,vault}'::regnamespace[])"
        " and c.relkind in ('r', 'p', 'v')"
        " and not exists (select 1 from pg_depend as d where d.objid = c.oid and d.deptype = 'e')"
    )


def refused(db: Db, relation: str) -> str:
    with pytest.raises(DatabaseError) as error:
        db.run(f"select 1 from {relation} limit 1")
    return sqlstate(error.value)
