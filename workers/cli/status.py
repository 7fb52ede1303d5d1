"""`chunkwise status`."""

import asyncio
from typing import Annotated

import typer

from workers.cli.output import Row, print_job, print_json, print_table
from workers.cli.watch import exit_code, watch
from workers.connection import connected
from workers.errors import ChunkwiseError
from workers.gateway import Gateway
from workers.settings import Settings

JOBS_SHOWN = 5
JOB_COLUMNS = {
    "id": "job",
    "job_name": "name",
    "status": "status",
    "started_at": "started",
    "duration_ms": "ms",
    "workspaces_processed": "done",
    "total_workspaces": "workspaces",
    "total_accounts_synced": "accounts",
}


def status(
    job: Annotated[str | None, typer.Argument(help="The job's id; else the newest.")] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the job until it ends.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a job, or the newest ones.

    Exit codes: 0 shown, or with --watch completed; 1 no such job, or with --watch not completed;
    2 a setting or the connection; 3 schema and program do not fit together.
    """
    raise typer.Exit(asyncio.run(_status(job, watching, as_json)))


async def _status(job: str | None, watching: bool, as_json: bool) -> int:
    async with connected(Settings.from_env()) as gateway:
        if job is None and not watching:
            await _show_newest(gateway, as_json)
            return 0
        job_id = job or await _newest_id(gateway)
        if watching:
            progress = await watch(gateway, job_id, quiet=as_json)
        else:
            progress = await gateway.get_sync_job_progress(job_id)
    _show(progress, as_json)
    return exit_code(progress) if watching else 0


async def _newest_id(gateway: Gateway) -> str:
    jobs = await gateway.latest_jobs(1)
    if not jobs:
        raise ChunkwiseError("there is no job yet", "Start one with `chunkwise sync`.")
    return str(jobs[0]["id"])


async def _show_newest(gateway: Gateway, as_json: bool) -> None:
    jobs = await gateway.latest_jobs(JOBS_SHOWN)
    if as_json:
        print_json(jobs)
    elif jobs:
        print_table(None, JOB_COLUMNS, jobs)
    else:
        print("There is no job yet. Start one with `chunkwise sync`.")


def _show(progress: Row, as_json: bool) -> None:
    if as_json:
        print_json(progress)
    else:
        print_job(progress)
