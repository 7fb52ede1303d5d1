"""A sweep inside a claim waits for nobody: what others hold is left to the next one."""

import pytest

from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.invariants import (
    assert_ended,
    assert_invariants,
    assert_no_errors_noted,
)
from tests.support.setup import (
    advance_clock,
    job_status,
    register_workspaces,
    set_settings,
    sweep_only_when_asked,
)
from tests.support.sql_worker import NewWorker

PAST_THE_LEASE = 21


@pytest.mark.parametrize(
    "held",
    [
        "workspace_sync_runs",
        "polling_job_status",
        "chunk_processing_queue",
        "sync_workspaces",
        "sync_workspace_streams",
        "sync.sweep_state",
        "sync.hints",
    ],
)
def test_claim_that_sweeps_while_another_holds_rows(
    db: Db, new_worker: NewWorker, held: str
) -> None:
    """acme and zen are cancelled and their leases have run out: the sweep has runs to close."""
    register_workspaces(db, "acme", "zen")
    set_settings(db, sweep_interval_seconds=0)
    worker, late = new_worker(), new_worker()
    accounts = {"acme": Accounts.on_pages(3), "zen": Accounts.on_pages(3, first_id=50)}
    worker.start_past_page_one(accounts)
    worker.drain(accounts)
    job_id = worker.start_past_page_one(accounts)
    assert len(late.claim()) == 4
    worker.cancel(job_id)
    advance_clock(db, PAST_THE_LEASE)

    with db.transaction():
        db.run(f"select 1 from {held} for no key update")
        worker.db.run("set lock_timeout = '1ms'")
        assert worker.claim() == []
        assert db.column("select last_error from sync.sweep_state") == [None]

    assert worker.claim() == []
    assert job_status(db, job_id) == "cancelled"
    assert_ended(db)


@pytest.mark.parametrize(
    ("streams", "held"),
    [
        ("{sender_emails}", "sync_workspace_streams"),
        ("{replies,conversation_threads}", "workspace_sync_runs where phase = 'parent'"),
    ],
)
def test_claim_that_sweeps_while_another_holds_what_closing_writes(
    db: Db, new_worker: NewWorker, streams: str, held: str
) -> None:
    """A run that can be closed stays for later, with a note why; the claim and its lease do not."""
    register_workspaces(db, "acme", "zen")
    sweep_only_when_asked(db)
    worker = new_worker()
    worker.start()
    worker.drain({"acme": Accounts([1]), "zen": Accounts([2])})
    db.run(
        "create function public.refuse_closing() returns trigger language plpgsql as $$ begin "
        "if new.status <> 'running' then raise 'no'; end if; return new; end; $$"
    )
    db.run(
        "create trigger refuse_closing before update on public.workspace_sync_runs "
        "for each row execute function public.refuse_closing()"
    )
    db.run("select start_sync_job('late', cast(:streams as text[]), '{acme}')", streams=streams)
    (lease,) = worker.claim()
    assert worker.complete_from(lease, Accounts([1]))["outcome"] == "completed"
    (unclosed,) = db.column("select id from workspace_sync_runs where close_error = 'no'")
    db.run("drop trigger refuse_closing on public.workspace_sync_runs")
    worker.start("sound", ["zen"])
    set_settings(db, sweep_interval_seconds=0)
    worker.db.run("set statement_timeout = '10s'")

    noted = "select close_error from workspace_sync_runs where close_error is not null"
    with db.transaction():
        db.run(f"select 1 from {held} for no key update")
        assert [lease.workspace for lease in worker.claim()] == ["zen"]
        assert db.column(noted) == ["canceling statement due to lock timeout"]
        assert worker.sweep() == 0
        assert db.column("select last_error from sync.sweep_state") == [None]
        assert db.value("show lock_timeout") == "0"
    worker.sweep()
    closed = "select status from workspace_sync_runs where id = :id"
    assert db.value(closed, id=unclosed) == "completed"
    assert_invariants(db)
    assert_no_errors_noted(db)


def test_claim_that_sweeps_while_another_checks_health(db: Db, new_worker: NewWorker) -> None:
    """What both would deliver is held; a dead worker's chunk comes back all the same."""
    register_workspaces(db, "acme")
    set_settings(db, sweep_interval_seconds=0)
    worker = new_worker()
    worker.start()
    assert len(worker.claim()) == 1
    db.run("select set_alert_url('webhook', 'https://alerts.example/hook')")
    db.run("update sync_workspaces set key_status = 'refused'")
    db.run("select sync.open_alert('key_refused', 'acme', 'the API refuses its key')")
    advance_clock(db, PAST_THE_LEASE)
    worker.db.run("set statement_timeout = '10s'")
    with db.transaction():
        db.run("select sync.check_health()")
        assert db.column("select event from sync.alert_deliveries") == ["opened"]
        assert len(worker.claim()) == 1
    assert_invariants(db)
    assert_no_errors_noted(db)


def test_sweep_fills_slots_of_one_run_while_another_run_is_locked(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme", "zen", slots=1)
    set_settings(db, sweep_interval_seconds=0)
    accounts = {"acme": Accounts.on_pages(3), "zen": Accounts.on_pages(3, first_id=50)}
    worker, late = new_worker(), new_worker()
    worker.start_past_page_one(accounts)
    assert len(late.claim()) == 2
    advance_clock(db, PAST_THE_LEASE)
    with db.transaction():
        db.run(
            "select 1 from workspace_sync_runs where workspace_id = ("
            "select id from sync_workspaces where workspace_name = 'acme') for no key update"
        )
        worker.db.run("set lock_timeout = '1ms'")
        assert {lease.workspace for lease in worker.claim()} == {"acme", "zen"}
    assert_invariants(db)
    assert_no_errors_noted(db)


def test_two_claims_that_both_find_the_sweep_due(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    set_settings(db, sweep_interval_seconds=0)
    worker, other = new_worker(), new_worker()
    worker.start()
    assert len(worker.claim()) == 1
    advance_clock(db, PAST_THE_LEASE)
    worker.db.begin()
    assert len(worker.claim()) == 1
    other.db.run("set lock_timeout = '1ms'")
    assert other.claim() == []
    worker.db.commit()
    assert db.column("select event from chunk_events") == ["lease_lost"]
    assert_invariants(db)


def test_job_that_cannot_be_closed_takes_no_lease_with_it(db: Db, new_worker: NewWorker) -> None:
    """The job's closing fails for ever; pages are applied and dead workers' chunks come back."""
    register_workspaces(db, "acme", "zen")
    set_settings(db, sweep_interval_seconds=0)
    worker = new_worker()
    broken = str(worker.start("broken", ["acme"])["job_id"])
    (lease,) = worker.claim()
    db.run(
        "create function public.refuse_closing() returns trigger language plpgsql as $$ begin "
        "if new.status <> 'running' and new.job_name = 'broken' then raise 'no'; end if; "
        "return new; end; $$"
    )
    db.run(
        "create trigger refuse_closing before update on public.polling_job_status "
        "for each row execute function public.refuse_closing()"
    )
    assert worker.complete_from(lease, Accounts([1, 2]))["outcome"] == "completed"
    assert db.column("select id from sync.sender_emails order by id") == [1, 2]
    worker.start("sound", ["zen"])
    assert len(worker.claim()) == 1
    advance_clock(db, PAST_THE_LEASE)

    assert [lease.workspace for lease in worker.claim()] == ["zen"]
    assert job_status(db, broken) == "running"
    assert db.value("select close_error from workspace_sync_runs order by id limit 1") == "no"
    assert_invariants(db)

    db.run("drop trigger refuse_closing on public.polling_job_status")
    worker.sweep()
    assert job_status(db, broken) == "completed"


def test_sweep_ends_one_run_while_a_completion_ends_the_other(
    db: Db, new_worker: NewWorker
) -> None:
    """Neither sees the other's run ended; the job must not be left without a live run."""
    register_workspaces(db, "acme", "zen")
    set_settings(db, sweep_interval_seconds=1_000_000, max_lease_losses=1)
    worker, dead, sweeper = new_worker(), new_worker(), new_worker()
    job_id = str(worker.start()["job_id"])
    (lease,) = worker.claim(1)
    assert len(dead.claim(1)) == 1
    worker.db.begin()
    assert worker.complete_from(lease, Accounts([1]))["outcome"] == "completed"
    advance_clock(db, PAST_THE_LEASE)
    sweeper.db.run("set lock_timeout = '1ms'")
    assert sweeper.sweep() == 1
    worker.db.commit()

    assert_invariants(db)
    sweeper.sweep()
    assert job_status(db, job_id) == "partial"
    assert_ended(db)
