"""Cancel meets claims, completions and fan-out: nothing is applied after it, the run closes."""

from functools import partial

import pytest

from tests.support.accounts import Accounts
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import advance_clock, job_status, register_workspaces
from tests.support.sql_worker import NewWorker

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_completion_after_cancel_applies_nothing(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(4)}
    worker = new_worker()
    job_id = worker.start_past_page_one(accounts)
    leases = worker.claim(2)
    assert worker.cancel(job_id)["chunks_in_flight"] == 2
    assert_invariants(db)

    outcomes = worker.complete_all(
        (lease, accounts["acme"].answer(lease.request)) for lease in leases
    )
    assert [outcome["outcome"] for outcome in outcomes] == ["cancelled", "cancelled"]
    assert db.column("select id from sync.sender_emails order by id") == [1, 2]
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


def test_cancel_waits_for_no_completion_that_has_not_committed(
    db: Db, new_worker: NewWorker
) -> None:
    """The completion holds only its own row: it passed its slot on and needs no run lock."""
    register_workspaces(db, "acme", slots=1)
    accounts = {"acme": Accounts.on_pages(4)}
    worker, canceller = new_worker(), new_worker()
    job_id = worker.start_past_page_one(accounts)
    (lease,) = worker.claim()
    worker.db.begin()
    assert worker.complete_from(lease, accounts["acme"])["outcome"] == "completed"
    assert answer_of(in_background(lambda: canceller.cancel(job_id)))["status"] == "running"
    worker.db.commit()

    assert_invariants(db)
    assert worker.claim() == []
    worker.sweep()
    assert job_status(db, job_id) == "cancelled"
    assert db.column("select id from sync.sender_emails order by id") == [1, 2, 3, 4]
    assert_ended(db)


def test_completion_that_waits_while_a_cancel_commits_is_cancelled(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(4)}
    worker, beating = new_worker(), new_worker()
    job_id = worker.start_past_page_one(accounts)
    lease, *_ = worker.claim()
    beating.db.begin()
    beating.extend([lease])
    completion = in_background(lambda: worker.complete_from(lease, accounts["acme"]))
    wait_until_blocked(db, worker.db, by=beating.db)
    new_worker().cancel(job_id)
    beating.db.commit()

    assert answer_of(completion)["outcome"] == "cancelled"
    assert db.column("select id from sync.sender_emails order by id") == [1, 2]
    advance_clock(db, 21)
    worker.sweep()
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


def test_cancel_waits_for_a_completion_that_closes(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen")
    accounts = {"acme": Accounts.on_pages(2), "zen": Accounts.on_pages(2, first_id=50)}
    worker, canceller = new_worker(), new_worker()
    job_id = worker.start_past_page_one(accounts)
    acme, zen = sorted(worker.claim(), key=lambda lease: lease.workspace)
    worker.db.begin()
    worker.complete_from(acme, accounts["acme"])
    cancel = in_background(lambda: canceller.cancel(job_id))
    wait_until_blocked(db, canceller.db, by=worker.db)
    worker.db.commit()

    assert answer_of(cancel)["chunks_in_flight"] == 1
    assert worker.complete_from(zen, accounts["zen"])["outcome"] == "cancelled"
    assert db.column("select status from workspace_sync_runs order by id") == [
        "completed",
        "cancelled",
    ]
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


@pytest.mark.parametrize("is_cancel_first", [True, False])
def test_cancel_against_fan_out(db: Db, new_worker: NewWorker, is_cancel_first: bool) -> None:
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(30)
    worker, canceller = new_worker(), new_worker()
    job_id = str(worker.start()["job_id"])
    (lease,) = worker.claim()
    steps = [
        (worker.db, partial(worker.complete_from, lease, accounts)),
        (canceller.db, partial(canceller.cancel, job_id)),
    ]
    if is_cancel_first:
        steps.reverse()
    steps[0][0].begin()
    steps[0][1]()
    second = start_until_blocked(db, *steps[1])
    steps[0][0].commit()
    answer_of(second)

    assert worker.claim() == []
    assert job_status(db, job_id) == "cancelled"
    statuses = db.run("select status, count(*) from chunk_processing_queue group by 1 order by 1")
    if is_cancel_first:
        assert statuses == [{"status": "cancelled", "count": 1}] or statuses == [
            {"status": "completed", "count": 1}
        ]
    else:
        assert statuses == [
            {"status": "cancelled", "count": 29},
            {"status": "completed", "count": 1},
        ]
    assert_ended(db)


@pytest.mark.parametrize("is_cancel_first", [True, False])
def test_cancel_against_claim(db: Db, new_worker: NewWorker, is_cancel_first: bool) -> None:
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(4)}
    worker, canceller = new_worker(), new_worker()
    job_id = worker.start_past_page_one(accounts)
    if is_cancel_first:
        canceller.db.begin()
        canceller.cancel(job_id)
        assert answer_of(in_background(worker.claim)) == []
        canceller.db.commit()
    else:
        worker.db.begin()
        leases = worker.claim()
        assert answer_of(in_background(lambda: canceller.cancel(job_id)))["status"] == "running"
        worker.db.commit()
        assert_invariants(db)
        for lease in leases:
            assert worker.complete_from(lease, accounts["acme"])["outcome"] == "cancelled"
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


def test_cancelled_leases_that_nobody_ends_close_by_expiry(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    worker = new_worker()
    job_id = worker.start_past_page_one({"acme": Accounts.on_pages(4)})
    assert len(worker.claim()) == 3
    worker.cancel(job_id)
    advance_clock(db, 21)
    worker.sweep()
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


def test_two_cancels_at_once(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen")
    first, second = new_worker(), new_worker()
    job_id = str(first.start()["job_id"])
    (lease, _) = first.claim()
    first.db.begin()
    first.cancel(job_id)
    other = in_background(lambda: second.cancel(job_id))
    wait_until_blocked(db, second.db, by=first.db)
    first.db.commit()
    assert answer_of(other)["status"] == "running"
    assert first.fail(lease, "released")["outcome"] == "cancelled"
    assert_invariants(db)
