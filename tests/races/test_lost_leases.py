"""Whoever lost a lease changes nothing, whether or not a sweep noticed yet."""

from typing import Any

import pytest
from pg8000.exceptions import DatabaseError

from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background, wait_until_blocked
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import (
    advance_clock,
    register_workspaces,
    stop_clock,
    sweep_only_when_asked,
)
from tests.support.sql_worker import Lease, NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

PAST_THE_LEASE = 21


def test_zombie_is_refused_before_any_sweep(db: Db, new_worker: NewWorker) -> None:
    worker, lease = leased_page(db, new_worker)
    advance_clock(db, PAST_THE_LEASE)

    assert worker.complete_from(lease, Accounts([1]))["outcome"] == "refused"
    with pytest.raises(DatabaseError) as refused:
        worker.fail(lease, "transient", "HTTP 500: too late")
    assert sqlstate(refused.value) == "SY001"
    assert worker.extend([lease])["lost"] == [lease.queue_id]
    assert_nothing_applied(db)
    assert db.column("select event from chunk_events") == []


def test_zombie_is_refused_after_the_sweep_and_while_another_holds_the_chunk(
    db: Db, new_worker: NewWorker
) -> None:
    zombie, lease = leased_page(db, new_worker)
    advance_clock(db, PAST_THE_LEASE)
    other = new_worker()
    assert other.sweep() == 1
    assert zombie.complete_from(lease, Accounts([1]))["outcome"] == "refused"

    (new_lease,) = other.claim()
    assert (new_lease.queue_id, new_lease.token != lease.token) == (lease.queue_id, True)
    assert zombie.complete_from(lease, Accounts([1]))["outcome"] == "refused"
    assert_nothing_applied(db)

    assert other.complete_from(new_lease, Accounts([1]))["outcome"] == "completed"
    assert zombie.complete_from(lease, Accounts([1]))["outcome"] == "refused"
    assert db.column("select event from chunk_events order by id") == ["lease_lost", "completed"]
    assert_ended(db)


def test_completion_that_waits_while_the_sweep_takes_its_lease_is_refused(
    db: Db, new_worker: NewWorker
) -> None:
    worker, lease = leased_page(db, new_worker)
    sweeper = new_worker()
    with sweeper.db.transaction():
        # Held from before the deadline: the completion must look at the clock after it waited.
        db.run("begin")
        db.run("select 1 from chunk_processing_queue for no key update")
        completion = in_background(lambda: worker.complete_from(lease, Accounts([1])))
        wait_until_blocked(sweeper.db, worker.db, by=db)
        db.run(
            "update chunk_processing_queue set lease_expires_at = sync.now() - interval '1 second'"
        )
        db.run("commit")
        assert answer_of(completion)["outcome"] == "refused"
        assert sweeper.sweep() == 1
    assert_nothing_applied(db)
    assert_invariants(db)


def test_sweep_passes_by_a_chunk_that_is_being_completed(db: Db, new_worker: NewWorker) -> None:
    worker, lease = leased_page(db, new_worker)
    sweeper = new_worker()
    worker.db.begin()
    assert worker.complete_from(lease, Accounts([1]))["outcome"] == "completed"
    advance_clock(db, PAST_THE_LEASE)

    assert answer_of(in_background(sweeper.sweep)) == 0
    worker.db.commit()

    assert sweeper.sweep() == 0
    assert db.column("select event from chunk_events") == ["completed"]
    assert_ended(db)


def test_completion_waits_for_the_sweep_that_has_its_chunk(db: Db, new_worker: NewWorker) -> None:
    worker, lease = leased_page(db, new_worker)
    sweeper = new_worker()
    advance_clock(db, PAST_THE_LEASE)
    sweeper.db.begin()
    assert sweeper.sweep() == 1
    completion = in_background(lambda: worker.complete_from(lease, Accounts([1])))
    wait_until_blocked(db, worker.db, by=sweeper.db)
    sweeper.db.commit()

    assert answer_of(completion)["outcome"] == "refused"
    assert_nothing_applied(db)
    assert_invariants(db)


@pytest.mark.parametrize("is_late", [True, False])
def test_heartbeat_against_the_sweep(db: Db, new_worker: NewWorker, is_late: bool) -> None:
    worker, lease = leased_page(db, new_worker)
    sweeper = new_worker()
    if is_late:
        advance_clock(db, PAST_THE_LEASE)
        sweeper.db.begin()
        assert sweeper.sweep() == 1
        heartbeat = in_background(lambda: worker.extend([lease]))
        wait_until_blocked(db, worker.db, by=sweeper.db)
        sweeper.db.commit()
        assert answer_of(heartbeat)["lost"] == [lease.queue_id]
    else:
        worker.db.begin()
        assert worker.extend([lease])["lost"] == []
        advance_clock(db, PAST_THE_LEASE - 2)
        assert answer_of(in_background(sweeper.sweep)) == 0
        worker.db.commit()
    assert db.value("select count(*) from chunk_events where event = 'lease_lost'") == int(is_late)
    assert_invariants(db)


def test_heartbeats_keep_no_lease_beyond_its_longest_time(db: Db, new_worker: NewWorker) -> None:
    stop_clock(db)
    worker, lease = leased_page(db, new_worker)
    for seconds in range(15, 600, 15):
        stop_clock(db, seconds)
        assert worker.extend([lease])["lost"] == []
    stop_clock(db, 601)
    assert worker.extend([lease])["lost"] == [lease.queue_id]
    assert new_worker().sweep() == 1


def test_ten_lost_leases_make_a_poison_page_and_end_the_run(db: Db, new_worker: NewWorker) -> None:
    worker, _ = leased_page(db, new_worker)
    for losses in range(1, 11):
        advance_clock(db, losses * PAST_THE_LEASE)
        assert worker.sweep() == 1
        assert_invariants(db)
        if losses < 10:
            assert len(worker.claim()) == 1
    chunk = db.one("select status, attempts, lease_losses from chunk_processing_queue")
    assert chunk == {"status": "failed", "attempts": 0, "lease_losses": 10}
    assert db.value("select status from polling_job_status") == "failed"
    assert_ended(db)


def leased_page(db: Db, new_worker: NewWorker) -> tuple[SqlWorker, Lease]:
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    worker = new_worker()
    worker.start()
    (lease,) = worker.claim()
    return worker, lease


def assert_nothing_applied(db: Db) -> None:
    counted: dict[str, Any] = db.one(
        "select (select count(*) from sync.sender_emails) as records, "
        "(select count(*) from sync.seen_pages) as pages"
    )
    assert counted == {"records": 0, "pages": 0}
