"""The fleet sync through the real chain, beside its limits and a bare loop of the same run."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from benchmarks.bare_loop import BareLoop
from benchmarks.report import Report, against
from local.bison import BisonControl, WorkspaceInfo, spawned_bison
from local.demo.world import Target, Verbs, connect, register, workers
from local.stack import Stack

LATENCY_MS = 187
WORKERS = 2
IDLE_SECONDS = 0.1
SLOTS = 8
RATE = 1000
IN_FLIGHT = (16, 32)
AIM_RATIO = 1.3
LARGEST = "Northwind Outbound"
ALONE_AIM_SECONDS = 1.0
ALONE_SLOTS = (8, 32)


@dataclass(frozen=True, slots=True)
class Sync:
    """Wall time from the call of start_sync_job() to the job's completed_at."""

    seconds: float
    until_first_request: float
    requests: int
    peak_in_flight: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Starts workers anew for every sync, so that none of them disturbs the bare loop."""

    target: Target
    verbs: Verbs
    bison: BisonControl

    async def sync(self, in_flight: int, workspaces: Sequence[str] | None = None) -> Sync:
        with workers(
            self.target, WORKERS, concurrency=in_flight // WORKERS, idle_seconds=IDLE_SECONDS
        ):
            await self._until_workers_look()
            await self.bison.reset_traffic()
            started, started_mono = time.time(), time.monotonic()
            job = await self.verbs.call(
                "start_sync_job", p_job_name="bench", p_workspaces=workspaces
            )
            ended = await self._ended(job["job_id"])
        traffic = await self.bison.traffic()
        first = min(request.arrived_ms for request in traffic.requests) / 1000
        return Sync(
            ended - started,
            first - started_mono,
            len(traffic.select(kind="page")),
            traffic.peak_in_flight,
        )

    async def _ended(self, job_id: str) -> float:
        while True:
            job = await self.verbs.call("get_sync_job_progress", p_job_id=job_id)
            if job["status"] != "running":
                break
            await asyncio.sleep(0.25)
        if job["status"] != "completed":
            raise RuntimeError(f"the sync is {job['status']}: {job['error_message']}")
        return datetime.fromisoformat(job["completed_at"]).timestamp()

    async def _until_workers_look(self) -> None:
        with connect(self.target.database) as database:
            database.run("truncate sync.workers")
            looking = 0
            while looking < WORKERS:
                await asyncio.sleep(0.05)
                looking = database.run("select count(*) from sync.workers")[0][0]


async def measure(stack: Stack, report: Report, rounds: int) -> None:
    target = Target.fresh(stack, "bench_fleet")
    async with (
        spawned_bison(latency_ms=LATENCY_MS) as bison,
        target.client() as verbs,
        BareLoop.open(target.database, bison) as bare,
    ):
        await register(verbs, bison)
        await verbs.call(
            "set_budget",
            p_source="email_bison",
            p_requests_per_second=RATE,
            p_max_in_flight=RATE,
        )
        chain = Chain(target, verbs, bison)
        fleet = await bison.workspaces()
        await _fleet(chain, bare, fleet, report, rounds)
        await _alone(chain, bison, report, rounds)
    target.api.stop()


async def _fleet(
    chain: Chain, bare: BareLoop, fleet: Sequence[WorkspaceInfo], report: Report, rounds: int
) -> None:
    accounts = sum(workspace.total for workspace in fleet)
    report.section(
        f"Fleet sync: {len(fleet)} workspaces, {accounts:,} accounts, {LATENCY_MS} ms per page,"
        " first load",
        f"{WORKERS} workers, idle ones look every {IDLE_SECONDS} s; budget raised from 5 to"
        f" {RATE:,} requests/s and from 10 to {RATE:,} in flight; k = {SLOTS} slots per run",
        f"medians of {rounds} rounds, chain and bare loop in turns; the bare loop writes with"
        " direct SQL from 8 threads",
    )
    rows = []
    for in_flight in IN_FLIGHT:
        syncs, loops = [], []
        for _ in range(rounds):
            empty(chain.target)
            syncs.append(await chain.sync(in_flight))
            empty(chain.target)
            loops.append(await bare.seconds(in_flight))
        rows.append(_row(in_flight, syncs, median(loops), fleet))
    report.table(
        ("n", "chain s", "first request s", "page requests", "peak", "limit s", "bare loop s",
         "ratio", f"aim {AIM_RATIO}"),
        rows,
    )  # fmt: skip


def _row(
    in_flight: int, syncs: Sequence[Sync], bare: float, fleet: Sequence[WorkspaceInfo]
) -> tuple[str, ...]:
    wall = median(sync.seconds for sync in syncs)
    pages = sum(workspace.last_page for workspace in fleet)
    return (
        str(in_flight),
        f"{wall:.2f}",
        f"{median(sync.until_first_request for sync in syncs):.2f}",
        "/".join(sorted({str(sync.requests) for sync in syncs})),
        str(max(sync.peak_in_flight for sync in syncs)),
        f"{_limit(pages, in_flight, SLOTS, max(one.last_page for one in fleet)):.2f}",
        f"{bare:.2f}",
        f"{wall / bare:.2f}",
        against(wall / bare, AIM_RATIO),
    )


def _limit(pages: int, in_flight: int, slots: int, deepest: int) -> float:
    """What rate, requests in flight and the slots of the deepest run allow, in seconds."""
    latency = LATENCY_MS / 1000
    rounds_of_deepest = 1 + math.ceil((deepest - 1) / slots)
    return max(pages / RATE, pages * latency / in_flight, rounds_of_deepest * latency)


def empty(target: Target) -> None:
    """Every round is a first load, and starts without writes that another has left to do."""
    with connect(target.database) as database:
        database.run("truncate sync.sender_emails, bare.sender_emails")
    target.database.stack.psql("-c", "checkpoint")


async def _alone(chain: Chain, bison: BisonControl, report: Report, rounds: int) -> None:
    largest = await bison.workspace(LARGEST)
    in_flight = max(IN_FLIGHT)
    report.section(
        f"The largest workspace alone: {largest.total} accounts, {largest.last_page} pages,"
        f" n = {in_flight}",
    )
    rows = []
    for slots in ALONE_SLOTS:
        await chain.verbs.call(
            "register_workspace", p_workspace_name=LARGEST, p_base_url=bison.base_url,
            p_api_key=largest.key, p_source="email_bison",
            p_max_concurrency=slots,
        )  # fmt: skip
        syncs = []
        for _ in range(rounds):
            empty(chain.target)
            syncs.append(await chain.sync(in_flight, [LARGEST]))
        wall = median(sync.seconds for sync in syncs)
        limit = _limit(largest.last_page, in_flight, slots, largest.last_page)
        first = median(sync.until_first_request for sync in syncs)
        kept = against(wall, ALONE_AIM_SECONDS)
        rows.append((str(slots), f"{wall:.2f}", f"{first:.2f}", f"{limit:.2f}", kept))
    report.table(("k", "chain s", "first request s", "limit s", f"aim {ALONE_AIM_SECONDS} s"), rows)
