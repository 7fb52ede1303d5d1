"""A database whose requests are delivered, shared by these tests; each begins with empty tables."""

from collections.abc import Iterator

import pytest

from local.net import Deliverer
from local.stack import Database, Stack
from tests.db.net.inbox import Inbox, open_inbox
from tests.support.db import Db


@pytest.fixture(scope="session")
def net_database(stack: Stack, pg_net_stand_in: None) -> Iterator[Database]:  # noqa: ARG001
    database = stack.create_database("net")
    yield database
    database.drop()


@pytest.fixture(scope="session")
def running_deliverer(stack: Stack, net_database: Database) -> Iterator[Deliverer]:
    deliverer = stack.deliver(net_database)
    yield deliverer
    deliverer.stop()


@pytest.fixture
def deliverer(running_deliverer: Deliverer, net_database: Database) -> Iterator[Deliverer]:
    yield running_deliverer
    running_deliverer.start()
    net_database.stack.psql(
        "-c", "truncate net._http_response, net.http_request_queue restart identity",
        "-c", "update stand_in.net_faults set dropped_share = 0, doubled_share = 0, delay_ms = 0",
        database=net_database.name,
    )  # fmt: skip


@pytest.fixture
def db(net_database: Database, deliverer: Deliverer) -> Iterator[Db]:  # noqa: ARG001
    db = Db.connect(net_database.dsn)
    yield db
    db.close()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as inbox:
        yield inbox
