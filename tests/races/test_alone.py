"""A chunk that must be leased alone stays so, however the calls of workers meet."""

import pytest

from tests.support.accounts import Accounts
from tests.support.background import answer_of, start_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker, SqlWorker, leases_of

pytestmark = pytest.mark.usefixtures("patient_calls")

ACCOUNTS = {"acme": Accounts(list(range(1, 100))), "zen": Accounts(list(range(1, 100)))}


@pytest.mark.parametrize("is_first", [True, False])
def test_two_calls_of_one_worker_lease_nothing_beside_it(
    db: Db, new_worker: NewWorker, is_first: bool
) -> None:
    """One takes the chunk while the other, which began before or after, takes what is ready."""
    suspect, worker, again = suspected(db, new_worker)
    alone, other = (worker, again) if is_first else (again, worker)
    alone.db.begin()
    other.db.begin()
    if is_first:
        assert [lease["queue_id"] for lease in alone.claim_id(suspect)["leases"]] == [suspect]
        assert answer_of(start_until_blocked(db, other.db, other.claim)) == []
    else:
        assert other.claim_id(ready(db))["leases"] != []
        answer = answer_of(start_until_blocked(db, alone.db, lambda: alone.claim_id(suspect)))
        assert (answer["leases"], answer["reason"]) == ([], "alone")
    alone.db.commit()
    other.db.commit()
    assert_alone(db, suspect)

    if not is_first:
        assert leases_of(alone.claim_answer(100)) == []


def test_two_workers_do_not_empty_themselves_for_the_same_chunk(
    db: Db, new_worker: NewWorker
) -> None:
    suspect, one, _ = suspected(db, new_worker)
    two = new_worker()
    held = [worker.claim_id(ready(db)) for worker in (one, two)]
    one.db.begin()
    assert one.claim() == []
    leases = answer_of(start_until_blocked(db, two.db, two.claim))
    one.db.commit()
    assert suspect not in [lease.queue_id for lease in leases]

    for worker, answer in zip((one, two), held, strict=True):
        for lease in leases_of(answer):
            worker.complete_from(lease, ACCOUNTS[lease.workspace])
    for lease in leases:
        two.complete_from(lease, ACCOUNTS[lease.workspace])
    (lease,) = one.claim()
    assert lease.queue_id == suspect
    assert_alone(db, suspect)
    one.complete_from(lease, ACCOUNTS[lease.workspace])
    two.drain(ACCOUNTS)
    one.drain(ACCOUNTS)
    assert_ended(db)


def suspected(db: Db, new_worker: NewWorker) -> tuple[int, SqlWorker, SqlWorker]:
    """A ready chunk that lost two leases; a worker, and a second connection of the same one."""
    register_workspaces(db, *ACCOUNTS)
    sweep_only_when_asked(db)
    worker = new_worker()
    worker.start_past_page_one(ACCOUNTS)
    suspect = ready(db)
    db.run(
        "update chunk_processing_queue set lease_losses = 2 where id = cast(:id as bigint)",
        id=suspect,
    )
    return suspect, worker, SqlWorker(new_worker().db, worker.name)


def ready(db: Db) -> int:
    return int(
        db.value(
            "select id from chunk_processing_queue where ready_seq is not null"
            " and lease_losses < 2 order by ready_seq limit 1"
        )
    )


def assert_alone(db: Db, suspect: int) -> None:
    beside = db.column(
        "select beside.id from chunk_processing_queue as q"
        " join chunk_processing_queue as beside using (worker_id)"
        " where q.id = cast(:id as bigint) and q.status = 'processing' and beside.id <> q.id"
        " and beside.status = 'processing'",
        id=suspect,
    )
    assert beside == []
    assert_invariants(db)
