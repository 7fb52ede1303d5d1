"""Somebody holds rows, say in the SQL editor: who needs them waits, without an attempt, and nobody
else does."""

from contextlib import suppress

import pytest
from pg8000.exceptions import DatabaseError

from tests.conftest import Connect
from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background, wait_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import job_status, register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker

HELD = [
    "select 1 from sync.sender_emails where id in (1, 2, 3) for update",
    "select 1 from sync_workspaces where workspace_name = 'acme' for update",
    (
        "select 1 from workspace_sync_runs as r join sync_workspaces as w on w.id = r.workspace_id "
        "where r.status = 'running' and w.workspace_name = 'acme' for update of r"
    ),
]


def test_cancel_ends_in_its_time_while_a_stream_is_held(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    """What it writes of a run refers to the stream, also what it notes of a failure."""
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    worker, editor = new_worker(), connect()
    accounts = {"acme": Accounts.on_pages(4)}
    job_id = worker.start_past_page_one(accounts)
    with editor.transaction():
        editor.run("select 1 from sync_streams for update")
        worker.db.run("set statement_timeout = '1s'")
        with suppress(DatabaseError):
            answer_of(in_background(lambda: worker.cancel(job_id)))
        worker.db.run("reset statement_timeout")
    assert_invariants(db)
    if job_status(db, job_id) == "running":
        worker.cancel(job_id)
    worker.sweep()
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


def test_page_of_a_held_chunk_gives_the_others_back(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    """The call says so in half a second: its halves, without that chunk, are completed."""
    register_workspaces(db, "acme", "zen")
    sweep_only_when_asked(db)
    worker, editor = new_worker(), connect()
    accounts = {"acme": Accounts([1]), "zen": Accounts([2])}
    worker.start()
    held, free = worker.claim()
    pages = [(lease, accounts[lease.workspace].answer(lease.request)) for lease in (held, free)]
    with editor.transaction():
        editor.run(
            "select 1 from chunk_processing_queue where id = :id for update", id=held.queue_id
        )
        with pytest.raises(DatabaseError, match="55P03"):
            worker.complete_all(pages)
        (outcome,) = worker.complete_all(pages[1:])
        assert outcome["outcome"] == "completed"
        assert_invariants(db)
    (outcome,) = worker.complete_all(pages[:1])
    assert outcome["outcome"] == "completed"
    worker.drain(accounts)
    assert_ended(db)


@pytest.mark.parametrize("held", HELD)
def test_page_that_needs_them_is_postponed_and_others_are_completed(
    db: Db, new_worker: NewWorker, connect: Connect, held: str
) -> None:
    register_workspaces(db, "acme", "zen")
    sweep_only_when_asked(db)
    worker, editor = new_worker(), connect()
    accounts = {"acme": Accounts.on_pages(3), "zen": Accounts.on_pages(3, first_id=50)}
    worker.start()
    worker.drain(accounts)
    for name, served in accounts.items():
        # A new account for its page to insert, and changed ones.
        served.ids.insert(0, served.ids[0] + 20)
        served.fields = {i: {"name": f"new {name}"} for i in served.ids}
    job_id = str(worker.start()["job_id"])
    leases = worker.claim()
    with editor.transaction():
        editor.run(held)
        pages = [(lease, accounts[lease.workspace].answer(lease.request)) for lease in leases]
        outcomes = worker.complete_all(pages)
        assert {
            lease.workspace: o["outcome"] for lease, o in zip(leases, outcomes, strict=True)
        } == {
            "acme": "postponed",
            "zen": "completed",
        }
        (message,) = [str(o["message"]) for o in outcomes if o["outcome"] == "postponed"]
        assert f"session {editor.pid}" in message
        assert_invariants(db)
        worker.drain(accounts)
        assert db.column("select name from sync.sender_emails where id >= 50 group by 1") == [
            "new zen"
        ]
        assert db.one("select why, workspace_name from waiting_runs") == {
            "why": "database",
            "workspace_name": "acme",
        }
    db.run("update chunk_processing_queue set next_retry_at = sync.now() where status = 'pending'")
    worker.drain(accounts)
    assert job_status(db, job_id) == "completed"
    assert db.column("select max(attempts) from chunk_processing_queue") == [0]
    assert_ended(db)


@pytest.mark.usefixtures("patient_calls")
def test_heartbeat_waits_for_nobody(db: Db, new_worker: NewWorker, connect: Connect) -> None:
    """Of a chunk that is held, of one that a call waits for, and of one that a call has locked."""
    register_workspaces(db, "acme", "zen", "void")
    sweep_only_when_asked(db)
    worker, heart, editor = new_worker(), new_worker(), connect()
    worker.start()
    leases = worker.claim()
    (first, second, third) = leases
    accounts = Accounts([1])
    expires = "select lease_expires_at from chunk_processing_queue where id = :id"
    before = db.value(expires, id=third.queue_id)
    heart.db.run("set lock_timeout = '1ms'")
    with editor.transaction():
        editor.run(
            "select 1 from chunk_processing_queue where id = :id for update", id=second.queue_id
        )
        completing = in_background(
            lambda: worker.complete_all(
                [(lease, accounts.answer(lease.request)) for lease in (first, second)]
            )
        )
        wait_until_blocked(db, worker.db, editor)
        answer = heart.extend(leases)
        assert (answer["lost"], answer["cancelled"]) == ([], [])
        assert db.value(expires, id=third.queue_id) > before
    assert [outcome["outcome"] for outcome in answer_of(completing)] == ["completed"] * 2
    assert heart.extend(leases)["lost"] == [first.queue_id, second.queue_id]
    assert_invariants(db)


def test_heartbeat_waits_for_no_claim_that_refreshes_its_worker(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    worker, heart = new_worker(), new_worker()
    worker.start()
    leases = worker.claim()
    db.run("update sync.workers set last_seen_at = last_seen_at - interval '1 minute'")
    heart.db.run("set lock_timeout = '1ms'")
    with worker.db.transaction():
        worker.claim()
        assert heart.extend(leases)["lost"] == []
    db.run("update sync.workers set last_seen_at = last_seen_at - interval '1 minute'")
    heart.extend(leases)
    assert db.column("select is_alive from worker_health") == [True]
