"""A migration looks before it changes anything: each thing in its way is one sentence."""

from contextlib import closing

import pytest

from chunkwise.install.carried import names_guards
from local.catalog import apply_sql
from local.cluster import DatabaseError
from local.migration import EMAIL_BISON, ENGINE, MIGRATIONS, release
from local.stack import Database, Stack
from local.upgrade import UPGRADES
from tests.support.db import Db

ENGINE_SQL = (MIGRATIONS / ENGINE).read_text()
SOURCE_SQL = (MIGRATIONS / EMAIL_BISON).read_text()
SOURCE_NAMES = names_guards(SOURCE_SQL)
IN_THE_WAY = {
    "a table": ("create table public.sync_sources ()", "table sync_sources"),
    "a view": ("create view public.queue_health as select 1 as a", "view queue_health"),
    "an index": (
        "create table public.a (constraint chunk_events_occurred_idx primary key (b), b int)",
        "index chunk_events_occurred_idx",
    ),
    "a function": (
        "create function public.try_sync_lock() returns int language sql as 'select 1'",
        "function try_sync_lock",
    ),
    "a type": ("create type public.chunk_events as enum ('one')", "type chunk_events"),
    "a schema": ("create schema sync", "schema named sync"),
    "no Vault": ("drop schema vault cascade", "Enable supabase_vault"),
    "no pg_net": ("drop schema net cascade", "Enable pg_net"),
    "no Supabase": ("drop schema auth cascade", "no Supabase database"),
}


def refused(database: Database, sql: str) -> str:
    """What the push says; that nothing was done is a matter of the transaction."""
    with pytest.raises(DatabaseError) as error:
        apply_sql(database.dsn, sql)
    return f"{error.value}"


@pytest.mark.usefixtures("pg_net_stand_in")
@pytest.mark.parametrize("what", IN_THE_WAY)
def test_what_is_in_the_way_is_named(stack: Stack, bare: Database, what: str) -> None:
    planted, named = IN_THE_WAY[what]
    with closing(Db.connect(stack.dsn("supabase_admin", bare.name))) as db:
        db.run(planted)
    said = refused(bare, ENGINE_SQL)
    assert named in said
    assert len([line for line in said.splitlines() if "ERROR" in line]) == 1


def test_what_an_old_poller_made_can_be_moved_after_a_new_start(bare: Database) -> None:
    with closing(Db.connect(bare.dsn)) as db:
        db.run("create table public.client_registry ()")
    said = refused(bare, SOURCE_NAMES)
    assert "table client_registry" in said
    assert "delete supabase/chunkwise.lock and the files that it lists" in said


def test_a_source_needs_the_engine_of_its_release(bare: Database, database: Database) -> None:
    assert "needs Chunkwise" in refused(bare, SOURCE_SQL)
    with closing(Db.connect(database.dsn)) as db:
        db.run(
            "create or replace function public.chunkwise_version() returns jsonb language sql"
            ' stable as $$ select \'{"release": "0.0.1"}\'::jsonb $$'
        )
    assert "needs Chunkwise" in refused(database, SOURCE_SQL)


def test_an_upgrade_needs_the_release_before(bare: Database, database: Database) -> None:
    engine, source = (
        (UPGRADES / f"{release()}_{name}.sql").read_text()
        for name in ("chunkwise", "chunkwise_email_bison")
    )
    assert "nothing to upgrade" in refused(bare, engine)
    assert f"the database has {release()}" in refused(database, engine)
    assert f"needs Chunkwise {release()}" in refused(bare, source)


def test_an_installation_is_not_repeated(database: Database) -> None:
    assert "Run chunkwise upgrade" in refused(database, ENGINE_SQL)
    again = refused(database, SOURCE_SQL)
    assert "view sender_emails" in again
    assert "delete this file" in again
