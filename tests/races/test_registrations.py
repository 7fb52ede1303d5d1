"""Registrations meet claims, completions and each other: keys, URLs and rows stay one tenant's."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event
from typing import Any
from urllib.parse import urlsplit

import pytest
from pg8000.exceptions import DatabaseError

from tests.support.accounts import Accounts, Answer
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import advance_clock, register_workspaces, sweep_only_when_asked
from tests.support.sql_worker import NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

CLAIMS = 150
ACCOUNTS = Accounts.on_pages(4)


def test_key_and_url_of_leases_belong_together_while_registrations_flip(
    db: Db, new_worker: NewWorker
) -> None:
    """Read in two statements, three of forty-three keys went to the other host."""
    register_at(db, 9)
    sweep_only_when_asked(db)
    claiming, flipping = new_worker(), new_worker()
    claiming.start()
    over = Event()

    def flip() -> None:
        for port in itertools.cycle((10, 9)):
            register_at(flipping.db, port)
            if over.is_set():
                return

    seen: set[tuple[str, str]] = set()
    flips = in_background(flip)
    try:
        for _ in range(CLAIMS):
            seen |= sent(claiming.claim_answer())
    finally:
        over.set()
    answer_of(flips)
    assert seen == {belonging(9), belonging(10)}
    assert_invariants(db)


def test_key_and_url_of_a_lease_are_of_one_moment(db: Db, new_worker: NewWorker) -> None:
    """A registration commits while the claim is reading the key."""
    register_at(db, 9)
    sweep_only_when_asked(db)
    claiming, operator = new_worker(), new_worker()
    claiming.start()
    pause_reading_secrets(db)
    db.run("select pg_advisory_lock(1)")
    claim = in_background(claiming.claim_answer)
    wait_until_blocked(operator.db, claiming.db, by=db)
    operator.db.run("set chunkwise_test.reads = 'at once'")
    register_at(operator.db, 10)
    db.run("select pg_advisory_unlock(1)")

    assert sent(answer_of(claim)) == {belonging(9)}
    assert sent(operator.claim_answer()) == {belonging(10)}
    assert_invariants(db)


@pytest.mark.parametrize(
    "change",
    [
        "update client_registry set bison_instance = 'http://127.0.0.1:10'",
        "update sync_workspaces set base_url = 'http://127.0.0.1:10'",
        "select rotate_workspace_key('acme', '2|another')",
        "select register_workspace('acme', 'http://127.0.0.1:10', '2|another', p_replace => true)",
    ],
    ids=["view", "row", "rotate", "register"],
)
def test_a_page_that_waits_for_a_change_is_not_applied(
    db: Db, new_worker: NewWorker, change: str
) -> None:
    """It was fetched with the old key or URL, and its lease is checked after the change."""
    register_workspaces(db, "acme")
    worker, operator = new_worker(), new_worker()
    worker.start_past_page_one({"acme": ACCOUNTS})
    (lease,) = worker.claim(1)
    with db.transaction():
        db.run(
            "select 1 from chunk_processing_queue where id = :id for no key update",
            id=lease.queue_id,
        )
        completion = start_until_blocked(
            operator.db, worker.db, partial(worker.complete_from, lease, ACCOUNTS)
        )
        operator.db.run(change)
    assert answer_of(completion)["outcome"] == "cancelled"
    assert db.column("select id from sync.sender_emails order by id") == [1, 2]
    assert_invariants(db)
    finish(db, worker)


@pytest.mark.parametrize("held_by_page", [True, False], ids=["page first", "change first"])
def test_a_row_written_by_hand_while_a_page_holds_the_run(
    db: Db, new_worker: NewWorker, held_by_page: bool
) -> None:
    """Neither waits for the other; the run begins again with its next step."""
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    worker, operator = new_worker(), new_worker()
    worker.start()
    (first,) = worker.claim()
    move = "update sync_workspaces set base_url = 'http://127.0.0.1:10'"
    if held_by_page:
        worker.db.begin()
        assert worker.complete_from(first, ACCOUNTS)["outcome"] == "completed"
        operator.db.run("set statement_timeout = '10s'")
        operator.db.run(move)
        worker.db.commit()
        assert db.column("select scan from workspace_sync_runs") == [1]
        (late,) = worker.claim(1)
        assert worker.complete_from(late, ACCOUNTS)["outcome"] == "cancelled"
    else:
        operator.db.begin()
        operator.db.run(move)
        completion = in_background(partial(worker.complete_from, first, ACCOUNTS))
        wait_until_blocked(db, worker.db, by=operator.db)
        operator.db.commit()
        assert answer_of(completion)["outcome"] in ("completed", "cancelled")
    assert db.column("select scan from workspace_sync_runs") == [2]
    assert_invariants(db)
    finish(db, worker)


def test_a_workspace_that_moves_to_another_source_in_a_run_is_asked_nothing_there(
    db: Db, new_worker: NewWorker
) -> None:
    """The move cannot see that run, nor can the run's start see the move."""
    register_workspaces(db, "acme")
    db.run("""select declare_source('{"source_name": "crm"}')""")
    sweep_only_when_asked(db)
    worker, starter = new_worker(), new_worker()
    starter.db.begin()
    starter.start()
    db.run(
        "select register_workspace('acme', 'http://127.0.0.1:9', '3|crm', 'crm', p_replace => true)"
    )
    starter.db.commit()
    assert worker.claim() == []
    worker.sweep()
    assert db.column("select status from workspace_sync_runs") == ["cancelled"]
    assert_ended(db)


def test_two_workspaces_that_show_one_owner_at_once(db: Db, new_worker: NewWorker) -> None:
    """The second waits for the first, and is refused; in batches of opposite order too."""
    names = ("acme", "zen", "north", "south")
    for name in names:
        db.run("select register_workspace(:name, 'http://127.0.0.1:9', :key)", name=name, key=name)
    db.run("select set_budget('email_bison', null, null)")
    first, second = new_worker(), new_worker()
    first.start()
    leases = {lease.workspace: lease for lease in first.claim()}
    owners = {"acme": 1, "south": 1, "zen": 2, "north": 2}
    one, two = (
        [(leases[name], says(owners[name])) for name in batch]
        for batch in (("acme", "zen"), ("north", "south"))
    )
    first.db.begin()
    first.complete_all(one)
    other = start_until_blocked(db, second.db, partial(second.complete_all, two))
    first.db.commit()
    assert {outcome["outcome"] for outcome in answer_of(other)} == {"completed"}
    assert db.run(
        "select workspace_name, key_status, external_id from sync_workspaces order by id"
    ) == [
        {"workspace_name": "acme", "key_status": "accepted", "external_id": "1"},
        {"workspace_name": "zen", "key_status": "accepted", "external_id": "2"},
        {"workspace_name": "north", "key_status": "other_workspace", "external_id": None},
        {"workspace_name": "south", "key_status": "other_workspace", "external_id": None},
    ]
    assert_invariants(db)


def test_one_name_is_registered_twice_at_once(db: Db, new_worker: NewWorker) -> None:
    first, second = new_worker(), new_worker()
    first.db.begin()
    first.db.run("select register_workspace('acme', 'http://127.0.0.1:9', '1|k')")
    other = in_background(
        lambda: second.db.value("select register_workspace('ACME ', 'http://127.0.0.1:10', '2|k')")
    )
    wait_until_blocked(db, second.db, by=first.db)
    first.db.commit()
    with pytest.raises(DatabaseError) as refused:
        answer_of(other)
    assert sqlstate(refused.value) == "SY019"
    assert db.column("select base_url from sync_workspaces") == ["http://127.0.0.1:9"]
    assert (
        db.value("select count(*) from vault.secrets where name like 'chunkwise/workspace/%'") == 1
    )


def test_a_workspace_is_removed_while_its_last_page_is_handed_over(
    db: Db, new_worker: NewWorker
) -> None:
    register_workspaces(db, "acme", "zen")
    worker, operator = new_worker(), new_worker()
    worker.start()
    pages = {lease.workspace: lease for lease in worker.claim()}
    one_page = Accounts.on_pages(1)
    worker.db.begin()
    worker.complete_all((lease, one_page.answer(lease.request)) for lease in pages.values())
    removal = in_background(
        lambda: operator.db.value("select remove_workspace('acme', p_delete_records => true)")
    )
    wait_until_blocked(db, operator.db, by=worker.db)
    worker.db.commit()
    assert answer_of(removal)["is_finished"] is True
    assert db.column("select workspace_name from sync_workspaces") == ["zen"]
    assert db.column("select distinct workspace_id from sync.sender_emails") == db.column(
        "select id from sync_workspaces"
    )
    assert db.column("select status from polling_job_status") == ["completed"]


@pytest.mark.parametrize("deletes_records", [False, True])
def test_a_removal_waits_for_no_page_that_is_being_written(
    db: Db, new_worker: NewWorker, deletes_records: bool
) -> None:
    """Who writes the page may come to wait for the run, which the removal holds."""
    register_workspaces(db, "acme", slots=1)
    worker, operator = new_worker(), new_worker()
    worker.start()
    remove = "select remove_workspace('acme', p_delete_records => :deletes)"
    (lease,) = worker.claim()
    worker.complete(lease, ACCOUNTS.answer(lease.request))
    (lease,) = worker.claim()
    worker.db.begin()
    worker.complete(lease, ACCOUNTS.answer(lease.request))
    removed = operator.db.value(remove, deletes=deletes_records)
    assert removed["is_finished"] is not deletes_records
    worker.db.commit()
    db.run("select cleanup_stuck_chunks()")
    if deletes_records:
        assert operator.db.value(remove, deletes=True)["is_finished"] is True
        assert db.column("select workspace_name from sync_workspaces") == []
    assert_ended(db)


def test_removals_and_completions_at_once(db: Db, new_worker: NewWorker) -> None:
    names = [f"w{n}" for n in range(8)]
    register_workspaces(db, *names, slots=2)
    workers = [new_worker() for _ in range(3)]
    workers[0].start()

    def work(worker: SqlWorker) -> None:
        for _ in range(30):
            if leases := worker.claim(3):
                worker.complete_all((lease, ACCOUNTS.answer(lease.request)) for lease in leases)

    def remove() -> None:
        for name in names[::2]:
            db.run("select remove_workspace(:name)", name=name)

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(work, worker) for worker in workers]
        remove()
        for future in running:
            answer_of(future)
    workers[0].drain(dict.fromkeys(names, ACCOUNTS))
    # What met a held row was postponed, and falls due.
    advance_clock(db, 120)
    workers[0].drain(dict.fromkeys(names, ACCOUNTS))
    assert_ended(db)
    assert (
        db.column("select status from workspace_sync_runs order by workspace_id")[1::2]
        == ["completed"] * 4
    )
    assert (
        db.value("select count(*) from vault.secrets where name like 'chunkwise/workspace/%'") == 4
    )


def register_at(db: Db, port: int) -> None:
    """Workspace acme at a port, with a key that names it."""
    db.run(
        "select register_workspace('acme', :url, :key, p_replace => true)",
        url=f"http://127.0.0.1:{port}",
        key=f"{port}|key",
    )


def sent(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """Host and key of each lease."""
    return {
        (urlsplit(lease["request"]["url"]).netloc, credential["value"])
        for lease in answer["leases"]
        for credential in lease["credentials"]
    }


def belonging(port: int) -> tuple[str, str]:
    return f"127.0.0.1:{port}", f"Bearer {port}|key"


def pause_reading_secrets(db: Db) -> None:
    """Whoever reads a key waits for advisory lock 1 first, but for who says otherwise."""
    db.run("alter function sync.read_secret(uuid) rename to read_secret_at_once")
    db.run(
        "create function sync.read_secret(p_id uuid) returns text language plpgsql stable as $$ "
        "begin if current_setting('chunkwise_test.reads', true) is null then "
        "perform pg_advisory_xact_lock_shared(1); end if; "
        "return sync.read_secret_at_once(p_id); end; $$"
    )


def finish(db: Db, worker: SqlWorker) -> None:
    """The run that has begun again completes, and has all rows."""
    accept_owner = Accounts(ACCOUNTS.ids, owner=owner_of(db))
    db.run("select cleanup_stuck_chunks()")
    worker.drain({"acme": accept_owner})
    assert db.column("select status from workspace_sync_runs") == ["completed"]
    assert db.column("select id from sync.sender_emails order by id") == ACCOUNTS.ids
    assert_ended(db)


def owner_of(db: Db) -> int:
    return int(db.value("select external_id from sync_workspaces where workspace_name = 'acme'"))


def says(owner: int) -> Answer:
    return Answer(200, json.dumps({"data": {"workspace": {"id": owner}}}))
