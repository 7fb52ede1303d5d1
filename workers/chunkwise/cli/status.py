"""`chunkwise status`."""

import asyncio
from typing import Annotated, Any

import typer

from chunkwise.cli.advice import for_job, may_be_retried, troubled
from chunkwise.cli.output import Row, print_job, print_json, print_table
from chunkwise.cli.watch import exit_code, watch
from chunkwise.errors import ChunkwiseError
from chunkwise.operator.client import Operator, operating
from chunkwise.settings import Settings

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
    "command": "go on with",
}
WAITING_COLUMNS = {
    "workspace_name": "workspace",
    "stream": "stream",
    "why": "waits for",
    "waits_until_at": "until",
    "message": "",
}
TROUBLED_COLUMNS = {
    "workspace": "workspace",
    "stream": "stream",
    "status": "last run",
    "last_complete_sync_at": "last complete sync",
    "why": "why",
    "command": "what helps",
}
ALERT_COLUMNS = {"kind": "alert", "subject": "about", "opened_at": "since", "message": ""}
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
        str | None, typer.Argument(help="The job's id; else everything, at a glance.")
    ] = None,
    watching: Annotated[
        bool, typer.Option("--watch", help="Follow the job until it ends.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
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
        job_id = job or await _newest_id(operator)
        if watching:
            await watch(operator, job_id, quiet=as_json)
        progress = await _details(operator, job_id)
    _show(progress, as_json)
    return exit_code(progress) if watching else 0


async def _newest_id(operator: Operator) -> str:
    jobs = await operator.gateway.latest_jobs(1)
    if not jobs:
        raise ChunkwiseError("there is no job yet", "Start one with `chunkwise sync`.")
    return str(jobs[0]["id"])


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
    jobs, queue, waiting, healths, stale, alerts = await asyncio.gather(
        operator.gateway.latest_jobs(JOBS_SHOWN),
        operator.queue_health(),
        operator.waiting_runs(),
        operator.workspace_health(),
        operator.stale_workspaces(),
        operator.open_alerts(),
    )
    retryable = await operator.retryable_jobs(may_be_retried(jobs, healths))
    everything = {
        "jobs": [job | {"command": for_job(job, retryable)} for job in jobs],
        "queue": queue,
        "waiting": waiting,
        "failed": troubled(healths, stale, retryable),
        "alerts": alerts,
    }
    if as_json:
        print_json(everything)
    else:
        _print_everything(everything)


def _print_everything(everything: Row) -> None:
    if everything["jobs"]:
        print_table(None, JOB_COLUMNS, everything["jobs"])
    else:
        print("There is no job yet. Start one with `chunkwise sync`.")
    _print_waiting(everything["waiting"])
    if everything["failed"]:
        print_table("Stale or not complete", TROUBLED_COLUMNS, everything["failed"])
    if everything["alerts"]:
        print_table("Open alerts", ALERT_COLUMNS, everything["alerts"])
    print(_queue_line(everything["queue"]))


def _print_waiting(waiting: list[Row]) -> None:
    if waiting:
        rows = [{**row, "waits_until_at": _moment(row["waits_until"])} for row in waiting]
        print_table("Waiting", WAITING_COLUMNS, rows)


def _moment(waits_until: object) -> object:
    return None if waits_until == "infinity" else waits_until


def _queue_line(queue: Row) -> str:
    return (
        f"Jobs running: {queue['live_jobs']}. Chunks: {queue['chunks_in_flight']} in flight,"
        f" {queue['ready_chunks']} ready, {queue['delayed_chunks']} delayed,"
        f" {queue['waiting_chunks']} waiting. Workers alive: {queue['workers_alive']}."
    )


def _show(progress: Row, as_json: bool) -> None:
    if as_json:
        print_json(progress)
        return
    print_job(progress)
    _print_waiting(progress["waiting"])
    if progress["failed_chunks"]:
        print_table("Failed chunks", FAILED_COLUMNS, progress["failed_chunks"])
    if progress["command"]:
        print(f"Go on with: {progress['command']}")
