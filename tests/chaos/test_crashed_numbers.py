"""pg_net's queue and its numbers do not outlive a crash, and ours of them neither."""

from collections.abc import Iterator

import pytest

from local.stack import Database, Stack
from tests.support.db import Db
from tests.support.setup import advance_clock, register_workspaces

WEBHOOK = "http://127.0.0.1:9/alerts"
ANOTHER = "select net.http_get('https://users.example')"
ANSWER = (
    "with sent as (delete from net.http_request_queue where url like '%users.example%'"
    " returning id) insert into net._http_response (id, status_code) select id, 200 from sent"
)


@pytest.fixture
def durable(worker_id: str) -> Iterator[Database]:
    with Stack.start_free(f"crash-{worker_id}", fsync=True) as stack:
        database = stack.create_database("numbers")
        yield database
        database.drop()


def test_an_answer_from_after_a_crash_is_none_to_what_was_sent_before_it(durable: Database) -> None:
    db = Db.connect(durable.dsn)
    register_workspaces(db, "acme")
    db.run("select set_alert_url('webhook', :url)", url=WEBHOOK)
    db.run("select register_worker_endpoint('http://127.0.0.1:9/wake', 'token-of-these-tests')")
    db.run("select sync.open_alert('no_worker', 'workers', 'chunks are ready')")
    db.run("select sync.deliver_alerts()")
    db.run("select start_sync_job()")
    sent = db.column("select id from net.http_request_queue order by id")
    db.close()

    durable.stack.stop_postgres(immediate=True)
    durable.stack.start_postgres()

    db = Db.connect(durable.dsn)
    assert [db.value(ANOTHER) for _ in sent] == sent
    db.run(ANSWER)
    # It is as old as the database's template: a sweep that finds it late opens alerts of its own.
    db.run("select sync.beat('health')")
    db.run("select cleanup_stuck_chunks()")
    assert db.column("select delivered_at from sync.alert_deliveries") == [None]
    assert db.column("select last_answered_at from worker_endpoints") == [None]
    advance_clock(db, 31)
    db.run("select sync.deliver_alerts()")
    assert db.value("select count(*) from net.http_request_queue where url like '%/alerts'") == 1
    db.close()
