"""A batch with an unusable page meets others that write the same records."""

import json
from functools import partial

import pytest

from tests.support.accounts import Accounts, Answer
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_invariants
from tests.support.setup import register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_records_are_locked_in_key_order_also_after_a_batch_failed(
    db: Db, new_worker: NewWorker
) -> None:
    """Records moved between pages: both calls write 101 and 105, in opposite page order."""
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    batch, single, watcher = new_worker(), new_worker(), new_worker()
    batch.start_past_page_one({"acme": Accounts.on_pages(7)})
    two, three, four, five, six, *_ = batch.claim()
    with db.transaction():
        db.run(
            "insert into sync.sender_emails (workspace_id, id, raw) "
            "select id, 103, '{}' from sync_workspaces"
        )
        pages = [(two, page_of(105)), (three, page_of(103)), (four, page_of(101)), (five, BROKEN)]
        whole = in_background(partial(batch.complete_all, pages))
        wait_until_blocked(watcher.db, batch.db, by=db)
        other = start_until_blocked(
            watcher.db, single.db, partial(single.complete, six, page_of(101, 105))
        )

    assert [outcome["outcome"] for outcome in answer_of(whole)] == ["completed"] * 3 + ["retry"]
    assert answer_of(other)["outcome"] == "completed"
    stored = db.column("select id from sync.sender_emails where id > 100 order by id")
    assert stored == [101, 103, 105]
    assert_invariants(db)


BROKEN = Answer(200, "<html>")


def page_of(*ids: int) -> Answer:
    records = [Accounts([]).record(account_id) for account_id in ids]
    return Answer(200, json.dumps({"data": records, "meta": {"last_page": 7, "total": 14}}))
