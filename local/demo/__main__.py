"""`python -m local.demo`: exit code 0 if the database holds what the API counts."""

import asyncio
import signal
import sys
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from local.bison import BisonControl, spawned_bison
from local.dashboard import EMAIL, PASSWORD, add_operator, dashboard
from local.demo import looks, report
from local.demo.progress import sync
from local.demo.world import CHUNKWISE, Target, Verbs, connect, register, workers
from local.folders import StackInUseError
from local.process import StartError
from local.project import PushError
from local.stack import Stack

LATENCY_MS = 187
WORKERS = 2
CONCURRENCY = 16
IDLE_SECONDS = 5
INTERRUPTED = 130


def main(
    name: Annotated[str, typer.Option(help="Of the local stack that it starts.")] = "demo",
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running until Ctrl-C.")] = False,
) -> None:
    """Sync a fake fleet of 26 workspaces into a local Supabase, twice, and show the result."""
    signal.signal(signal.SIGTERM, _interrupt)
    console = Console(highlight=False)
    try:
        console.print("starting PostgreSQL, PostgREST and the gateway")
        with Stack.start(name) as stack:
            code = asyncio.run(_show(Target.fresh(stack, "demo"), console, keep=keep))
    except KeyboardInterrupt:
        console.print("stopped: what was started is gone")
        code = INTERRUPTED
    except (StartError, PushError, StackInUseError) as error:
        console.print(str(error), style="red")
        code = 1
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


async def _show(target: Target, console: Console, *, keep: bool) -> int:
    async with spawned_bison(latency_ms=LATENCY_MS) as bison, target.client() as verbs:
        await _prepare(verbs, bison, console)
        with workers(
            target, WORKERS, concurrency=CONCURRENCY, idle_seconds=IDLE_SECONDS
        ) as started:
            await target.api.realtime.wait_until(channels_ready=WORKERS)
            is_complete = await _first_sync(target, verbs, bison, console)
            is_unchanged = await _second_sync(target, verbs, bison, console)
            if keep:
                await _stay(target, console)
        console.print(looks.summary(looks.of_stopped(started)))
    return 0 if is_complete and is_unchanged else 1


async def _stay(target: Target, console: Console) -> None:
    """Until Ctrl-C, with what it takes to look at it."""
    with connect(target.database) as database:
        add_operator(database.run)
    with dashboard(target.api, target.database.stack.folder.logs) as url:
        console.print(f"the page: {url}, as {EMAIL} with the password {PASSWORD!r}")
        console.print(f"SQL: psql {target.database.dsn}", soft_wrap=True)
        console.print(
            f"commands: SUPABASE_URL={target.api.url} SUPABASE_SECRET_KEY={target.api.secret_key}"
            f" {CHUNKWISE} status",
            soft_wrap=True,
        )
        console.print("Ctrl-C stops it")
        await asyncio.Event().wait()


async def _prepare(verbs: Verbs, bison: BisonControl, console: Console) -> None:
    count = await register(verbs, bison)
    console.print(f"{count} workspaces registered at {bison.base_url}, {LATENCY_MS} ms per answer")
    await verbs.call(
        "set_budget", p_source="email_bison", p_requests_per_second=None, p_max_in_flight=None
    )
    console.print("budget of email_bison raised for this demo: no limit instead of 5 requests/s")
    console.print(
        f"{WORKERS} workers, {CONCURRENCY} requests in flight each, woken by Realtime;"
        f" without a hint they look for work every {IDLE_SECONDS} s"
    )


async def _first_sync(target: Target, verbs: Verbs, bison: BisonControl, console: Console) -> bool:
    job = await sync(verbs, console, "demo")
    requested = report.requests(await bison.traffic())
    with connect(target.database) as database:
        found = report.results(database, job["job_id"], await bison.workspaces())
    console.print(report.table(found))
    console.print(f"first sync: {requested}, {job['duration_ms'] / 1000:.1f} s")
    console.print(report.summary(found), style="bold")
    return all(one.is_right for one in found)


async def _second_sync(target: Target, verbs: Verbs, bison: BisonControl, console: Console) -> bool:
    await bison.reset_traffic()
    with connect(target.database) as database:
        before = report.row_versions(database)
        job = await sync(verbs, console, "demo")
        after = report.row_versions(database)
    requested = report.requests(await bison.traffic())
    changed = len(before ^ after)
    console.print(
        f"second sync: {job['status']}, {changed} rows changed,"
        f" {requested}, {job['duration_ms'] / 1000:.1f} s"
    )
    return bool(job["status"] == "completed") and changed == 0


if __name__ == "__main__":
    typer.run(main)
