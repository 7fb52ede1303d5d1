"""Runs a worker against a database, a gateway and an API by a script, and says which rules of
docs/worker-protocol.md it keeps.

    python -m tests.conformance.kit [command …]

The command finds SUPABASE_URL, SUPABASE_SECRET_KEY and CHUNKWISE_WORKER_ID in its environment and
works until SIGTERM. Exit code 0: every rule holds.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

from local.stack import Stack
from tests.conformance.script import Asked, Said, Script, in_turn, page
from tests.support.db import Db
from tests.support.setup import beat_as_cron, set_settings

CHECKOUT: Final = Path(__file__).resolve().parents[2]
OURS: Final = (str(CHECKOUT / ".venv" / "bin" / "chunkwise"), "worker")
KEY: Final = "kit/secret+key=0123456789"
PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.05
LONGEST: Final = 1000
TEXT: Final = 'a "quoted" ü\n'
BODY: Final = {"page": "{page}", "text": TEXT, "nested": {"n": 1.5, "none": None, "is": True}}
SOURCE: Final = {
    "source_name": "kit",
    "requests_per_second": None,
    "max_in_flight": None,
    "status_classes": {"409": "transient"},
    "class_rules": [
        {"status": 403, "header": "x-kit-remaining", "is": "0", "class": "rate_limited"},
        {"status": 403, "path": ["reason"], "is": "busy", "class": "transient"},
    ],
}
STREAMS: Final[dict[str, dict[str, object]]] = {
    "pages": {"params": {"filter[a]": "b c&ü", "n": 7}},
    "search": {"method": "POST", "body": BODY, "headers": {"X-Kit": "one"}},
    "unchanged": {"conditional": True},
    "trouble": {},
    "silent": {"timeout_ms": 500},
    "redirect": {},
    "long": {"max_body_bytes": LONGEST},
    "latin": {},
    "nul": {},
    "echo": {},
}
GRANT: Final = {
    "client_id": "kit-client",
    "client_secret": "kit/client+secret=0123456789",
    "refresh_token": "kit/refresh+token=0123456789",
}
WITH_TOKENS: Final = {
    "source_name": "kit with tokens",
    "auth": "oauth2_refresh",
    "token_url": "/token",
    "token_params": {"scope": "a b"},
    "requests_per_second": None,
    "max_in_flight": None,
}


def token(access: str, status: int) -> Said:
    """What a token endpoint says; a 400 with HTML in its body is none of its own."""
    if status != HTTPStatus.OK:
        return Said("400 Bad Request", b"<p>busy</p>")
    answer = {"access_token": access, "refresh_token": "kit-rotated", "expires_in": 3600}
    return Said(body=json.dumps(answer).encode())


def answers() -> dict[str, Callable[[Asked], Said]]:
    """What the API says at each stream's path."""

    def pages(asked: Asked) -> Said:
        number = int(dict(asked.query)["page"])
        return page([2 * number - 1, 2 * number], 6, 3)

    def unchanged(asked: Asked) -> Said:
        number = int(dict(asked.query)["page"])
        version = {"ETag": f'"{number}"'}
        if asked.headers.get("if-none-match") == version["ETag"]:
            return Said("304 Not Modified", headers=version)
        return Said(body=page([1, 2] if number == 1 else [3], 3, 2).body, headers=version)

    busy = Said("403 Forbidden", b'{"reason": "busy"}')
    limited = Said("403 Forbidden", headers={"X-Kit-Remaining": "0", "Retry-After": "1"})
    cut = Said(body=page([1, 2], 2).body, breaks=True)
    whole = page([1, 2], 2)
    return {
        "/pages": pages,
        "/search": lambda _: whole,
        "/unchanged": unchanged,
        "/trouble": in_turn(limited, busy, cut, whole),
        "/silent": in_turn(Said(hangs=True), whole),
        "/redirect": lambda _: Said("302 Found", headers={"Location": "/elsewhere"}),
        "/elsewhere": lambda _: whole,
        "/long": lambda _: Said(body=b'"' + b"x" * LONGEST + b'"'),
        "/latin": lambda _: Said(body=b'{"name": "\xe4"}'),
        "/nul": lambda _: Said(body=whole.body.replace(b"record 1", b"rec\x00rd")),
        "/token": in_turn(token("kit-access-1", 400), token("kit-access-1", 200)),
        "/people": lambda _: whole,
        "/echo": lambda _: Said("400 Bad Request", f'{{"message": "no {KEY}"}}'.encode()),
    }


@dataclass(slots=True)
class Kit:
    """`broken`: the rules that do not hold."""

    command: Sequence[str]
    db: Db
    script: Script
    env: dict[str, str]
    say: Callable[[str], None]
    broken: list[str] = field(default_factory=list)

    async def check(self) -> list[str]:
        self._set_up()
        async with self._worker() as worker:
            await self._sync()
            self._check_requests()
            self._check_outcomes()
            await self._sync("unchanged")
            self._check_unchanged()
            await self._check_tokens()
            await self._check_origin()
            await self._check_end(worker)
        await self._check_protocol()
        return self.broken

    def holds(self, rule: str, is_kept: bool) -> None:
        self.say(f"{'ok    ' if is_kept else 'BROKEN'} {rule}")
        if not is_kept:
            self.broken.append(rule)

    def _set_up(self) -> None:
        self.script.answers.update(answers())
        set_settings(self.db, retry_base_seconds=0.05)
        self.db.run("select declare_source(cast(:it as jsonb))", it=json.dumps(SOURCE))
        for name, fields in STREAMS.items():
            stream = {"source_name": "kit", "stream_name": name, "path": f"/{name}"}
            it = json.dumps({**stream, "page_size": 2, **fields})
            self.db.run("select declare_stream(cast(:it as jsonb))", it=it)
        # One each: what befalls one must not hold another.
        for name in STREAMS:
            self.db.run(
                "select register_workspace(:name, :url, :key, 'kit')",
                name=name,
                url=self.script.url,
                key=KEY,
            )

    async def _sync(self, *names: str) -> None:
        """Each stream of the workspace of its name, until all have ended."""
        started = []
        for name in names or STREAMS:
            answer = self.db.value(
                "select start_sync_job(:job, cast(:names as text[]), cast(:names as text[]))",
                job=f"{name} {len(self.script.asked[f'/{name}'])}",
                names=[name],
            )
            started.append(answer["job_id"])
        deadline = time.monotonic() + PATIENCE_S
        running = "select 1 from polling_job_status where status = 'running'"
        while True:
            if not self.db.run(running) or time.monotonic() > deadline:
                break
            await asyncio.sleep(LOOK_S)
        self.holds("what is started ends", not self.db.run(running))

    def _status(self, name: str) -> str:
        return str(
            self.db.value(
                "select r.status from workspace_sync_runs r join sync_workspaces w"
                " on w.id = r.workspace_id where w.workspace_name = :name"
                " order by r.id desc limit 1",
                name=name,
            )
        )

    def _events(self, name: str) -> list[str]:
        return self.db.column(
            "select e.event from chunk_events e join workspace_sync_runs r on r.id = e.run_id"
            " join sync_workspaces w on w.id = r.workspace_id where w.workspace_name = :name"
            " order by e.id",
            name=name,
        )

    def _check_requests(self) -> None:
        pages = self.script.asked["/pages"]
        wanted = {("filter[a]", "b c&ü"), ("n", "7")}
        numbers = sorted(value for asked in pages for name, value in asked.query if name == "page")
        self.holds("each request is sent once", numbers == ["1", "2", "3"])
        self.holds(
            "params are added to the query, encoded",
            bool(pages) and all(wanted < set(asked.query) for asked in pages),
        )
        self.holds(
            "headers and credential are sent as they are",
            bool(pages)
            and all(
                asked.headers.get("authorization") == f"Bearer {KEY}"
                and asked.headers.get("accept") == "application/json"
                for asked in pages
            ),
        )
        (search,) = self.script.asked["/search"][:1] or (Asked("", "", [], {}, b"null"),)
        self.holds(
            "a body is sent as JSON, by the method that is named",
            (search.method, json.loads(search.body or b"null")) == ("POST", {**BODY, "page": 1})
            and search.headers.get("content-type", "").startswith("application/json")
            and search.headers.get("x-kit") == "one",
        )
        self.holds("no redirect is followed", not self.script.asked["/elsewhere"])

    def _check_outcomes(self) -> None:
        self.holds("pages are handed over whole", self._status("pages") == "completed")
        self.holds(
            "an answer that fails is handed over with status, headers and body",
            self._events("trouble") == ["delayed", "retry", "retry", "completed"],
        )
        self.holds(
            "no answer in time is transient", self._events("silent") == ["retry", "completed"]
        )
        for name, rule in (
            ("redirect", "a redirect is sorted by its status"),
            ("long", "a body longer than max_body_bytes is permanent"),
            ("latin", "a body that is not UTF-8 is permanent"),
        ):
            self.holds(rule, self._events(name) == ["failed"])
        names = "select raw ->> 'name' from synced_records where raw ->> 'name' like 'rec_rd'"
        self.holds(
            "a raw U+0000 is handed over as JSON writes it",
            self.db.column(names) == ["rec\ufffdrd"],
        )
        kept = "select 1 from chunk_processing_queue where strpos(error_message, 'kit/secret') > 0"
        self.holds(
            "no message repeats a credential",
            self._events("echo") == ["failed"] and not self.db.run(kept),
        )

    def _check_unchanged(self) -> None:
        asked = [each.headers.get("if-none-match") for each in self.script.asked["/unchanged"]]
        versions = [None, None, '"1"', '"2"']
        self.holds("answer_headers are handed over with a page", asked == versions)
        self.holds(
            "a 304 is handed over where it is a page", self._status("unchanged") == "completed"
        )

    async def _check_tokens(self) -> None:
        """The first answer is no token: a 400, which is a page of its lease."""
        self.db.run("select declare_source(cast(:it as jsonb))", it=json.dumps(WITH_TOKENS))
        stream = {"stream_name": "people", "path": "/people", "page_size": 2}
        it = json.dumps({"source_name": WITH_TOKENS["source_name"], **stream})
        self.db.run("select declare_stream(cast(:it as jsonb))", it=it)
        self.db.run(
            "select register_workspace('people', :url, :key, :source)",
            url=self.script.url,
            key=json.dumps(GRANT),
            source=WITH_TOKENS["source_name"],
        )
        await self._sync("people")
        forms = [dict(parse_qsl(asked.body.decode())) for asked in self.script.asked["/token"]]
        wanted = {"grant_type": "refresh_token", "scope": "a b", **GRANT}
        self.holds(
            "a token request is a form with its credentials, sent once per lease",
            forms == [wanted, wanted],
        )
        self.holds(
            "the answer to a token request is handed over whatever its status",
            self.db.column("select failures from sync.token_requests") == [1]
            and self._status("people") == "completed",
        )
        sent = [asked.headers.get("authorization") for asked in self.script.asked["/people"]]
        self.holds("pages carry the token that came", sent == ["Bearer kit-access-1"])

    async def _check_origin(self) -> None:
        """The database names another origin than the URL has: it never does."""
        before = len(self.script.asked["/search"])
        self.db.run(
            "create or replace function sync.origin_of(p_url text) returns text language sql"
            " immutable set search_path = pg_catalog, pg_temp"
            " as $$ select 'https://other.example' $$"
        )
        await self._sync("search")
        self.holds(
            "no credential leaves its origin",
            len(self.script.asked["/search"]) == before and self._status("search") == "failed",
        )

    async def _check_end(self, worker: Process) -> None:
        worker.terminate()
        self.holds("it ends on SIGTERM", await _has_ended(worker))
        held = "select 1 from chunk_processing_queue where status = 'processing'"
        self.holds("it leaves no lease behind", not self.db.run(held))

    async def _check_protocol(self) -> None:
        self.db.run(
            "create or replace function chunkwise_version() returns jsonb language sql stable"
            " set search_path = pg_catalog, pg_temp set statement_timeout = '5s' as $$ select"
            " pg_catalog.jsonb_build_object('schema_version', 1, 'protocol_version', 99) $$"
        )
        async with self._worker() as worker:
            self.holds("it stops where the protocol is another", await _has_ended(worker))

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[Process]:
        environment = {**os.environ, **self.env, "CHUNKWISE_WORKER_ID": "conformance"}
        worker = await asyncio.create_subprocess_exec(
            *self.command, env=environment, cwd=CHECKOUT, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            yield worker
        finally:
            if worker.returncode is None:
                worker.kill()
                await worker.wait()


async def _has_ended(worker: Process) -> bool:
    try:
        await asyncio.wait_for(worker.wait(), PATIENCE_S / 2)
    except TimeoutError:
        return False
    return True


async def run(command: Sequence[str], stack: Stack, say: Callable[[str], None]) -> list[str]:
    """The rules that the worker breaks."""
    database = stack.create_database("conformance")
    beat_as_cron(database)
    api = stack.serve(database)
    db = Db.connect(database.dsn)
    env = {"SUPABASE_URL": api.url, "SUPABASE_SECRET_KEY": api.secret_key}
    try:
        async with Script().running() as script:
            return await Kit(command, db, script, env, say).check()
    finally:
        db.close()
        api.stop()
        database.drop()


def main() -> None:
    with Stack.start_free("conformance") as stack:
        broken = asyncio.run(run(sys.argv[1:] or OURS, stack, print))
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
