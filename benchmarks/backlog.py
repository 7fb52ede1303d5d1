"""What claiming costs as work piles up: waiting, finished, or kept from vacuum by a snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.databases import add_stock, run_sql, stocked
from benchmarks.pgbench import pgbench
from benchmarks.queue import CLAIM, CLAIM_AND_COMPLETE, SLOTS, claim_and_complete
from benchmarks.report import Report, against
from local.demo.world import connect
from local.stack import Database, Stack

RUNS = 10
WAITING = (1_000, 100_000, 1_000_000)
CLAIMS = 300
AIM_GROWTH = 1.2
AIM_KEPT = 0.95
BATCH = 100
DRAINED_BATCHES = 300
LAST_BATCHES = 100


def measure_waiting(stack: Stack, report: Report, scale: float) -> None:
    report.section(
        f"Claim of one chunk, median of {CLAIMS}, beside so many waiting chunks",
        f"{RUNS} runs of {SLOTS} slots, all ready; the largest is scaled by --scale",
    )
    rows: list[tuple[str, ...]] = []
    smallest = 0.0
    for waiting in (*WAITING[:-1], round(WAITING[-1] * scale)):
        database = stocked(
            stack, "bench_waiting", runs=RUNS, pages=waiting // RUNS + SLOTS, slots=SLOTS
        )
        run_sql(database, "select bench.plan_all()")
        run_sql(database, "vacuum analyze", user="supabase_admin")
        claimed = pgbench(database, CLAIM.format(limit=1) + ";", transactions=CLAIMS).median_ms
        smallest = smallest or claimed
        growth = claimed / smallest
        rows.append(
            (f"{waiting:,}", f"{claimed:.2f}", f"{growth:.2f}", against(growth, AIM_GROWTH))
        )
    report.table(("waiting", "claim ms", "times the first", f"aim {AIM_GROWTH}"), rows)


def measure_history(stack: Stack, report: Report, history: Database, seconds: int) -> None:
    """`history` has finished chunks in it; gets stock of the same kind as an empty database."""
    report.section("Claim and complete beside finished chunks, 1 client; chunks/s")
    with connect(history) as connection:
        sql = "select count(*) from chunk_processing_queue where status = 'completed'"
        finished = connection.run(sql)[0][0]
    add_stock(history, runs=16, pages=6_000, slots=SLOTS)
    rows = []
    for title, limit in (("one at a time", 1), ("batches of 100", BATCH)):
        empty = stocked(stack, "bench_queue", runs=16, pages=6_000, slots=SLOTS)
        alone = claim_and_complete(empty, 1, limit, seconds)
        beside = claim_and_complete(history, 1, limit, seconds)
        kept = beside.chunks_per_second / alone.chunks_per_second
        rows.append((title, f"{alone.chunks_per_second:,.0f}", f"{beside.chunks_per_second:,.0f}",
                     f"{kept:.2f}", against(AIM_KEPT, kept), f"{alone.wal_bytes:,.0f}",
                     f"{beside.wal_bytes:,.0f}"))  # fmt: skip
    report.table(
        ("", "nothing", f"{finished:,} finished", "kept", f"aim {AIM_KEPT}", "WAL bytes a chunk",
         "beside them"),
        rows,
    )  # fmt: skip


def measure_snapshot(stack: Stack, report: Report) -> None:
    report.section(
        f"Claim and complete in batches of {BATCH} while a session holds a snapshot, chunks/s",
        f"the last {LAST_BATCHES} of {DRAINED_BATCHES} batches; then the median of {CLAIMS} claims",
    )
    rates: list[float] = []
    claims: list[float] = []
    for is_held in (False, True):
        database = stocked(stack, "bench_snapshot", runs=16, pages=2_500, slots=SLOTS)
        with _snapshot(database, is_held):
            done = pgbench(
                database, CLAIM_AND_COMPLETE.format(limit=BATCH), transactions=DRAINED_BATCHES
            )
            rates.append(BATCH * LAST_BATCHES / done.last(LAST_BATCHES).seconds)
            claim = pgbench(database, CLAIM.format(limit=1) + ";", transactions=CLAIMS)
            claims.append(claim.median_ms)
    kept = rates[1] / rates[0]
    rows = [
        ("rate", f"{rates[0]:,.0f}", f"{rates[1]:,.0f}", f"{kept:.2f}", against(AIM_KEPT, kept)),
        ("claim ms", f"{claims[0]:.2f}", f"{claims[1]:.2f}", f"{claims[1] / claims[0]:.2f}", ""),
    ]
    report.table(("", "free", "held", "ratio", f"aim {AIM_KEPT}"), rows)


def measure_created_index(stack: Stack, report: Report, seconds: int) -> None:
    report.section(
        "Cost of the index for `order by created_at desc`, batches of 100, 1 client, in turns"
    )
    rates: dict[bool, list[float]] = {True: [], False: []}
    for is_indexed in (True, False, True, False):
        database = stocked(stack, "bench_index", runs=16, pages=6_000, slots=SLOTS)
        if not is_indexed:
            run_sql(database, "drop index public.chunk_processing_queue_created_idx")
        rate = claim_and_complete(database, 1, BATCH, seconds)
        rates[is_indexed].append(rate.chunks_per_second)
    indexed, bare = max(rates[True]), max(rates[False])
    row = (f"{indexed:,.0f}", f"{bare:,.0f}", f"{100 * (1 - indexed / bare):.0f} %")
    report.table(("", "with", "without", "cost"), [("chunks/s, the better of two", *row)])


@contextmanager
def _snapshot(database: Database, is_held: bool) -> Iterator[None]:
    """Hold back vacuum as a forgotten transaction does."""
    with connect(database) as connection:
        if is_held:
            connection.run("begin isolation level repeatable read")
            connection.run("select count(*) from public.polling_job_status")
        yield
