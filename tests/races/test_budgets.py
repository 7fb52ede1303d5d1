"""However many claim at once, a budget's rate, its requests in flight and its block hold."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.support.accounts import Accounts
from tests.support.background import answer_of, start_until_blocked
from tests.support.db import Db
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import register_workspaces, stop_clock, sweep_only_when_asked
from tests.support.sql_worker import Lease, NewWorker, SqlWorker

pytestmark = pytest.mark.usefixtures("patient_calls")

NAMES = ("acme", "zen", "void", "north")


def test_rate_over_claims_at_once(db: Db, new_worker: NewWorker) -> None:
    """10 a second, 2 s ahead: 21 send times, each given away once; the rest after those."""
    workers = fleet_past_page_one(db, new_worker)
    db.run("select set_budget('email_bison', 10, null)")
    stop_clock(db)
    first = claims_at_once(workers, limit=3, rounds=4)
    assert sorted(lease.send_after_ms for lease in first) == list(range(0, 2001, 100))
    stop_clock(db, seconds=2)
    second = claims_at_once(workers, limit=3, rounds=4)
    assert sorted(lease.send_after_ms for lease in second) == list(range(100, 1101, 100))
    assert_invariants(db)


def test_rate_over_claims_that_wait_for_each_other(db: Db, new_worker: NewWorker) -> None:
    """The second claim reserves after what the first has reserved and not yet committed; where that
    takes long it reserves nothing, and comes back."""
    first, second, *_ = fleet_past_page_one(db, new_worker)
    db.run("select set_budget('email_bison', 1, null)")
    stop_clock(db)
    first.db.begin()
    one = first.claim(2)
    other = start_until_blocked(db, second.db, partial(second.claim, 1))
    first.db.commit()
    times = [lease.send_after_ms for lease in [*one, *answer_of(other)]]
    stop_clock(db, seconds=1)
    times += [1000 + lease.send_after_ms for lease in second.claim(3)]
    assert times == [0, 1000, 2000, 3000]


def test_in_flight_over_claims_and_completions_at_once(db: Db, new_worker: NewWorker) -> None:
    workers = fleet_past_page_one(db, new_worker)
    db.run("select set_budget('email_bison', null, 3)")
    watcher = new_worker().db
    accounts = fleet_accounts()

    def work(worker: SqlWorker) -> int:
        done = 0
        for _ in range(25):
            for lease in worker.claim(2):
                worker.complete_from(lease, accounts[lease.workspace])
                done += 1
        return done

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(work, worker) for worker in workers]
        while not all(future.done() for future in running):
            assert_invariants(watcher)
    assert sum(answer_of(future) for future in running) > 0
    assert_invariants(db)


def test_429_meets_claims(db: Db, new_worker: NewWorker) -> None:
    """A claim beside it is not held up; later ones see the smaller budget and the workspace that
    waits, and after its wait one request of it asks first."""
    workers = fleet_past_page_one(db, new_worker)
    db.run("select set_budget('email_bison', null, 10)")
    stop_clock(db)
    limited, *others = workers
    lease, *rest = limited.claim(4)
    limited.db.begin()
    assert limited.fail(lease, "rate_limited", "HTTP 429", 5)["outcome"] == "delayed"
    beside = start_until_blocked(db, others[0].db, partial(others[0].claim, 2))
    limited.db.commit()
    assert answer_of(beside) == []
    assert db.column("select reduced_in_flight from sync_budgets") == [2]

    accounts = fleet_accounts()
    for held in rest:
        limited.complete_from(held, accounts[held.workspace])
    later = claims_at_once(others, limit=5, rounds=2)
    assert len(later) == 2
    assert all(other.workspace != lease.workspace for other in later)
    assert_invariants(db)

    stop_clock(db, seconds=6)
    db.run("select set_budget('email_bison', null, null)")
    after = claims_at_once(workers, limit=20, rounds=2)
    assert [other.workspace for other in after].count(lease.workspace) == 1
    assert db.column("select distinct attempts from chunk_processing_queue") == [0]
    assert_invariants(db)


def test_budgets_are_set_while_a_worker_blocks_them(db: Db, new_worker: NewWorker) -> None:
    """It blocks the older one first, which stands behind the other in table and index."""
    register_workspaces(db, "acme")
    register_workspaces(db, "zen", base_url="http://127.0.0.1:10")
    sweep_only_when_asked(db)
    worker, operator = new_worker(), new_worker()
    worker.start()
    leases = {lease.workspace: lease for lease in worker.claim()}
    oldest, scope_key = db.one(
        "select id, scope_key from sync_budgets order by id limit 1"
    ).values()
    for key in ("moved", scope_key):
        db.run("update sync_budgets set scope_key = :key where id = :id", key=key, id=oldest)
    worker.db.begin()
    worker.fail(leases["acme"], "rate_limited", "HTTP 429", 5)
    setting = start_until_blocked(
        db, operator.db, partial(operator.db.value, "select set_budget('email_bison', 5, 10)")
    )
    worker.fail(leases["zen"], "rate_limited", "HTTP 429", 5)
    worker.db.commit()

    assert answer_of(setting) == {"source": "email_bison", "budgets_changed": 2}
    assert_invariants(db)


def test_budgets_are_set_while_their_source_is_declared(db: Db, new_worker: NewWorker) -> None:
    """Whoever declares it goes on to set a budget in the same transaction."""
    register_workspaces(db, "acme")
    declaring, operator = new_worker(), new_worker()
    declaring.db.begin()
    declaring.db.run("""select declare_source('{"source_name": "email_bison"}')""")
    setting = start_until_blocked(
        db, operator.db, partial(operator.db.value, "select set_budget('email_bison', 5, 10)")
    )
    declaring.db.run("select set_budget('email_bison', 7, null)")
    declaring.db.commit()

    assert answer_of(setting) == {"source": "email_bison", "budgets_changed": 1}
    assert db.column("select requests_per_second from sync_budgets") == [5]


def test_probe_beside_requests_that_are_still_in_flight(db: Db, new_worker: NewWorker) -> None:
    """The probe's time has passed, its holder keeps it alive: no second one on top of the limit."""
    worker, *_ = fleet_past_page_one(db, new_worker)
    db.run("select set_budget('email_bison', null, 3)")
    stop_clock(db)
    first, slow, done = worker.claim()
    worker.fail(first, "rate_limited", "HTTP 429", 1)
    worker.complete_from(done, fleet_accounts()[done.workspace])
    stop_clock(db, seconds=1)
    db.run("update sync_budgets set reduced_in_flight = 2")
    (second,) = worker.claim()
    stop_clock(db, seconds=1.5)
    worker.fail(second, "rate_limited", "HTTP 429", 1)
    stop_clock(db, seconds=3)
    db.run("update sync_budgets set reduced_in_flight = 2")
    (probe,) = worker.claim()
    for seconds in (15, 30):
        stop_clock(db, seconds=seconds)
        assert worker.extend([slow, probe])["lost"] == []
        assert worker.claim() == []
        assert_invariants(db)


def test_first_answers_of_several_keys_at_once(db: Db, new_worker: NewWorker) -> None:
    """Batches that name the same workspaces in opposite orders, no key accepted yet."""
    first, second, *_ = fleet_past_page_one(db, new_worker)
    accounts = fleet_accounts()
    for _ in range(4):
        one, two = first.claim(4), second.claim(4)
        db.run("update sync_workspaces set key_status = 'unchecked'")
        pages = [
            [(lease, accounts[lease.workspace].answer(lease.request)) for lease in leases]
            for leases in (one, reversed(two))
        ]
        first.db.begin()
        first.complete_all(pages[0])
        other = start_until_blocked(db, second.db, partial(second.complete_all, pages[1]))
        first.db.commit()
        assert {outcome["outcome"] for outcome in answer_of(other)} == {"completed"}
    first.drain(accounts)
    assert_ended(db)


def fleet_accounts() -> dict[str, Accounts]:
    return {
        name: Accounts.on_pages(30, first_id=1000 * number) for number, name in enumerate(NAMES, 1)
    }


def fleet_past_page_one(db: Db, new_worker: NewWorker) -> list[SqlWorker]:
    """Four workers; four workspaces of thirty pages on one budget, eight of each ready."""
    register_workspaces(db, *NAMES)
    sweep_only_when_asked(db)
    workers = [new_worker() for _ in range(4)]
    workers[0].start_past_page_one(fleet_accounts())
    return workers


def claims_at_once(workers: list[SqlWorker], *, limit: int, rounds: int) -> list[Lease]:
    def claim(worker: SqlWorker) -> list[Lease]:
        return [lease for _ in range(rounds) for lease in worker.claim(limit)]

    with ThreadPoolExecutor() as threads:
        return [lease for leases in threads.map(claim, workers) for lease in leases]
