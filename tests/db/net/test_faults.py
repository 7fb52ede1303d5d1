"""What tests can make the delivery do wrong."""

from tests.db.net.inbox import Inbox
from tests.db.net.test_delivery import post, wait_for_responses
from tests.support.background import wait_until
from tests.support.db import Db

MANY = 60


def test_dropped_requests_leave_no_trace(db: Db, inbox: Inbox) -> None:
    db.run("update stand_in.net_faults set dropped_share = 1")
    post(db, f"{inbox.url}/dropped", count=3)
    wait_until(
        lambda: db.value("select count(*) from net.http_request_queue") == 0, "the queue is empty"
    )
    db.run("update stand_in.net_faults set dropped_share = 0")
    post(db, f"{inbox.url}/sent")

    assert inbox.next().path == "/sent"
    wait_for_responses(db, 1)


def test_the_same_half_is_dropped_each_time(db: Db, inbox: Inbox) -> None:
    db.run("update stand_in.net_faults set dropped_share = 0.5")
    first = post(db, inbox.url, count=MANY)
    wait_until(
        lambda: db.value("select count(*) from net.http_request_queue") == 0, "the queue is empty"
    )
    kept = db.column("select id from net._http_response order by id")

    assert MANY // 3 < len(kept) < MANY * 2 // 3
    assert kept == [
        request_id for request_id in first if request_id * 0.6180339887498949 % 1 >= 0.5
    ]


def test_doubled_requests_arrive_twice_and_are_answered_once(db: Db, inbox: Inbox) -> None:
    db.run("update stand_in.net_faults set doubled_share = 1")
    post(db, f"{inbox.url}/doubled")

    assert inbox.next_paths(2) == ["/doubled", "/doubled"]
    wait_for_responses(db, 1)


def test_delayed_requests_let_others_pass(db: Db, inbox: Inbox) -> None:
    db.run("update stand_in.net_faults set delay_ms = 3000")
    post(db, f"{inbox.url}/delayed")
    wait_until(lambda: db.value("select count(*) from net.http_request_queue") == 0, "it was taken")
    db.run("update stand_in.net_faults set delay_ms = 0")
    post(db, f"{inbox.url}/prompt")

    assert [inbox.next().path, inbox.next().path] == ["/prompt", "/delayed"]
