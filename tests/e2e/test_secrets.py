"""Invariant 9: after a run in which much went wrong, no key stands anywhere but in Vault."""

import json
from urllib.parse import quote

from local.bison import BisonControl, Body, running_bison
from tests.e2e.world import World

PLACES = """
    select c.oid::regclass::text as place
    from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('vault', 'pg_catalog', 'information_schema')
      and n.nspname !~ '^pg_toast'
"""


async def test_no_key_stands_anywhere_after_failures(world: World) -> None:
    """The API repeats the key in every way it can think of."""
    names = (
        "spoken",
        "bearer",
        "bare",
        "in a url",
        "in json",
        "as a failure",
        "as no json",
        "good",
    )
    async with running_bison(dict.fromkeys(names, 20)) as bison:
        await world.register(bison)
        keys = {info.name: info.key for info in await bison.workspaces()}
        await answers_with_keys(bison, keys)
        async with world.worker_processes(2) as logs:
            job = await world.sync()
        logged = "\n".join(log.read_text() for log in logs)

    assert world.run_status(job["id"]) == {
        name: "completed" if name == "good" else "failed" for name in names
    }
    assert '"event": "chunk_failed"' in logged
    secrets = [world.api.secret_key, world.api.secret_key.removeprefix("sb_secret_")]
    for key in keys.values():
        secrets += [key, key.split("|")[1]]
    for secret in secrets:
        assert secret not in logged
    assert places_of(world, secrets) == []


async def answers_with_keys(bison: BisonControl, keys: dict[str, str]) -> None:
    async def always(name: str, fault: Body) -> None:
        await bison.fault(fault, workspace=name, page=2, times=None)

    for name, status in (("spoken", 403), ("bearer", 500), ("bare", 404), ("in a url", 400)):
        token = keys[name]
        said = {
            "spoken": f"Key {token} may not do this.",
            "bearer": f"Authorization: Bearer {token}",
            "bare": f"no such token: {token.split('|')[1]}",
            "in a url": f"GET /api/sender-emails?api_key={quote(token)}",
        }[name]
        await always(name, Body(content=json.dumps({"message": said}).encode(), status=status))
    in_json = json.dumps({"request": {"headers": {"authorization": keys["in json"]}}})
    await always("in json", Body(content=json.dumps({"dump": in_json}).encode(), status=422))
    bare = keys["as a failure"].split("|")[1]
    failure = {"success": False, "message": f"The key {keys['as a failure']} ({bare}) is slow."}
    await always("as a failure", Body(content=json.dumps(failure).encode()))
    await always("as no json", Body(content=f"<p>{keys['as no json']}</p>".encode()))


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
