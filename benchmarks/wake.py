"""From the commit of new work to its claim, by what tells the worker of it."""

import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.report import Report
from local.bison import spawned_bison
from local.demo import looks
from local.demo.world import Target, Verbs, connect, register, workers
from local.process import Child
from local.stack import Stack

if TYPE_CHECKING:
    from pg8000.native import Connection

IDLE_SECONDS = 5
TOKEN = "wake-token-of-the-benchmark"
# Longer than the pause between hints, and than a worker looks again after a hint.
AFTER_HINTS = (0.75, 1.25)
ANY_MOMENT_OF_AN_INTERVAL = (0.25, 0.25 + IDLE_SECONDS)
LOOK_SECONDS = 0.02
ENDED = "select status <> 'running' from polling_job_status where id = cast(:id as uuid)"
CLAIMED = """
select extract(epoch from min(started_at) - cast(:committed_at as timestamptz))::float * 1000
from chunk_processing_queue where parent_sync_job_id = cast(:id as uuid)
"""

Worker = AbstractAsyncContextManager[Sequence[Child]]


@dataclass(frozen=True, slots=True)
class Way:
    """`quiet` is the range of seconds between the end of a job and the next one."""

    title: str
    start: Callable[[Target, Verbs], Worker]
    samples: int
    quiet: tuple[float, float]


@asynccontextmanager
async def _by_realtime(target: Target, _verbs: Verbs) -> AsyncIterator[Sequence[Child]]:
    with workers(target, 1, concurrency=16, idle_seconds=IDLE_SECONDS) as started:
        await target.api.realtime.wait_until(channels_ready=1)
        yield started


@asynccontextmanager
async def _by_push(target: Target, verbs: Verbs) -> AsyncIterator[Sequence[Child]]:
    deliverer = target.database.stack.deliver(target.database)
    with workers(
        target, 1, concurrency=16, idle_seconds=IDLE_SECONDS,
        options=("--listen", "127.0.0.1:0"), CHUNKWISE_WAKE_TOKEN=TOKEN,
    ) as started:  # fmt: skip
        url = f"http://{_started(started[0])['listen']}"
        await verbs.call("register_worker_endpoint", p_url=url, p_wake_token=TOKEN)
        yield started
        await verbs.call("remove_worker_endpoint", p_url=url)
    deliverer.stop()


@asynccontextmanager
async def _by_neither(target: Target, _verbs: Verbs) -> AsyncIterator[Sequence[Child]]:
    with workers(
        target, 1, concurrency=16, idle_seconds=IDLE_SECONDS, CHUNKWISE_REALTIME="off"
    ) as started:
        _started(started[0])
        yield started


WAYS = (
    Way("Realtime (stand-in)", _by_realtime, 40, AFTER_HINTS),
    Way("push (pg_net's stand-in)", _by_push, 40, AFTER_HINTS),
    Way("neither", _by_neither, 12, ANY_MOMENT_OF_AN_INTERVAL),
)


async def measure(stack: Stack, report: Report) -> None:
    target = Target.fresh(stack, "bench_wake")
    report.section(
        "From commit to claim: one page that becomes ready after at least 250 ms of quiet; ms",
        "the database's clock before the commit is sent to the claim's started_at; one worker,"
        " which waits for",
        "a hint; Realtime and pg_net are this project's stand-ins and everything is on loopback:"
        " the figures",
        f"of a hosted project are others; neither: Realtime off, idle interval {IDLE_SECONDS} s",
    )
    async with spawned_bison({"acme": 10}, latency_ms=0) as bison, target.client() as verbs:
        await register(verbs, bison)
        rows = [await _row(way, target, verbs) for way in WAYS]
    target.api.stop()
    report.table(("told by", "samples", "p50", "p95", "longest", "found by idle looks"), rows)


async def _row(way: Way, target: Target, verbs: Verbs) -> tuple[str, ...]:
    async with way.start(target, verbs) as started:
        with connect(target.database) as database:
            _until_claimed(database)
            taken = [_sample(database, way.quiet) for _ in range(way.samples)]
    return (
        way.title,
        str(way.samples),
        f"{median(taken):.0f}",
        f"{quantiles(taken, n=20, method='inclusive')[-1]:.0f}",
        f"{max(taken):.0f}",
        str(looks.of_stopped(started)["idle_found"]),
    )


def _sample(database: "Connection", quiet: tuple[float, float]) -> float:
    time.sleep(random.uniform(*quiet))
    return _until_claimed(database)


def _until_claimed(database: "Connection") -> float:
    """Milliseconds from a job's commit to the claim of its page; returns when it has ended."""
    database.run("begin")
    job_id = database.run("select start_sync_job('bench') ->> 'job_id'")[0][0]
    committed_at = database.run("select clock_timestamp()")[0][0]
    database.run("commit")
    while not database.run(ENDED, id=job_id)[0][0]:
        time.sleep(LOOK_SECONDS)
    return float(database.run(CLAIMED, id=job_id, committed_at=committed_at)[0][0])


def _started(worker: Child) -> dict[str, str]:
    """What it says when it is ready."""
    worker.wait_until(lambda: "worker_started" in worker.log.read_text())
    lines = [json.loads(line) for line in worker.log.read_text().splitlines()]
    return next(line for line in lines if line["event"] == "worker_started")
