"""A database with a month of finished work and live jobs in it."""

import time

from benchmarks.databases import bench_database, run_file, run_sql
from benchmarks.pgbench import pgbench
from benchmarks.queue import CLAIM, CLAIM_AND_COMPLETE
from local.stack import Database, Stack

JOBS = 3_000
CHUNKS_PER_JOB = 26 * 13
GIANT_PAGES = 18_000


def database_with_history(stack: Stack, name: str, scale: float) -> tuple[Database, str, float]:
    """Also what is in it, and the seconds it took.

    3,000 closed jobs of 1,014,000 chunks, one live job of 26 runs, one live run of 18,000 chunks;
    the live ones partly done. The last closed job fetched 1,000 conversations too; the chunks of
    the last week were pushed. `scale` is that of the closed jobs.
    """
    started = time.monotonic()
    jobs = max(1, round(JOBS * scale))
    database = bench_database(stack, name)
    run_sql(database, "select bench.add_fleet(26)")
    run_file(database, "history.sql", user="supabase_admin", jobs=jobs)
    run_sql(database, "vacuum analyze", user="supabase_admin")
    run_sql(database, f"select bench.stock('giant', 'bench', 'items', 1, {GIANT_PAGES}, 8)")
    pgbench(database, CLAIM_AND_COMPLETE.format(limit=8), transactions=100)
    run_sql(database, "select bench.stock('fleet', 'email_bison', 'sender_emails', 26, 13, 8)")
    pgbench(database, CLAIM_AND_COMPLETE.format(limit=50), transactions=3)
    pgbench(database, CLAIM.format(limit=20), transactions=1)
    run_sql(database, "vacuum analyze", user="supabase_admin")
    contents = (
        f"{jobs:,} closed jobs of {jobs * CHUNKS_PER_JOB:,} chunks, one live job of 26 runs, one"
        f" live run of {GIANT_PAGES:,} chunks"
    )
    return database, contents, time.monotonic() - started
