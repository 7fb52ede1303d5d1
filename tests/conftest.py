"""A stack per test process, a database per test."""

import itertools
import signal
from collections.abc import Callable, Iterator

import pytest

from local.api import Api
from local.stack import Database, Stack
from tests.support.db import Db
from tests.support.setup import beat_as_cron
from tests.support.sql_worker import NewWorker, SqlWorker
from tests.support.stand_ins import require_stand_in

Connect = Callable[..., Db]

# A shell without job control has what it starts in the background ignore Ctrl-C, and the commands
# that are started here inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def stack(worker_id: str) -> Iterator[Stack]:
    """A running stack that no other test process uses; its data folder is kept."""
    with Stack.start_free(f"test-{worker_id}") as stack:
        yield stack


@pytest.fixture(scope="session")
def database_numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture
def database(stack: Stack, database_numbers: Iterator[int]) -> Iterator[Database]:
    """A fresh copy of the migrated template. No test may leave a deadlock behind."""
    database = stack.create_database(f"t{next(database_numbers)}")
    beat_as_cron(database)
    yield database
    deadlocks = stack.psql(
        "-c", f"select deadlocks from pg_stat_database where datname = '{database.name}'"
    )
    database.drop()
    assert deadlocks == "0"


@pytest.fixture(scope="session")
def pg_net_stand_in() -> None:
    """For tests that play pg_net's faults, or have a copy of the database delivered: the original's
    one process serves the live database only."""
    require_stand_in("pg_net")


@pytest.fixture
def connect(database: Database) -> Iterator[Connect]:
    """Opens connections to the test's database, as `postgres` or with a role set."""
    opened: list[Db] = []

    def connect(role: str | None = None) -> Db:
        opened.append(Db.connect(database.dsn, role))
        return opened[-1]

    yield connect
    for db in opened:
        db.close()


@pytest.fixture
def db(connect: Connect) -> Db:
    """The test's own connection: the owner of the schema, who sees every table."""
    return connect()


@pytest.fixture
def new_worker(connect: Connect) -> NewWorker:
    """Makes workers, each with a connection of its own."""
    numbers = itertools.count(1)
    return lambda: SqlWorker(connect("service_role"), f"worker-{next(numbers)}")


@pytest.fixture
def api(stack: Stack, database: Database) -> Iterator[Api]:
    """PostgREST and the gateway before the test's database."""
    api = stack.serve(database)
    yield api
    api.stop()
