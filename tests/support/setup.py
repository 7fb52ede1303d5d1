"""What a test's database needs before anything can be synced."""

import json

from local.stack import Database
from tests.support.db import Db

BASE_URL = "http://127.0.0.1:9"


def register_workspaces(db: Db, *names: str, slots: int = 8, base_url: str = BASE_URL) -> None:
    """Workspaces of Email Bison, without a limit of their budget; their keys are known to be their
    own, so that no run has to ask first."""
    for name in names:
        db.run(
            "select register_workspace(:name, :url, :key, 'email_bison', "
            "p_max_concurrency => cast(:slots as int))",
            name=name,
            url=base_url,
            key=f"1|key-of-{name}",
            slots=slots,
        )
        accept_key(db, name)
    db.run("select set_budget('email_bison', null, null)")


def accept_key(db: Db, name: str) -> None:
    db.run(
        "update sync_workspaces set key_status = 'accepted', key_owner_id = "
        "coalesce(external_id, id::text), external_id = coalesce(external_id, id::text) "
        "where workspace_name = :name",
        name=name,
    )


def set_settings(db: Db, **settings: float | bool) -> None:
    for name, value in settings.items():
        db.run(
            "select set_setting(:name, cast(:value as jsonb))", name=name, value=json.dumps(value)
        )


def keep_unanalyzed(db: Db) -> None:
    """Autovacuum leaves the tables alone, so that plans, and the rows they read, stay the same
    from run to run."""
    for table in db.column(
        "select oid::regclass::text from pg_class where relkind = 'r' "
        "and relnamespace in ('public'::regnamespace, 'sync'::regnamespace)"
    ):
        db.run(f"alter table {table} set (autovacuum_enabled = false)")


def plan_ahead(db: Db, pages: int) -> None:
    """So many pages wait at most, so that a short list needs several windows."""
    db.run(
        "create or replace function sync.pages_ahead(p_slots int) returns int language sql "
        f"immutable set search_path = pg_catalog, pg_temp as $$ select {pages} $$"
    )


def sweep_only_when_asked(db: Db) -> None:
    """Claims do not sweep, so that a test decides when one happens."""
    set_settings(db, sweep_interval_seconds=1_000_000)
    db.run("select cleanup_stuck_chunks()")


def wait_for_posts(db: Db) -> None:
    """No post of the engine's times out in pg_net because its receiver, or this process, stands
    still: what was posted is sent again, and told twice."""
    db.run(
        "do $do$ declare v text; begin "
        "for v in select pg_get_functiondef(oid) from pg_proc "
        "where pronamespace = 'sync'::regnamespace and prosrc like '%timeout_milliseconds => %' "
        "loop execute regexp_replace(v, 'timeout_milliseconds => [0-9]+', "
        "'timeout_milliseconds => 90000', 'g'); end loop; end $do$"
    )


def advance_clock(db: Db, seconds: float) -> None:
    """Move this database's clock to so many seconds ahead of the wall clock."""
    db.run(
        "create or replace function sync.now() returns timestamptz language sql stable "
        "set search_path = pg_catalog, pg_temp as "
        f"$$ select pg_catalog.clock_timestamp() + interval '{seconds} seconds' $$"
    )


def stop_clock(db: Db, seconds: float = 0) -> None:
    """Hold this database's clock at so many seconds after a fixed moment."""
    db.run(
        "create or replace function sync.now() returns timestamptz language sql stable "
        "set search_path = pg_catalog, pg_temp as "
        f"$$ select timestamptz '2026-11-01 12:00:00+00' + interval '{seconds} seconds' $$"
    )


def job_status(db: Db, job_id: str) -> str:
    return str(
        db.value("select status from polling_job_status where id = cast(:id as uuid)", id=job_id)
    )


def beat_as_cron(database: Database) -> None:
    """pg_cron runs in no copy, and the template's last heartbeat is as old as the template."""
    db = Db.connect(database.dsn)
    db.run("select sync.beat('cron')")
    db.close()
