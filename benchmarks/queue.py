"""Claiming and completing: rates, one at a time, in batches, of one parent."""

from dataclasses import dataclass

from benchmarks.databases import bench_database, run_sql, stocked
from benchmarks.pgbench import Transactions, pgbench
from benchmarks.report import Report
from local.demo.world import connect
from local.stack import Database, Stack

SLOTS = 64
CLAIM = """
select public.claim_next_chunk_job_safe('bench ' || :client_id::text, {limit},
  p_protocol => 2)::text as claim"""
COMPLETE = """
select public.complete_chunk_jobs_safe(a) from bench.answers(:claim::jsonb) as a
where a is not null;
"""
CLAIM_AND_COMPLETE = rf"{CLAIM} \gset{COMPLETE}"
BARE = r"""
with picked as (
  select id from bench.bare_queue where status = 'pending'
  order by id limit {limit} for update skip locked
), taken as (
  update bench.bare_queue as q set status = 'processing'
  from picked where q.id = picked.id returning q.id
)
select array_agg(id)::text as ids from taken \gset
update bench.bare_queue set status = 'completed' where id = any (:ids::bigint[]);
"""


@dataclass(frozen=True, slots=True)
class Case:
    """`runs` x `pages` chunks wait; `clients` take `limit` at a time."""

    title: str
    clients: int
    limit: int
    runs: int
    pages: int
    aim: str


CASES = (
    Case("one at a time, 1 client", 1, 1, 16, 1_500, "1,060 (1 x pgmq)"),
    Case("one at a time, 4 clients", 4, 1, 16, 2_500, "1,060 (1 x pgmq)"),
    Case("batches of 100, 1 client", 1, 100, 16, 3_000, "10,500 (0.3 x pgmq)"),
    Case("batches of 100, 4 clients", 4, 100, 16, 6_000, "14,700 (0.3 x pgmq)"),
    Case("one parent, 1 client", 1, 1, 1, 20_000, "1,565 (3.5 x pgflow)"),
    Case("one parent, 4 clients", 4, 1, 1, 40_000, "2,832 (6 x pgflow)"),
)


@dataclass(frozen=True, slots=True)
class Rate:
    """`wal_bytes`: written per chunk, which no load of the machine changes."""

    chunks_per_second: float
    wal_bytes: float
    transactions: Transactions


def measure(stack: Stack, report: Report, seconds: int) -> None:
    report.section(
        "Queue: claim and complete, with fence, audit events, slots and apply; chunks/s",
        f"pgbench, {seconds} s each; pages of two small records to synced_records, bodies made by"
        f" the server within the measured time; {SLOTS} slots per run",
        "completions: clients x limit / their mean latency; the bare"
        " queue has two states and nothing else; aims are other projects' figures from elsewhere",
    )
    rows = []
    for case in CASES:
        database = stocked(stack, "bench_queue", runs=case.runs, pages=case.pages, slots=SLOTS)
        rate = claim_and_complete(database, case.clients, case.limit, seconds)
        claim_ms, complete_ms = rate.transactions.statements_ms
        rows.append(
            (
                case.title,
                f"{rate.chunks_per_second:,.0f}",
                f"{claim_ms:.2f}",
                f"{complete_ms:.2f}",
                f"{case.clients * case.limit / complete_ms * 1000:,.0f}",
                f"{_bare(stack, case, seconds):,.0f}",
                case.aim,
            )
        )
    report.table(
        ("", "both", "claim ms", "complete ms", "completions", "bare queue", "aim"),
        rows,
    )


def claim_and_complete(database: Database, clients: int, limit: int, seconds: int) -> Rate:
    """Only what was really completed counts."""
    before, log_before = _completed(database), _log_position(database)
    done = pgbench(
        database, CLAIM_AND_COMPLETE.format(limit=limit), clients=clients, seconds=seconds
    )
    chunks = _completed(database) - before
    written = (_log_position(database) - log_before) / max(chunks, 1)
    return Rate(chunks / done.seconds, written, done)


def _completed(database: Database) -> int:
    with connect(database) as connection:
        rows = connection.run("select count(*) from public.chunk_events where event = 'completed'")
    return int(rows[0][0])


def _log_position(database: Database) -> int:
    with connect(database) as connection:
        return int(connection.run("select pg_current_wal_insert_lsn() - '0/0'")[0][0])


def _bare(stack: Stack, case: Case, seconds: int) -> float:
    database = bench_database(stack, "bench_bare")
    chunks = seconds * (150_000 if case.limit > 1 else 12_000)
    run_sql(database, f"select bench.stock_bare({chunks})")
    run_sql(database, "vacuum analyze bench.bare_queue", user="supabase_admin")
    done = pgbench(database, BARE.format(limit=case.limit), clients=case.clients, seconds=seconds)
    with connect(database) as connection:
        sql = "select count(*) from bench.bare_queue where status = 'completed'"
        return float(connection.run(sql)[0][0]) / done.seconds
