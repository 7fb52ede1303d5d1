"""Access tokens: whoever meets at an expiry, an answer or a rotation, one request is made and one
grant counts."""

import json
from collections.abc import Sequence

import pytest

from tests.conftest import Connect
from tests.support.accounts import Answer
from tests.support.background import answer_of, in_background, wait_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_invariants
from tests.support.sql_worker import Lease, NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

PAGES = 6
FIRST = json.dumps({"client_id": "client", "client_secret": "secret", "refresh_token": "refresh"})
OTHER = json.dumps({"client_id": "client", "client_secret": "secret", "refresh_token": "other"})


def test_two_workers_meet_one_expiry(db: Db, new_worker: NewWorker) -> None:
    """Each takes pages that need the token, at the same moment."""
    workers = begin_to_read(db, new_worker)
    db.run("update sync.workspace_tokens set expires_at = sync.now(), issued_at = '2026-01-01'")
    for worker in workers:
        worker.db.begin()
    held = [answer_of(in_background(lambda w=worker: w.claim(2))) for worker in workers]  # type: ignore[misc]
    for worker in workers:
        worker.db.commit()

    assert [len(leases) for leases in held] == [1, 0]
    assert is_for_a_token(held[0][0])
    assert requests(db) == ["completed", "processing"]
    assert workers[1].claim() == []
    assert take(workers[0], held[0][0], "second") == "completed"
    assert requests(db) == ["completed", "completed"]
    finish(workers)
    assert statuses(db) == ["completed"]
    assert_invariants(db)


def test_another_grant_while_the_answer_to_the_old_one_is_handed_over(
    db: Db, new_worker: NewWorker
) -> None:
    register(db)
    worker, operator = new_worker(), new_worker()
    start(worker)
    (lease,) = worker.claim()
    operator.db.begin()
    rotate(operator.db, OTHER)
    completion = in_background(lambda: take(worker, lease, "first"))
    wait_until_blocked(db, worker.db, by=operator.db)
    operator.db.commit()

    assert answer_of(completion) == "cancelled"
    assert kept(db) == []
    worker.sweep()
    (again,) = worker.claim()
    assert is_for_a_token(again)
    assert requests(db) == ["cancelled", "processing"]
    assert_invariants(db)


def test_another_grant_waits_for_the_answer_to_the_old_one(db: Db, new_worker: NewWorker) -> None:
    register(db)
    worker, operator = new_worker(), new_worker()
    start(worker)
    (lease,) = worker.claim()
    worker.db.begin()
    assert take(worker, lease, "first") == "completed"
    rotation = in_background(lambda: rotate(operator.db, OTHER))
    wait_until_blocked(db, operator.db, by=worker.db)
    worker.db.commit()
    answer_of(rotation)

    assert kept(db) == []
    worker.sweep()
    (again,) = worker.claim()
    assert is_for_a_token(again)
    assert db.column("select generation from sync.workspace_tokens") == [1]
    assert_invariants(db)


def test_a_sweep_while_an_answer_comes_late_takes_nothing_back(
    db: Db, new_worker: NewWorker
) -> None:
    """The answer holds the request that the sweep would hand out again."""
    register(db)
    worker, other = new_worker(), new_worker()
    start(worker)
    (lease,) = worker.claim()
    db.run("update sync.token_requests set lease_expires_at = sync.now()")
    worker.db.begin()
    assert take(worker, lease, "first", "rotated") == "completed"
    other.sweep()
    assert other.claim() == []
    worker.db.commit()

    assert requests(db) == ["completed"]
    assert kept(db) == [{"access_token": "first", "refresh_token": "rotated"}]
    finish([other])
    assert statuses(db) == ["completed"]


def test_a_401_and_a_2xx_on_one_token_renew_it_once(db: Db, new_worker: NewWorker) -> None:
    workers = begin_to_read(db, new_worker)
    db.run("update sync.workspace_tokens set issued_at = '2026-01-01'")
    leases = [worker.claim(1)[0] for worker in workers]
    for worker in workers:
        worker.db.begin()
    workers[0].fail(leases[0], "permanent", "HTTP 401: no")
    completion = in_background(lambda: workers[1].fail(leases[1], "permanent", "HTTP 401: no"))
    wait_until_blocked(db, workers[1].db, by=workers[0].db)
    for worker in workers[:1]:
        worker.db.commit()
    answer_of(completion)
    workers[1].db.commit()

    assert db.column("select distinct attempts from chunk_processing_queue") == [0]
    (lease,) = workers[0].claim()
    assert is_for_a_token(lease)
    assert workers[1].claim() == []
    assert take(workers[0], lease, "second") == "completed"
    finish(workers)
    assert requests(db) == ["completed", "completed"]
    assert statuses(db) == ["completed"]


def test_two_answers_come_each_beside_a_page_of_the_others_workspace(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    """While both calls wait for their requests, neither holds a token that the other needs."""
    register(db)
    db.run("select register_workspace('zen', 'https://zen.example', :key, 'crm')", key=OTHER)
    db.run("alter function sync.lock_token_requests set lock_timeout = 0")
    one, two, blocker = new_worker(), new_worker(), connect()
    start(one)
    for lease in one.claim():
        assert take(one, lease, "first") == "completed"
    # The fields of a stream's first records are new, for both.
    one.complete_all([(lease, people(lease)) for lease in one.claim()])
    pages = {lease.workspace: lease for lease in one.claim()}
    db.run(
        "update sync.workspace_tokens set is_proven = false, expires_at = sync.now(),"
        " issued_at = '2026-01-01'"
    )
    db.run("select sync.ask_for_tokens(array(select id from sync_workspaces))")
    tokens = {lease.workspace: lease for lease in one.claim()}
    assert set(pages) == set(tokens) == {"acme", "zen"}

    blocker.begin()
    blocker.run("select 1 from sync.token_requests where ended_at is null for update")
    calls = []
    for worker, page, token in ((one, "acme", "zen"), (two, "zen", "acme")):
        answers = [
            (pages[page], people(pages[page])),
            (tokens[token], Answer(200, json.dumps({"access_token": "second"}))),
        ]
        calls.append(in_background(lambda w=worker, a=answers: w.complete_all(a)))  # type: ignore[misc]
        wait_until_blocked(db, worker.db, by=blocker)
    blocker.commit()

    outcomes = [outcome["outcome"] for call in calls for outcome in answer_of(call)]
    assert outcomes == ["completed"] * 4
    assert_invariants(db)


def test_a_declaration_that_waits_for_a_stream_holds_no_workspace(
    db: Db, new_worker: NewWorker, connect: Connect
) -> None:
    register(db)
    operator, blocker = new_worker(), connect()
    (declared,) = db.value("select get_declarations('crm')")["declarations"]
    declared["source"]["base_path"] = "/v2"
    blocker.begin()
    blocker.run("select 1 from sync_streams where stream_name = 'people' for update")
    applied = in_background(
        lambda: operator.db.value(
            "select apply_declaration(cast(:it as jsonb))", it=json.dumps(declared)
        )
    )
    wait_until_blocked(db, operator.db, by=blocker)
    free = "select workspace_name from sync_workspaces where source_id = (select id from"
    free += " sync_sources where source_name = 'crm') for no key update skip locked"
    assert db.column(free) == ["acme"]
    blocker.commit()
    assert answer_of(applied)["is_applied"]


def register(db: Db) -> None:
    declare = "select declare_{}(cast(:it as jsonb))"
    db.run(
        declare.format("source"),
        it=json.dumps(
            {
                "source_name": "crm",
                "auth": "oauth2_refresh",
                "token_url": "/oauth/token",
                "requests_per_second": None,
                "max_in_flight": None,
            }
        ),
    )
    db.run(
        declare.format("stream"),
        it=json.dumps(
            {
                "source_name": "crm",
                "stream_name": "people",
                "path": "/people",
                "page_size": 1,
                "records_path": ["data"],
                "total_path": ["total"],
                "last_page_path": ["last"],
            }
        ),
    )
    db.run("select register_workspace('acme', 'https://acme.example', :key, 'crm')", key=FIRST)


def rotate(db: Db, key: str) -> None:
    db.run("select rotate_workspace_key('acme', :key)", key=key)


def start(worker: SqlWorker) -> None:
    worker.db.run("select start_sync_job('test', '{people}')")


def begin_to_read(db: Db, new_worker: NewWorker) -> list[SqlWorker]:
    """Two workers; the token is there and proven, the other pages are ready."""
    register(db)
    workers = [new_worker(), new_worker()]
    start(workers[0])
    (lease,) = workers[0].claim()
    assert take(workers[0], lease, "first") == "completed"
    (page,) = workers[0].claim()
    assert workers[0].complete(page, people(page))["outcome"] == "completed"
    return workers


def finish(workers: Sequence[SqlWorker]) -> None:
    for worker in workers:
        while leases := worker.claim():
            worker.complete_all([(lease, people(lease)) for lease in leases])


def people(lease: Lease) -> Answer:
    assert not is_for_a_token(lease)
    body = {"data": [{"id": lease.page}], "total": PAGES, "last": PAGES}
    return Answer(200, json.dumps(body))


def take(worker: SqlWorker, lease: Lease, access: str, refresh: str | None = None) -> str:
    answer = {"access_token": access, "refresh_token": refresh, "expires_in": 3600}
    return str(worker.complete(lease, Answer(200, json.dumps(answer)))["outcome"])


def is_for_a_token(lease: Lease) -> bool:
    return "form" in lease.request


def requests(db: Db) -> list[object]:
    return db.column("select status from sync.token_requests order by id")


def kept(db: Db) -> list[object]:
    return db.column(
        "select decrypted_secret::jsonb - 'before' from vault.decrypted_secrets "
        "where name like 'chunkwise/token/%'"
    )


def statuses(db: Db) -> list[object]:
    return db.column("select status from workspace_sync_runs")
