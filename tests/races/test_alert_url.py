"""Messages of alerts while another changes where they go."""

from tests.support.background import answer_of, start_until_blocked
from tests.support.db import Db
from tests.support.sql_worker import NewWorker


def test_new_webhook_waits_for_what_is_being_sent_to_the_old_one(
    db: Db, new_worker: NewWorker
) -> None:
    """Else a message that the old one takes would be one that the new one never hears."""
    db.run("select set_alert_url('webhook', 'https://old.example/hook')")
    db.run("select sync.open_alert('no_worker', 'workers', 'chunks are ready')")
    operator = new_worker().db
    with db.transaction():
        db.run("select sync.deliver_alerts()")
        corrected = start_until_blocked(
            db,
            operator,
            lambda: operator.run("select set_alert_url('webhook', 'https://new.example/hook')"),
        )
        assert not corrected.done()
    answer_of(corrected)
    assert db.run("select 1 from sync.alert_deliveries") == []
    db.run("select sync.deliver_alerts()")
    assert db.column("select url from net.http_request_queue order by id") == [
        "https://old.example/hook",
        "https://new.example/hook",
    ]
