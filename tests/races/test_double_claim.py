"""A chunk is leased to one worker, whoever asks at the same moment."""

from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import register_workspaces
from tests.support.sql_worker import NewWorker, leases_of


def test_claim_of_one_id_while_another_claims_it(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    first, second = new_worker(), new_worker()
    first.start()
    (queue_id,) = db.column("select id from chunk_processing_queue")

    first.db.begin()
    (lease,) = leases_of(first.claim_id(queue_id))
    refused = answer_of(in_background(lambda: second.claim_id(queue_id)))
    first.db.commit()

    assert (refused["leases"], refused["reason"]) == ([], "not_pending")
    assert second.claim_id(queue_id)["reason"] == "not_pending"
    assert first.complete_from(lease, Accounts([1]))["outcome"] == "completed"
    assert_ended(db)


def test_queue_claims_at_the_same_moment_share_no_chunk(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme", "zen", "void", slots=3)
    accounts = {name: Accounts.on_pages(7) for name in ("acme", "zen", "void")}
    workers = [new_worker() for _ in range(4)]
    workers[0].start()
    for lease in workers[0].claim():
        workers[0].complete_from(lease, accounts[lease.workspace])

    for worker in workers:
        worker.db.begin()
    held = [worker.claim(3) for worker in workers]
    for worker in workers:
        worker.db.commit()

    queue_ids = [lease.queue_id for leases in held for lease in leases]
    assert len(queue_ids) == len(set(queue_ids)) == 9
    assert held[3] == []
    assert_invariants(db)
