"""A list without a total: its first sync is a chain, its second asks for the pages side by side."""

import time
from dataclasses import dataclass

from benchmarks.report import Report
from local.demo.world import Target, Verbs, connect, workers
from local.habits import RunningApi, running_habits
from local.habits.catalog import HABITS
from local.stack import Stack

HABIT = "offsets and a root array"
STREAM = "accounts"
RECORDS = 5_000
# Pages of 100 records.
FACTOR = 10
LATENCY_MS = 187.0
SLOTS = (8, 32)
LOOK_SECONDS = 0.02
RUN = """
select status, (select count(*) from synced_records where deleted_at is null) as rows
from workspace_sync_runs where job_id = cast(:job as uuid)
"""


@dataclass(frozen=True, slots=True)
class Sync:
    requests: int
    in_flight: int
    seconds: float
    outcome: str


async def measure(stack: Stack, report: Report) -> None:
    report.section(
        f"A list without a total: {RECORDS:,} records, pages of 100 by offset that overlap,"
        f" {LATENCY_MS:g} ms per request",
        "the first sync is a chain; the second asks for as many pages as the first saw side by"
        " side, and goes on",
        "as a chain; the bound: its requests, slot by slot, at the API's latency alone",
    )
    rows = []
    for slots in SLOTS:
        first, second = await _two_syncs(stack, slots)
        bound = -(-second.requests // slots) * LATENCY_MS / 1_000
        rows.append(_row(f"first, {slots} slots", first, first.requests * LATENCY_MS / 1_000))
        rows.append(_row(f"second, {slots} slots", second, bound))
    report.table(("sync", "requests", "most in flight", "seconds", "bound", "outcome"), rows)


def _row(title: str, sync: Sync, bound: float) -> tuple[str, ...]:
    counts = (str(sync.requests), str(sync.in_flight))
    return (title, *counts, f"{sync.seconds:.1f}", f"{bound:.1f}", sync.outcome)


async def _two_syncs(stack: Stack, slots: int) -> tuple[Sync, Sync]:
    target = Target.fresh(stack, f"bench_chains_{slots}")
    habit = HABITS[HABIT].scaled(FACTOR)
    async with running_habits({"chain": habit.api}) as habits, target.client() as verbs:
        api = habits["chain"]
        api.latency_ms = LATENCY_MS
        with api.book(STREAM) as book:
            book.fill(RECORDS)
        await verbs.call("declare_source", p_source=habit.source_of(api.name))
        for stream in habit.streams_of(api.name):
            await verbs.call("declare_stream", p_stream=stream)
        await verbs.call(
            "register_workspace",
            p_workspace_name="bulk",
            p_base_url=api.origin,
            p_api_key=api.desk.secret,
            p_source=api.name,
            p_max_concurrency=slots,
        )
        with workers(target, 1, concurrency=slots, idle_seconds=1):
            syncs = [await _sync(target, verbs, api) for _ in range(2)]
    target.api.stop()
    return syncs[0], syncs[1]


async def _sync(target: Target, verbs: Verbs, api: RunningApi) -> Sync:
    api.seen.reset()
    started = time.monotonic()
    job = await verbs.call("start_sync_job", p_job_name="bench chains")
    status, rows = _ended(target, job["job_id"])
    seconds = time.monotonic() - started
    requests = len(api.seen.requests())
    return Sync(requests, api.seen.peak, seconds, f"{status}, {rows:,} rows")


def _ended(target: Target, job_id: str) -> tuple[str, int]:
    """How its run ended, and how many rows there are then."""
    with connect(target.database) as database:
        while True:
            status, rows = database.run(RUN, job=job_id)[0]
            if status != "running":
                return str(status), int(rows)
            time.sleep(LOOK_SECONDS)
