"""`chunkwise workspaces add|list|remove`, and the group of commands they belong to."""

import asyncio
from shlex import quote
from typing import Annotated

import typer

from chunkwise.cli import audit
from chunkwise.cli.key_check import BAD, ask_about_key
from chunkwise.cli.output import Row, print_json, print_table
from chunkwise.cli.secrets import masked, read_key
from chunkwise.errors import ChunkwiseError
from chunkwise.gateway.client import Registration
from chunkwise.gateway.compatibility import connected
from chunkwise.operator.client import Operator, operating
from chunkwise.settings import Settings
from chunkwise.texts import printable

COLUMNS = {
    "workspace_name": "workspace",
    "base_url": "base URL",
    "external_id": "external id",
    "is_active": "active",
    "max_concurrency": "slots",
    "key_status": "key",
    "key_checked_at": "key checked",
}

REMOVE_AGAIN_SECONDS = 0.5


def build() -> typer.Typer:
    app = typer.Typer(help="Add, list, remove and compare workspaces.", no_args_is_help=True)
    app.command("add")(add)
    app.command("list")(list_workspaces)
    app.command("remove")(remove)
    app.command("audit")(audit.audit)
    app.command("missing")(audit.missing)
    app.command("stale")(audit.stale)
    return app


def add(
    name: Annotated[str, typer.Argument(help="The workspace's name; a known one is changed.")],
    base_url: Annotated[str, typer.Option(help="For instance https://bison.example.")],
    source: Annotated[
        str | None, typer.Option(help="The API it speaks, if several are declared.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Its id in that API; else the owner of its key.")
    ] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Pages ready or in flight at a time.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give a known one another base URL or source.")
    ] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not ask the API whose the key is.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Register a workspace, or change it, and ask the API whose its key is.

    Its API key comes from CHUNKWISE_WORKSPACE_KEY, from a prompt, or from standard input; it goes
    to Vault. A new workspace whose key is refused, or another's, is not kept. Exit codes: 0 done, 1
    refused, 2 a setting, the key or the connection, 3 schema and program do not fit together.
    """
    settings = Settings.read()
    key = read_key(name)
    given = Registration(name, base_url, key, source, external_id, max_concurrency, replace)
    with masked(key):
        asyncio.run(_add(settings, given, not no_check, as_json))


def remove(
    name: Annotated[str, typer.Argument(help="The workspace.")],
    delete_records: Annotated[
        bool, typer.Option("--delete-records", help="Delete what was synced of it, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Take a workspace out: its key leaves Vault, its live runs end; its rows stay.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit
    together.
    """
    answer = asyncio.run(_remove(name, delete_records))
    if as_json:
        print_json(answer)
    else:
        kept = f"{answer['rows_deleted']:,} rows deleted" if delete_records else "its rows are kept"
        print(f"{printable(answer['workspace_name'])} removed; {kept}.")


def list_workspaces(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all workspaces.

    Exit codes: 0 done, 2 a setting or the connection, 3 schema and program do not fit together.
    """
    asyncio.run(_list(as_json))


async def _add(settings: Settings, given: Registration, is_checked: bool, as_json: bool) -> None:
    async with operating(settings) as operator:
        answer = await operator.gateway.register_workspace(given)
        name = str(answer["workspace_name"])
        key = await ask_about_key(settings, operator, name) if is_checked else {}
        if key.get("verdict") in BAD:
            await _refuse(operator, name, key, is_new=bool(answer["created"]))
    if as_json:
        print_json({**answer, "key": key} if key else answer)
        return
    print(f"{printable(name)} {'added' if answer['created'] else 'changed'}.{_told(key)}")


def _told(key: Row) -> str:
    if not key:
        return ""
    if key["verdict"] == "accepted":
        return printable(f" Its key belongs to {key['key_owner']}.")
    return printable(f" Whose its key is, is not known: {key['error_message']}.")


async def _refuse(operator: Operator, name: str, key: Row, *, is_new: bool) -> None:
    """Nothing is kept of a workspace that was new; of another, what was there before."""
    why = (
        "the API refuses its key"
        if key["verdict"] == "refused"
        else f"its key belongs to another workspace, {key['key_owner']}"
    )
    if is_new:
        await _remove_with(operator, name, delete_records=True)
        raise ChunkwiseError(f"{name} was not added: {why}", "Add it with a key of its own.")
    raise ChunkwiseError(
        f"{name} was changed, but {why}",
        f"Give it its own: `chunkwise keys rotate {quote(name)}`.",
    )


async def _remove(name: str, delete_records: bool) -> Row:
    async with operating(Settings.read()) as operator:
        return await _remove_with(operator, name, delete_records=delete_records)


async def _remove_with(operator: Operator, name: str, *, delete_records: bool) -> Row:
    """Call by call, until every row is gone: requests in flight end first."""
    deleted = 0
    while True:
        answer = await operator.remove_workspace(name, delete_records)
        deleted += int(answer["rows_deleted"])
        if answer["is_finished"]:
            return {**answer, "rows_deleted": deleted}
        await asyncio.sleep(REMOVE_AGAIN_SECONDS)


async def _list(as_json: bool) -> None:
    async with connected(Settings.read()) as gateway:
        workspaces = await gateway.workspaces()
    if as_json:
        print_json(workspaces)
    elif workspaces:
        print_table(None, COLUMNS, workspaces)
    else:
        print("There is no workspace yet. Add one with `chunkwise workspaces add`.")
