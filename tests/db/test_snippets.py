"""The questions of `supabase/snippets`, asked of a database in which much has happened."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from local.folders import CHECKOUT
from local.stack import Stack
from tests.support.accounts import Accounts
from tests.support.db import Db, Row
from tests.support.setup import (
    advance_clock,
    register_workspaces,
    set_settings,
    sweep_only_when_asked,
)
from tests.support.sql_worker import SqlWorker

SNIPPETS = CHECKOUT / "supabase" / "snippets"
OPERATOR = '{"role": "authenticated", "app_metadata": {"chunkwise": "operator"}}'


@dataclass(frozen=True, slots=True)
class Past:
    """What happened, by the jobs that did it."""

    db: Db
    worker: SqlWorker
    jobs: dict[str, str] = field(default_factory=dict)

    def sync(self, title: str, workspace: str, accounts: Accounts) -> None:
        answer = self.worker.start(title, [workspace])
        self.jobs[title] = answer["job_id"]
        self.worker.drain({workspace: accounts})

    @contextmanager
    def as_operator(self) -> Iterator[None]:
        self.db.run("set role authenticated")
        self.db.run("select set_config('request.jwt.claims', :claims, false)", claims=OPERATOR)
        try:
            yield
        finally:
            self.db.run("reset role")

    def ask(self, snippet: str) -> list[Row]:
        return self.db.run((SNIPPETS / f"{snippet}.sql").read_text())


@pytest.fixture(scope="module")
def past(stack: Stack, database_numbers: Iterator[int]) -> Iterator[Past]:
    database = stack.create_database(f"t{next(database_numbers)}")
    db, caller = Db.connect(database.dsn), Db.connect(database.dsn, "service_role")
    past = Past(db, SqlWorker(caller, "worker-1"))
    sweep_only_when_asked(db)
    register_workspaces(db, "acme", "refused", "half", "other", "shrunk", "live", "never")
    finish_some(past)
    advance_clock(db, 86_400)
    fail_and_hold_some(past)
    advance_clock(db, 90_000)
    leave_one_running(past)
    lose_a_hint(db)
    db.run("select sync.beat('cron')")
    set_settings(db, expect_realtime=False)
    db.run("select sync.check_health()")
    yield past
    db.close()
    caller.close()
    database.drop()


def finish_some(past: Past) -> None:
    accounts = Accounts([1, 2, 3, 4])
    past.sync("inserted", "acme", accounts)
    accounts.fields[1] = {"name": "Renamed", "updated_at": "2026-03-01T00:00:00.000000Z"}
    past.sync("changed", "acme", accounts)
    past.sync("seen", "acme", accounts)
    accounts.ids.remove(1)
    past.sync("deleted", "acme", accounts)
    past.sync("after", "acme", accounts)
    past.sync("full", "shrunk", Accounts.on_pages(20))


def fail_and_hold_some(past: Past) -> None:
    past.jobs["failed"] = past.worker.start("failed", ["refused"])["job_id"]
    for lease in past.worker.claim():
        past.worker.fail(lease, "permanent", "HTTP 403: not yours")
    past.worker.start("half", ["half", "other"])
    for lease in past.worker.claim():
        past.worker.fail(lease, "permanent", "HTTP 403: not yours")
    past.sync("other", "other", Accounts([5]))
    past.sync("shrunk", "shrunk", Accounts([1]))


def leave_one_running(past: Past) -> None:
    past.jobs["running"] = past.worker.start("running", ["live"])["job_id"]
    accounts = Accounts.on_pages(12)
    (first,) = past.worker.claim()
    past.worker.complete_from(first, accounts)
    past.db.run("select set_budget('email_bison', 5, 4)")
    past.worker.claim(1)


def lose_a_hint(db: Db) -> None:
    db.run(
        "select register_worker_endpoint('https://worker.example/wake', 'a-wake-token-of-tests')"
    )
    db.run(
        "insert into sync.hints (chunk_id, endpoint_id, request_id, attempt, sent_at, outcome)"
        " select q.id, e.id, 1, 1, sync.now(), 'lost' from worker_endpoints as e, ("
        "  select min(id) as id from chunk_processing_queue where status = 'processing') as q"
    )


def test_each_is_a_question_in_a_comment_and_one_statement() -> None:
    for snippet in SNIPPETS.glob("*.sql"):
        text = snippet.read_text()
        assert text.startswith("-- ")
        assert text.rstrip().count(";") - text.count("'; '") == 1, snippet.name
        assert "?" in text.splitlines()[0], snippet.name


def test_each_has_a_test_here() -> None:
    asked = {name for name in globals() if name.startswith("test_")}
    assert {f"test_{snippet.stem}" for snippet in SNIPPETS.glob("*.sql")} <= asked


@pytest.mark.parametrize("snippet", [path.stem for path in sorted(SNIPPETS.glob("*.sql"))])
def test_an_operator_is_answered_as_the_owner_is(past: Past, snippet: str) -> None:
    with past.as_operator():
        rows = past.ask(snippet)
    assert len(rows) == len(past.ask(snippet)) > 0


def test_what_is_running(past: Past) -> None:
    (row,) = past.ask("what_is_running")
    assert (row["job_name"], row["workspace_name"], row["phase"]) == ("running", "live", "scan")
    assert (row["chunks_done"], row["in_flight"], row["ready"]) == (1, 1, 7)


def test_why_is_it_slow(past: Past) -> None:
    (row,) = past.ask("why_is_it_slow")
    assert (row["workspace_name"], row["slots"], row["budget_in_flight"]) == ("live", 8, 4)
    assert (row["pages"], row["median_ms"], row["retries"]) == (1, 1.0, 0)


def test_which_workspaces_are_stale(past: Past) -> None:
    rows = past.ask("which_workspaces_are_stale")
    stale = ["half", "live", "never", "refused", "acme"]
    assert [row["workspace_name"] for row in rows] == stale
    assert rows[3]["last_ended_error"].startswith("HTTP 403: not yours")
    assert rows[4]["time_since_sync"].days == 1


def test_what_failed_and_why(past: Past) -> None:
    other, half, row = past.ask("what_failed_and_why")
    assert other["what_helps"].startswith("nothing: run ")
    assert half["what_helps"] == (
        "select start_sync_job(p_streams => array['sender_emails'], p_workspaces => array['half'])"
    )
    assert row["workspace_name"] == "refused"
    assert row["why"].startswith("HTTP 403: not yours")
    assert (row["failed_chunks"], row["first_failed_page"]) == (1, 1)
    assert row["what_helps"] == f"select retry_failed_chunks('{past.jobs['failed']}')"


def test_which_hints_were_lost(past: Past) -> None:
    (row,) = past.ask("which_hints_were_lost")
    assert (row["endpoint"], row["outcome"]) == ("https://worker.example/wake", "lost")
    assert row["chunk_status"] == "processing"


def test_what_happened_to_an_account(past: Past) -> None:
    rows = past.ask("what_happened_to_an_account")
    assert {row["what"]: (str(row["job_id"]), row["page"]) for row in rows} == {
        "changed": (past.jobs["changed"], 1),
        "seen": (past.jobs["seen"], 1),
        "deleted": (past.jobs["deleted"], None),
    }
    assert [row["chunk_id"] is None for row in rows] == [False] * 3


def test_what_waits_for_approval(past: Past) -> None:
    (row,) = past.ask("what_waits_for_approval")
    assert (row["workspace_name"], row["deletions_waiting"]) == ("shrunk", 39)
    assert row["lets_them_go"] == f"select approve_deletions({row['run_id']})"
    assert len(row["first_20_records"]) == 20


def test_how_full_are_the_budgets(past: Past) -> None:
    (row,) = past.ask("how_full_are_the_budgets")
    assert (row["scope_key"], row["max_in_flight"]) == ("127.0.0.1:9", 4)
    assert (row["in_flight"], row["ready"], row["percent_in_flight"]) == (1, 7, 25)


def test_which_alerts_are_open(past: Past) -> None:
    rows = past.ask("which_alerts_are_open")
    assert {(row["kind"], row["subject"]) for row in rows} == {
        ("job_not_completed", "failed"),
        ("job_not_completed", "half"),
        ("deletions_waiting", "shrunk sender_emails"),
        *(
            ("stale_workspace", f"{name} sender_emails")
            for name in ("acme", "half", "live", "never", "refused")
        ),
    }
    assert {row["told_at"] for row in rows} == {None}
