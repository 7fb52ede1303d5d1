"""The database's part of a re-sync in which nothing has changed."""

from benchmarks.databases import bench_database, run_sql
from benchmarks.pgbench import pgbench
from benchmarks.report import Report, against
from local.bison import BisonControl, spawned_bison
from local.demo.report import row_versions
from local.demo.world import connect
from local.stack import Database, Stack

AIM_SECONDS = 0.15 / 4_109
SCRIPT = r"""
select public.start_sync_job('{job_name}', '{{sender_emails}}');
select public.claim_next_chunk_job_safe('bench', {limit}, p_protocol => 2)::text as claim \gset
select public.complete_chunk_jobs_safe(a) from bench.stored_answers(:claim::jsonb) as a
where a is not null;
"""
MEDIAN = """
select count(*), percentile_cont(0.5) within group (order by duration_ms) / 1000
from public.polling_job_status where job_name = :job_name and status = 'completed'
"""
# Pages per call, and so many calls that several syncs end.
BATCHES = ((100, 80), (10, 300))


async def measure(stack: Stack, report: Report) -> None:
    database = bench_database(stack, "bench_resync")
    async with spawned_bison(latency_ms=0) as bison:
        pages = await _store_answers(database, bison)
    _sync(database, "first", 100, 20)
    run_sql(database, "vacuum analyze", "checkpoint", user="supabase_admin")
    with connect(database) as connection:
        before = row_versions(connection)
    aim = AIM_SECONDS * len(before)
    report.section(
        f"Database time of an unchanged re-sync: {len(before):,} rows, {pages} pages",
        "claims and completions of one client, one after the other, reading stored answers"
        " included; median of several syncs",
    )
    rows = []
    for batch, calls in BATCHES:
        syncs, seconds = _sync(database, f"batches of {batch}", batch, calls)
        rows.append((str(batch), str(syncs), f"{seconds:.2f}", against(seconds, aim)))
    with connect(database) as connection:
        written = len(row_versions(connection) ^ before)
    report.table(("pages per call", "syncs", "seconds", f"aim {aim:.2f} s"), rows)
    report.section(f"row versions written: {written}")


async def _store_answers(database: Database, bison: BisonControl) -> int:
    """Register the fleet and keep every page as the API serves it."""
    pages = 0
    insert = "insert into bench.bodies (workspace_name, page, body) values (:name, :page, :body)"
    register = "select public.register_workspace(:name, :url, :key, 'email_bison')"
    accept = (
        "update public.sync_workspaces set key_status = 'accepted', external_id = id::text,"
        " key_owner_id = id::text"
    )
    with connect(database) as connection:
        for workspace in await bison.workspaces():
            connection.run(register, name=workspace.name, url=bison.base_url, key=workspace.key)
            connection.run(accept)
            for page in range(1, workspace.last_page + 1):
                body = (await bison.page_body(workspace.name, page)).decode()
                connection.run(insert, name=workspace.name, page=page, body=body)
                pages += 1
    return pages


def _sync(database: Database, job_name: str, batch: int, calls: int) -> tuple[int, float]:
    """How many syncs ended, and the median of their seconds."""
    pgbench(database, SCRIPT.format(job_name=job_name, limit=batch), transactions=calls)
    with connect(database) as connection:
        count, seconds = connection.run(MEDIAN, job_name=job_name)[0]
        # The next batch size must find nothing running.
        connection.run("select public.cancel_sync_job(id) from public.polling_job_status"
                       " where status = 'running'")  # fmt: skip
    return int(count), float(seconds)
