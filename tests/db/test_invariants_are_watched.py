"""The statement that asks for violations finds each kind: a watcher that sees nothing is none."""

import pytest

from tests.support.accounts import Accounts
from tests.support.db import Db
from tests.support.invariants import violations
from tests.support.setup import register_workspaces
from tests.support.sql_worker import NewWorker

BREAKAGES = {
    "has live run": "update polling_job_status set status = 'failed', completed_at = now()",
    "has no live run": "update workspace_sync_runs set status = 'failed', completed_at = now()",
    "has live chunk": "update workspace_sync_runs set status = 'failed', completed_at = now()",
    "has nothing live": "update chunk_processing_queue set status = 'cancelled', slot = null, "
    "ready_seq = null, completed_at = now() where status <> 'completed'",
    "fills 4 slots of 2": "update workspace_sync_runs set max_concurrency = 2",
    "ends in its events": "delete from chunk_events",
    "but its row says": "update chunk_processing_queue set status = 'failed' "
    "where status = 'completed'",
    "ended 2 times": "insert into chunk_events (chunk_id, run_id, event, lease_token) "
    "select chunk_id, run_id, 'retry', lease_token from chunk_events",
    "have lease token": "update chunk_processing_queue set lease_token = 1",
    "differ from its events": "update sync.run_counters set records = records + 1",
    "planned 9 chunks": "update workspace_sync_runs set planned_chunks = 9",
    "planned its scan up to page 9": "update workspace_sync_runs "
    "set planned_pages = 9, known_pages = 9",
    "has pages to plan and is not in its scan": "update workspace_sync_runs "
    "set known_pages = 9, phase = 'confirm'",
    "was applied 0 times": "delete from sync.seen_pages",
    "its limit is 2": "update sync_budgets set max_in_flight = 2",
    "below the claim's floor": "update sync.sweep_state set claim_floor = 1000000",
}


@pytest.mark.parametrize("sentence", BREAKAGES)
def test_broken_state_is_named(db: Db, new_worker: NewWorker, sentence: str) -> None:
    register_workspaces(db, "acme", slots=4)
    worker = new_worker()
    worker.start_past_page_one({"acme": Accounts.on_pages(5)})
    leases = worker.claim(3)
    if sentence == "below the claim's floor":
        worker.fail(leases[0], "released")
    assert violations(db) == []
    db.run("alter table polling_job_status disable trigger user")
    db.run(BREAKAGES[sentence])
    assert [text for text in violations(db) if sentence in text] != []
