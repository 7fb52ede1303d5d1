"""A database with a Realtime server, shared by these tests; each begins with an idle server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import pytest_asyncio

from local.api import Api
from local.stack import Database, Stack
from tests.db.realtime.listener import Listener
from tests.support.db import Db

Listen = Callable[..., Awaitable[Listener]]


@pytest.fixture(scope="session")
def realtime_database(stack: Stack) -> Iterator[Database]:
    database = stack.create_database("realtime")
    yield database
    database.drop()


@pytest.fixture(scope="session")
def realtime_api(stack: Stack, realtime_database: Database) -> Iterator[Api]:
    api = stack.serve(realtime_database)
    yield api
    api.stop()


@pytest_asyncio.fixture
async def api(realtime_api: Api) -> Api:
    await realtime_api.realtime.reset()
    return realtime_api


@pytest.fixture
def db(realtime_database: Database) -> Iterator[Db]:
    """As the owner of the schema; forgets the policies that the test made for a room."""
    db = Db.connect(realtime_database.dsn)
    yield db
    for policy in db.column("select policyname from pg_policies where policyname ^@ 'room_'"):
        db.run(f"drop policy {policy} on realtime.messages")
    db.close()


@pytest_asyncio.fixture
async def listen(api: Api) -> AsyncIterator[Listen]:
    """Opens channels with the official Python client; without a token as the secret key."""
    opened: list[Listener] = []

    async def listen(topic: str, *, token: str | None = None, private: bool = True) -> Listener:
        opened.append(await Listener.open(api, topic, token, private=private))
        return opened[-1]

    yield listen
    for listener in opened:
        await listener.close()
