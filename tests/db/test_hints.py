"""Ready work is told by Realtime at most every 250 ms, and no hint that fails fails the work."""

import pytest

from local.stack import Database
from tests.conftest import Connect
from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.setup import job_status, register_workspaces, stop_clock
from tests.support.sql_worker import NewWorker

URL = "http://127.0.0.1:9/wake"
TOKEN = "wake-token-of-these-tests"
MESSAGES = (
    "select event, topic, private, count(*) from realtime.messages group by 1, 2, 3 order by 1"
)
# Partitions are made by the server, at a first join.
PARTITION = "create table realtime.messages_all partition of realtime.messages default"
RAISING = {
    "realtime": "create or replace function realtime.send(payload jsonb, event text, topic text,"
    " private boolean default true) returns void language plpgsql as $$ begin"
    " raise exception 'full, says 7|%', repeat('x', 40); end; $$",
    "push": "create or replace function net.http_post(url text, body jsonb default '{}', params"
    " jsonb default '{}', headers jsonb default '{}', timeout_milliseconds integer default 5000)"
    " returns bigint language plpgsql as $$ begin"
    " raise exception 'full, says 7|%', repeat('x', 40); end; $$",
}
MISSING = {
    "realtime": "alter function realtime.send(jsonb, text, text, boolean) rename to unsent",
    "push": "alter function net.http_post(text, jsonb, jsonb, jsonb, integer) rename to unposted",
}
ERRORS = {
    "realtime": "select last_error from sync.hint_state",
    "push": "select last_push_error from sync.hint_state",
}


@pytest.fixture(autouse=True)
def partition(database: Database) -> None:
    as_superuser(database, PARTITION)


def as_superuser(database: Database, sql: str) -> None:
    database.stack.psql("-c", sql, database=database.name)


def told(db: Db) -> dict[str, int]:
    """Messages by event, all of them private and on their topics."""
    rows = db.run(MESSAGES)
    topics = {"work": "chunkwise:work", "progress": "chunkwise:progress"}
    assert [(row["topic"], row["private"]) for row in rows] == [
        (topics[row["event"]], True) for row in rows
    ]
    return {row["event"]: row["count"] for row in rows}


def start(db: Db, *workspaces: str) -> str:
    return str(
        db.value(
            "select start_sync_job(:name, p_workspaces => :workspaces) ->> 'job_id'",
            name=" ".join(workspaces),
            workspaces=list(workspaces),
        )
    )


def test_work_that_appears_within_250_ms_is_told_once(db: Db) -> None:
    register_workspaces(db, "a", "b", "c", "d")
    stop_clock(db)
    start(db, "a")
    stop_clock(db, 0.249)
    start(db, "b", "c")
    assert told(db) == {"work": 1}
    stop_clock(db, 0.25)
    start(db, "d")
    assert told(db) == {"work": 2}
    assert db.value("select broadcasts from sync.hint_state") == 2


def test_whoever_finds_another_just_telling_it_does_not_wait(db: Db, connect: Connect) -> None:
    register_workspaces(db, "a", "b")
    other = connect()
    other.run("set lock_timeout = '5s'")
    with db.transaction():
        start(db, "a")
        start(other, "b")
        assert told(other) == {}
    assert told(other) == {"work": 1}


def test_the_end_of_a_run_is_told_to_those_who_watch(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "a")
    job_id = start(db, "a")
    new_worker().drain({"a": Accounts.on_pages(1)})
    assert told(db)["progress"] == 1
    payload = db.value("select payload ->> 'job_id' from realtime.messages where event <> 'work'")
    assert payload == job_id


@pytest.mark.parametrize("channel", RAISING)
def test_hints_that_raise_cost_nothing_but_the_hint(
    db: Db, database: Database, new_worker: NewWorker, channel: str
) -> None:
    register_workspaces(db, "a", "b")
    db.run("select register_worker_endpoint(:url, :token)", url=URL, token=TOKEN)
    as_superuser(database, RAISING[channel])
    job_id = start(db, "a")
    assert db.value(ERRORS[channel]) == "full, says ***"
    new_worker().drain({"a": Accounts.on_pages(3)})
    assert job_status(db, job_id) == "completed"
    pages = db.value("select count(*) from chunk_processing_queue")
    assert db.value("select count(*) from sync.hints") == (0 if channel == "push" else pages)
    assert ("work" in told(db)) == (channel == "push")


@pytest.mark.parametrize("channel", MISSING)
def test_without_realtime_or_pg_net_jobs_are_done(
    db: Db, database: Database, new_worker: NewWorker, channel: str
) -> None:
    register_workspaces(db, "a")
    db.run("select register_worker_endpoint(:url, :token)", url=URL, token=TOKEN)
    as_superuser(database, MISSING[channel])
    job_id = start(db, "a")
    worker = new_worker()
    worker.drain({"a": Accounts.on_pages(3)})
    worker.sweep()
    assert job_status(db, job_id) == "completed"
    assert db.one("select last_error, last_push_error from sync.hint_state") == {
        "last_error": None,
        "last_push_error": None,
    }
