"""A stream is declared anew while its lists of children are read and written."""

import json
from urllib.parse import urlsplit

import pytest
from pg8000.exceptions import DatabaseError

from tests.conftest import Connect
from tests.support.accounts import Answer
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import BASE_URL
from tests.support.sql_worker import Lease, NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

LISTS = {
    "/campaigns": [1, 2],
    "/firms": [3, 4],
    "/campaigns/1/leads": [11, 12],
    "/campaigns/2/leads": [21],
    "/firms/3/leads": [11],
    "/firms/4/leads": [21, 41],
}
BELOW_FIRMS = {"parent_stream": "firms", "path": "/firms/{parent.id}/leads"}


def test_a_page_of_other_parents_is_not_written(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    """It passed the fence, and waits for a row while the lists below other parents are declared."""
    worker, holder = new_worker(), connect()
    prepare(db, worker)
    sync(db, worker, "leads")
    start(db, "leads")
    first, second = worker.claim()
    holder.begin()
    lock_row(holder, "11")
    late = in_background(lambda: worker.complete(first, answer(first, name="late")))
    wait_until_blocked(db, worker.db, by=holder)
    declare_leads(db, **BELOW_FIRMS)
    holder.commit()

    assert answer_of(late)["outcome"] == "cancelled"
    assert worker.complete(second, answer(second))["outcome"] == "cancelled"
    assert names(db) == {"11": "first", "12": "first", "21": "first"}
    assert_invariants(db)
    drain(worker)
    run = last_run(db)
    assert run["status"] == "completed"
    assert run["begun_again"]
    shown_below = "select distinct parent_id from sync.record_parents where parent_id <> ''"
    assert sorted(db.column(shown_below)) == ["3", "4"]
    assert live(db) == ["11", "12", "21", "41"]
    sync(db, worker, "leads")
    assert live(db) == ["11", "21", "41"]
    assert_ended(db)


def test_a_run_that_waits_for_its_parents_waits_for_the_new_ones(
    db: Db, new_worker: NewWorker
) -> None:
    worker = new_worker()
    prepare(db, worker)
    start(db, "campaigns", "firms", "leads")
    campaigns, firms = sorted(worker.claim(), key=lambda lease: str(lease.request["url"]))
    declare_leads(db, **BELOW_FIRMS)
    worker.complete(campaigns, answer(campaigns))
    assert worker.claim() == []
    assert_invariants(db)
    worker.complete(firms, answer(firms))
    drain(worker)
    assert last_run(db)["status"] == "completed"
    assert live(db) == ["11", "21", "41"]
    assert_ended(db)


def test_ids_are_not_made_otherwise_while_a_page_is_written(db: Db, new_worker: NewWorker) -> None:
    """By the new declaration its records would be there twice; they decide that it is refused."""
    db.run("alter function sync.require_same_scope set lock_timeout = '90s'")
    worker, operator = new_worker(), SqlWorker(db, "operator")
    prepare(db, worker)
    start(db, "leads")
    first, second = worker.claim()
    worker.db.begin()
    assert worker.complete(first, answer(first))["outcome"] == "completed"
    watcher = new_worker()
    declaration = start_until_blocked(
        watcher.db, operator.db, lambda: declare_leads(operator.db, id_scope="parent")
    )
    worker.db.commit()
    with pytest.raises(DatabaseError) as refused:
        answer_of(declaration)
    assert sqlstate(refused.value) == "SY006"
    worker.complete(second, answer(second))
    assert last_run(db) == {"status": "completed", "begun_again": 0}
    assert live(db) == ["11", "12", "21"]
    assert_ended(db)


def test_ids_that_were_made_otherwise_are_not_written(db: Db, new_worker: NewWorker) -> None:
    """A page in flight has no rows yet: the declaration is taken, and the page is not."""
    worker = new_worker()
    prepare(db, worker)
    start(db, "leads")
    first, second = worker.claim()
    declare_leads(db, id_scope="parent")
    for lease in (first, second):
        assert worker.complete(lease, answer(lease))["outcome"] == "cancelled"
    drain(worker)
    assert live(db) == ["1/11", "1/12", "2/21"]
    assert_ended(db)


def test_a_declaration_waits_for_no_list_that_closes(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    worker, closing = new_worker(), connect()
    prepare(db, worker)
    sync(db, worker, "leads")
    db.run(
        "insert into sync.emptied_lists (workspace_id, stream_id, parent_id, emptied_at) "
        "select workspace_id, stream_id, parent_id, sync.now() from sync.record_parents "
        "group by 1, 2, 3"
    )
    with closing.transaction():
        closing.run("select 1 from sync.emptied_lists where parent_id = '2' for update")
        declaration = start_until_blocked(worker.db, db, lambda: declare_leads(db, **BELOW_FIRMS))
        assert declaration.done()
    answer_of(declaration)
    assert db.column("select parent_id from sync.emptied_lists") == ["2"]
    assert_ended(db)


def prepare(db: Db, worker: SqlWorker) -> None:
    """Two lists, of which each has others below; the parents are synced."""
    declare(
        db,
        "source",
        source_name="crm",
        requests_per_second=None,
        max_in_flight=None,
    )
    for name in ("campaigns", "firms"):
        declare(db, "stream", source_name="crm", stream_name=name, path=f"/{name}", page_size=100)
    declare_leads(db)
    db.run("select register_workspace('acme', :url, 'the-key', 'crm')", url=BASE_URL)
    sync(db, worker, "campaigns", "firms")


def declare(db: Db, what: str, **fields: object) -> None:
    db.run(f"select declare_{what}(cast(:fields as jsonb))", fields=json.dumps(fields))


def declare_leads(db: Db, **fields: object) -> None:
    stream: dict[str, object] = {
        "source_name": "crm",
        "stream_name": "leads",
        "parent_stream": "campaigns",
        "path": "/campaigns/{parent.id}/leads",
        "page_size": 100,
    }
    declare(db, "stream", **{**stream, **fields})


def start(db: Db, *streams: str) -> None:
    db.run("select start_sync_job('test', cast(:streams as text[]))", streams=list(streams))


def sync(db: Db, worker: SqlWorker, *streams: str) -> None:
    start(db, *streams)
    drain(worker)


def drain(worker: SqlWorker) -> None:
    while leases := worker.claim():
        worker.complete_all((lease, answer(lease)) for lease in leases)


def answer(lease: Lease, name: str = "first") -> Answer:
    ids = LISTS[urlsplit(str(lease.request["url"])).path]
    records = [{"id": record_id, "name": name} for record_id in ids]
    return Answer(200, json.dumps({"data": records, "meta": {"total": len(ids), "last_page": 1}}))


def lock_row(db: Db, record_id: str) -> None:
    db.run("select 1 from synced_records where id = :id for no key update", id=record_id)


LEADS = (
    "from synced_records as r join sync_streams as s on s.id = r.stream_id "
    "where s.stream_name = 'leads' and r.deleted_at is null order by r.id"
)


def live(db: Db) -> list[str]:
    return [str(record_id) for record_id in db.column(f"select r.id {LEADS}")]


def names(db: Db) -> dict[str, str]:
    return {
        row["id"]: row["name"] for row in db.run(f"select r.id, r.raw ->> 'name' as name {LEADS}")
    }


def last_run(db: Db) -> dict[str, object]:
    return db.one(
        "select r.status, r.begun_again from workspace_sync_runs as r "
        "join sync_streams as s on s.id = r.stream_id where s.stream_name = 'leads' "
        "order by r.id desc limit 1"
    )
