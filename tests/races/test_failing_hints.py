"""Hints that fail cost nobody a wait: noting why they fail takes no lock that another holds."""

import pytest

from tests.support.accounts import Accounts
from tests.support.background import answer_of, in_background
from tests.support.db import Db
from tests.support.invariants import assert_ended
from tests.support.setup import register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker

FAILING = (
    "create or replace function sync.broadcast_work(p_pause interval) returns void"
    " language plpgsql set search_path = pg_catalog, pg_temp as"
    " $$ begin raise exception 'no partition of relation messages'; end $$"
)


@pytest.mark.parametrize("work", ["complete", "start"])
def test_verbs_do_not_wait_for_one_another(db: Db, new_worker: NewWorker, work: str) -> None:
    """The first holds its transaction open after it noted the failure."""
    register_workspaces(db, "acme", "zen", "free")
    sweep_only_when_asked(db)
    accounts = {name: Accounts.on_pages(4) for name in ("acme", "zen", "free")}
    db.run(FAILING)
    first, second = new_worker(), new_worker()
    first.start_past_page_one({name: accounts[name] for name in ("acme", "zen")})
    leases = {lease.workspace: lease for lease in first.claim()}
    first.db.begin()
    first.complete_from(leases["acme"], accounts["acme"])
    if work == "complete":
        answer_of(in_background(lambda: second.complete_from(leases["zen"], accounts["zen"])))
    else:
        answer_of(in_background(lambda: second.start("another", ["free"])))
    first.db.commit()

    assert db.value("select last_error from sync.hint_state") == "no partition of relation messages"
    assert db.column("select kind from sync.engine_causes()") == ["hints_silent"]
    db.run(
        "update chunk_processing_queue set lease_expires_at = sync.now() where slot is not null"
        " and status = 'processing'"
    )
    second.sweep()
    second.drain(accounts)
    assert_ended(db)
