"""A run is closed exactly once, however its last completions meet."""

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.accounts import Accounts
from tests.support.background import (
    answer_of,
    in_background,
    start_until_blocked,
    wait_until_blocked,
)
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import (
    job_status,
    plan_ahead,
    register_workspaces,
    sweep_only_when_asked,
)
from tests.support.sql_worker import NewWorker, SqlWorker

if TYPE_CHECKING:
    from concurrent.futures import Future

pytestmark = pytest.mark.usefixtures("patient_calls")


def test_last_two_chunks_at_once(db: Db, new_worker: NewWorker) -> None:
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(3)}
    first, second = new_worker(), new_worker()
    first.start_past_page_one(accounts)
    one, two = first.claim()

    first.db.begin()
    first.complete_from(one, accounts["acme"])
    other = in_background(lambda: second.complete_from(two, accounts["acme"]))
    wait_until_blocked(db, second.db, by=first.db)
    assert_invariants(db)
    first.db.commit()

    assert answer_of(other)["outcome"] == "completed"
    assert_completed_once(db)


def test_last_chunk_is_completed_while_an_earlier_completion_has_not_committed(
    db: Db, new_worker: NewWorker
) -> None:
    """The prototype's gap: page 3 was the last pending chunk, page 2's completion is slow."""
    register_workspaces(db, "acme")
    sweep_only_when_asked(db)
    accounts = {"acme": Accounts.on_pages(3)}
    slow, quick = new_worker(), new_worker()
    slow.start_past_page_one(accounts)
    (page_two,) = slow.claim(1)
    slow.db.begin()
    slow.complete_from(page_two, accounts["acme"])
    (page_three,) = quick.claim()
    completion = in_background(lambda: quick.complete_from(page_three, accounts["acme"]))
    wait_until_blocked(db, quick.db, by=slow.db)
    slow.db.commit()

    assert answer_of(completion)["outcome"] == "completed"
    assert_completed_once(db)


@pytest.mark.parametrize(("slots", "ahead"), [(1, 16), (2, 16), (3, 16), (2, 1), (3, 2)])
def test_slow_commits_at_every_place(db: Db, new_worker: NewWorker, slots: int, ahead: int) -> None:
    """Any completion but page 1's stays open until the others can do no more; pages are planned all
    at once, or in windows that are over at once."""
    register_workspaces(db, "acme", slots=slots)
    plan_ahead(db, ahead)
    sweep_only_when_asked(db)
    slow, quick = new_worker(), new_worker()
    helpers = [new_worker() for _ in range(slots + 4)]
    for pages in range(2, slots + 4):
        accounts = Accounts.on_pages(pages)
        for completions_before in range(pages - 1):
            quick.start_past_page_one({"acme": accounts})
            for _ in range(completions_before):
                quick.complete_from(quick.claim(1)[0], accounts)
            (lease,) = slow.claim(1)
            slow.db.begin()
            slow.complete_from(lease, accounts)
            beside = complete_all_there_is(db, quick, helpers, accounts)
            assert_invariants(db)
            slow.db.commit()
            assert [answer_of(done)["outcome"] for done in beside] == ["completed"] * len(beside)
            quick.drain({"acme": accounts})
            assert_completed_once(db)
            db.run("delete from polling_job_status")


def test_a_refill_and_the_last_chunk_of_the_window_meet(db: Db, new_worker: NewWorker) -> None:
    """The completion that plans the next window stays open while what waited is used up."""
    register_workspaces(db, "acme", slots=2)
    plan_ahead(db, 2)
    sweep_only_when_asked(db)
    accounts = Accounts.on_pages(9)
    slow, quick = new_worker(), new_worker()
    helpers = [new_worker() for _ in range(4)]
    quick.start_past_page_one({"acme": accounts})
    (lease,) = slow.claim(1)
    slow.db.begin()
    slow.complete_from(lease, accounts)
    assert planned_pages(slow.db) > planned_pages(db)
    beside = complete_all_there_is(db, quick, helpers, accounts)
    assert_invariants(db)
    slow.db.commit()
    assert [answer_of(done)["outcome"] for done in beside] == ["completed"] * len(beside)
    assert_invariants(db)
    quick.drain({"acme": accounts})
    assert_completed_once(db)


@pytest.mark.parametrize("is_fan_out_first", [True, False])
def test_fan_out_and_closing_meet(db: Db, new_worker: NewWorker, is_fan_out_first: bool) -> None:
    """Page 3 reveals a fourth page while page 2, the other last one, is being completed."""
    register_workspaces(db, "acme")
    known, grown = Accounts.on_pages(3), Accounts.on_pages(4)
    slow, quick = new_worker(), new_worker()
    job_id = quick.start_past_page_one({"acme": known})
    page_two, page_three = quick.claim()
    steps = [(page_three, grown), (page_two, known)]
    if not is_fan_out_first:
        steps.reverse()
    slow.db.begin()
    slow.complete_from(*steps[0])
    other = start_until_blocked(db, quick.db, partial(quick.complete_from, *steps[1]))
    slow.db.commit()

    assert answer_of(other)["outcome"] == "completed"
    assert_invariants(db)
    quick.drain({"acme": grown})
    assert job_status(db, job_id) == "completed"
    assert db.column("select id from sync.sender_emails order by id") == grown.ids
    assert_ended(db)


def complete_all_there_is(
    db: Db, claimer: SqlWorker, helpers: list[SqlWorker], accounts: Accounts
) -> list["Future[dict[str, Any]]"]:
    """Claim and complete one after the other, each on a connection of its own."""
    free = iter(helpers)
    begun = []
    while leases := claimer.claim(1):
        helper = next(free)
        begun.append(
            start_until_blocked(db, helper.db, partial(helper.complete_from, leases[0], accounts))
        )
    return begun


def planned_pages(db: Db) -> int:
    (pages,) = db.column("select planned_pages from workspace_sync_runs")
    return int(pages)


def assert_completed_once(db: Db) -> None:
    run = db.one("select status, chunks_completed, planned_chunks from workspace_sync_runs")
    assert run["status"] == "completed"
    assert run["chunks_completed"] == run["planned_chunks"]
    job = db.one("select status, chunks_completed from polling_job_status")
    assert job == {"status": "completed", "chunks_completed": run["planned_chunks"]}
    assert_ended(db)
