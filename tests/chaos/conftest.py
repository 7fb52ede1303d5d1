from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from local.api import Api
from local.bison import BisonControl, running_bison
from tests.chaos.crew import Crew
from tests.e2e.world import World
from tests.support.db import Db
from tests.support.invariants import assert_ended
from tests.support.setup import set_settings

FLEET = {"acme": 60, "zen": 20, "north": 31}


@pytest_asyncio.fixture
async def bison() -> AsyncIterator[BisonControl]:
    """An instance with nine pages in three workspaces."""
    async with running_bison(FLEET) as control:
        yield control


@pytest.fixture
def world(api: Api, db: Db, tmp_path: Path) -> World:
    return World(api, db, tmp_path)


@pytest_asyncio.fixture
async def crew(world: World, bison: BisonControl) -> AsyncIterator[Crew]:
    """Workers for the registered fleet; at the end everything has ended as it should."""
    await world.register(bison)
    world.db.run("select set_budget('email_bison', null, null)")
    set_settings(world.db, retry_base_seconds=0.01)
    crew = Crew(world)
    yield crew
    await crew.stop_all()
    assert_ended(world.db)
