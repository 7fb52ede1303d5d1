"""`chunkwise keys check|rotate`."""

import asyncio
from shlex import quote
from typing import Annotated, Any

import typer

from chunkwise.cli.output import JsonOption, Row, print_json, print_table
from chunkwise.cli.secrets import masked, read_key
from chunkwise.cli.watch import job_of, watch
from chunkwise.errors import ChunkwiseError
from chunkwise.gateway.protocol import Json
from chunkwise.operator.client import Operator, operating
from chunkwise.secret import Secret
from chunkwise.settings import Settings
from chunkwise.texts import printable

STREAM = "connection"
JOB_NAME = "keys check"
UNCHECKED = "not asked: its source tells no owner, it is not active, or another job asks now"
COLUMNS = {
    "workspace": "workspace",
    "verdict": "key",
    "key_owner": "belongs to",
    "external_id": "registered as",
    "latency_ms": "ms",
    "error_message": "",
}


def build() -> typer.Typer:
    app = typer.Typer(help="Check and change API keys; none is ever shown.", no_args_is_help=True)
    app.command("check")(check)
    app.command("rotate")(rotate)
    return app


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Else every active workspace.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask the API, with every key at once, whose key it is. Workers do the asking.

    Exit codes: 0 each key is accepted; 1 at least one is not, or could not be checked; 2 a setting
    or the connection; 3 schema and program do not fit together.
    """
    raise typer.Exit(asyncio.run(_check(names or [], as_json)))


def rotate(
    name: Annotated[str, typer.Argument(help="The workspace.")], as_json: JsonOption = False
) -> None:
    """Give a workspace a new key: from CHUNKWISE_WORKSPACE_KEY, a prompt, or standard input.

    Exit codes: 0 done, 1 refused, 2 a setting, the key or the connection, 3 schema and program do
    not fit together.
    """
    settings = Settings.read()
    key = read_key(name)
    with masked(key):
        answer = asyncio.run(_rotate(settings, name, key))
    if as_json:
        print_json(answer)
    else:
        check = f"chunkwise keys check {quote(name)}"
        print(f"{printable(name)} has a new key; `{check}` asks the API about it.")


async def _rotate(settings: Settings, name: str, key: Secret) -> Json:
    async with operating(settings) as operator:
        return await operator.rotate_workspace_key(name, key)


async def _check(names: list[str], as_json: bool) -> int:
    async with operating(Settings.read()) as operator:
        active = [] if names else await _active_names(operator)
        started = await operator.gateway.start_sync_job(JOB_NAME, [STREAM], names)
        job_id = job_of(started, "no key was checked")
        progress = await watch(operator, job_id, quiet=True)
        found = {row["workspace"]: row for row in (await operator.get_key_check(job_id))["keys"]}
    # What was asked for by name the database knows under the workspace's own.
    expected = active or [*found, *(started.get("workspaces_skipped") or [])]
    keys = [_verdict(found.get(name) or _unchecked(name)) for name in expected]
    if as_json:
        print_json({"job_id": job_id, "status": progress["status"], "keys": keys})
    else:
        print_table(None, COLUMNS, keys)
    return 0 if all(key["is_accepted"] for key in keys) else 1


async def _active_names(operator: Operator) -> list[str]:
    names = [
        str(workspace["workspace_name"])
        for workspace in await operator.gateway.workspaces()
        if workspace["is_active"]
    ]
    if not names:
        raise ChunkwiseError("there is no active workspace", "Add one: `chunkwise workspaces add`.")
    return names


def _unchecked(name: str) -> Row:
    return {"workspace": name, "is_accepted": False, "error_message": UNCHECKED}


def _verdict(key: Row) -> dict[str, Any]:
    """`verdict`: accepted, refused, other_workspace, or unchecked if the API gave no answer."""
    if key["is_accepted"]:
        verdict = "accepted"
    elif key.get("key_status") in ("refused", "other_workspace"):
        verdict = str(key["key_status"])
    else:
        verdict = "unchecked"
    return {**key, "verdict": verdict}
