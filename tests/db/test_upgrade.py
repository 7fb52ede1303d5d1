"""An upgrade from the last release and a fresh install give the same schema."""

import subprocess

import pytest

from local.catalog import Catalog, apply_sql
from local.cluster import binaries
from local.migration import release
from local.stack import Database
from local.upgrade import NAMES, RELEASES, UPGRADES, last_release


@pytest.fixture
def upgraded(bare: Database) -> Database:
    for name in NAMES:
        apply_sql(bare.dsn, (RELEASES / last_release() / f"{name}.sql").read_text())
    for name in NAMES:
        if (path := UPGRADES / f"{release()}_{name}.sql").exists():
            apply_sql(bare.dsn, path.read_text())
    return bare


def test_both_ways_lead_to_the_same_schema(upgraded: Database, database: Database) -> None:
    """By our own catalog, rows that come with it included, and by pg_dump."""
    assert Catalog.of(upgraded.dsn).difference(Catalog.of(database.dsn)) == []
    assert dumped(upgraded) == dumped(database)
    assert cron_jobs(upgraded) == cron_jobs(database)


def dumped(database: Database) -> list[str]:
    """Statements in any order; so the lines of a table, to which an upgrade adds the last columns,
    and of a view that has all of them."""
    command = [f"{binaries() / 'pg_dump'}", "--schema-only", "-n", "public", "-n", "sync*"]
    text = subprocess.run(
        [*command, database.dsn], capture_output=True, text=True, check=True
    ).stdout
    code = "\n".join(line for line in text.splitlines() if not line.startswith(("--", "\\")))
    return sorted(_steady(part.strip()) for part in code.split("\n\n\n"))


def _steady(statement: str) -> str:
    if not statement.startswith(("CREATE TABLE", "CREATE UNLOGGED TABLE", "CREATE VIEW")):
        return statement
    return "\n".join(sorted(line.strip(" ,;") for line in statement.splitlines()))


def cron_jobs(database: Database) -> str:
    stack = database.stack
    query = "select jobname, schedule, command from cron.job order by jobname"
    return stack.psql("-c", query, database=database.name)
