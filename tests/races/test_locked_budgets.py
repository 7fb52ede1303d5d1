"""Somebody holds the row of a budget, say in the SQL editor: nothing is sent on it meanwhile, no
page is lost, and what draws on other budgets goes on."""

from functools import partial

import pytest

from tests.conftest import Connect
from tests.support.accounts import Accounts
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import job_status, register_workspaces, stop_clock, sweep_only_when_asked
from tests.support.sql_worker import NewWorker, SqlWorker

OTHER = "http://127.0.0.1:10"
HOLD = """
select 1 from sync_budgets where id in (
  select budget_id from sync_workspaces where workspace_name = 'acme') for update
"""
HOLD_WORKSPACE = "select 1 from sync_workspaces where workspace_name = 'acme' for update"
ACCOUNTS = {"acme": Accounts.on_pages(20), "zen": Accounts.on_pages(20, first_id=5000)}


@pytest.fixture
def worker(db: Db, new_worker: NewWorker) -> SqlWorker:
    """A workspace each on two budgets, past their first pages; the clock stands still."""
    register_workspaces(db, "acme")
    register_workspaces(db, "zen", base_url=OTHER)
    sweep_only_when_asked(db)
    stop_clock(db)
    db.run("select set_budget('email_bison', 1000, 100)")
    worker = new_worker()
    worker.start_past_page_one(ACCOUNTS)
    return worker


def test_claims_go_on_with_others(db: Db, worker: SqlWorker, connect: Connect) -> None:
    editor = connect()
    turns = turns_of(db, "acme")
    with editor.transaction():
        editor.run(HOLD)
        assert {lease.workspace for lease in worker.claim()} == {"zen"}
        assert_invariants(db)
        assert turns_of(db, "acme") == turns
        assert db.one("select why, workspace_name from waiting_runs") == {
            "why": "database",
            "workspace_name": "acme",
        }
        stop_clock(db, seconds=2)
        queue_id = db.value(
            "select min(q.id) from chunk_processing_queue as q "
            "join workspace_sync_runs as r on r.id = q.run_id "
            "join sync_workspaces as w on w.id = r.workspace_id "
            "where w.workspace_name = 'acme' and q.slot is not null"
        )
        answer = worker.claim_id(queue_id)
        assert (answer["reason"], answer["leases"], answer["look_again_ms"]) == ("budget", [], 1000)
        assert_invariants(db)
    stop_clock(db, seconds=4)
    assert {lease.workspace for lease in worker.claim()} == {"acme"}


def test_claims_of_one_worker_wait_once(db: Db, worker: SqlWorker, connect: Connect) -> None:
    """What is ready of acme comes first, time after time; others would wait behind each wait."""
    editor = connect()
    with editor.transaction():
        editor.run(HOLD)
        first = in_background(partial(worker.claim, 2))
        wait_until_blocked(db, worker.db, editor)
        answer_of(first)
        for _ in range(8):
            next_one = start_until_blocked(db, worker.db, partial(worker.claim, 2))
            assert next_one.done()
        assert turns_of(db, "zen", "processing") == turns_of(db, "zen")


def test_completions_are_applied(db: Db, worker: SqlWorker, connect: Connect) -> None:
    """Also while a 429 reduces the budget, which an answer would give a place back to."""
    editor = connect()
    first, *leases = worker.claim()
    worker.fail(first, "rate_limited", "HTTP 429", 1)
    db.run(
        "update sync_budgets set reduced_in_flight = 2, reduced_at = sync.now() - interval '1 s'"
    )
    with editor.transaction():
        editor.run(HOLD)
        pages = [(lease, ACCOUNTS[lease.workspace].answer(lease.request)) for lease in leases]
        outcomes = worker.complete_all(pages)
        assert {outcome["outcome"] for outcome in outcomes} == {"completed"}
        assert_invariants(db)
    drain(db, worker)


@pytest.mark.parametrize(
    ("held", "error_class", "outcome"),
    [
        (HOLD, "rate_limited", "delayed"),
        (HOLD, "transient", "retry"),
        (HOLD, "released", "released"),
        (HOLD_WORKSPACE, "rate_limited", "postponed"),
        (HOLD_WORKSPACE, "transient", "retry"),
        (HOLD_WORKSPACE, "released", "released"),
    ],
)
def test_failures_are_taken(
    db: Db, worker: SqlWorker, connect: Connect, held: str, error_class: str, outcome: str
) -> None:
    """Also of the probe, after which another may go."""
    editor = connect()
    lease = next(lease for lease in worker.claim() if lease.workspace == "acme")
    db.run(
        "update sync_budgets set block_level = 1, blocked_until = sync.now(), "
        "reduced_at = sync.now() - interval '1 s', learned_rate = 3"
    )
    with editor.transaction():
        editor.run(held)
        assert worker.fail(lease, error_class, "HTTP 429", 1)["outcome"] == outcome
        assert_invariants(db)
    db.run("select unblock_budget('email_bison')")
    db.run("update chunk_processing_queue set attempts = 0")
    drain(db, worker)


def test_claims_go_on_while_a_workspace_is_held(worker: SqlWorker, connect: Connect) -> None:
    editor = connect()
    with editor.transaction():
        editor.run(HOLD_WORKSPACE)
        worker.db.run("set lock_timeout = '1ms'")
        assert {lease.workspace for lease in worker.claim()} == {"acme", "zen"}


def test_claim_waits_for_one_that_is_about_to_end(
    db: Db, worker: SqlWorker, new_worker: NewWorker
) -> None:
    """Claims hold a budget for milliseconds: who comes meanwhile is not sent away."""
    other = new_worker()
    other.db.begin()
    assert len(other.claim(3)) == 3
    claiming = in_background(partial(worker.claim, 3))
    wait_until_blocked(db, worker.db, other.db)
    other.db.rollback()
    answer_of(claiming)
    assert_invariants(db)


def turns_of(db: Db, name: str, status: str = "%") -> list[int]:
    return db.column(
        "select coalesce(q.ready_seq, q.turn) from chunk_processing_queue as q "
        "join workspace_sync_runs as r on r.id = q.run_id "
        "join sync_workspaces as w on w.id = r.workspace_id "
        "where w.workspace_name = :name and q.slot is not null and q.status like :status "
        "order by 1",
        name=name,
        status=status,
    )


def drain(db: Db, worker: SqlWorker) -> None:
    """To the end, with the clock moved on as far as anything may wait."""
    (job_id,) = db.column("select id::text from polling_job_status")
    for minute in range(1, 10):
        stop_clock(db, seconds=60 * minute)
        worker.sweep()
        worker.drain(ACCOUNTS)
    assert job_status(db, job_id) == "completed"
    assert db.column("select max(attempts) from chunk_processing_queue") == [0]
    assert_ended(db)
