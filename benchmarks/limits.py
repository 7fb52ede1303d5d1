"""Friendly to limits and fair: random faults beside a bare loop, real limiters, a giant."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from math import inf
from statistics import median, quantiles
from typing import TYPE_CHECKING

from benchmarks.bare_loop import BareLoop
from benchmarks.fleet import LATENCY_MS, RATE, WORKERS, Chain, empty
from benchmarks.report import Report, against
from local.bison import (
    Break,
    Chaos,
    Drip,
    Status,
    TokenBucket,
    Traffic,
    spawned_bison,
)
from local.bison.faults import PlainFault
from local.demo.world import Target, Verbs, connect, register
from local.stack import Stack

if TYPE_CHECKING:
    from local.bison.traffic import SeenRequest

IN_FLIGHT = 32
SOURCE = "email_bison"

# Of 100 requests: five 429, two 500, two resets, two that take 1 s longer.
FAULTS: tuple[PlainFault, ...] = (
    *[Status(status=429, retry_after_s=1)] * 5,
    *[Status(status=500)] * 2,
    *[Break(how="reset")] * 2,
    *[Drip(parts=2, pause_ms=500)] * 2,
)
FAULTS_SHARE = 0.11
FAULTS_AIM = 1.5
FAULTY_ROUNDS = 3

REFUSED_AIM = 0.03
USED_AIM = 0.95
LIMIT = 5.0

SMALL = {f"small {number:02}": 45 for number in range(1, 26)}
GIANT = {"giant": 1_600}
GIANT_AIM = 1.2
GIANT_ROUNDS = 2
SMALL_ENDS = """
select extract(epoch from r.completed_at - j.started_at)::float
from workspace_sync_runs as r
join sync_workspaces as w on w.id = r.workspace_id
join polling_job_status as j on j.id = r.job_id
where w.workspace_name like 'small %' and r.status = 'completed'
"""


@dataclass(frozen=True, slots=True)
class Limiter:
    """What an API lets through, and what was set."""

    bucket: TokenBucket
    budget: float
    fleet: Mapping[str, int] | None

    @property
    def label(self) -> str:
        bucket = self.bucket
        return f"{bucket.per_second:g}/s per {bucket.per}, burst {bucket.burst}"


# Enough pages of each key for its limit to tell.
KEYS = {f"key {number}": 1_125 for number in range(1, 5)}
INSTANCE_LIMITERS = (
    Limiter(TokenBucket(per_second=LIMIT, burst=5), LIMIT, SMALL),
    Limiter(TokenBucket(per_second=LIMIT, burst=5), 2 * LIMIT, None),
)
KEY_LIMITERS = (
    Limiter(TokenBucket(per_second=LIMIT, burst=5, per="key"), LIMIT, KEYS),
    Limiter(TokenBucket(per_second=LIMIT, burst=5, per="key"), 2 * LIMIT, KEYS),
    Limiter(TokenBucket(per_second=LIMIT, burst=1, per="key"), LIMIT, KEYS),
)


async def measure_faults(stack: Stack, report: Report) -> None:
    """The same faults for both: they depend on the page and on how often it was asked for."""
    target = Target.fresh(stack, "bench_faults")
    async with (
        spawned_bison(latency_ms=LATENCY_MS) as bison,
        target.client() as verbs,
        BareLoop.open(target.database, bison) as bare,
    ):
        await register(verbs, bison)
        await _set_budget(verbs, RATE, RATE)
        syncs, loops, seen = [], [], []
        empty(target)
        clean = (await Chain(target, verbs, bison).sync(IN_FLIGHT)).seconds
        empty(target)
        clean_loop = await bare.seconds(IN_FLIGHT)
        for seed in range(FAULTY_ROUNDS):
            faults = Chaos(seed=seed, rate=FAULTS_SHARE, faults=FAULTS, in_a_row=5)
            empty(target)
            rule = await bison.fault(faults, kind="page", times=None)
            syncs.append((await Chain(target, verbs, bison).sync(IN_FLIGHT)).seconds)
            seen.append(await bison.traffic())
            await bison.clear_rules(rule)
            empty(target)
            rule = await bison.fault(faults, kind="page", times=None)
            loops.append(await bare.seconds(IN_FLIGHT))
            await bison.clear_rules(rule)
            await verbs.call("unblock_budget", p_source=SOURCE)
    target.api.stop()
    target.database.drop()
    wall, loop = median(syncs), median(loops)
    report.section(
        "Random faults: 5 % are 429 (Retry-After 1 s), 2 % 500, 2 % reset, 2 % come 1 s late",
        f"the fleet, {WORKERS} workers, {IN_FLIGHT} in flight, budget raised to {RATE:,}; medians"
        f" of {FAULTY_ROUNDS} rounds, the bare loop with the same faults, limits and backoff",
    )
    requests = list(chain.from_iterable(traffic.select(kind="page") for traffic in seen))
    refused = sum(request.status == 429 for request in requests) / len(requests)
    rounds = " ".join(f"{seconds:.1f}" for seconds in syncs)
    report.table(
        ("rounds s", "chain s", "bare loop s", "refused", "ratio", f"aim {FAULTS_AIM}",
         "without faults s", "bare loop s", "ratio"),
        [(
            rounds, f"{wall:.2f}", f"{loop:.2f}", f"{refused:.1%}", f"{wall / loop:.2f}",
            against(wall / loop, FAULTS_AIM), f"{clean:.2f}", f"{clean_loop:.2f}",
            f"{clean / clean_loop:.2f}",
        )],
    )  # fmt: skip


async def measure_instance_limiters(stack: Stack, report: Report) -> None:
    label = "25 workspaces of 3 pages; where more is allowed than let through, the fleet of 335"
    await _measure_limiters(stack, report, "instance", label, INSTANCE_LIMITERS)


async def measure_key_limiters(stack: Stack, report: Report) -> None:
    label = f"{len(KEYS)} workspaces of 75 pages; used: their mean, and the lowest"
    await _measure_limiters(stack, report, "key", label, KEY_LIMITERS)


async def _measure_limiters(
    stack: Stack, report: Report, scope: str, label: str, limiters: Sequence[Limiter]
) -> None:
    report.section(
        f"Real limiters: a token bucket per {scope}",
        f"{WORKERS} workers, {IN_FLIGHT} in flight; {label}",
        "used: let through, of what the rate allows between the first page's answer and the end",
    )
    rows = [await _limited(stack, limiter, number) for number, limiter in enumerate(limiters)]
    report.table(
        ("limiter", "set to", "seconds", "refused", f"aim {REFUSED_AIM:.0%}", "used", "lowest",
         f"aim {USED_AIM:.0%}"),
        rows,
    )  # fmt: skip


async def _limited(stack: Stack, limiter: Limiter, number: int) -> tuple[str, ...]:
    target = Target.fresh(stack, f"bench_limiter_{number}")
    fleet = None if limiter.fleet is None else dict(limiter.fleet)
    async with (
        spawned_bison(fleet, latency_ms=LATENCY_MS) as bison,
        target.client() as verbs,
    ):
        scope = limiter.bucket.per
        await verbs.call(
            "declare_source",
            p_source={"source_name": SOURCE, "base_path": "/api", "budget_scope": scope,
                      "success_path": ["success"]},
        )  # fmt: skip
        await register(verbs, bison)
        await _set_budget(verbs, limiter.budget, None)
        await bison.fault(limiter.bucket, times=None)
        seconds = (await Chain(target, verbs, bison).sync(IN_FLIGHT)).seconds
        traffic = await bison.traffic()
    target.api.stop()
    target.database.drop()
    shares = used_shares(traffic, limiter.bucket)
    refused = len(traffic.select(status=429)) / len(traffic.requests)
    used = sum(shares) / len(shares)
    return (
        limiter.label,
        f"{limiter.budget:g}/s",
        f"{seconds:.1f}",
        f"{refused:.1%}",
        against(refused, REFUSED_AIM),
        f"{used:.1%}",
        f"{min(shares):.1%}",
        against(USED_AIM, used),
    )


def used_shares(traffic: Traffic, bucket: TokenBucket) -> list[float]:
    """Of each instance or key: what was let through of what its rate allows, from where its pages
    are known, so without the burst that was saved until then."""
    requests: dict[str | None, list[SeenRequest]] = defaultdict(list)
    for request in traffic.requests:
        requests[request.workspace if bucket.per == "key" else None].append(request)
    shares = []
    for seen in requests.values():
        known = min(
            request.answered_ms or inf
            for request in seen
            if request.kind == "page" and request.status == HTTPStatus.OK
        )
        times = [request.arrived_ms for request in seen if request.arrived_ms >= known]
        let_in = sum(
            request.arrived_ms >= known and request.status != HTTPStatus.TOO_MANY_REQUESTS
            for request in seen
        )
        shares.append(let_in / (1 + bucket.per_second * (max(times) - known) / 1_000))
    return shares


async def measure_giant(stack: Stack, report: Report) -> None:
    rows = []
    for label, rate, in_flight in (("default", 5, 10), ("none", None, None)):
        alone = [await _small_p95(stack, SMALL, rate, in_flight) for _ in range(_rounds(rate))]
        beside = [
            await _small_p95(stack, {**GIANT, **SMALL}, rate, in_flight)
            for _ in range(_rounds(rate))
        ]
        ratio = median(beside) / median(alone)
        rows.append((
            label, f"{median(alone):.2f}", f"{median(beside):.2f}", f"{ratio:.2f}",
            against(ratio, GIANT_AIM),
        ))  # fmt: skip
    report.section(
        "A giant of 1,600 accounts beside 25 workspaces of 45: when the small ones are complete",
        f"{WORKERS} workers, {IN_FLIGHT} in flight, {LATENCY_MS} ms per page; p95 of their ends"
        f" after the start; without a budget medians of {GIANT_ROUNDS} rounds",
    )
    report.table(("budget", "without it s", "beside it s", "ratio", f"aim {GIANT_AIM}"), rows)


def _rounds(rate: float | None) -> int:
    return GIANT_ROUNDS if rate is None else 1


async def _small_p95(
    stack: Stack, fleet: Mapping[str, int], rate: float | None, in_flight: int | None
) -> float:
    target = Target.fresh(stack, "bench_giant")
    async with spawned_bison(dict(fleet), latency_ms=LATENCY_MS) as bison, target.client() as verbs:
        await register(verbs, bison)
        await _set_budget(verbs, rate, in_flight)
        await Chain(target, verbs, bison).sync(IN_FLIGHT)
        with connect(target.database) as database:
            ends = [float(seconds) for (seconds,) in database.run(SMALL_ENDS)]
    target.api.stop()
    target.database.drop()
    p95: float = quantiles(ends, n=20)[-1]
    return p95


async def _set_budget(verbs: Verbs, rate: float | None, in_flight: int | None) -> None:
    await verbs.call(
        "set_budget", p_source=SOURCE, p_requests_per_second=rate, p_max_in_flight=in_flight
    )
