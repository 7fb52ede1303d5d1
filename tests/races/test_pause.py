"""Pausing and resuming meet claims, completions and starts: nothing is held for ever."""

import pytest

from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background, wait_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_resume_while_a_claim_holds_back_a_chunk(db: Db, new_worker: NewWorker) -> None:
    """The claim saw the pause; the resume passes by the chunk that the claim has locked."""
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    accounts = {"acme": Accounts.on_pages(2)}
    worker, claimer = new_worker(), new_worker()
    worker.start_past_page_one(accounts)
    (lease,) = worker.claim()
    db.run("select pause_sync()")
    worker.fail(lease, "released")
    claimer.db.begin()
    assert claimer.claim() == []
    answer_of(in_background(lambda: db.run("select resume_sync()")))
    claimer.db.commit()

    worker.sweep()
    worker.drain(accounts)
    assert_ended(db)


def test_resume_while_a_completion_passes_its_slot_on(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", slots=1)
    sweep_only_when_asked(db)
    accounts = {"acme": Accounts.on_pages(4)}
    worker = new_worker()
    worker.start_past_page_one(accounts)
    (lease,) = worker.claim()
    db.run("select pause_sync(p_workspace => 'acme')")
    worker.db.begin()
    worker.complete_from(lease, accounts["acme"])
    answer_of(in_background(lambda: db.run("select resume_sync(p_workspace => 'acme')")))
    worker.db.commit()

    worker.sweep()
    worker.drain(accounts)
    assert_ended(db)


def test_pause_while_a_start_has_not_committed(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    worker = new_worker()
    worker.db.begin()
    worker.start()
    answer_of(in_background(lambda: db.run("select pause_sync()")))
    worker.db.commit()

    worker.sweep()
    assert worker.claim() == []
    assert_invariants(db)
    db.run("select resume_sync()")
    worker.drain({"acme": Accounts.on_pages(1)})
    assert_ended(db)


def test_pause_against_the_first_answer_of_a_key(db: Db, new_worker: NewWorker) -> None:
    """The completion holds the run and notes that the key is accepted; the pause wants both."""
    register_workspaces(db, "acme")
    worker, holder, operator = new_worker(), new_worker(), new_worker()
    worker.start()
    (lease,) = worker.claim()
    db.run(
        "create function public.pause_planning() returns trigger language plpgsql as "
        "$$ begin perform pg_advisory_xact_lock_shared(1); return null; end; $$"
    )
    db.run(
        "create trigger pause_planning after insert on public.chunk_processing_queue "
        "for each statement execute function public.pause_planning()"
    )
    holder.db.run("select pg_advisory_lock(1)")
    completion = in_background(lambda: worker.complete_from(lease, Accounts.on_pages(2)))
    wait_until_blocked(db, worker.db, by=holder.db)
    pause = in_background(lambda: operator.db.value("select pause_sync(p_workspace => 'acme')"))
    wait_until_blocked(db, operator.db, by=worker.db)
    holder.db.run("select pg_advisory_unlock(1)")

    assert answer_of(completion)["outcome"] == "completed"
    assert answer_of(pause) == {"paused": True, "live_runs": 1}
    assert worker.claim() == []
    assert_invariants(db)
