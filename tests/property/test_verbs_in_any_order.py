"""Any sequence of verbs, clock and API changes keeps the invariants and ends right."""

import itertools
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pg8000.exceptions import DatabaseError

from local.stack import Database, Stack
from tests.support.accounts import Accounts, Answer
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended, assert_invariants, assert_no_errors_noted
from tests.support.setup import advance_clock, plan_ahead, register_workspaces, set_settings
from tests.support.sql_worker import Lease, SqlWorker

NAMES = ("acme", "zen", "void")
LEASE_SECONDS = 20
LONGEST_WAIT_SECONDS = 61
ANSWERS_OF_LATE_CALLS = {"SY007", "SY008"}
UNUSABLE = {
    "not JSON": Answer(200, "<html>"),
    "wrong shape": Answer(200, '{"data": [], "meta": {}}'),
    "no id": Answer(200, '{"data": [{"name": "x"}], "meta": {"total": 1, "last_page": 1}}'),
    "a proxy's 404": Answer(404, "<html>Not Found</html>"),
    "another API's 404": Answer(404, '{"error": "no route"}'),
    "reported failure": Answer(200, '{"success": false, "message": "try later"}'),
}
picks = st.integers(0, 10_000)
days = st.sampled_from(["2026-01-15", "2026-02-02T00:00:00Z", "2099-01-01", "0000-00-00", ""])
limits: st.SearchStrategy[object] = st.sampled_from([7, "", "many", 10**30, None, {"of": []}])


@dataclass(frozen=True, slots=True)
class Told:
    """A lease that has ended, and what its holder was told."""

    lease: Lease
    answer: Answer
    outcome: dict[str, Any]


class Syncs(RuleBasedStateMachine):
    """Workers, an operator, a clock and an API that changes while it is read."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.db = Db.connect(database.dsn)
        self.worker = SqlWorker(Db.connect(database.dsn, "service_role"), "worker")
        self.clock = 0
        self.ids = itertools.count(1)
        self.removed: list[tuple[str, int]] = []
        self.held: list[Lease] = []
        self.told: list[Told] = []
        self.api = {name: Accounts([next(self.ids) for _ in range(5)]) for name in NAMES}
        register_workspaces(self.db, *NAMES, slots=2)
        plan_ahead(self.db, 1)
        set_settings(self.db, deletion_guard_rows=2)

    @rule(names=st.sets(st.sampled_from(NAMES), min_size=1), job=st.sampled_from(["one", "two"]))
    def start(self, names: set[str], job: str) -> None:
        answer = self.worker.start(job, sorted(names))
        assert answer["status"] in ("accepted", "already_running")
        assert answer["job_id"] is not None

    @rule(limit=st.integers(1, 6))
    def claim(self, limit: int) -> None:
        leases = self.worker.claim(limit)
        assert len(leases) <= limit
        self.held += leases

    @rule(chosen=st.lists(picks, min_size=1, max_size=4), is_answer_lost=st.booleans())
    def complete(self, chosen: list[int], is_answer_lost: bool) -> None:
        leases = {lease.queue_id: lease for lease in self._held(*chosen)}.values()
        pages = [(lease, self.api[lease.workspace].answer(lease.request)) for lease in leases]
        self._hand_over(pages, times=2 if is_answer_lost else 1)

    @rule(chosen=picks, body=st.sampled_from(sorted(UNUSABLE)))
    def complete_with_an_unusable_body(self, chosen: int, body: str) -> None:
        self._hand_over([(lease, UNUSABLE[body]) for lease in self._held(chosen)])

    @rule(
        chosen=picks,
        error_class=st.sampled_from(["transient", "rate_limited", "permanent", "released"]),
        retry_after=st.sampled_from([None, 0, 5]),
    )
    def fail(self, chosen: int, error_class: str, retry_after: int | None) -> None:
        for lease in self._held(chosen):
            self.held.remove(lease)
            try:
                self.worker.fail(lease, error_class, "HTTP 500: no", retry_after)
            except DatabaseError as error:
                assert sqlstate(error) == "SY001"  # noqa: PT017  # only lost leases may raise

    @rule(chosen=picks)
    def repeat_a_completion(self, chosen: int) -> None:
        if self.told:
            told = self.told[chosen % len(self.told)]
            assert self._without_wait(self.worker.complete(told.lease, told.answer)) == told.outcome

    @rule()
    def heartbeat(self) -> None:
        lost = set(self.worker.extend(self.held)["lost"])
        assert lost <= {lease.queue_id for lease in self.held}

    @rule()
    def sweep(self) -> None:
        self.worker.sweep()

    @rule(seconds=st.sampled_from([1, 6, LEASE_SECONDS + 1, LONGEST_WAIT_SECONDS, 3600, 22_000]))
    def wait(self, seconds: int) -> None:
        self.clock += seconds
        advance_clock(self.db, self.clock)

    @rule(verb=st.sampled_from(["pause_sync", "resume_sync"]), name=st.sampled_from(NAMES))
    def pause_or_resume(self, verb: str, name: str) -> None:
        self.worker.db.run(f"select {verb}(p_workspace => :name)", name=name)

    @rule(verb=st.sampled_from(["cancel_sync_job", "retry_failed_chunks"]), chosen=picks)
    def steer_a_job(self, verb: str, chosen: int) -> None:
        jobs = self.db.column("select id from polling_job_status order by started_at desc limit 3")
        if jobs:
            self._try(f"select {verb}(cast(:id as uuid))", str(jobs[chosen % len(jobs)]))

    @rule()
    def approve_deletions(self) -> None:
        for run_id in self.db.column(
            "select id from workspace_sync_runs where deletions_waiting > 0"
        ):
            self._try("select approve_deletions(cast(:id as bigint))", run_id)

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 4))
    def add_accounts(self, name: str, count: int) -> None:
        self.api[name].ids += [next(self.ids) for _ in range(count)]

    @rule(name=st.sampled_from(NAMES), chosen=st.lists(picks, min_size=1, max_size=4))
    def remove_accounts(self, name: str, chosen: list[int]) -> None:
        ids = self.api[name].ids
        for number in chosen[: len(ids)]:
            self.removed.append((name, ids.pop(number % len(ids))))

    @precondition(lambda self: self.removed)
    @rule(chosen=picks)
    def restore_an_account(self, chosen: int) -> None:
        name, account_id = self.removed.pop(chosen % len(self.removed))
        self.api[name].ids = sorted([*self.api[name].ids, account_id])

    @rule(name=st.sampled_from(NAMES), chosen=picks, day=days, daily_limit=limits)
    def change_an_account(self, name: str, chosen: int, day: str, daily_limit: object) -> None:
        """Whatever date the API gives it, and whether its values fit their columns."""
        accounts = self.api[name]
        if accounts.ids:
            accounts.fields[accounts.ids[chosen % len(accounts.ids)]] = {
                "name": f"Change {next(self.ids)}",
                "daily_limit": daily_limit,
                "updated_at": day,
            }

    @invariant()
    def holds(self) -> None:
        assert_invariants(self.db)

    def teardown(self) -> None:
        """Without pauses and faults everything ends, and the next sync is complete and exact."""
        try:
            for name in NAMES:
                self.db.run("select resume_sync(p_workspace => :name)", name=name)
            set_settings(self.db, deletion_guard_rows=10_000, empty_list_minutes=0)
            self._drain()
            for run_id in self.db.column(
                "select id from workspace_sync_runs where deletions_waiting > 0"
            ):
                self._try("select approve_deletions(cast(:id as bigint))", run_id)
            assert self.worker.start("the last")["workspaces_skipped"] == []
            self._drain()
            self._assert_exact()
        finally:
            self.db.close()
            self.worker.db.close()

    def _drain(self) -> None:
        for _ in range(40):
            self.wait(LONGEST_WAIT_SECONDS)
            self.worker.sweep()
            self.worker.drain(self.api)
            assert_invariants(self.db)
            if not self.db.run("select 1 from polling_job_status where status = 'running'"):
                return
        raise AssertionError("a job does not end")

    def _assert_exact(self) -> None:
        assert_ended(self.db)
        assert_no_errors_noted(self.db)
        last = self.db.one("select status from polling_job_status where job_name = 'the last'")
        assert last == {"status": "completed"}
        rows = self.db.run(
            "select w.workspace_name, e.raw from sync.sender_emails as e "
            "join sync_workspaces as w on w.id = e.workspace_id where e.deleted_at is null "
            "order by e.id"
        )
        for name, accounts in self.api.items():
            stored = [row["raw"] for row in rows if row["workspace_name"] == name]
            assert stored == [accounts.record(account_id) for account_id in sorted(accounts.ids)]

    def _held(self, *chosen: int) -> list[Lease]:
        """None if none are held: no rule is ruled out by what the database said, for then the
        same draws would not always be possible."""
        return [self.held[number % len(self.held)] for number in chosen if self.held]

    def _hand_over(self, pages: list[tuple[Lease, Answer]], times: int = 1) -> None:
        if not pages:
            return
        answers = [self.worker.complete_all(pages) for _ in range(times)]
        first = [self._without_wait(outcome) for outcome in answers[0]]
        for repeated in answers[1:]:
            assert [self._without_wait(outcome) for outcome in repeated] == first
        self.told += [
            Told(lease, answer, outcome)
            for (lease, answer), outcome in zip(pages, first, strict=True)
        ]
        ended = {lease.token for lease, _ in pages}
        self.held = [lease for lease in self.held if lease.token not in ended]

    def _try(self, sql: str, subject: object) -> None:
        try:
            self.worker.db.run(sql, id=subject)
        except DatabaseError as error:
            assert sqlstate(error) in ANSWERS_OF_LATE_CALLS  # noqa: PT017  # others are failures

    @staticmethod
    def _without_wait(outcome: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in outcome.items() if key != "look_again_ms"}


def test_verbs_in_any_order(stack: Stack, database: Database) -> None:
    numbers = itertools.count(1)

    def fresh() -> Syncs:
        return Syncs(stack.create_database(f"{database.name}_{next(numbers) % 2}"))

    run_state_machine_as_test(
        fresh,  # type: ignore[arg-type]
        settings=settings(
            max_examples=12,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
