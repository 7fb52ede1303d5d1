"""Everything at once: no deadlock, no broken invariant at any moment, the right end."""

import json
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from local.folders import CHECKOUT
from local.stack import Database, Stack
from tests.conftest import Connect
from tests.support.accounts import PAGE_SIZE, Accounts, Answer
from tests.support.background import answer_of
from tests.support.db import Db, sqlstate
from tests.support.invariants import assert_ended, assert_invariants
from tests.support.setup import BASE_URL, register_workspaces, set_settings
from tests.support.sql_worker import Lease, NewWorker, SqlWorker
from tests.support.tenants import Tenant

if TYPE_CHECKING:
    from collections.abc import Callable

# Each round of `make chaos` has others.
ROUND = int(os.environ.get("ROUND", "0"))
SEEDS = tuple(3 * ROUND + number for number in (1, 2, 3))
WORKERS = 6
STEPS = 60
FLEET = {
    name: Tenant(
        list(range(1000 * number, 1000 * number + pages * PAGE_SIZE)),
        owner=number,
        replies=list(range(1000 * number, 1000 * number + pages * 3)),
    )
    for number, (name, pages) in enumerate(
        {"acme": 9, "zen": 4, "void": 1, "north": 6, "south": 2}.items(), 1
    )
}
SOURCES = ("email_bison", "crm")
CRM = {
    "source_name": "crm",
    "auth": "oauth2_refresh",
    "token_url": "/oauth/token",
    "requests_per_second": None,
    "max_in_flight": None,
}
PEOPLE = {
    "source_name": "crm",
    "stream_name": "people",
    "path": "/people",
    "page_size": PAGE_SIZE,
    "records_path": ["data"],
    "total_path": ["meta", "total"],
    "last_page_path": ["meta", "last_page"],
}
STREAMS = (
    ["sender_emails"],
    ["replies", "conversation_threads"],
    ["sender_emails", "replies", "conversation_threads"],
)
# As the migration declares them.
DECLARED = [
    declaration
    for file in sorted((CHECKOUT / "supabase" / "schemas").glob("*_email_bison_*.sql"))
    for declaration in re.findall(r"declare_stream\('(\{.*?\})'\)", file.read_text(), re.DOTALL)
]
TRIED = {"email_bison": "sender_emails", "crm": "people"}
ERROR_CLASSES = ("transient", "rate_limited", "permanent", "released")
ANSWERS_OF_LATE_CALLS = {"SY001", "SY007", "SY008"}
WRONG_SHAPE = Answer(200, '{"data": 1}')


class Client(Accounts):
    """A workspace of an API with OAuth2, and its token endpoint."""

    def answer(self, request: dict[str, Any]) -> Answer:
        if "form" not in request:
            return Accounts.answer(self, request)
        body = {"access_token": f"access-{random.random()}", "refresh_token": f"{random.random()}"}
        return Answer(200, json.dumps(body))


CLIENTS = {
    name: Client(list(range(10 * number, 10 * number + 2 * PAGE_SIZE)))
    for number, name in enumerate(("one", "two", "three"))
}
ALL: dict[str, Accounts] = {**FLEET, **CLIENTS}


@dataclass(slots=True)
class Chaotic:
    """A client that does one random thing after the other with what it holds."""

    worker: SqlWorker
    random: random.Random
    held: list[Lease] = field(default_factory=list)

    def work(self) -> None:
        verbs: list[tuple[int, Callable[[], object]]] = [
            (8, self.claim),
            (10, self.complete_some),
            (3, self.fail_one),
            (2, self.worker.sweep),
            (2, self.heartbeat),
            (4, self.start),
            (3, self.start_clients),
            (2, self.try_one),
            (2, self.rotate_grant),
            (2, self.apply_declaration),
            (1, self.cancel_any),
            (1, self.pause),
            (2, self.resume),
            (1, self.retry_any),
            (1, self.approve_any),
            (1, self.rotate),
            (1, self.move),
            (2, self.declare),
            (1, self.declare_stream),
            (1, self.set_budget),
            (1, self.unblock),
            (1, self.register),
            (1, self.scan_whole),
        ]
        weights = [weight for weight, _ in verbs]
        for _ in range(STEPS):
            (_, verb), *_ = self.random.choices(verbs, weights)
            try:
                verb()
            except DatabaseError as error:
                if sqlstate(error) not in ANSWERS_OF_LATE_CALLS:
                    raise

    def claim(self) -> None:
        self.held += self.worker.claim(self.random.randint(1, 12))

    def complete_some(self) -> None:
        sample = self.random.sample(self.held, self.random.randint(0, len(self.held)))
        chosen = list({lease.queue_id: lease for lease in sample}.values())
        if not chosen:
            return
        pages = [(lease, ALL[lease.workspace].answer(lease.request)) for lease in chosen]
        if self.random.random() < 0.1:
            pages[0] = (chosen[0], WRONG_SHAPE)
        self.worker.complete_all(pages)
        if self.random.random() < 0.8:
            self.held = [lease for lease in self.held if lease not in chosen]

    def fail_one(self) -> None:
        if self.held:
            lease = self.held.pop(self.random.randrange(len(self.held)))
            said = self.random.choice(("HTTP 500: no", "HTTP 401: whose key?"))
            self.worker.fail(lease, self.random.choice(ERROR_CLASSES), said, 0)

    def heartbeat(self) -> None:
        self.worker.extend(self.held)

    def start(self) -> None:
        names = self.random.sample(list(FLEET), self.random.randint(1, len(FLEET)))
        self.worker.db.run(
            "select start_sync_job(:name, cast(:streams as text[]), cast(:names as text[]))",
            name=self.random.choice(("one", "two", "three")),
            streams=self.random.choice(STREAMS),
            names=names,
        )

    def start_clients(self) -> None:
        self.worker.db.run("select start_sync_job('clients', '{people}')")

    def try_one(self) -> None:
        source = self.random.choice(SOURCES)
        self.worker.db.run(
            "select try_stream(cast(:it as jsonb), :name)",
            it=json.dumps({"stream_name": TRIED[source]}),
            name=self.random.choice(list(FLEET if source == "email_bison" else CLIENTS)),
        )

    def rotate_grant(self) -> None:
        self.worker.db.run(
            "select rotate_workspace_key(:name, :key)",
            name=self.random.choice(list(CLIENTS)),
            key=grant(),
        )

    def apply_declaration(self) -> None:
        """Another declaration of a source or of some of its streams: live runs begin again."""
        (found,) = self.worker.db.value(
            "select get_declarations(:source)", source=self.random.choice(SOURCES)
        )["declarations"]
        for stream in self.random.sample(found["streams"], self.random.randint(0, 1)):
            stream["timeout_ms"] = self.random.randint(1000, 60_000)
        if self.random.random() < 0.5:
            found["source"]["message_path"] = [self.random.choice(("message", "error"))]
        self.worker.db.run(
            "select apply_declaration(cast(:it as jsonb), :trial)",
            it=json.dumps(found),
            trial=self.random.random() < 0.2,
        )

    def cancel_any(self) -> None:
        self.worker.db.run(
            "select cancel_sync_job(id) from polling_job_status where status = 'running' "
            "order by random() limit 1"
        )

    def declare(self) -> None:
        """The source as it is: all of its workspaces are written."""
        self.worker.db.run(
            "select declare_source(jsonb_build_object('source_name', source_name, 'base_path', "
            "base_path, 'success_path', success_path, 'message_path', message_path)) "
            "from sync_sources where source_name = 'email_bison'"
        )

    def declare_stream(self) -> None:
        """As it is: its live runs begin again if that counts as another declaration."""
        self.worker.db.run(
            "select declare_stream(cast(:declared as jsonb))", declared=self.random.choice(DECLARED)
        )

    def set_budget(self) -> None:
        """No limit of what is in flight: a lower one than what is would be no broken promise."""
        self.worker.db.run(
            "select set_budget('email_bison', cast(:rate as numeric), null)",
            rate=self.random.choice((None, 300, 1000)),
        )

    def unblock(self) -> None:
        self.worker.db.run("select unblock_budget('email_bison')")

    def register(self) -> None:
        name = self.any_name()
        self.worker.db.run(
            "select register_workspace(:name, :url, :key, 'email_bison', p_replace => true)",
            name=name,
            url=BASE_URL,
            key=f"1|{self.random.random()}",
        )

    def scan_whole(self) -> None:
        self.worker.db.run("select request_full_scan('replies', :name)", name=self.any_name())

    def pause(self) -> None:
        self.worker.db.run("select pause_sync(p_workspace => :name)", name=self.any_name())

    def resume(self) -> None:
        self.worker.db.run("select resume_sync(p_workspace => :name)", name=self.any_name())

    def retry_any(self) -> None:
        self.worker.db.run(
            "select retry_failed_chunks(id) from polling_job_status "
            "where status not in ('running', 'completed') order by random() limit 1"
        )

    def approve_any(self) -> None:
        self.worker.db.run(
            "select approve_deletions(id) from workspace_sync_runs where deletions_waiting > 0 "
            "order by random() limit 1"
        )

    def rotate(self) -> None:
        self.worker.db.run(
            "select rotate_workspace_key(:name, :key)",
            name=self.any_name(),
            key=f"1|{self.random.random()}",
        )

    def move(self) -> None:
        self.worker.db.run(
            "update sync_workspaces set base_url = :url where workspace_name = :name",
            url=self.random.choice((BASE_URL, "http://127.0.0.1:10")),
            name=self.any_name(),
        )

    def any_name(self) -> str:
        return self.random.choice(list(FLEET))


def grant() -> str:
    return json.dumps({"client_id": "client", "refresh_token": f"refresh-{random.random()}"})


def test_random_verbs_from_many_connections(
    db: Db, new_worker: NewWorker, connect: Connect, database: Database, stack: Stack
) -> None:
    register_workspaces(db, *FLEET, slots=3)
    db.run("select declare_source(cast(:it as jsonb))", it=json.dumps(CRM))
    db.run("select declare_stream(cast(:it as jsonb))", it=json.dumps(PEOPLE))
    for name in CLIENTS:
        db.run(
            "select register_workspace(:name, :url, :key, 'crm')",
            name=name,
            url=BASE_URL,
            key=grant(),
        )
    set_settings(
        db,
        retry_base_seconds=0.001,
        sweep_interval_seconds=0.02,
        lease_seconds=0.05,
        max_lease_losses=1000,
        deletion_guard_rows=0,
    )
    # Sooner than a completing call gives a lock up: a deadlock is one, however short.
    stack.psql("-c", f"alter database {database.name} set deadlock_timeout = '50ms'")
    workers = [new_worker() for _ in range(WORKERS)]
    watcher = connect()
    for seed in SEEDS:
        clients = [Chaotic(w, random.Random(f"{seed} {n}")) for n, w in enumerate(workers)]
        work_under_watch(watcher, clients)
    bring_to_an_end(db, new_worker())

    assert_ended(db)
    log = (stack.folder.logs / "postgres.log").read_text(errors="replace")
    own = [line for line in log.splitlines() if f"@{database.name} " in line]
    assert [line for line in own if "deadlock" in line or "PANIC" in line] == []


def work_under_watch(watcher: Db, clients: list[Chaotic]) -> None:
    """Every committed state that the watcher catches holds the invariants."""
    over = Event()

    def watch() -> int:
        looks = 0
        while not over.is_set():
            assert_invariants(watcher)
            looks += 1
        return looks

    with ThreadPoolExecutor() as threads:
        looks = threads.submit(watch)
        working = [threads.submit(client.work) for client in clients]
        try:
            for future in working:
                future.result()
        finally:
            over.set()
        assert answer_of(looks) > 0


def bring_to_an_end(db: Db, worker: SqlWorker) -> None:
    """No pause, no faults: everything live ends, and one more sync is complete and right."""
    set_settings(db, sweep_interval_seconds=0, lease_seconds=20)
    db.run("select set_budget('email_bison', null, null), unblock_budget('email_bison')")
    for name in FLEET:
        db.run("select resume_sync(p_workspace => :name)", name=name)
    # What one rotation after the other has kept from its answer is asked for at once.
    db.run("update sync.token_requests set due_at = sync.now() where status = 'pending'")
    drain_all(db, worker)
    answer = db.value(
        "select start_sync_job('the last', cast(:streams as text[]))", streams=STREAMS[-1]
    )
    assert (answer["status"], answer["workspaces_skipped"]) == ("accepted", [])
    drain_all(db, worker)
    assert db.value("select status from polling_job_status where job_name = 'the last'") == (
        "completed"
    )
    ids = db.column("select id from sync.sender_emails where deleted_at is null order by id")
    assert ids == sorted(i for tenant in FLEET.values() for i in tenant.ids)
    db.run("select start_sync_job('the clients'' last', '{people}')")
    drain_all(db, worker)
    assert db.column(
        "select cast(id as int) from synced_records where deleted_at is null order by 1"
    ) == sorted(i for client in CLIENTS.values() for i in client.ids)
    replies = db.column("select id from email_replies order by id")
    assert replies == sorted(i for tenant in FLEET.values() for i in tenant.replies)


def drain_all(db: Db, worker: SqlWorker) -> None:
    for _ in range(20_000):
        worker.drain(ALL)
        if db.value("select count(*) from polling_job_status where status = 'running'") == 0:
            return
    raise AssertionError("a job does not end")
