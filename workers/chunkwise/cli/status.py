"""`chunkwise status`."""

import asyncio
from operator import itemgetter
from typing import Annotated, Any

import typer

from chunkwise.cli.advice import for_job, may_be_retried, troubled
from chunkwise.cli.output import (
    AUDIT,
    KEY_CHECK,
    SYNC,
    JsonOption,
    Row,
    print_job,
    print_json,
    print_table,
)
from chunkwise.cli.overview import print_overview, print_waiting
from chunkwise.cli.reference import HELP, LAST, job_id
from chunkwise.cli.watch import exit_code, watch
from chunkwise.operator.client import Operator, operating
from chunkwise.settings import Settings

JOBS_SHOWN = 5
FAILED_COLUMNS = {
    "id": "chunk",
    "workspace_name": "workspace",
    "stream": "stream",
    "page": "page",
    "attempts": "attempts",
    "error_message": "error",
}


def status(
    job: Annotated[
        str | None, typer.Argument(help=f"{HELP} Without it, everything at a glance.")
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the job until it ends.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what runs, what waits and why, what failed and which command helps.

    Exit codes: 0 shown, or with --watch completed; 1 no such job, or with --watch not completed;
    2 a setting or the connection; 3 schema and program do not fit together.
    """
    raise typer.Exit(asyncio.run(_status(job, watching, as_json)))


async def _status(job: str | None, watching: bool, as_json: bool) -> int:
    async with operating(Settings.read()) as operator:
        if job is None and not watching:
            await _show_everything(operator, as_json)
            return 0
        whole_id = await job_id(operator, job or LAST)
        if watching:
            await watch(operator, whole_id, quiet=as_json)
        progress = await _details(operator, whole_id)
    _show(progress, as_json)
    return exit_code(progress) if watching else 0


async def _details(operator: Operator, job_id: str) -> dict[str, Any]:
    progress = await operator.gateway.get_sync_job_progress(job_id)
    retryable = await operator.retryable_jobs(may_be_retried([progress]))
    return {
        **progress,
        "waiting": await operator.waiting_runs(job_id),
        "failed_chunks": await operator.failed_chunks(job_id),
        "command": for_job(progress, retryable),
    }


async def _show_everything(operator: Operator, as_json: bool) -> None:
    jobs = await _latest_jobs(operator)
    queue, waiting, healths, stale, alerts = await asyncio.gather(
        operator.queue_health(),
        operator.waiting_runs(),
        operator.workspace_health(),
        operator.stale_workspaces(),
        operator.open_alerts(),
    )
    retryable, paused = await asyncio.gather(
        operator.retryable_jobs(may_be_retried(jobs, healths)), operator.paused()
    )
    everything = {
        "jobs": [{**job, "command": for_job(job, retryable)} for job in jobs],
        "queue": queue,
        "waiting": waiting,
        "failed": troubled(healths, stale, retryable),
        "alerts": alerts,
        "paused": paused,
    }
    if as_json:
        print_json(everything)
    else:
        print_overview(everything)


async def _latest_jobs(operator: Operator) -> list[Row]:
    """So many of each kind, so that no audit or key check hides the last sync."""
    syncs, checks = await asyncio.gather(
        operator.gateway.latest_jobs(JOBS_SHOWN, SYNC),
        operator.gateway.latest_jobs(JOBS_SHOWN, AUDIT, KEY_CHECK),
    )
    return sorted([*syncs, *checks], key=itemgetter("started_at"), reverse=True)


def _show(progress: Row, as_json: bool) -> None:
    if as_json:
        print_json(progress)
        return
    print_job(progress)
    print_waiting(progress["waiting"])
    if progress["failed_chunks"]:
        print_table("Failed chunks", FAILED_COLUMNS, progress["failed_chunks"])
    if progress["command"]:
        print(f"Go on with: {progress['command']}")
