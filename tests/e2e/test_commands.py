"""`chunkwise` as a person and as a program call it."""

import asyncio
import socket
from collections.abc import Iterator
from uuid import uuid4

import pytest

from chunkwise import PROTOCOL_VERSION, SCHEMA_VERSION, VERSION
from local.bison import BisonControl, Hold, Status
from tests.e2e.world import Ended, World, run_chunkwise

KEY = "7|OneKeyThatNobodyMaySeeInAnyOutput"


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Bound, so that nobody else listens there meanwhile."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield closed.getsockname()[1]


async def test_sync_and_status_say_what_became_of_a_job(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    world.db.run("select sync.open_alert('cron_silent', 'pg_cron', 'nothing ran')")
    nothing_yet = await world.chunkwise("status")
    async with world.workers():
        completed = await world.chunkwise("sync", "--watch", "--json")
        await bison.fault(Status(status=403), workspace="zen", page=2, times=None)
        partial = await world.chunkwise("sync", "--watch")
        failed = await world.chunkwise("sync", "--watch", "--json", "--workspace", "zen")
        acme = await world.chunkwise("sync", "--watch", "--json", "--workspace", "acme")
    job_id = completed.json["job_id"]
    newest, one, one_for_people = await asyncio.gather(
        world.chunkwise("status", "--json"),
        world.chunkwise("status", job_id, "--json"),
        world.chunkwise("status", job_id),
    )

    assert (nothing_yet.code, nothing_yet.err) == (0, "")
    for shown in ("There is no job yet", "it never ran", "cron_silent", "Jobs running: 0"):
        assert shown in nothing_yet.out
    assert (completed.code, completed.complaints) == (0, "")
    assert (completed.json["status"], completed.json["total_accounts_synced"]) == ("completed", 60)
    assert len(completed.json["runs"]) == 2
    assert [partial.code, failed.code, acme.code] == [1, 1, 0]
    assert "1/2 workspaces, 40 accounts" in partial.out
    assert "HTTP 403" in partial.out
    assert (failed.json["status"], acme.json["status"]) == ("failed", "completed")
    assert "Traceback" not in partial.err + failed.err
    statuses = [job["status"] for job in newest.json["jobs"]]
    assert statuses == ["completed", "failed", "partial", "completed"]
    assert one.json == completed.json | {"waiting": [], "failed_chunks": [], "command": None}
    assert "2/2 workspaces, 60 accounts" in one_for_people.out


async def test_sync_without_watch_ends_when_the_job_is_accepted(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison)
    accepted = await world.chunkwise("sync", "--json", "--workspace", "acme")
    again, rest, unknown, no_stream = await asyncio.gather(
        world.chunkwise("sync", "--json"),
        world.chunkwise("sync", "--name", "rest"),
        world.chunkwise("sync", "--json", "--name", "x", "--workspace", "nobody"),
        world.chunkwise("sync", "--json", "--name", "y", "--stream", "tea"),
    )
    job_id = accepted.json["job_id"]

    assert (accepted.code, accepted.json["status"]) == (0, "accepted")
    assert world.run_status(job_id) == {"acme": "running"}
    assert (again.code, again.json["status"], again.json["job_id"]) == (
        1,
        "already_running",
        job_id,
    )
    assert rest.code == 0
    assert "skipped, it is already being synced: acme" in rest.out
    assert_told(
        unknown, 1, "chunkwise: there is no workspace 'nobody'", "`chunkwise workspaces add`"
    )
    assert_told(no_stream, 1, "chunkwise: there is no stream 'tea'", "declare_stream()")


async def test_the_job_of_that_name_is_not_watched_in_place_of_what_was_asked(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme", "zen")
    job_id = world.start("acme")
    held = await bison.fault(Hold(), workspace="acme", page=1)
    async with world.workers():
        await bison.wait_until_held(1)
        for_people, for_programs = await asyncio.gather(
            world.chunkwise("sync", "--watch", "--workspace", "zen"),
            world.chunkwise("sync", "--watch", "--json", "--workspace", "zen"),
        )
        await bison.clear_rules(held)
        ended = await world.ended(job_id)

    assert [for_people.code, for_programs.code] == [1, 1]
    assert f"chunkwise status {job_id} --watch" in for_people.out
    assert for_programs.json["status"] == "already_running"
    assert for_programs.json["job_id"] == str(job_id)
    assert ended["status"] == "completed"
    assert world.run_status(job_id) == {"acme": "completed"}


async def test_a_job_that_is_not_there(world: World) -> None:
    unknown, no_id, watched = await asyncio.gather(
        world.chunkwise("status", str(uuid4())),
        world.chunkwise("status", "yesterday", "--json"),
        world.chunkwise("status", "--watch", "--json"),
    )

    assert_told(unknown, 1, "chunkwise: there is no job", "`chunkwise status`")
    assert_told(no_id, 1, "chunkwise: yesterday is no job's id", "`last`")
    assert_told(watched, 1, "chunkwise: there is no job yet", "chunkwise sync")


async def test_a_job_is_named_by_the_beginning_of_its_id_or_as_the_last_one(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme", "zen")
    first, second = str(world.start("acme", name="a")), str(world.start("zen", name="b"))
    by_prefix, last, unknown, cancelled = await asyncio.gather(
        world.chunkwise("status", first[:8], "--json"),
        world.chunkwise("status", "last", "--json"),
        world.chunkwise("status", "00000000"),
        world.chunkwise("cancel", second[:10]),
    )
    assert [by_prefix.json["job_id"], last.json["job_id"]] == [first, second]
    assert_told(unknown, 1, "chunkwise: there is no job 00000000…", "`chunkwise status`")
    assert cancelled.out == f"Job {second} is cancelled.\n"


async def test_versions_and_settings_are_shown_without_secrets(world: World) -> None:
    version, config, unset = await asyncio.gather(
        world.chunkwise("--version"),
        world.chunkwise("config", "--json", CHUNKWISE_WAKE_TOKEN=KEY),
        run_chunkwise(("config",), {}),
    )
    assert version.out == (
        f"chunkwise {VERSION} (schema {SCHEMA_VERSION}, protocol {PROTOCOL_VERSION})\n"
    )
    shown = {row["name"]: row["value"] for row in config.json}
    assert (shown["SUPABASE_URL"], config.code) == (world.api.url, 0)
    assert {shown["SUPABASE_SECRET_KEY"], shown["CHUNKWISE_WAKE_TOKEN"]} == {"***"}
    assert unset.out.startswith("Nothing is set")
    assert unset.err.startswith("chunkwise: SUPABASE_URL is not set")
    assert unset.code == 2


async def test_a_mistyped_name_is_answered_with_those_that_are_like_it(
    world: World, bison: BisonControl
) -> None:
    await world.register(bison, "acme")
    workspace, stream, nothing_like_it = await asyncio.gather(
        world.chunkwise("sync", "--workspace", "Amce"),
        world.chunkwise("sync", "--stream", "sender_email"),
        world.chunkwise("sync", "--workspace", "o'brien"),
    )
    assert_told(workspace, 1, "chunkwise: there is no workspace 'Amce'", "Did you mean acme?")
    assert_told(stream, 1, "chunkwise: there is no stream", "Did you mean sender_emails?")
    assert "Did you mean" not in nothing_like_it.err


async def test_a_pause_is_shown_until_it_is_lifted(world: World, bison: BisonControl) -> None:
    await world.register(bison, "acme", "zen")
    await world.chunkwise("pause", "--workspace", "acme")
    paused = await world.chunkwise("pause")
    resumed = await world.chunkwise("resume")
    status = await world.chunkwise("status")
    assert paused.out == "Paused: 0 runs in progress held until `chunkwise resume`.\n"
    for shown in (resumed.out, status.out):
        assert "Paused: workspace acme (chunkwise resume --workspace acme)." in shown


async def test_workspaces_are_added_with_a_key_that_nobody_sees(world: World) -> None:
    url = ("--base-url", "https://bison.example")
    added = await world.chunkwise(
        "workspaces", "add", "acme", *url, "--json", CHUNKWISE_WORKSPACE_KEY=KEY
    )
    changed, piped, refused, keyless = await asyncio.gather(
        world.chunkwise(
            *("workspaces", "add", "acme", *url, "--external-id", "12", "--max-concurrency", "3"),
            CHUNKWISE_WORKSPACE_KEY=KEY,
        ),
        world.chunkwise("workspaces", "add", "zen", *url, stdin=f"{KEY}\n"),
        world.chunkwise(
            *("workspaces", "add", "bad", "--base-url", f"https://user:{KEY}@x.example"),
            CHUNKWISE_WORKSPACE_KEY=KEY,
        ),
        world.chunkwise("workspaces", "add", "bad", *url),
    )
    listed, for_people = await asyncio.gather(
        world.chunkwise("workspaces", "list", "--json"), world.chunkwise("workspaces", "list")
    )

    assert [added.code, changed.code, piped.code, listed.code, for_people.code] == [0] * 5
    assert (added.json["workspace_name"], added.json["created"]) == ("acme", True)
    assert "acme changed." in changed.out
    assert [workspace["workspace_name"] for workspace in listed.json] == ["acme", "zen"]
    assert (listed.json[0]["external_id"], listed.json[0]["max_concurrency"]) == ("12", 3)
    assert "not known" in changed.out
    assert_told(refused, 1, "chunkwise: ", "")
    assert_told(keyless, 2, "chunkwise: no API key for bad", "CHUNKWISE_WORKSPACE_KEY")
    for ended in (added, changed, piped, refused, keyless, listed, for_people):
        assert KEY.split("|")[1] not in ended.out + ended.err
    stored = world.db.column("select distinct decrypted_secret from vault.decrypted_secrets")
    assert stored == [KEY]


async def test_a_workspace_is_added_when_its_key_is_its_own(
    world: World, bison: BisonControl
) -> None:
    """No worker is there: the command asks by itself, and nothing is kept of what is refused."""
    acme, zen = await bison.workspace("acme"), await bison.workspace("zen")
    url = ("--base-url", bison.base_url)
    add = ("workspaces", "add")
    added = await world.chunkwise(*add, "acme", *url, stdin=acme.key)
    again = await world.chunkwise(*add, "other name", *url, stdin=acme.key)
    wrong_id = await world.chunkwise(*add, "zen", *url, "--external-id", "4711", stdin=zen.key)
    refused = await world.chunkwise(*add, "zen", *url, stdin="1|nobody's")
    as_json = await world.chunkwise(*add, "zen", *url, "--json", stdin=zen.key)
    moved = await world.chunkwise(*add, "ZEN", "--base-url", "http://127.0.0.1:9", stdin=zen.key)

    assert (added.code, added.out) == (
        0,
        f"acme added. Its key belongs to {acme.workspace_id} (acme).\n",
    )
    for ended in (again, wrong_id, refused, moved):
        assert_told(ended, 1, "chunkwise: ", "")
    assert (as_json.code, as_json.json["key"]["verdict"]) == (0, "accepted")
    assert world.db.run("select workspace_name, external_id from sync_workspaces order by id") == [
        {"workspace_name": "acme", "external_id": str(acme.workspace_id)},
        {"workspace_name": "zen", "external_id": str(zen.workspace_id)},
    ]
    assert world.db.value("select count(*) from vault.secrets") == 2


async def test_a_workspace_is_removed_with_its_key(world: World, bison: BisonControl) -> None:
    await world.register(bison)
    async with world.workers():
        await world.sync()
    kept = await world.chunkwise("workspaces", "remove", "acme")
    rows = len(world.live_ids("acme"))
    gone, unknown = (
        await world.chunkwise("workspaces", "remove", "acme", "--delete-records", "--json"),
        await world.chunkwise("workspaces", "remove", "nobody"),
    )
    listed = await world.chunkwise("workspaces", "list", "--json")

    assert (kept.code, kept.out) == (0, "acme removed; its rows are kept.\n")
    assert rows == 40
    assert gone.code == 0
    assert gone.json["rows_deleted"] >= 40
    assert_told(unknown, 1, "chunkwise: there is no workspace 'nobody'", "")
    assert [workspace["workspace_name"] for workspace in listed.json] == ["zen"]
    assert world.db.column("select distinct workspace_id from sync.sender_emails") == (
        world.db.column("select id from sync_workspaces")
    )
    assert world.db.value("select count(*) from vault.secrets") == 1
    world.db.run("delete from polling_job_status")


async def test_a_wrong_address_or_key_is_one_sentence(
    world: World, bison: BisonControl, closed_port: int
) -> None:
    right = world.env
    cases = [
        ({}, "SUPABASE_URL is not set", "make stack"),
        ({"SUPABASE_URL": "bison"}, "SUPABASE_URL is not a URL", "https://<ref>.supabase.co"),
        (
            right | {"SUPABASE_URL": f"http://127.0.0.1:{closed_port}"},
            f"SUPABASE_URL=http://127.0.0.1:{closed_port} cannot be reached",
            "Check the setting",
        ),
        (
            right | {"SUPABASE_URL": bison.base_url},
            f"SUPABASE_URL={bison.base_url} does not answer like a Supabase project",
            "Set it to the project's URL",
        ),
        ({"SUPABASE_URL": world.api.url}, "SUPABASE_SECRET_KEY is not set", "API settings"),
        (
            right | {"SUPABASE_SECRET_KEY": "sb_secret_guessed"},
            f"SUPABASE_SECRET_KEY is not accepted by {world.api.url}",
            "API settings",
        ),
        (
            right | {"SUPABASE_SECRET_KEY": world.api.publishable_key},
            "SUPABASE_SECRET_KEY holds a publishable key",
            "API settings",
        ),
    ]
    commands = [("sync", "--watch", "--json"), ("worker",)]
    ended = await asyncio.gather(
        *(run_chunkwise(commands[n % 2], env) for n, (env, _, _) in enumerate(cases))
    )

    for result, (_, sentence, way_out) in zip(ended, cases, strict=True):
        assert_told(result, 2, f"chunkwise: {sentence}", way_out)
    assert world.db.column("select id from polling_job_status") == []


@pytest.mark.parametrize(
    ("command", "versions", "sentence", "way_out"),
    [
        ("worker", (0, 2), "schema 0, older", "supabase db push"),
        ("sync", (99, 2), "schema 99, newer", "Update the worker"),
        ("worker", (1, 99), "protocol 99, newer", "Update the worker"),
        ("status", None, "no Chunkwise schema", "supabase db push"),
    ],
)
async def test_a_schema_that_does_not_fit_is_one_sentence(
    world: World, command: str, versions: tuple[int, int] | None, sentence: str, way_out: str
) -> None:
    if versions is None:
        world.db.run("drop function chunkwise_version()")
        world.db.run("notify pgrst, 'reload schema'")
    else:
        world.db.run(
            "create or replace function chunkwise_version() returns jsonb language sql stable"
            " set search_path = pg_catalog, pg_temp as $$ select pg_catalog.jsonb_build_object("
            f"'schema_version', {versions[0]}, 'protocol_version', {versions[1]}) $$"
        )
    ended = await world.chunkwise(command)

    assert_told(ended, 3, "chunkwise: ", way_out)
    assert sentence in ended.err
    assert world.db.column("select id from polling_job_status") == []


def assert_told(ended: Ended, code: int, sentence: str, way_out: str) -> None:
    """One sentence and perhaps a hint on stderr, nothing on stdout."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert ended.err.startswith(sentence)
    assert way_out in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert "Traceback" not in ended.err
