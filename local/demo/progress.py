"""Following a job: a bar on a terminal, a line per change elsewhere."""

import asyncio
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from local.demo.world import Verbs

LOOK_SECONDS = 0.2

Job = dict[str, Any]


async def sync(verbs: Verbs, console: Console, job_name: str) -> Job:
    """Start a job and follow it; its progress when it has ended."""
    started = await verbs.call("start_sync_job", p_job_name=job_name)
    if console.is_terminal:
        return await _follow_with_a_bar(verbs, console, started["job_id"])
    return await _follow_in_lines(verbs, console, started["job_id"])


async def _follow_with_a_bar(verbs: Verbs, console: Console, job_id: str) -> Job:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task("…", total=100)
        while True:
            job = await verbs.call("get_sync_job_progress", p_job_id=job_id)
            bars.update(bar, completed=job["percentage"] or 0, description=state_of(job))
            if job["status"] != "running":
                return job
            await asyncio.sleep(LOOK_SECONDS)


async def _follow_in_lines(verbs: Verbs, console: Console, job_id: str) -> Job:
    shown = ""
    while True:
        job = await verbs.call("get_sync_job_progress", p_job_id=job_id)
        if state_of(job) != shown:
            shown = state_of(job)
            console.print(shown, highlight=False)
        if job["status"] != "running":
            return job
        await asyncio.sleep(LOOK_SECONDS)


def state_of(job: Job) -> str:
    records = sum(run["records"] for run in job["runs"])
    done, total = job["workspaces_processed"], job["total_workspaces"]
    chunks = job["chunks"]["completed"]
    return f"{job['status']}: {done}/{total} workspaces, {chunks} chunks, {records:,} records"
