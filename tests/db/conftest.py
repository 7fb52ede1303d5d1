"""Databases that nothing was pushed to."""

from collections.abc import Iterator

import pytest

from local.stack import Database, Stack


@pytest.fixture
def bare(stack: Stack, database_numbers: Iterator[int]) -> Iterator[Database]:
    database = stack.create_bare_database(f"t{next(database_numbers)}")
    yield database
    database.drop()
