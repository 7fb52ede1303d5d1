"""`chunkwise doctor` names exactly the planted fault, with its mend, and nothing else."""

from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio

from chunkwise.doctor.database import Database as Doctor
from chunkwise.doctor.examine import examine
from chunkwise.doctor.platform import PARTITION
from chunkwise.secret import Secret
from chunkwise.settings import Settings
from local.bison import BisonControl
from local.net import Deliverer
from local.stack import Database, Stack
from tests.e2e.world import Ended, World
from tests.support.background import wait_until
from tests.support.db import Db

KEY = "sk_live_OneKeyThatNobodyMaySeeInAnyOutput"
FRESH = "select sync.beat(name) from sync.heartbeats"
LATER = (
    "create or replace function sync.now() returns timestamptz language sql stable"
    " set search_path = pg_catalog, pg_temp"
    " as $$ select pg_catalog.clock_timestamp() + interval '5 minutes' $$"
)


@dataclass(frozen=True, slots=True)
class Project:
    """A world in which all is well: a workspace, a live worker that hears, cron's heartbeat."""

    world: World
    database: Database
    superuser: Db

    async def doctor(self) -> Ended:
        return await self.world.chunkwise("doctor", "--json", DATABASE_URL=self.database.dsn)


@pytest_asyncio.fixture
async def project(
    world: World,
    database: Database,
    stack: Stack,
    bison: BisonControl,
    deliverer: Deliverer,  # noqa: ARG001
) -> AsyncIterator[Project]:
    await world.register(bison, "acme")
    world.db.run(FRESH)
    superuser = Db.connect(stack.dsn("supabase_admin", database.name))
    with closing(superuser):
        async with world.workers():
            await world.until(lambda: world.db.run("select 1 from sync.workers") != [])
            await world.until(lambda: world.db.run(PARTITION) == [])
            yield Project(world, database, superuser)


def sql(*statements: str) -> Callable[[Project], None]:
    def plant(project: Project) -> None:
        for statement in statements:
            project.world.db.run(statement)

    return plant


def superuser_sql(*statements: str) -> Callable[[Project], None]:
    def plant(project: Project) -> None:
        for statement in statements:
            project.superuser.run(statement)

    return plant


def expose_sync(project: Project) -> None:
    """PostgREST reads its configuration again when it gets to it."""
    project.superuser.run(
        f"alter role authenticator in database {project.database.name}"
        " set pgrst.db_schemas = 'public, sync'"
    )
    project.superuser.run("notify pgrst, 'reload config'")
    api = project.world.api
    headers = {"apikey": api.secret_key, "Accept-Profile": "sync"}
    wait_until(
        lambda: httpx.head(f"{api.url}/rest/v1/", headers=headers, timeout=60).is_success,
        "sync is exposed",
    )


def read_only(project: Project) -> None:
    name = project.database.name
    project.superuser.run(f"alter database {name} set default_transaction_read_only = on")


def log_everything(project: Project) -> None:
    name = project.database.name
    project.superuser.run(f"alter database {name} set log_statement = 'all'")


FAULTS: dict[str, tuple[Callable[[Project], None], str, str, str]] = {
    "a cron job is gone": (
        superuser_sql("delete from cron.job where jobname = 'chunkwise sweep'"),
        "cron jobs",
        "chunkwise sweep",
        "select schedule_jobs()",
    ),
    "another user has a job of that name": (
        superuser_sql(
            "insert into cron.job (jobname, schedule, command, username)"
            " values ('chunkwise sweep', '* * * * *', 'select 1', 'supabase_admin')"
        ),
        "cron jobs",
        "chunkwise sweep",
        "As that user, select cron.unschedule(",
    ),
    "cron is silent": (
        sql("update sync.heartbeats set beat_at = sync.now() - interval '1 h' where name = 'cron'"),
        "cron alive",
        "pg_cron",
        "Restart the database",
    ),
    "the health check is not done": (
        sql("update sync.heartbeats set beat_at = '-infinity' where name = 'health'"),
        "health check",
        "health check",
        "select sync.check_health()",
    ),
    "a part of the health check fails": (
        sql(
            "create or replace function sync.stale_causes() returns setof sync.cause language sql"
            " stable set search_path = pg_catalog, pg_temp"
            " as $$ select '', '', (1 / (select 0))::text $$",
            "select sync.check_health()",
        ),
        "health check",
        "health check",
        "select sync.check_health()",
    ),
    "the webhook refuses alerts": (
        sql(
            "select sync.open_alert('no_worker', 'workers', 'chunks are ready')",
            "insert into sync.alert_deliveries (alert_id, event, attempts, sent_at, last_error)"
            " select id, 'opened', 1, sync.now(), 'HTTP 404' from sync_alerts",
        ),
        "alerts",
        "webhook",
        "select set_alert_url('webhook', '<url>')",
    ),
    "a secret is gone from Vault": (
        sql(
            "delete from vault.secrets where name like 'chunkwise/workspace/%'",
            "update sync_workspaces set workspace_name = 'O''Brien'",
        ),
        "vault",
        "O'Brien",
        """chunkwise keys rotate 'O'"'"'Brien'""",
    ),
    "every statement is logged": (
        log_everything,
        "statement log",
        "log_statement",
        "Set it back to none where it was set (database)",
    ),
    "anon may claim": (
        sql("grant execute on function claim_next_chunk_job_safe to anon"),
        "grants",
        "claim_next_chunk_job_safe(text,integer,jsonb,integer)",
        "revoke execute on function",
    ),
    "signed-in users may write the registry": (
        sql("grant insert on sync_workspaces to authenticated"),
        "grants",
        "sync_workspaces",
        "revoke insert on table",
    ),
    "row level security is off": (
        sql("alter table sync.sender_emails disable row level security"),
        "row security",
        "sync.sender_emails",
        "enable row level security",
    ),
    "operators hear nothing": (
        superuser_sql("drop policy chunkwise_progress_select_operator on realtime.messages"),
        "realtime",
        "realtime.messages",
        "Push the migrations again",
    ),
    "an old schema": (
        sql(
            "create or replace function chunkwise_version() returns jsonb language sql stable"
            " set search_path = pg_catalog, pg_temp set statement_timeout = '5s' as $$ select"
            " pg_catalog.jsonb_build_object('schema_version', 0, 'protocol_version', 1) $$"
        ),
        "schema",
        "schema",
        "supabase db push",
    ),
    "a new schema": (
        sql(
            "create or replace function chunkwise_version() returns jsonb language sql stable"
            " set search_path = pg_catalog, pg_temp set statement_timeout = '5s' as $$ select"
            " pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 99) $$"
        ),
        "schema",
        "schema",
        "Update the worker",
    ),
    "rows die faster than they are cleaned up": (
        sql(
            "alter table sync.hints set (autovacuum_enabled = false)",
            "insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)"
            " select n, 1, n, 1, sync.now(), 'lost' from generate_series(1, 11000) as n",
            "delete from sync.hints",
            "select pg_stat_force_next_flush()",
        ),
        "dead rows",
        "sync.hints",
        "vacuum sync.hints",
    ),
    "a verb may take for ever": (
        sql("alter function cleanup_stuck_chunks() reset statement_timeout"),
        "statement timeouts",
        "cleanup_stuck_chunks()",
        "set statement_timeout",
    ),
    "an endpoint rests": (
        sql(
            "insert into worker_endpoints (url, is_active, resting_until, last_error, secret_id)"
            " select 'https://w.example', true, sync.now() + interval '1 h', 'HTTP 500', secret_id"
            " from sync_workspaces"
        ),
        "workers",
        "https://w.example",
        "remove_worker_endpoint('https://w.example')",
    ),
    "sessions begin read-only": (
        read_only,
        "read only",
        "default_transaction_read_only",
        "alter database … reset default_transaction_read_only",
    ),
    "sync is exposed": (
        expose_sync,
        "schema sync closed",
        "sync",
        "exposed schemas",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_it_names_the_planted_fault_and_nothing_else(project: Project, name: str) -> None:
    plant, check, subject, mend = FAULTS[name]
    plant(project)
    with closing(Doctor.connect(Secret(project.database.dsn))) as database:
        report = await examine(Settings.read(**project.world.env), database)

    (finding,) = report.findings
    assert (finding.check, finding.subject) == (check, subject)
    assert mend in finding.mend
    assert (report.unchecked, report.is_well) == ([], False)


async def test_it_finds_nothing_where_all_is_well(project: Project) -> None:
    """Nor does the command, with code 0; and with a fault it ends with 1."""
    ended = await project.doctor()
    for_people = await project.world.chunkwise("doctor", DATABASE_URL=project.database.dsn)

    assert (ended.code, ended.json["findings"], ended.json["unchecked"]) == (0, [], [])
    assert ended.json["connection"] == "not encrypted (sslmode=disable)"
    assert len(ended.json["checked"]) == len(set(ended.json["checked"])) == 25
    assert for_people.out.endswith("Nothing found.\n")
    project.world.db.run("select cron.unschedule('chunkwise sweep')")
    faulty = await project.doctor()
    assert (faulty.code, faulty.err) == (1, "")
    assert [one["subject"] for one in faulty.json["findings"]] == ["chunkwise sweep"]


@pytest.mark.parametrize(
    ("extension", "schema"), [("pg_cron", "cron"), ("pg_net", "net"), ("supabase_vault", "vault")]
)
async def test_an_extension_that_is_not_there_is_named(
    project: Project, extension: str, schema: str
) -> None:
    """What only it could answer is listed as unchecked."""
    project.superuser.run(f"alter schema {schema} rename to gone")
    ended = await project.doctor()

    assert ended.code == 1
    (finding,) = ended.json["findings"]
    assert (finding["check"], finding["subject"]) == ("extensions", extension)
    assert f"Enable {extension} under Database, Extensions" in finding["mend"]
    assert ended.json["unchecked"]


async def test_no_worker_and_no_pg_net_and_a_transaction_held_open(
    world: World, database: Database, bison: BisonControl
) -> None:
    """Nobody works, nobody sends, and somebody began and never ended."""
    await world.register(bison, "acme")
    world.db.run(LATER)
    world.db.run(FRESH)
    with closing(Db.connect(database.dsn)) as other:
        other.begin()
        other.run(f"select 'it''s', $tag${KEY}$tag$, '{KEY}'")
        ended = await world.chunkwise("doctor", "--json", DATABASE_URL=database.dsn)

    findings = {one["check"]: one for one in ended.json["findings"]}
    assert sorted(findings) == ["locks", "pg_net alive", "workers"]
    assert findings["locks"]["message"].endswith(" s: select …")
    assert KEY not in ended.out
    assert findings["workers"]["mend"] == "Start one: chunkwise worker."


@pytest.mark.usefixtures("deliverer")
async def test_a_partition_is_missed_only_where_somebody_should_listen(
    world: World, database: Database
) -> None:
    """The worker that lives has not joined Realtime, and does not mean to where that is off."""
    world.db.run("insert into sync.workers (worker_id) values ('one that only looks')")
    found = {}
    for realtime in ("on", "off", "not expected"):
        settings = Settings.read(
            **world.env, CHUNKWISE_REALTIME="off" if realtime == "off" else "on"
        )
        if realtime == "not expected":
            world.db.run("select set_setting('expect_realtime', 'false')")
        with closing(Doctor.connect(Secret(database.dsn))) as doctor:
            report = await examine(settings, doctor)
        looked = [*report.checked, *(one.check for one in report.unchecked)]
        found[realtime] = (
            "realtime partition" in looked,
            "realtime partition" in [one.check for one in report.findings],
        )

    assert found == {"on": (True, True), "off": (False, False), "not expected": (True, False)}


async def test_what_cannot_be_asked_is_never_well(project: Project) -> None:
    project.superuser.run("alter schema cron rename to gone")
    project.superuser.run("alter view vault.decrypted_secrets rename to gone")
    ended = await project.doctor()
    assert [one["subject"] for one in ended.json["findings"]] == ["pg_cron"], ended.out

    unchecked = {one["check"]: one["reason"] for one in ended.json["unchecked"]}
    assert (ended.code, sorted(unchecked)) == (1, ["cron jobs", "vault"])
    assert "cron.job" in unchecked["cron jobs"]
    assert not {"cron jobs", "vault"} & set(ended.json["checked"])
