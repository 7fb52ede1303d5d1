from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from local.bison import BisonControl, running_bison
from local.net import Deliverer
from local.stack import Database, Stack
from tests.e2e.projects import Somebodys
from tests.e2e.world import World
from tests.support.db import Db
from tests.support.invariants import violations
from tests.support.setup import beat_as_cron, set_settings


@pytest.fixture
def world(stack: Stack, database: Database, tmp_path: Path) -> Iterator[World]:
    with new_world(stack, database, tmp_path) as new:
        yield new


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    """An instance of two workspaces with three and two pages."""
    async with running_bison({"acme": 40, "zen": 20}) as control:
        yield control


@pytest.fixture(scope="module")
def fleet_world(
    stack: Stack, database_numbers: Iterator[int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """A world that the tests of a module share."""
    database = stack.create_database(f"t{next(database_numbers)}")
    beat_as_cron(database)
    with new_world(stack, database, tmp_path_factory.mktemp("fleet")) as new:
        yield new
    database.drop()


@contextmanager
def new_world(stack: Stack, database: Database, logs: Path) -> Iterator[World]:
    """The API before a database, and settings that make waits short."""
    api = stack.serve(database)
    db = Db.connect(database.dsn)
    try:
        db.run("select set_budget('email_bison', null, null)")
        set_settings(db, retry_base_seconds=0.05)
        yield World(api, db, logs)
        assert violations(db) == []
    finally:
        db.close()
        api.stop()


@pytest.fixture
def somebodys(stack: Stack, tmp_path: Path, database_numbers: Iterator[int]) -> Iterator[Somebodys]:
    """An empty folder, and a project that nothing was pushed to."""
    folder = tmp_path / "their project"
    folder.mkdir()
    database = stack.create_bare_database(f"t{next(database_numbers)}")
    yield Somebodys(folder, database, stack)
    database.drop()


@pytest.fixture
def deliverer(
    stack: Stack,
    database: Database,
    pg_net_stand_in: None,  # noqa: ARG001
) -> Iterator[Deliverer]:
    """What sends the database's posts."""
    deliverer = stack.deliver(database)
    yield deliverer
    deliverer.stop()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=30) as client:
        yield client


@pytest.fixture
def lock(database: Database) -> Iterator[Db]:
    """A connection of its own, to hold what others wait for."""
    db = Db.connect(database.dsn)
    yield db
    db.close()
