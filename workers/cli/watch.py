"""Following a job while it runs."""

import asyncio
import sys
from typing import Final

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from workers.cli.output import Row, coloured, summary
from workers.errors import EXIT_FAILED, UnavailableError
from workers.gateway import Gateway

LOOK_SECONDS: Final = 0.7
MOST_RUNS_SHOWN: Final = 12
LIVE: Final = "running"


async def watch(gateway: Gateway, job_id: str, quiet: bool) -> Row:
    """Returns the progress of the ended job. Ctrl-C leaves the job running and says so."""
    try:
        if quiet or not sys.stdout.isatty():
            return await _follow_in_lines(gateway, job_id, quiet)
        return await _follow_live(gateway, job_id)
    except asyncio.CancelledError:
        print(
            f"The job goes on. Watch it again with: chunkwise status {job_id} --watch",
            file=sys.stderr,
        )
        raise


def exit_code(progress: Row) -> int:
    return 0 if progress.get("status") == "completed" else EXIT_FAILED


async def _follow_live(gateway: Gateway, job_id: str) -> Row:
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), transient=True
    )
    bar = bars.add_task("job", total=100)
    with Live(bars, transient=True, refresh_per_second=4) as live:
        while True:
            progress = await _look(gateway, job_id)
            if progress is None:
                live.update(Group(bars, "waiting for the database"))
            else:
                bars.update(bar, completed=float(progress.get("percentage") or 0))
                live.update(Group(summary(progress), bars, _running(progress)))
                if progress["status"] != LIVE:
                    return progress
            await asyncio.sleep(LOOK_SECONDS)


async def _follow_in_lines(gateway: Gateway, job_id: str, quiet: bool) -> Row:
    """A line whenever a workspace is done."""
    shown: object = None
    while True:
        progress = await _look(gateway, job_id)
        if progress is not None:
            done = progress.get("workspaces_processed")
            if done != shown and not quiet:
                shown = done
                print(summary(progress).plain, flush=True)
            if progress["status"] != LIVE:
                return progress
        await asyncio.sleep(LOOK_SECONDS)


async def _look(gateway: Gateway, job_id: str) -> Row | None:
    """None while the database does not answer: the job goes on without us."""
    try:
        return await gateway.get_sync_job_progress(job_id)
    except UnavailableError:
        return None


def _running(progress: Row) -> Table:
    table = Table.grid(padding=(0, 2))
    running = [run for run in progress.get("runs") or [] if run.get("status") == LIVE]
    for run in running[:MOST_RUNS_SHOWN]:
        percentage = run.get("percentage")
        table.add_row(
            str(run["workspace"]),
            str(run["stream"]),
            coloured(run["status"]),
            "" if percentage is None else f"{float(percentage):.0f} %",
            f"{run.get('completed')}/{run.get('planned')} pages",
        )
    if len(running) > MOST_RUNS_SHOWN:
        table.add_row(f"and {len(running) - MOST_RUNS_SHOWN} more")
    return table
