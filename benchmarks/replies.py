"""A first sync of a feed of 270,000 replies, and the start of its conversations."""

import asyncio
import time
from dataclasses import dataclass

from benchmarks.report import Report
from local.bison import BisonControl, FeedSpec, FleetSpec, spawned_bison
from local.demo.world import Target, Verbs, connect, register, workers
from local.stack import Stack

REPLIES = 270_000
PER_THREAD = 2.5
LATENCY_MS = 5
WORKERS = 2
IN_FLIGHT = 32
SLOTS = 32
RATE = 100_000
CONVERSATIONS_SECONDS = 10
WORKSPACE = "bulk"
RUN = """
select status, needed_pages, chunks_completed, chunks_failed,
  (select count(distinct reading -> 'chain') from chunked_sync_jobs as c where c.run_id = r.id),
  (select count(*) from email_replies), pg_total_relation_size('email_replies') / 1024 / 1024
from workspace_sync_runs as r where job_id = cast(:job as uuid)
"""


@dataclass(frozen=True, slots=True)
class Feed:
    target: Target
    verbs: Verbs
    bison: BisonControl

    async def start(self, stream: str) -> str:
        job = await self.verbs.call(
            "start_sync_job", p_job_name=f"bench {stream}", p_streams=[stream]
        )
        return str(job["job_id"])

    async def read(self) -> tuple[str, float]:
        """The job, and its wall time in seconds."""
        started = time.monotonic()
        job_id = await self.start("replies")
        await self.ended(job_id)
        return job_id, time.monotonic() - started

    async def fetch_conversations(self, seconds: float) -> tuple[float, float, int]:
        """Seconds until the start was answered and until its first request; requests then on."""
        await self.bison.reset_traffic()
        started = time.monotonic()
        job_id = await self.start("conversation_threads")
        accepted = time.monotonic() - started
        await self.bison.wait_for_requests(1)
        first = time.monotonic() - started
        await asyncio.sleep(seconds)
        done = len((await self.bison.traffic()).requests)
        await self.verbs.call("cancel_sync_job", p_job_id=job_id)
        await self.ended(job_id)
        return accepted, first, done

    async def ended(self, job_id: str) -> None:
        while True:
            job = await self.verbs.call("get_sync_job_progress", p_job_id=job_id)
            if job["status"] != "running":
                return
            await asyncio.sleep(0.25)


async def measure(stack: Stack, report: Report, scale: float) -> None:
    replies = int(REPLIES * scale)
    spec = FleetSpec({WORKSPACE: 15}, replies={WORKSPACE: FeedSpec(replies, _threads(replies))})
    target = Target.fresh(stack, "bench_replies")
    async with spawned_bison(spec, latency_ms=LATENCY_MS) as bison, target.client() as verbs:
        await register(verbs, bison)
        await verbs.call(
            "set_budget",
            p_source="email_bison",
            p_requests_per_second=RATE,
            p_max_in_flight=None,
        )
        with connect(target.database) as database:
            database.run("update sync_workspaces set max_concurrency = :k", k=SLOTS)
        feed = Feed(target, verbs, bison)
        with workers(target, WORKERS, concurrency=IN_FLIGHT // WORKERS, idle_seconds=0.1):
            job_id, seconds = await feed.read()
            conversations = await feed.fetch_conversations(CONVERSATIONS_SECONDS)
    _report(report, target, job_id, seconds, replies)
    _report_conversations(report, conversations, replies)
    target.api.stop()
    target.database.drop()


def _threads(replies: int) -> int:
    return max(int(replies / PER_THREAD), 1)


def _report(report: Report, target: Target, job_id: str, seconds: float, replies: int) -> None:
    with connect(target.database) as database:
        status, needed, done, failed, chains, stored, megabytes = database.run(RUN, job=job_id)[0]
    if (status, failed, stored) != ("completed", 0, replies):
        raise RuntimeError(f"the sync is {status} with {stored:,} of {replies:,} replies")
    report.section(
        f"A feed of {replies:,} replies, one workspace, {LATENCY_MS} ms per page, first load",
        f"{WORKERS} workers, {IN_FLIGHT} in flight, k = {SLOTS} slots; no limit of the budget;"
        " pages as deep as the API serves them, the rest by cursor in ranges side by side",
    )
    report.table(
        ("pages", "requests", "ranges", "seconds", "pages/s", "replies/s", "MB stored"),
        [(
            f"{needed:,}", f"{done:,}", str(chains), f"{seconds:.1f}", f"{done / seconds:.0f}",
            f"{replies / seconds:,.0f}", f"{megabytes:,}",
        )],
    )  # fmt: skip


def _report_conversations(report: Report, measured: tuple[float, float, int], replies: int) -> None:
    accepted, first, done = measured
    report.section(
        f"Their {_threads(replies):,} conversations, the first {CONVERSATIONS_SECONDS} s"
    )
    report.table(
        ("start answered s", "first request s", "conversations/s"),
        [(f"{accepted:.2f}", f"{first:.2f}", f"{done / CONVERSATIONS_SECONDS:.0f}")],
    )
