"""`chunkwise workspaces audit|missing|stale`: what is not here, or not as the API has it."""

import asyncio
from shlex import quote
from typing import Annotated, Any

import typer

from chunkwise.cli.advice import BAD_KEYS
from chunkwise.cli.output import JsonOption, Row, print_json, print_table
from chunkwise.cli.watch import job_of, watch
from chunkwise.operator.client import operating
from chunkwise.settings import Settings
from chunkwise.texts import printable

DIFFERENCES = ("missing", "stale", "surplus", "repeated")
IDS_SHOWN = 20
AUDIT_COLUMNS = {
    "workspace": "workspace",
    "stream": "stream",
    "status": "status",
    "api_total": "API total",
    "distinct_ids": "ids seen",
    "rows_before": "rows before",
    "rows_now": "rows now",
    "missing": "were missing",
    "stale": "were stale",
    "surplus": "not in the API",
    "repeated": "repeated",
    "note": "",
}
STALE_COLUMNS = {
    "workspace_name": "workspace",
    "stream": "stream",
    "last_complete_sync_at": "last complete sync",
    "time_since_sync": "ago",
    "key_status": "key",
    "command": "what helps",
}
MISSING_COLUMNS = {
    "workspace_name": "workspace",
    "base_url": "base URL",
    "key_status": "key",
    "last_complete_sync_at": "last complete sync",
    "command": "what helps",
}


def audit(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Else every active workspace.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Read every page of the API anew and name what was missing, stale or repeated here.

    It is a sync of its own, so what it finds is mended when it ends. Exit codes: 0 nothing
    differed; 1 something did, or a workspace could not be read completely; 2 a setting or the
    connection; 3 schema and program do not fit together.
    """
    raise typer.Exit(asyncio.run(_audit(names or [], as_json)))


def stale(as_json: JsonOption = False) -> None:
    """List workspaces without a complete sync in 24 hours, never-synced ones first.

    Exit codes: 0 there is none, 1 there are, 2 a setting or the connection, 3 schema and program do
    not fit together.
    """
    raise typer.Exit(asyncio.run(_list(as_json, is_stale=True)))


def missing(as_json: JsonOption = False) -> None:
    """List active workspaces that have no accounts here.

    Exit codes: 0 there is none, 1 there are, 2 a setting or the connection, 3 schema and program do
    not fit together.
    """
    raise typer.Exit(asyncio.run(_list(as_json, is_stale=False)))


async def _audit(names: list[str], as_json: bool) -> int:
    async with operating(Settings.read()) as operator:
        started = await operator.start_audit(names)
        job_id = job_of(started, "nothing was audited")
        await watch(operator, job_id, quiet=True)
        found = await operator.get_audit(job_id)
    skipped = list(started.get("workspaces_skipped") or [])
    runs: list[Row] = found["runs"]
    if as_json:
        print_json({**found, "workspaces_skipped": skipped})
    else:
        print_table(None, AUDIT_COLUMNS, [_in_words(run) for run in runs])
        for name in skipped:
            print(f"not audited, it is already being synced: {printable(name)}")
    return 0 if not skipped and all(map(_is_clean, runs)) else 1


def _is_clean(run: Row) -> bool:
    return run["status"] == "completed" and not any(run[kind] for kind in DIFFERENCES)


def _in_words(run: Row) -> dict[str, Any]:
    notes = [run.get("error_message"), *(run.get("warnings") or [])]
    words = {kind: _named(run[kind]) for kind in DIFFERENCES}
    return {**run, **words, "note": "\n".join(str(note) for note in notes if note)}


def _named(ids: list[str] | None) -> str | None:
    if not ids:
        return None
    more = f" and {len(ids) - IDS_SHOWN} more" if len(ids) > IDS_SHOWN else ""
    return f"{len(ids)}: {', '.join(ids[:IDS_SHOWN])}{more}"


async def _list(as_json: bool, *, is_stale: bool) -> int:
    async with operating(Settings.read()) as operator:
        rows = await (operator.stale_workspaces() if is_stale else operator.missing_workspaces())
    listed = [row | {"command": _what_helps(row)} for row in rows]
    if as_json:
        print_json(listed)
    elif listed:
        print_table(None, STALE_COLUMNS if is_stale else MISSING_COLUMNS, listed)
    else:
        print("No workspace is stale." if is_stale else "Every active workspace has accounts.")
    return 1 if listed else 0


def _what_helps(row: Row) -> str:
    name = quote(str(row["workspace_name"]))
    if row["key_status"] in BAD_KEYS:
        return f"chunkwise keys rotate {name}"
    return f"chunkwise sync --workspace {name} --watch"
