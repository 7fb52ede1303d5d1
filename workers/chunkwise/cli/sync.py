"""`chunkwise sync`."""

import asyncio
import sys
from typing import Annotated, TextIO

import typer

from chunkwise.cli.output import JsonOption, Row, print_job, print_json
from chunkwise.cli.watch import exit_code, watch
from chunkwise.operator.client import operating
from chunkwise.settings import Settings
from chunkwise.texts import printable


def sync(
    workspace: Annotated[
        list[str] | None, typer.Option(help="Only this workspace; may be repeated.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option(help="Only this stream; may be repeated.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The job's name; of one name one job runs at a time.")
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the job until it ends.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a sync job.

    Exit codes: 0 accepted, or with --watch completed; 1 refused, already running, or with --watch
    not completed; 2 a setting or the connection; 3 schema and program do not fit together.
    """
    code = asyncio.run(_sync(workspace or [], stream or [], name, watching, as_json))
    raise typer.Exit(code)


async def _sync(
    workspaces: list[str], streams: list[str], name: str | None, watching: bool, as_json: bool
) -> int:
    async with operating(Settings.read()) as operator:
        started = await operator.gateway.start_sync_job(name, streams, workspaces)
        is_accepted = started["status"] == "accepted"
        # What runs already may be for other workspaces: its end says nothing of what was asked.
        if not (watching and is_accepted):
            if as_json:
                print_json(started)
            else:
                _say(started, sys.stdout)
            return 0 if is_accepted else 1
        if not as_json:
            _say(started, sys.stderr)
        progress = await watch(operator, str(started["job_id"]), quiet=as_json)
    if as_json:
        print_json(progress)
    else:
        print_job(progress)
    return exit_code(progress)


def _say(started: Row, stream: TextIO) -> None:
    print(
        f"{printable(started['message'])} (job {started['job_id']}, {started['status']})",
        file=stream,
    )
    if started["status"] != "accepted":
        print(f"Watch that one with: chunkwise status {started['job_id']} --watch", file=stream)
    for workspace in started.get("workspaces_skipped") or []:
        print(f"skipped, it is already being synced: {printable(workspace)}", file=stream)
