"""Invariant 9: after a run in which much went wrong, no secret stands anywhere but in Vault."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest

from chunkwise.secret import WITHHELD
from local.bison import BisonControl, Body, running_bison
from local.stack import Database, Stack
from tests.db.net.inbox import Inbox, open_inbox
from tests.e2e.callers import RELATIONS
from tests.e2e.webhook import check_health
from tests.e2e.world import World, answered
from tests.support.setup import advance_clock

PLACES = """
    select c.oid::regclass::text as place
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('vault', 'pg_catalog', 'information_schema')
      and n.nspname !~ '^pg_toast'
"""
NAMES = (
    *("spoken", "bearer", "bare", "in a url", "in json", "as a failure", "as no json"),
    *("oauth in an error", "oauth in a record", "good"),
)
COMPLETED = ("oauth in a record", "good")
WAKE_TOKEN = "planted-wake-token"
ALERT_PATH = "planted-alert-path"
OAUTH = ("ya29.a0AfB_planted-access", "1//0g-planted-refresh-token", "planted-client-word")


@dataclass(frozen=True, slots=True)
class Logs:
    """What the local stack wrote about one database since the test began."""

    files: dict[Path, int]

    @classmethod
    def since_now(cls, stack: Stack, database: Database) -> "Logs":
        folder = stack.folder.logs
        named = [
            folder / f"{who}-{database.name}.log" for who in ("gateway", "postgrest", "pg_net")
        ]
        files = [folder / "postgres.log", *named]
        return cls({file: file.stat().st_size if file.exists() else 0 for file in files})

    def text(self) -> str:
        return "".join(
            file.read_bytes()[start:].decode(errors="replace")
            for file, start in self.files.items()
            if file.exists()
        )


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as inbox:
        yield inbox


@pytest.mark.usefixtures("deliverer")
async def test_no_secret_stands_anywhere_after_failures(
    world: World, stack: Stack, database: Database, inbox: Inbox
) -> None:
    """The API repeats keys in every way it can think of; so does whoever is woken."""
    logs = Logs.since_now(stack, database)
    async with running_bison(dict.fromkeys(NAMES, 20)) as bison:
        await world.register(bison)
        keys = {info.name: info.key for info in await bison.workspaces()}
        await answers_with_keys(bison, keys)
        await answers_with_oauth_tokens(bison)
        plant_urls(world, inbox)
        async with world.worker_processes(2) as worker_logs:
            job = await world.sync()
        await let_posts_fail(world)
        written = logs.text() + "".join(log.read_text() for log in worker_logs)

    assert world.run_status(job["id"]) == {
        name: "completed" if name in COMPLETED else "failed" for name in NAMES
    }
    assert '"event": "chunk_failed"' in written
    assert WITHHELD in world.db.column("select message from hint_deliveries")
    secrets = [world.api.secret_key, world.api.secret_key.removeprefix("sb_secret_"), *OAUTH]
    for key in keys.values():
        secrets += [key, key.split("|")[1]]
    everywhere = written + await read_by_an_operator(world)
    passing = [WAKE_TOKEN, ALERT_PATH]
    assert [secret for secret in secrets + passing if secret in everywhere] == []
    assert places_of(world, secrets) == []
    assert [place for place in places_of(world, passing) if not place.startswith("net.")] == []


def plant_urls(world: World, inbox: Inbox) -> None:
    """An endpoint that refuses with the token it was sent, a webhook that nobody answers at."""
    world.db.run(
        "select register_worker_endpoint(:url, :token)", url=f"{inbox.url}/echo", token=WAKE_TOKEN
    )
    for kind in ("webhook", "dead_man"):
        url = f"http://127.0.0.1:1/{ALERT_PATH}"
        world.db.run("select set_alert_url(:kind, :url)", kind=kind, url=url)


async def let_posts_fail(world: World) -> None:
    """Until alerts and hints were refused, and it was noted why."""
    check_health(world)
    # A minute later every hint that nobody has answered is lost.
    await sweep_until(world, "select bool_or(outcome = 'refused') from sync.hints")
    advance_clock(world.db, 61)
    await sweep_until(world, "select bool_or(last_error is not null) from sync.alert_deliveries")


async def sweep_until(world: World, question: str) -> None:
    def is_so() -> bool:
        world.db.run("select cleanup_stuck_chunks()")
        return bool(world.db.value(question))

    await world.until(is_so)


async def read_by_an_operator(world: World) -> str:
    """Every table and view over the API, and the progress of every job."""
    async with world.client(world.api.operator_token()) as client:
        relations = [
            (await client.table(relation["name"]).select("*").execute()).data
            for relation in world.db.run(RELATIONS)
        ]
        progress = [
            await answered(client.rpc("get_sync_job_progress", {"p_job_id": str(job_id)}))
            for job_id in world.db.column("select id from polling_job_status")
        ]
    return json.dumps([relations, progress])


async def answers_with_keys(bison: BisonControl, keys: dict[str, str]) -> None:
    for name, status in (("spoken", 403), ("bearer", 500), ("bare", 404), ("in a url", 400)):
        token = keys[name]
        said = {
            "spoken": f"Key {token} may not do this.",
            "bearer": f"Authorization: Bearer {token}",
            "bare": f"no such token: {token.split('|')[1]}",
            "in a url": f"GET /api/sender-emails?api_key={quote(token)}",
        }[name]
        await always(bison, name, json.dumps({"message": said}), status)
    in_json = json.dumps({"request": {"headers": {"authorization": keys["in json"]}}})
    await always(bison, "in json", json.dumps({"dump": in_json}), 422)
    bare = keys["as a failure"].split("|")[1]
    failure = {"success": False, "message": f"The key {keys['as a failure']} ({bare}) is slow."}
    await always(bison, "as a failure", json.dumps(failure))
    await always(bison, "as no json", f"<p>{keys['as no json']}</p>")


async def answers_with_oauth_tokens(bison: BisonControl) -> None:
    access, refresh, client = OAUTH
    said = f'{access} expired: {{"refresh_token": "{refresh}", "client_secret": "{client}"}}'
    await always(bison, "oauth in an error", json.dumps({"message": said}), 502)
    page = json.loads(await bison.page_body("oauth in a record", 2))
    page["data"][0]["oauth"] = {
        "access_token": access,
        "refresh_token": refresh,
        "client_secret": client,
    }
    await always(bison, "oauth in a record", json.dumps(page))


async def always(bison: BisonControl, name: str, content: str, status: int = 200) -> None:
    """Page 2 of this workspace is so, whenever it is asked for."""
    fault = Body(content=content.encode(), status=status)
    await bison.fault(fault, workspace=name, page=2, times=None)


def places_of(world: World, secrets: list[str]) -> list[str]:
    """Tables of which some row holds one of the secrets."""
    places = world.db.column(PLACES)
    assert {"cron.job_run_details", "sync.sender_emails", "chunk_events"} <= set(places)
    return [
        place
        for place in places
        if world.db.value(
            f"select exists (select 1 from {place} as t, unnest(cast(:secrets as text[])) as s"
            " where position(s in t::text) > 0)",
            secrets=secrets,
        )
    ]
