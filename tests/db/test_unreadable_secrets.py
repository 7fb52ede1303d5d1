"""A wake token or alert URL that Vault cannot decrypt, as in a restored project, holds up nothing
else, and an alert names it."""

from local.stack import Database
from tests.support.db import Db
from tests.support.setup import register_workspaces

GOOD, BAD = "http://127.0.0.1:9/good", "http://127.0.0.1:9/bad"
TOKEN = "wake-token-of-these-tests"
ALERTS = (
    "select subject from sync_alerts where kind = 'keys_unreadable' and resolved_at is null"
    " order by 1"
)


def break_secrets(database: Database, names: str) -> None:
    """To where another root key leads: it raises when it is read."""
    database.stack.psql(
        "-c",
        f"update vault.secrets set secret = 'AAAA' where name like '{names}'",
        database=database.name,
    )


def alerts(db: Db) -> list[str]:
    db.run("select sync.check_health()")
    return [str(subject) for subject in db.column(ALERTS)]


def test_a_wake_token_that_cannot_be_read_costs_its_endpoint_alone(
    db: Db, database: Database
) -> None:
    names = [f"w{number}" for number in range(6)]
    register_workspaces(db, *names)
    for url in (GOOD, BAD):
        db.run("select register_worker_endpoint(:url, :token)", url=url, token=TOKEN)
    break_secrets(database, "chunkwise/endpoint/%/bad")
    db.run("select start_sync_job('job')")

    assert db.run(
        "select e.url, count(*) as posts from sync.hints as h"
        " join worker_endpoints as e on e.id = h.endpoint_id group by 1"
    ) == [{"url": GOOD, "posts": len(names)}]
    assert db.value("select last_push_error from sync.hint_state") is None
    assert alerts(db) == ["wake tokens"]

    db.run("select register_worker_endpoint(:url, :token)", url=BAD, token=TOKEN)
    assert alerts(db) == []


def test_what_an_endpoint_answers_is_not_kept_when_its_token_cannot_be_compared(
    db: Db, database: Database
) -> None:
    register_workspaces(db, "acme")
    db.run("select register_worker_endpoint(:url, :token)", url=BAD, token=TOKEN)
    db.run("select start_sync_job('job')")
    break_secrets(database, "chunkwise/endpoint/%")
    database.stack.psql(
        "-c",
        "insert into net._http_response (id, status_code, content, timed_out)"
        f" select request_id, 401, 'no such token: {TOKEN}', false from sync.hints",
        database=database.name,
    )
    db.run("select sync.collect_hint_answers()")

    (hint,) = db.run("select outcome, message from sync.hints where status_code is not null")
    assert hint["outcome"] == "refused"
    assert TOKEN not in str(hint)


def test_an_alert_url_that_cannot_be_read_is_an_alert_of_its_own(
    db: Db, database: Database
) -> None:
    for kind in ("webhook", "dead_man"):
        db.run("select set_alert_url(:kind, :url)", kind=kind, url=GOOD)
    assert alerts(db) == []
    break_secrets(database, "chunkwise/alert/%")

    assert alerts(db) == ["alert urls"]
    assert db.value("select last_error from sync.heartbeats where name = 'health'") is None
    for kind in ("webhook", "dead_man"):
        db.run("select set_alert_url(:kind, :url)", kind=kind, url=GOOD)
    assert alerts(db) == []
