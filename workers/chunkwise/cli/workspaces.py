"""`chunkwise workspaces add|list|remove`, and the group of commands they belong to."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from chunkwise.cli import audit
from chunkwise.cli.advice import in_commands
from chunkwise.cli.key_check import BAD, ask_about_key
from chunkwise.cli.output import JsonOption, Row, counted, print_json, print_table
from chunkwise.cli.secrets import masked, read_key
from chunkwise.cli.workspace_file import Line, read_lines, refuse_repeated
from chunkwise.errors import ChunkwiseError, DatabaseError, SettingsError
from chunkwise.gateway.client import Registration
from chunkwise.gateway.compatibility import connected
from chunkwise.gateway.protocol import LARGEST_INTEGER
from chunkwise.operator.client import Operator, operating
from chunkwise.secret import Secret
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

LINE_COLUMNS = {"line": "line", "workspace": "workspace", "result": "result", "note": ""}
GOOD_KEYS = ("accepted", "unchecked")

REMOVE_AGAIN_SECONDS = 0.5


class RefusedError(ChunkwiseError):
    """A workspace's key is not its own."""


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
    name: Annotated[
        str | None, typer.Argument(help="The workspace's name; a known one is changed.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="For instance https://bison.example.")
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", help="Add those of a file: CSV with a header, or JSON lines."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="The API it speaks, if several are declared.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option(help="Its id in that API; else the owner of its key.")
    ] = None,
    max_concurrency: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST_INTEGER, help="Pages ready or in flight at a time."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give a known one another base URL or source.")
    ] = False,
    no_key: Annotated[
        bool, typer.Option("--no-key", help="Its API takes none: the source's auth is none.")
    ] = False,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="Do not ask the API whose the key is.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Register a workspace, or change it, and ask the API whose its key is.

    Its API key comes from CHUNKWISE_WORKSPACE_KEY, from a prompt, or from standard input; it goes
    to Vault. It has the form that its source's auth takes: user:password for basic, one line of
    JSON with client_id, client_secret and refresh_token for OAuth2. A new workspace whose key is
    refused, or another's, is not kept. A file has the fields name, url, source, external_id,
    max_concurrency and key_env, the variable that has the key; without, keys are prompted for, or
    are the lines of standard input. What is there as the file has it stays untouched. Exit codes:
    0 done, 1 refused, 2 a setting, the file, a key or the connection, 3 schema and program do not
    fit together.
    """
    settings = Settings.read()
    if from_file is not None:
        if name is not None or any((base_url, source, external_id, max_concurrency)):
            raise SettingsError(
                "--from takes everything from the file", "Leave out NAME and what describes it."
            )
        lines = read_lines(from_file)
        is_whole = asyncio.run(
            _add_lines(
                settings,
                from_file,
                lines,
                replace=replace,
                takes_key=not no_key,
                is_checked=not no_check,
                as_json=as_json,
            )
        )
        raise typer.Exit(0 if is_whole else 1)
    if name is None or base_url is None:
        raise SettingsError(
            f"{'NAME' if name is None else '--base-url'} is missing",
            "chunkwise workspaces add NAME --base-url https://…, or --from FILE.",
        )
    key = Secret("") if no_key else read_key(name)
    given = Registration(name, base_url, key, source, external_id, max_concurrency, replace)
    with masked(key):
        asyncio.run(_add(settings, given, not no_check, as_json))


def remove(
    name: Annotated[str, typer.Argument(help="The workspace.")],
    delete_records: Annotated[
        bool, typer.Option("--delete-records", help="Delete what was synced of it, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Take a workspace out: its key leaves Vault, its live runs end; its rows stay.

    Exit codes: 0 done, 1 refused, 2 a setting or the connection, 3 schema and program do not fit
    together.
    """
    answer = asyncio.run(_remove(name, delete_records))
    if as_json:
        print_json(answer)
    else:
        kept = (
            f"{counted(answer['rows_deleted'], 'row')} deleted"
            if delete_records
            else "its rows are kept"
        )
        print(f"{printable(answer['workspace_name'])} removed; {kept}.")


def list_workspaces(
    as_json: JsonOption = False,
) -> None:
    """List all workspaces.

    Exit codes: 0 done, 2 a setting or the connection, 3 schema and program do not fit together.
    """
    asyncio.run(_list(as_json))


async def _add(settings: Settings, given: Registration, is_checked: bool, as_json: bool) -> None:
    async with operating(settings) as operator:
        answer, key = await _register(settings, operator, given, is_checked)
    name = str(answer["workspace_name"])
    if as_json:
        print_json({**answer, "key": key} if key else answer)
        return
    print(f"{printable(name)} {'added' if answer['created'] else 'changed'}.{_told(key)}")


async def _register(
    settings: Settings, operator: Operator, given: Registration, is_checked: bool
) -> tuple[Row, Row]:
    """The answer, and what the API says of the key; nothing if it is not asked."""
    answer = await operator.gateway.register_workspace(given)
    name = str(answer["workspace_name"])
    key = await ask_about_key(settings, operator, name) if is_checked else {}
    if key.get("verdict") in BAD:
        await _refuse(operator, name, key, is_new=bool(answer["created"]))
    return answer, key


async def _add_lines(
    settings: Settings,
    file: Path,
    lines: Sequence[Line],
    *,
    replace: bool,
    takes_key: bool,
    is_checked: bool,
    as_json: bool,
) -> bool:
    """One that is refused stops no other. Returns: whether none was."""
    rows: list[Row] = []
    async with operating(settings) as operator:
        compared = await operator.compare_workspace_names([line.name for line in lines])
        refuse_repeated(file, lines, [name["first"] for name in compared])
        known = {
            str(workspace["workspace_name"]): workspace
            for workspace in await operator.gateway.workspaces()
        }
        keys = {
            line.number: read_key(line.name, line.key_env) if takes_key else Secret("")
            for line, name in zip(lines, compared, strict=True)
            if not _is_there(line, known.get(name["workspace_name"]))
        }
        for line in lines:
            row = {"line": line.number, "workspace": line.name, "result": "unchanged", "note": None}
            if line.number in keys:
                row |= await _add_line(
                    settings, operator, line, keys[line.number], replace, is_checked
                )
            rows.append(row)
    results = Counter(str(row["result"]) for row in rows)
    summary = {result: results[result] for result in ("added", "changed", "unchanged", "refused")}
    if as_json:
        print_json({**summary, "workspaces": rows})
    else:
        print_table(None, LINE_COLUMNS, rows)
        told = ", ".join(f"{count} {result}" for result, count in summary.items() if count)
        print(f"{counted(len(rows), 'workspace')}: {told}.")
    return not results["refused"]


async def _add_line(
    settings: Settings,
    operator: Operator,
    line: Line,
    key: Secret,
    replace: bool,
    is_checked: bool,
) -> Row:
    given = Registration(
        *(line.name, line.url, key, line.source, line.external_id, line.max_concurrency, replace)
    )
    try:
        with masked(key):
            answer, said = await _register(settings, operator, given, is_checked)
    except (DatabaseError, RefusedError) as error:
        note = " ".join(in_commands(part) for part in (f"{error.message}.", error.hint) if part)
        return {"result": "refused", "note": note}
    return {"result": "added" if answer["created"] else "changed", "note": _told(said).strip()}


def _is_there(line: Line, workspace: Row | None) -> bool:
    """Whether a workspace is as its line has it, and has a key that nothing speaks against. What
    a line leaves out is as it is; a key that a variable has may be a new one."""
    return (
        workspace is not None
        and line.key_env is None
        and line.source is None
        and bool(workspace["is_active"])
        and workspace["key_status"] in GOOD_KEYS
        and line.url.rstrip("/") == workspace["base_url"]
        and line.external_id in (None, workspace["external_id"])
        and line.max_concurrency in (None, workspace["max_concurrency"])
    )


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
        raise RefusedError(f"{name} was not added: {why}", "Add it with a key of its own.")
    raise RefusedError(
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
