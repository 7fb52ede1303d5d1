"""An upgrade from the last release and a fresh install give the same schema."""

import subprocess

import pytest

from local.catalog import Catalog, apply_sql
from local.cluster import DatabaseError, binaries
from local.migration import release
from local.stack import Database
from local.upgrade import NAMES, RELEASES, UPGRADES, last_release
from tests.support.db import Db

DASH = "\N{EN DASH}"


@pytest.fixture
def upgraded(bare: Database) -> Database:
    apply_release(bare)
    apply_upgrade(bare)
    return bare


def apply_release(bare: Database) -> None:
    for name in NAMES:
        apply_sql(bare.dsn, (RELEASES / last_release() / f"{name}.sql").read_text())


def apply_upgrade(bare: Database) -> None:
    for name in NAMES:
        if (path := UPGRADES / f"{release()}_{name}.sql").exists():
            apply_sql(bare.dsn, path.read_text())


def test_both_ways_lead_to_the_same_schema(upgraded: Database, database: Database) -> None:
    """By our own catalog, rows that come with it included, and by pg_dump."""
    assert Catalog.of(upgraded.dsn).difference(Catalog.of(database.dsn)) == []
    assert dumped(upgraded) == dumped(database)
    assert cron_jobs(upgraded) == cron_jobs(database)


def test_workspaces_are_found_by_the_names_that_they_had(bare: Database) -> None:
    """By what names are the same became wider than it was."""
    named = [
        f"Kunde {DASH} Nord",
        "Zwei  Blanks",
        "L\N{RIGHT SINGLE QUOTATION MARK}Étoile",
        "plain",
    ]
    upgrade_with(bare, named)
    db = Db.connect(bare.dsn)
    found = "select workspace_name from sync_workspaces where id = sync.workspace_id_of(:name)"
    assert [db.value(found, name=name) for name in named] == named
    assert db.value(found, name="kunde - nord") == named[0]
    db.close()


def test_two_names_that_would_be_one_stop_the_upgrade(bare: Database) -> None:
    with pytest.raises(DatabaseError, match=f"'A {DASH} B' and 'A - B' are now one"):
        upgrade_with(bare, [f"A {DASH} B", "A - B"])
    db = Db.connect(bare.dsn)
    assert db.value("select to_regclass('sync.workspace_tokens')") is None
    db.run("update sync_workspaces set workspace_name = 'A + B' where workspace_name = 'A - B'")
    db.close()
    apply_upgrade(bare)


def upgrade_with(bare: Database, names: list[str]) -> None:
    apply_release(bare)
    db = Db.connect(bare.dsn)
    for name in names:
        db.run(
            "insert into sync_workspaces (workspace_name, source_id, base_url)"
            " select :name, id, 'https://bison.example' from sync_sources limit 1",
            name=name,
        )
    db.close()
    apply_upgrade(bare)


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
