"""A completion whose answer was lost is repeated: the same answer, nothing applied again."""

import pytest

from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background, wait_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_ended
from tests.support.setup import register_workspaces
from tests.support.sql_worker import NewWorker

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_repeated_after_the_answer_was_lost(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(3)}
    worker = new_worker()
    worker.start()
    (lease,) = worker.claim()
    first = worker.complete_from(lease, accounts["acme"])
    state = db.run("select * from chunk_processing_queue order by id")

    assert worker.complete_from(lease, accounts["acme"]) == first
    assert first == {"queue_id": lease.queue_id, "outcome": "completed", "records": 2, "changed": 2}
    assert db.run("select * from chunk_processing_queue order by id") == state

    worker.drain(accounts)
    assert worker.complete_from(lease, accounts["acme"]) == first
    assert_ended(db)


def test_repeated_while_the_first_has_not_committed(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(1)
    worker, again = new_worker(), new_worker()
    worker.start()
    (lease,) = worker.claim()
    worker.db.begin()
    first = worker.complete_from(lease, accounts)
    second = in_background(lambda: again.complete_from(lease, accounts))
    wait_until_blocked(db, again.db, by=worker.db)
    worker.db.commit()

    assert answer_of(second) == first
    assert db.value("select count(*) from chunk_events where event = 'completed'") == 1
    assert_ended(db)


def test_repeated_while_the_first_rolls_back(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = Accounts.on_pages(1)
    worker, again = new_worker(), new_worker()
    worker.start()
    (lease,) = worker.claim()
    worker.db.begin()
    worker.complete_from(lease, accounts)
    second = in_background(lambda: again.complete_from(lease, accounts))
    wait_until_blocked(db, again.db, by=worker.db)
    worker.db.rollback()

    assert answer_of(second)["outcome"] == "completed"
    assert db.column("select id from sync.sender_emails order by id") == accounts.ids
    assert_ended(db)


def test_repeated_batches_that_overlap(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen", slots=4)
    accounts = {"acme": Accounts.on_pages(4), "zen": Accounts.on_pages(4, first_id=100)}
    worker, again = new_worker(), new_worker()
    worker.start_past_page_one(accounts)
    pages = [(lease, accounts[lease.workspace].answer(lease.request)) for lease in worker.claim()]
    worker.db.begin()
    first = worker.complete_all(pages)
    second = in_background(lambda: again.complete_all(reversed(pages)))
    wait_until_blocked(db, again.db, by=worker.db)
    worker.db.commit()

    repeated = answer_of(second)
    assert repeated[::-1] == first
    assert {outcome["outcome"] for outcome in first} == {"completed"}
    assert_ended(db)
