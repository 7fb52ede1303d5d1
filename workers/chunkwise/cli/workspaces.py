"""`chunkwise workspaces add|list`, and the group of commands they belong to."""

import asyncio
from typing import Annotated

import typer

from chunkwise.cli import audit
from chunkwise.cli.output import print_json, print_table, printable
from chunkwise.cli.secrets import masked, read_key
from chunkwise.gateway.compatibility import connected
from chunkwise.secret import Secret
from chunkwise.settings import Settings

COLUMNS = {
    "workspace_name": "workspace",
    "base_url": "base URL",
    "external_id": "external id",
    "is_active": "active",
    "max_concurrency": "slots",
    "key_status": "key",
    "key_checked_at": "key checked",
}


def build() -> typer.Typer:
    app = typer.Typer(help="Add, list and compare workspaces.", no_args_is_help=True)
    app.command("add")(add)
    app.command("list")(list_workspaces)
    app.command("audit")(audit.audit)
    app.command("missing")(audit.missing)
    app.command("stale")(audit.stale)
    return app


def add(
    name: Annotated[str, typer.Argument(help="The workspace's name; a known one is changed.")],
    base_url: Annotated[str, typer.Option(help="For instance https://bison.example.")],
    source: Annotated[str, typer.Option(help="The API it speaks.")] = "email_bison",
    external_id: Annotated[str | None, typer.Option(help="Its id in that API.")] = None,
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, help="Pages ready or in flight at a time.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Register a workspace, or change it.

    Its API key comes from CHUNKWISE_WORKSPACE_KEY, from a prompt, or from standard input; it goes
    to Vault. Exit codes: 0 done, 1 refused, 2 a setting, the key or the connection, 3 schema and
    program do not fit together.
    """
    settings = Settings.read()
    key = read_key(name)
    with masked(key):
        asyncio.run(
            _add(settings, name, base_url, key, source, external_id, max_concurrency, as_json)
        )


def list_workspaces(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all workspaces.

    Exit codes: 0 done, 2 a setting or the connection, 3 schema and program do not fit together.
    """
    asyncio.run(_list(as_json))


async def _add(
    settings: Settings,
    name: str,
    base_url: str,
    key: Secret,
    source: str,
    external_id: str | None,
    max_concurrency: int | None,
    as_json: bool,
) -> None:
    async with connected(settings) as gateway:
        answer = await gateway.register_workspace(
            name, base_url, key, source, external_id, max_concurrency
        )
    if as_json:
        print_json(answer)
    else:
        done = "added" if answer.get("created") else "changed"
        print(f"{printable(answer.get('workspace_name', name))} {done}.")


async def _list(as_json: bool) -> None:
    async with connected(Settings.read()) as gateway:
        workspaces = await gateway.workspaces()
    if as_json:
        print_json(workspaces)
    elif workspaces:
        print_table(None, COLUMNS, workspaces)
    else:
        print("There is no workspace yet. Add one with `chunkwise workspaces add`.")
