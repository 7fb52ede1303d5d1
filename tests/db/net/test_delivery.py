"""What the stand-in for pg_net sends, and when."""

import json

import pytest
from pg8000.exceptions import DatabaseError

from local.net import Deliverer
from tests.db.net.inbox import Inbox
from tests.support.background import wait_until
from tests.support.db import Db


def post(db: Db, url: str, count: int = 1, timeout_ms: int = 60_000) -> list[int]:
    return db.column(
        "select net.http_post(:url, jsonb_build_object('n', n),"
        " timeout_milliseconds => cast(:timeout_ms as int))"
        " from generate_series(1, cast(:count as int)) as n",
        url=url,
        count=count,
        timeout_ms=timeout_ms,
    )


def wait_for_responses(db: Db, count: int) -> None:
    wait_until(lambda: response_count(db) == count, f"there are {count} answers")


def response_count(db: Db) -> int:
    return int(db.value("select count(*) from net._http_response"))


def test_a_post_arrives_as_pg_net_sends_it(db: Db, inbox: Inbox) -> None:
    request_id = db.value(
        'select net.http_post(:url, \'{"id": 7}\', \'{"a b": "ü&"}\','
        ' \'{"Authorization": "Bearer abc", "content-type": "application/json"}\')',
        url=f"{inbox.url}/hook?x=1",
    )
    received = inbox.next()
    wait_for_responses(db, 1)

    assert received.method == "POST"
    assert received.path == "/hook?x=1&a%20b=%C3%BC%26"
    assert json.loads(received.body) == {"id": 7}
    assert received.headers["User-Agent"].startswith("pg_net/0.20")
    assert received.headers["Authorization"] == "Bearer abc"
    assert received.headers["content-type"] == "application/json"
    answer = db.one("select * from net._http_response")
    assert answer["id"] == request_id
    assert (answer["status_code"], answer["timed_out"], answer["error_msg"]) == (202, False, None)
    assert answer["content"] == '{"message":"noted"}'
    assert answer["content_type"] == "application/json"


def test_get_and_delete_are_sent_too(db: Db, inbox: Inbox) -> None:
    db.run("select net.http_get(:url)", url=f"{inbox.url}/get")
    assert (seen := inbox.next()).method == "GET"
    assert seen.path == "/get"
    db.run("select net.http_delete(:url, body => '{\"id\": 1}')", url=f"{inbox.url}/delete")
    assert (seen := inbox.next()).method == "DELETE"
    assert seen.body == b'{"id": 1}'


def test_only_a_commit_sends(db: Db, inbox: Inbox) -> None:
    db.begin()
    post(db, f"{inbox.url}/rolled-back")
    db.rollback()
    db.begin()
    post(db, f"{inbox.url}/committed")
    assert inbox.received.empty()
    db.commit()

    assert inbox.next().path == "/committed"
    wait_for_responses(db, 1)
    assert inbox.received.empty()


def test_a_row_that_was_inserted_by_hand_waits_for_the_next_wake(db: Db, inbox: Inbox) -> None:
    db.run(
        "insert into net.http_request_queue (method, url, headers, timeout_milliseconds)"
        " values ('GET', :url, '{}', 5000)",
        url=f"{inbox.url}/by-hand",
    )
    post(db, f"{inbox.url}/waking")
    assert inbox.next_paths(2) == ["/by-hand", "/waking"]
    db.run("select net.wake()")


def test_no_answer_is_seen_before_the_slowest_of_the_batch(db: Db, inbox: Inbox) -> None:
    inbox.release.clear()
    db.begin()
    post(db, f"{inbox.url}/held")
    post(db, f"{inbox.url}/quick", count=3)
    db.commit()
    assert inbox.next_paths(4) == ["/held", "/quick", "/quick", "/quick"]
    assert response_count(db) == 0

    inbox.release.set()
    wait_for_responses(db, 4)
    assert db.value("select count(distinct created) from net._http_response") == 1


def test_a_batch_has_two_hundred_requests(db: Db, inbox: Inbox) -> None:
    post(db, f"{inbox.url}/many", count=201)
    inbox.next_paths(201)
    wait_for_responses(db, 201)

    sizes = db.column("select count(*) from net._http_response group by created order by created")
    assert sizes == [200, 1]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1/", "Couldn't connect to server"),
        ("http://nowhere.invalid/", "Couldn't resolve host name"),
        ("ftp://127.0.0.1/", "Unsupported protocol"),
    ],
)
def test_a_failure_is_a_row_and_not_tried_again(db: Db, url: str, message: str) -> None:
    post(db, url)
    wait_for_responses(db, 1)

    answer = db.one("select status_code, timed_out, error_msg from net._http_response")
    assert answer == {"status_code": None, "timed_out": False, "error_msg": message}
    assert db.value("select count(*) from net.http_request_queue") == 0


def test_a_refusal_and_a_timeout_are_rows_too(db: Db, inbox: Inbox) -> None:
    inbox.release.clear()
    post(db, f"{inbox.url}/refused")
    post(db, f"{inbox.url}/held", timeout_ms=1500)
    inbox.next_paths(2)
    wait_for_responses(db, 2)

    refused, late = db.run("select status_code, timed_out, error_msg from net._http_response")
    assert refused == {"status_code": 500, "timed_out": False, "error_msg": None}
    assert (late["status_code"], late["timed_out"]) == (None, True)
    assert late["error_msg"].startswith("Timeout of 1500 ms reached.")
    assert inbox.received.empty()


def test_redirects_are_followed(db: Db, inbox: Inbox) -> None:
    post(db, f"{inbox.url}/away")
    assert inbox.next_paths(2) == ["/away", "/here"]


def test_answers_are_kept_six_hours(db: Db, inbox: Inbox) -> None:
    db.run(
        "insert into net._http_response (id, created)"
        " select n, now() - n * interval '2 hours' from generate_series(2, 4) as n"
    )
    post(db, inbox.url)
    inbox.next()
    wait_until(
        lambda: db.column("select id from net._http_response where id in (2, 3, 4)") == [2],
        "the old answers are gone",
    )


@pytest.mark.parametrize(
    "call",
    [
        "net.http_post('http://127.0.0.1', headers => '{\"Content-Type\": \"text/plain\"}')",
        (
            "net.http_post('http://127.0.0.1',"
            ' headers => \'{"Content-Type": "application/json; charset=utf-8"}\')'
        ),
        "net.http_post('127.0.0.1/without-scheme')",
    ],
)
def test_what_it_cannot_send_fails_the_caller(db: Db, call: str) -> None:
    with pytest.raises(DatabaseError):
        db.run(f"select {call}")


def test_a_batch_is_sent_again_when_the_process_dies(
    db: Db, inbox: Inbox, deliverer: Deliverer
) -> None:
    inbox.release.clear()
    db.begin()
    post(db, f"{inbox.url}/held")
    post(db, f"{inbox.url}/quick")
    db.commit()
    assert inbox.next_paths(2) == ["/held", "/quick"]
    deliverer.stop(kill=True)
    wait_until(
        lambda: db.value("select count(*) from net.http_request_queue") == 2,
        "both are queued again",
    )
    inbox.release.set()
    deliverer.start()

    assert inbox.next_paths(2) == ["/held", "/quick"]
    wait_for_responses(db, 2)


def test_what_is_queued_while_it_is_down_is_sent_when_it_is_up(
    db: Db, inbox: Inbox, deliverer: Deliverer
) -> None:
    deliverer.stop()
    wait_until(lambda: not is_up(db), "the worker is gone")
    post(db, inbox.url)
    deliverer.start()
    inbox.next()
    assert is_up(db)


def test_it_comes_back_when_its_connection_breaks_or_it_is_told_to_restart(
    db: Db, inbox: Inbox, deliverer: Deliverer
) -> None:
    del deliverer
    pid = worker_pid(db)
    assert db.value("select net.worker_restart()") is True
    wait_until(lambda: worker_pid(db) not in (pid, None), "another connection works")
    post(db, inbox.url)
    inbox.next()


def is_up(db: Db) -> bool:
    try:
        db.run("select net.check_worker_is_up()")
    except DatabaseError:
        return False
    return True


def worker_pid(db: Db) -> int | None:
    pids = db.column(
        "select pid from pg_stat_activity"
        " where application_name = 'pg_net worker' and datname = current_database()"
    )
    return pids[0] if pids else None
