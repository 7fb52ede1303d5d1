"""What a stranger's database login can reach: nothing, whatever it was granted or claims."""

import json
import secrets
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from pg8000.exceptions import DatabaseError

from local.api import Api
from local.stack import Database
from tests.support.accounts import Accounts
from tests.support.db import Db, sqlstate
from tests.support.setup import advance_clock, register_workspaces, set_settings
from tests.support.sql_worker import NewWorker, SqlWorker

DENIED = "42501"
OPERATOR = json.dumps({"role": "authenticated", "app_metadata": {"chunkwise": "operator"}})
CARELESS = """
    grant usage on schema sync to public;
    grant all on all routines in schema public to public, anon, authenticated;
    grant all on all routines in schema sync to public, anon, authenticated
"""
NewLogin = Callable[..., Db]


@pytest.fixture
def new_login(db: Db, database: Database) -> Iterator[NewLogin]:
    """Makes logins of this test's own, members of the roles that are named."""
    made: list[tuple[str, Db]] = []

    def new_login(*roles: str) -> Db:
        name = f"login_{secrets.token_hex(4)}"
        db.run(f"create role {name} login password 'secret'")
        for role in roles:
            db.run(f"grant {role} to {name}")
        url = urlsplit(database.dsn)
        host = f"{name}:secret@{url.hostname}:{url.port}"
        login = Db.connect(url._replace(netloc=host).geturl())
        made.append((name, login))
        return login

    yield new_login
    for name, login in made:
        login.run("discard all")
        login.close()
        db.run(f"drop role {name}")


def state_of(db: Db, sql: str) -> str | None:
    """The SQLSTATE with which a statement fails, None if it does not."""
    try:
        db.run(sql)
    except DatabaseError as error:
        return sqlstate(error)
    return None


VERBS = [
    "select start_sync_job()",
    "select pause_sync()",
    "select approve_deletions(1)",
    "select claim_next_chunk_job_safe('w', 1, p_protocol => 2)",
    "select set_setting('paused', 'true')",
    "select sync.pause_sync(null, null)",
]


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ((), "none"),
        (("authenticated",), "none"),
        (("authenticated",), "authenticated"),
        (("anon", "authenticated"), "anon"),
    ],
)
def test_a_login_that_is_a_member_of_authenticated_gets_into_nothing(
    db: Db, new_login: NewLogin, roles: tuple[str, ...], role: str
) -> None:
    """Not as itself and not as `authenticated`, with whatever claims it writes."""
    register_workspaces(db, "acme")
    db.run(CARELESS)
    login = new_login(*roles)
    login.run(f"set role {role}")
    login.run("select set_config('request.jwt.claims', :claims, false)", claims=OPERATOR)

    assert [state_of(login, verb) for verb in VERBS] == [DENIED] * len(VERBS)


def test_claims_that_a_login_writes_show_it_no_row(db: Db, new_login: NewLogin) -> None:
    register_workspaces(db, "acme")
    readable = db.column(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = any ('{public,sync}'::regnamespace[])"
        " and c.relkind in ('r', 'p') and has_table_privilege('authenticated', c.oid, 'select')"
    )
    login = new_login("authenticated")
    login.run("set role authenticated")
    login.run("select set_config('request.jwt.claims', :claims, false)", claims=OPERATOR)

    seen = {name: login.value(f"select count(*) from {name}") for name in readable}

    assert set(seen.values()) == {0}
    assert {"sync_workspaces", "sync_settings", "sync.sweep_state"} <= seen.keys()


def test_a_login_of_the_projects_own_works_once_it_was_granted_service_role(
    db: Db, new_login: NewLogin
) -> None:
    register_workspaces(db, "acme")
    login = new_login("service_role")

    assert login.value("select start_sync_job()")["status"] == "accepted"
    assert (
        len(login.value("select claim_next_chunk_job_safe('w', 1, p_protocol => 2)")["leases"]) == 1
    )


def test_after_a_careless_grant_keys_and_tokens_of_strangers_open_nothing(db: Db, api: Api) -> None:
    """The popular `grant all on all routines in schema public to anon` of tutorials, over HTTP."""
    register_workspaces(db, "acme")
    db.run("select start_sync_job()")
    role = f"m_{secrets.token_hex(4)}"
    db.run(f"create role {role}")
    try:
        db.run(f"grant authenticated to {role}; grant {role} to authenticator")
        db.run(CARELESS)
        db.run("notify pgrst, 'reload schema'")
        operators = {"app_metadata": {"chunkwise": "operator"}}
        strangers = [
            None,
            api.user_token(),
            api.keys.token({"role": role, **operators}),
            api.keys.token({"role": "anon", **operators}),
        ]
        claims = [claim(api, token) for token in strangers]
    finally:
        db.run(f"drop role {role}")

    assert claims == [DENIED] * len(strangers)


def claim(api: Api, token: str | None) -> str:
    """Claim as a stranger; returns the code of the refusal."""
    headers = {"apikey": api.publishable_key}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    answer = httpx.post(
        f"{api.url}/rest/v1/rpc/claim_next_chunk_job_safe",
        json={"p_worker_id": "stranger", "p_limit": 100},
        headers=headers,
        timeout=30,
    )
    return str(answer.json().get("code", answer.text))


# Types that bodies name and that are no key words of SQL: a domain in pg_temp could stand for them.
SHADOWED = ("text", "jsonb", "uuid", "timestamptz", "int8", "int4", "bool", "name", "regclass")


def test_a_type_in_pg_temp_never_runs_as_the_owner(db: Db, new_login: NewLogin) -> None:
    """An empty search path still looks into pg_temp first, for types: a domain there ran its check
    inside a definer function, and printed all of Vault."""
    register_workspaces(db, "acme")
    accounts = {"acme": Accounts.on_pages(2)}
    attacker = new_login("service_role")
    lay_traps(attacker)
    db.run(
        "create function public.careless(p_value pg_catalog.text) returns pg_catalog.text"
        " language plpgsql security definer set search_path = '' as"
        " $$ begin return (p_value || '!')::text; end; $$"
    )
    attacker.run("select public.careless('it works where the path is empty')")
    stolen_from_careless = attacker.value("select last_value from stolen")
    attacker.run("alter sequence stolen restart")

    for verb in db.column(
        "select format('select public.%I(%s)', proname, array_to_string(array_fill("
        "'null'::text, array[pronargs]), ', ')) from pg_proc"
        " where pronamespace = 'public'::regnamespace"
        " and has_function_privilege('service_role', oid, 'execute')"
    ):
        state_of(attacker, verb)
    state_of(attacker, "select resume_sync()")
    worker = SqlWorker(attacker, "attacker")
    job_id = worker.start_past_page_one(accounts)
    worker.drain(accounts)

    assert db.value("select status from polling_job_status where id = :id", id=job_id)
    assert stolen_from_careless > 1
    assert attacker.value("select last_value from stolen") == 1


def lay_traps(attacker: Db) -> None:
    """A sequence counts, even if what it stole is rolled back."""
    attacker.run("create temporary sequence stolen start 1")
    attacker.run("select nextval('stolen')")
    attacker.run("grant all on sequence stolen to public")
    attacker.run(
        "create function pg_temp.steal() returns boolean language plpgsql as $$ begin"
        " if current_user = 'postgres' then perform pg_catalog.nextval('pg_temp.stolen'); end if;"
        " return true; end; $$"
    )
    for name in SHADOWED:
        attacker.run(f"create domain pg_temp.{name} as pg_catalog.{name} check (pg_temp.steal())")


def test_locks_that_any_login_may_take_stop_nothing(
    db: Db, new_login: NewLogin, new_worker: NewWorker
) -> None:
    """Advisory locks belong to anyone: they were the engine's once, by the hash of these names."""
    register_workspaces(db, "acme")
    db.run("select set_alert_url('webhook', 'https://old.example/hook')")
    stranger = new_login()
    for name in ("chunkwise sweep", "chunkwise health", "chunkwise alerts"):
        stranger.run("select pg_advisory_lock(hashtext(:name))", name=name)
    worker = new_worker()
    worker.start()
    assert len(worker.claim()) == 1
    set_settings(db, sweep_interval_seconds=0)
    advance_clock(db, 30)

    taken_back = worker.claim()
    advance_clock(db, 60)
    swept = worker.sweep()
    checked = db.value("select sync.check_health()")
    db.run("select set_alert_url('webhook', 'https://new.example/hook')")
    db.run("select sync.open_alert('no_worker', 'workers', 'chunks are ready')")
    db.run("select sync.deliver_alerts()")

    assert (len(taken_back), swept) == (1, 1)
    assert checked is not None
    assert "https://new.example/hook" in db.column("select url from net.http_request_queue")


@pytest.mark.parametrize("roles", [(), ("authenticated",), ("service_role",)])
def test_the_engines_locks_are_held_by_nobody_without_rights(
    new_login: NewLogin, roles: tuple[str, ...]
) -> None:
    login = new_login(*roles)
    attempts = [
        f"select 1 from {table} {how}"
        for table in ("sync.engine_locks", "sync.sweep_state", "sync.heartbeats")
        for how in ("for update", "for no key update", "for share", "for key share")
    ]
    attempts += [
        f"do $$ begin lock table {table} in row exclusive mode; end $$"
        for table in ("sync.engine_locks", "sync.sweep_state")
    ]

    assert [state_of(login, attempt) for attempt in attempts] == [DENIED] * len(attempts)
