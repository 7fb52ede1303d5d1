"""One live job per name, one live run per workspace and stream, whoever starts when."""

from functools import partial

import pytest

from tests.support.accounts import Accounts
from tests.support.background import (
    answer_of,
    in_background,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import job_status, register_workspaces
from tests.support.sql_worker import NewWorker

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_two_starts_of_one_name(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen")
    first, second = new_worker(), new_worker()
    first.db.begin()
    accepted = first.start("nightly")
    other = in_background(lambda: second.start("nightly"))
    wait_until_blocked(db, second.db, by=first.db)
    first.db.commit()

    answer = answer_of(other)
    assert (accepted["status"], answer["status"]) == ("accepted", "already_running")
    assert answer["job_id"] == accepted["job_id"]
    assert db.value("select count(*) from workspace_sync_runs") == 2


def test_two_starts_of_different_names_share_out_the_workspaces(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme", "zen")
    first, second = new_worker(), new_worker()
    first.db.begin()
    one = first.start("one", ["zen"])
    other = in_background(lambda: second.start("two", ["acme", "zen"]))
    wait_until_blocked(db, second.db, by=first.db)
    first.db.commit()

    two = answer_of(other)
    assert (two["status"], two["workspaces_skipped"]) == ("accepted", ["zen"])
    skipped = db.one(
        "select workspaces_skipped, warnings from polling_job_status where job_name = 'two'"
    )
    assert skipped["workspaces_skipped"] == 1
    assert len(skipped["warnings"]) == 1
    third = second.start("three")
    assert third["status"] == "already_running"
    assert third["job_id"] in (one["job_id"], two["job_id"])
    assert_invariants(db)


def test_start_rolled_back_makes_room_for_the_one_that_waits(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    first, second = new_worker(), new_worker()
    first.db.begin()
    first.start("nightly")
    other = in_background(lambda: second.start("nightly"))
    wait_until_blocked(db, second.db, by=first.db)
    first.db.rollback()
    assert answer_of(other)["status"] == "accepted"
    assert_invariants(db)


def test_planner_waits_for_the_closing_of_the_live_run(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(1)
    worker, starter = new_worker(), new_worker()
    first_job = str(worker.start("one")["job_id"])
    (lease,) = worker.claim()
    worker.db.begin()
    worker.complete_from(lease, accounts)
    other = in_background(lambda: starter.start("two"))
    wait_until_blocked(db, starter.db, by=worker.db)
    worker.db.commit()

    answer = answer_of(other)
    assert (answer["status"], answer["workspaces_skipped"]) == ("accepted", [])
    assert job_status(db, first_job) == "completed"
    worker.drain({"acme": accounts})
    assert_ended(db)


def test_closing_of_the_live_run_is_rolled_back_while_a_planner_waits(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(1)
    worker, starter = new_worker(), new_worker()
    first_job = worker.start("one")["job_id"]
    (lease,) = worker.claim()
    worker.db.begin()
    worker.complete_from(lease, accounts)
    other = in_background(lambda: starter.start("two"))
    wait_until_blocked(db, starter.db, by=worker.db)
    worker.db.rollback()

    answer = answer_of(other)
    assert (answer["status"], answer["job_id"]) == ("already_running", first_job)
    assert worker.complete_from(lease, accounts)["outcome"] == "completed"
    assert_ended(db)


@pytest.mark.parametrize(
    ("table", "first", "second"),
    [("polling_job_status", "nightly", "nightly"), ("workspace_sync_runs", "one", "two")],
    ids=["name", "runs"],
)
def test_what_closes_right_after_it_was_found_taken(
    db: Db, new_worker: NewWorker, table: str, first: str, second: str
) -> None:
    """The start saw the name, or the runs, taken; before it reads whose they are, they close."""
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(1)
    worker, starter = new_worker(), new_worker()
    worker.start(first)
    (lease,) = worker.claim()
    pause_after_insert(db, table)
    db.run("select pg_advisory_lock(1)")
    start = in_background(partial(starter.start, second))
    wait_until_blocked(worker.db, starter.db, by=db)
    worker.complete_from(lease, accounts)
    db.run("select pg_advisory_unlock(1)")

    answer = answer_of(start)
    assert answer["status"] == "accepted"
    assert job_status(db, answer["job_id"]) == "running"
    assert_invariants(db)


def test_retry_failed_chunks_twice_at_once(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen")
    accounts = {"acme": Accounts.on_pages(2), "zen": Accounts.on_pages(2, first_id=50)}
    first, second = new_worker(), new_worker()
    failed_job = str(first.start("nightly")["job_id"])
    for lease in first.claim():
        if lease.workspace == "zen":
            first.fail(lease, "permanent", "HTTP 401: Unauthenticated.")
        else:
            first.complete_from(lease, accounts["acme"])
    first.drain(accounts)
    assert job_status(db, failed_job) == "partial"

    retry = "select retry_failed_chunks(cast(:id as uuid))"
    first.db.begin()
    accepted = first.db.value(retry, id=failed_job)
    other = in_background(lambda: second.db.value(retry, id=failed_job))
    wait_until_blocked(db, second.db, by=first.db)
    first.db.commit()

    answer = answer_of(other)
    assert (accepted["status"], answer["status"]) == ("accepted", "already_running")
    assert answer["job_id"] == accepted["job_id"]
    runs = db.run(
        "select job_id from workspace_sync_runs where job_id <> cast(:id as uuid)", id=failed_job
    )
    assert [str(run["job_id"]) for run in runs] == [accepted["job_id"]]
    first.drain(accounts)
    assert_ended(db)


def pause_after_insert(db: Db, table: str) -> None:
    """Statements that insert into the table wait for advisory lock 1, whatever they inserted."""
    db.run(
        "create function public.pause_insert() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock_shared(1); return null; end; $$"
    )
    db.run(
        f"create trigger pause_insert after insert on public.{table} "
        "for each statement execute function public.pause_insert()"
    )
