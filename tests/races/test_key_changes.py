"""A new key meets claims, completions and starts: what it fetched waits for its owner."""

import json
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Connect
from tests.support.accounts import Accounts, Answer
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import BASE_URL
from tests.support.sql_worker import Lease, NewWorker, SqlWorker

if TYPE_CHECKING:
    from concurrent.futures import Future

pytestmark = pytest.mark.usefixtures("patient_calls")

ACME = 41
ZEN = 42
ACCOUNTS = Accounts.on_pages(4)


def test_a_new_key_while_the_answer_about_the_old_one_is_handed_over(
    db: Db, new_worker: NewWorker
) -> None:
    """The answer was checked before, and is written after the key has changed."""
    register(db)
    worker, operator = new_worker(), new_worker()
    worker.start()
    (question,) = worker.claim()
    operator.db.begin()
    rotate(operator.db)
    completion = in_background(lambda: worker.complete(question, owner(ACME)))
    wait_until_blocked(db, worker.db, by=operator.db)
    operator.db.commit()
    answer_of(completion)

    assert key(db) == {"key_status": "unchecked", "key_owner": None}
    assert_invariants(db)
    (again,) = worker.claim()
    assert asks_for_the_owner(again)
    worker.complete(again, owner(ZEN))
    assert key(db) == {"key_status": "other_workspace", "key_owner": f"{ZEN} (name)"}
    assert worker.claim() == []
    assert_ended(db)


def test_a_new_key_waits_for_the_answer_about_the_old_one(db: Db, new_worker: NewWorker) -> None:
    register(db)
    worker, operator = new_worker(), new_worker()
    worker.start()
    (question,) = worker.claim()
    worker.db.begin()
    worker.complete(question, owner(ACME))
    rotation = in_background(lambda: rotate(operator.db))
    wait_until_blocked(db, operator.db, by=worker.db)
    worker.db.commit()
    answer_of(rotation)

    assert key(db) == {"key_status": "unchecked", "key_owner": None}
    assert [asks_for_the_owner(lease) for lease in worker.claim()] == [True]
    assert_invariants(db)


def test_a_page_of_the_old_key_that_is_written_late_plans_nothing(
    db: Db, new_worker: NewWorker
) -> None:
    register(db)
    worker, operator = new_worker(), new_worker()
    (first,) = begin_to_read(worker)
    operator.db.begin()
    rotate(operator.db)
    completion = in_background(lambda: worker.complete_from(first, ACCOUNTS))
    wait_until_blocked(db, worker.db, by=operator.db)
    operator.db.commit()

    assert answer_of(completion)["outcome"] == "completed"
    assert db.column("select id from sync.sender_emails order by id") == [1, 2]
    assert_invariants(db)
    (question,) = worker.claim()
    worker.complete(question, owner(ACME))
    worker.drain({"acme": ACCOUNTS})
    assert db.column("select status from workspace_sync_runs") == ["completed"]
    assert db.column("select id from sync.sender_emails order by id") == ACCOUNTS.ids
    assert_ended(db)


def test_a_start_that_saw_the_old_key(db: Db, new_worker: NewWorker) -> None:
    """The new key cannot see that run; its first page is not written, and it begins again."""
    register(db)
    worker, starter = new_worker(), new_worker()
    for lease in begin_to_read(worker):
        worker.complete_from(lease, ACCOUNTS)
    worker.drain({"acme": ACCOUNTS})
    starter.db.begin()
    starter.start("second")
    rotate(db)
    starter.db.commit()
    (page,) = worker.claim()
    assert page.page == 1

    foreign = Accounts.on_pages(2, first_id=900)
    assert worker.complete_from(page, foreign)["outcome"] == "cancelled"
    assert_invariants(db)
    (question,) = worker.claim()
    worker.complete(question, owner(ZEN))
    assert db.column("select status from workspace_sync_runs order by id") == [
        "completed",
        "failed",
    ]
    assert db.column("select id from sync.sender_emails order by id") == ACCOUNTS.ids
    assert_ended(db)


def test_two_pages_of_an_unproven_key_begin_their_run_again_once(
    db: Db, new_worker: NewWorker
) -> None:
    register(db)
    worker, other = new_worker(), new_worker()
    (first,) = begin_to_read(worker)
    worker.complete_from(first, ACCOUNTS)
    second, third, *_ = worker.claim()
    db.run("update sync_workspaces set external_id = :id", id=str(ZEN))
    worker.db.begin()
    assert worker.complete_from(second, ACCOUNTS)["outcome"] == "cancelled"
    late: Future[dict[str, object]] = start_until_blocked(
        db, other.db, lambda: other.complete_from(third, ACCOUNTS)
    )
    worker.db.commit()

    assert answer_of(late)["outcome"] == "cancelled"
    assert db.column("select scan from workspace_sync_runs") == [2]
    assert_invariants(db)


def test_registering_again_waits_for_a_completion_before_it_locks_the_workspace(
    db: Db, connect: Connect
) -> None:
    """The other way round both would wait for each other."""
    register(db)
    worker, operator = SqlWorker(connect(), "worker"), SqlWorker(connect(), "operator")
    worker.start()
    (question,) = worker.claim()
    worker.db.begin()
    worker.db.run("select 1 from workspace_sync_runs for no key update")
    registration = in_background(lambda: register(operator.db, "1|another"))
    wait_until_blocked(db, operator.db, by=worker.db)
    assert worker.complete(question, owner(ACME))["outcome"] == "completed"
    worker.db.commit()
    answer_of(registration)

    assert key(db) == {"key_status": "unchecked", "key_owner": None}
    assert_invariants(db)


def register(db: Db, key: str = "1|key-of-acme") -> None:
    db.run(
        "select register_workspace('acme', :url, :key, p_external_id => :id)",
        url=BASE_URL,
        key=key,
        id=str(ACME),
    )
    db.run("select set_budget('email_bison', null, null)")


def rotate(db: Db) -> None:
    db.run("select rotate_workspace_key('acme', '2|another')")


def begin_to_read(worker: SqlWorker) -> list[Lease]:
    """Start a job and answer the question about the key; the leases of what comes next."""
    worker.start()
    (question,) = worker.claim()
    worker.complete(question, owner(ACME))
    return worker.claim()


def owner(workspace_id: int) -> Answer:
    workspace = {"id": workspace_id, "name": "name"}
    return Answer(200, json.dumps({"data": {"workspace": workspace}}))


def asks_for_the_owner(lease: Lease) -> bool:
    return str(lease.request["url"]).endswith("/users")


def key(db: Db) -> dict[str, object]:
    return db.one("select key_status, key_owner from sync_workspaces")
