"""pytest fixtures over one stack that all xdist workers share.

Switched on with `pytest_plugins = ["local.fixtures"]` in tests/conftest.py.

The stack starts when the first test asks for it and ends with the test run, even a killed one. A
test that stops PostgreSQL or turns the clock starts a stack of its own instead.
"""

import os
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from local.api import Api
from local.commands import ensure_running, stop
from local.stack import Database, Stack

SHARED_STACK = "test"


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack shared by the whole run; make databases in it, do not stop it."""
    # An xdist worker ends when it has no more tests; the run is its parent.
    run = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    ensure_running(SHARED_STACK, grants="new", fsync=False, while_pid=run)
    return Stack.attach(SHARED_STACK)


@pytest.fixture(scope="session")
def new_database(stack: Stack) -> Iterator[Callable[[], Database]]:
    """Makes databases with all migrations, each other's strangers; dropped at the end."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    numbers = count(1)
    made: list[Database] = []

    def make() -> Database:
        made.append(stack.create_database(f"test_{worker}_{next(numbers)}"))
        return made[-1]

    yield make
    for database in made:
        database.drop()


@pytest.fixture
def database(new_database: Callable[[], Database]) -> Iterator[Database]:
    """A database for one test."""
    made = new_database()
    yield made
    made.drop()


@pytest.fixture
def api(stack: Stack, database: Database) -> Iterator[Api]:
    """PostgREST and gateway for the test's database."""
    served = stack.serve(database)
    yield served
    served.stop()


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        stop(SHARED_STACK)
