"""An approval meets the next run, which decides anew."""

import pytest
from pg8000.exceptions import DatabaseError

from tests.support.accounts import Accounts
from tests.support.background import answer_of, start_until_blocked
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended
from tests.support.setup import register_workspaces
from tests.support.sql_worker import NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

ALL = 60
LEFT = 40
APPROVE = "select approve_deletions(cast(:id as bigint))"


def test_approval_while_the_next_run_closes(db: Db, new_worker: NewWorker) -> None:
    """The run notes what it missed, then deletes; the approval deletes, then forgets."""
    worker, holder, operator = new_worker(), new_worker(), new_worker()
    accounts, run_id = guarded_deletions(db, worker)
    db.run("select set_setting('deletion_guard_rows', '1000')")
    worker.start_past_page_one(accounts)
    (last_page,) = worker.claim()
    with db.transaction():
        db.run("select 1 from sync.sender_emails where deleted_at is null for no key update")
        approval = start_until_blocked(
            holder.db, operator.db, lambda: operator.db.value(APPROVE, id=run_id)
        )
        completion = start_until_blocked(
            holder.db, worker.db, lambda: worker.complete_from(last_page, accounts["acme"])
        )
    assert answer_of(completion)["outcome"] == "completed"
    answer_of(approval)

    worker.drain(accounts)
    assert_deleted_exactly(db, accounts["acme"])


def test_approval_while_a_page_revives_what_it_deletes(db: Db, new_worker: NewWorker) -> None:
    worker, operator = new_worker(), new_worker()
    accounts, run_id = guarded_deletions(db, worker)
    back = ALL
    accounts["acme"].ids.append(back)
    accounts["acme"].fields[back] = {"updated_at": "2026-02-01T00:00:00.000000Z", "name": "Back"}
    worker.start_past_page_one(accounts)
    (last_page,) = worker.claim()
    worker.db.begin()
    worker.complete_from(last_page, accounts["acme"])
    approval = start_until_blocked(db, operator.db, lambda: operator.db.value(APPROVE, id=run_id))
    worker.db.commit()
    with pytest.raises(DatabaseError) as refused:
        answer_of(approval)
    assert sqlstate(refused.value) == "SY008"
    worker.drain(accounts)

    assert db.value(f"select deleted_at from sync.sender_emails where id = {back}") is None
    newest = db.value("select max(id) from workspace_sync_runs")
    if db.value("select deletions_waiting from workspace_sync_runs where id = :id", id=newest):
        operator.db.value(APPROVE, id=newest)
    assert_deleted_exactly(db, accounts["acme"])


def test_approval_twice_at_once_deletes_once(db: Db, new_worker: NewWorker) -> None:
    worker, first, second = new_worker(), new_worker(), new_worker()
    accounts, run_id = guarded_deletions(db, worker)
    first.db.begin()
    assert first.db.value(APPROVE, id=run_id)["deleted"] == ALL - LEFT
    other = start_until_blocked(db, second.db, lambda: second.db.value(APPROVE, id=run_id))
    first.db.commit()
    with pytest.raises(DatabaseError) as refused:
        answer_of(other)
    assert sqlstate(refused.value) == "SY008"

    assert db.value(
        "select records_deleted from workspace_sync_runs where id = :id", id=run_id
    ) == (ALL - LEFT)
    assert_deleted_exactly(db, accounts["acme"])


def guarded_deletions(db: Db, worker: SqlWorker) -> tuple[dict[str, Accounts], int]:
    """Twenty of sixty accounts are gone, proven, and wait for an approval of that run."""
    register_workspaces(db, "acme", slots=32)
    accounts = {"acme": Accounts(list(range(1, ALL + 1)), page_size=30)}
    for last_id in (ALL, LEFT):
        accounts["acme"].ids = list(range(1, last_id + 1))
        worker.start_past_page_one(accounts)
        worker.drain(accounts)
    run = db.one("select id, deletions_waiting from workspace_sync_runs order by id desc limit 1")
    assert run["deletions_waiting"] == ALL - LEFT
    return accounts, run["id"]


def assert_deleted_exactly(db: Db, accounts: Accounts) -> None:
    living = db.column("select id from sync.sender_emails where deleted_at is null order by id")
    assert living == sorted(accounts.ids)
    assert_ended(db)
