"""What an owner may set for the whole database changes nothing of what the engine does."""

from http import HTTPStatus

import httpx
import pytest
from pg8000.exceptions import DatabaseError

from chunkwise.doctor.platform import ISOLATION
from local.stack import Database, Stack
from tests.conftest import Connect
from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.invariants import assert_ended
from tests.support.setup import register_workspaces
from tests.support.sql_worker import SqlWorker

SETTINGS = {
    "standard_conforming_strings": "off",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "timezone": "Asia/Kathmandu",
    "bytea_output": "escape",
    "extra_float_digits": "-5",
    "statement_timeout": "2s",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "plan_cache_mode": "force_generic_plan",
    "search_path": "pg_temp",
}


def test_whole_sync_under_odd_settings(stack: Stack, database: Database, connect: Connect) -> None:
    for name, value in SETTINGS.items():
        stack.psql("-c", f"alter database {database.name} set {name} = '{value}'")
    db = connect()
    worker = SqlWorker(connect("service_role"), "worker")
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(5)
    accounts.fields[1] = {"created_at": "2026-03-04 05:06:07"}
    worker.start()
    (lease,) = worker.claim()
    told = worker.fail(lease, "transient", "HTTP 500: Bearer 1|key-of-acme, api_key=abc", 0.001)
    assert (told["outcome"], told["message"]) == (
        "retry",
        "HTTP 500: (not shown: it repeats the key)",
    )
    db.run("update chunk_processing_queue set next_retry_at = sync.now() where status = 'pending'")
    worker.drain({"acme": accounts})
    # A time without a zone is UTC, whatever zone the database has.
    is_utc = "select created_at = '2026-03-04 05:06:07+00' from sync.sender_emails where id = 1"
    assert db.value(is_utc) is True
    accounts.ids.remove(10)
    worker.start()
    worker.drain({"acme": accounts})
    assert db.column("select id from sync.sender_emails where deleted_at is not null") == [10]
    assert db.column("select status from polling_job_status") == ["completed"] * 2
    assert db.value("select sync.check_health()") is not None
    assert db.column("select message from sync_alerts where kind = 'check_failing'") == []
    assert_ended(db)


def test_cron_and_postgrest_say_which_isolation_they_need(
    stack: Stack, database: Database, db: Db
) -> None:
    register_workspaces(db, "acme")
    stack.psql(
        "-c",
        f"alter database {database.name} set default_transaction_isolation = 'repeatable read'",
    )
    for command in db.column("select command from sync.cron_jobs order by job_name"):
        stack.psql("-c", command, database=database.name)
    assert db.column("select job_name from polling_job_status") == ["scheduled sync"]
    api = stack.serve(database)
    try:
        answer = httpx.post(
            f"{api.url}/rest/v1/rpc/claim_next_chunk_job_safe",
            json={"p_worker_id": "worker", "p_limit": 1, "p_protocol": 2},
            headers={"apikey": api.secret_key},
            timeout=60,
        )
    finally:
        api.stop()
    assert answer.status_code == HTTPStatus.OK, answer.text
    assert len(answer.json()["leases"]) == 1


def test_over_the_api_a_verb_begins_in_the_isolation_it_needs_whatever_its_role_has(
    stack: Stack, database: Database, db: Db
) -> None:
    register_workspaces(db, "acme")
    # Of the role everywhere: PostgREST does not look for what it has in one database.
    stack.psql("-c", "alter role authenticated set default_transaction_isolation = 'serializable'")
    try:
        api = stack.serve(database)
        try:
            answer = httpx.post(
                f"{api.url}/rest/v1/rpc/start_sync_job",
                json={},
                headers={
                    "apikey": api.publishable_key,
                    "authorization": f"Bearer {api.operator_token()}",
                },
                timeout=60,
            )
        finally:
            api.stop()
    finally:
        stack.psql("-c", "alter role authenticated reset default_transaction_isolation")
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text


@pytest.mark.parametrize("whose", ["role service_role in database {0}", "database {0}"])
def test_in_sql_the_way_out_of_another_isolation_is_named(
    stack: Stack, database: Database, db: Db, connect: Connect, whose: str
) -> None:
    owner = whose.format(database.name)
    way_out = f"alter {owner} reset default_transaction_isolation"
    stack.psql("-c", f"alter {owner} set default_transaction_isolation = 'repeatable read'")
    assert db.column(f"select mend from ({ISOLATION}) as found") == [f"{way_out};"]
    worker = connect()
    worker.run("begin isolation level repeatable read")
    worker.run("set local role service_role")
    with pytest.raises(DatabaseError) as raised:
        worker.run("select claim_next_chunk_job_safe('worker', 1, p_protocol => 2)")
    error = raised.value.args[0]
    assert error["C"] == "SY016"
    assert way_out in error["H"]
    stack.psql("-c", way_out)
    assert db.column(f"select mend from ({ISOLATION}) as found") == []
