"""Postgres crashes before a claim reached the disk: the page is fetched under another lease."""

import os
import signal

from local.stack import Stack
from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.invariants import assert_ended
from tests.support.setup import register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import SqlWorker


def test_crash_takes_back_a_claim_and_refuses_its_holder(worker_id: str) -> None:
    with Stack.start_free(f"lost-{worker_id}", fsync=True) as stack:
        database = stack.create_database("lost")
        db = Db.connect(database.dsn)
        register_workspaces(db, "acme")
        sweep_only_when_asked(db)
        holder = SqlWorker(db, "holder")
        holder.start()
        stop_writing_behind(stack)
        (lease,) = holder.claim()
        assert db.value("select pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn()")

        stack.stop_postgres(immediate=True)
        stack.start_postgres()
        db.close()
        db = Db.connect(database.dsn)
        holder = SqlWorker(db, "holder")
        assert db.column("select status from chunk_processing_queue") == ["pending"]
        assert holder.complete_from(lease, Accounts([1]))["outcome"] == "refused"

        (new_lease,) = SqlWorker(db, "other").claim()
        assert new_lease.queue_id == lease.queue_id
        assert new_lease.token != lease.token
        assert holder.complete_from(lease, Accounts([1]))["outcome"] == "refused"
        assert holder.complete_from(new_lease, Accounts([1]))["outcome"] == "completed"
        assert db.column("select id from sender_emails") == [1]
        assert_ended(db)
        db.close()
        database.drop()


def stop_writing_behind(stack: Stack) -> None:
    """From now on WAL reaches the disk only by transactions that wait for that, and only those of
    this test run."""
    pids = stack.psql(
        "-c", "select pid from pg_stat_activity where backend_type <> 'client backend'"
    )
    for pid in pids.split():
        os.kill(int(pid), signal.SIGSTOP)
