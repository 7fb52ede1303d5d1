"""The official clients of both languages are served; what each is told is what hosted tells."""

import asyncio
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from realtime import RealtimeSubscribeStates

from local.api import Api
from tests.db.realtime.conftest import Listen
from tests.db.realtime.listener import PATIENCE_SECONDS
from tests.support.db import Db

SCRIPT = Path(__file__).with_name("listen.cjs")
SUBSCRIBED = RealtimeSubscribeStates.SUBSCRIBED


@asynccontextmanager
async def supabase_js(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec("node", SCRIPT, *arguments, stdout=PIPE)
    try:
        yield process
    finally:
        process.kill()
        # Reads the rest too, so that no pipe stays open.
        await process.communicate()


async def next_line(process: Process) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        line: dict[str, Any] = json.loads(await process.stdout.readline())
    return line


async def test_both_clients_hear_what_the_database_sends(api: Api, db: Db, listen: Listen) -> None:
    async with supabase_js(api.url, api.secret_key, "room") as javascript:
        assert await next_line(javascript) == {"state": "SUBSCRIBED", "error": ""}
        python = await listen("room")
        assert await python.state() == (SUBSCRIBED, "")
        await python.flows()

        db.run("""select realtime.send('{"id": "7", "text": "grüß"}', 'greet', 'room')""")

        expected = {"event": "greet", "payload": {"id": "7", "text": "grüß"}}
        assert await next_line(javascript) == expected
        heard = await python.hear()
        assert {name: heard[name] for name in expected} == expected


async def test_the_payload_gets_the_id_of_its_row(db: Db, listen: Listen) -> None:
    python = await listen("room")
    assert await python.state() == (SUBSCRIBED, "")
    await python.flows()

    db.run("select realtime.send('{}', 'only', 'room')")

    heard = await python.hear()
    row = db.value("select id::text from realtime.messages where event = 'only'")
    assert (heard["payload"], heard["meta"]) == ({"id": row}, {"id": row})


async def test_javascript_learns_why_it_is_refused(api: Api) -> None:
    token = api.user_token()
    async with supabase_js(api.url, api.publishable_key, "room", token) as javascript:
        told = await next_line(javascript)
    assert told["state"] == "CHANNEL_ERROR"
    assert "You do not have permissions to read from this Channel topic: room" in told["error"]


async def test_clients_broadcast_to_each_other(api: Api, listen: Listen) -> None:
    python, other = await listen("room"), await listen("room")
    assert await python.state() == await other.state() == (SUBSCRIBED, "")
    async with supabase_js(api.url, api.secret_key, "room") as javascript:
        assert await next_line(javascript) == {"state": "SUBSCRIBED", "error": ""}

        await python.channel.send_broadcast("hello", {"n": 1})

        assert await next_line(javascript) == {"event": "hello", "payload": {"n": 1}}
    assert (await other.hear())["payload"] == {"n": 1}
    assert python.heard.empty()
