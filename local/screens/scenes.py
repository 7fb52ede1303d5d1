"""What the database is brought to before a picture is taken."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from local.bison import BisonControl, Match, Rule, Status, spawned_bison
from local.dashboard import add_operator
from local.demo.world import Target, Verbs, connect, register

LATENCY_MS = 60
KEY_REFUSED = "Northwind Outbound"
FAILING = "Harbor Logistics"
HELD = "Umbra Studios"
PAUSED = "Tidal Media"
STALE = "Yarrow Foods"
LOOK_S = 0.1

# Half-hourly syncs of the last day, as runs that have ended; durations differ, some failed.
HISTORY = """
do $$
declare
  v_job uuid;
begin
  for step in reverse 30 .. 1 loop
    insert into public.polling_job_status (job_name, status, started_at, completed_at, duration_ms,
      total_workspaces, workspaces_processed, total_accounts_synced, chunks_completed,
      progress_percentage)
    values ('sync', 'completed', now() - step * interval '30 min',
      now() - step * interval '30 min' + interval '4 s', 3600 + (step * 37) % 900, 26, 26,
      4839, 335, 100)
    returning id into v_job;
    insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, status, started_at,
      completed_at, max_concurrency, distinct_ids, expected_total, records_seen, records_changed,
      planned_chunks, chunks_completed, progress_total, error_message)
    select v_job, s.workspace_id, s.stream_id,
      case when (s.workspace_id * 7 + step) % 61 = 0 then 'failed' else 'completed' end,
      now() - step * interval '30 min',
      now() - step * interval '30 min' + s.last_sync_duration_ms
        * (0.75 + ((s.workspace_id * step * 31) % 17) * 0.03) * interval '1 ms',
      8, s.record_count, s.record_count, s.record_count, (s.workspace_id * step) % 9,
      5, 5, 5, case when (s.workspace_id * 7 + step) % 61 = 0
        then 'HTTP 503: upstream connect error' end
    from public.sync_workspace_streams as s;
  end loop;
end $$
"""
MANY = """
insert into public.sync_workspaces (workspace_name, source_id, base_url, external_id)
select format('Client %s', to_char(n, 'fm0000')), s.id, 'https://bison.example', n::text
from generate_series(1, {count}) as n cross join public.sync_sources as s
where s.source_name = 'email_bison'
"""
MANY_SYNCED = """
insert into public.sync_workspace_streams (workspace_id, stream_id, last_complete_sync_at,
  last_sync_duration_ms, record_count)
select w.id, s.id, now() - case when w.id % 97 = 0 then interval '3 days'
  else w.id % 1500 * interval '1 s' end, 400 + w.id % 2200, 15 + w.id % 400
from public.sync_workspaces as w
join public.sync_streams as s on s.source_id = w.source_id and s.is_default
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A database behind its API, and the fake API that it syncs."""

    target: Target
    verbs: Verbs
    bison: BisonControl

    def run(self, sql: str, **values: object) -> list[Any]:
        with connect(self.target.database) as database:
            return list(database.run(sql, **values) or [])

    async def sync(self, name: str = "sync", workspaces: list[str] | None = None) -> str:
        """Start a job and wait for its end; its id."""
        answer = await self.verbs.call("start_sync_job", p_job_name=name, p_workspaces=workspaces)
        job_id = str(answer["job_id"])
        while await self.is_running(job_id):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return job_id

    async def is_running(self, job_id: str) -> bool:
        progress = await self.verbs.call("get_sync_job_progress", p_job_id=job_id)
        return bool(progress["status"] == "running")


@asynccontextmanager
async def scene(target: Target) -> AsyncIterator[Scene]:
    """An operator, and a fleet that is not registered yet."""
    async with spawned_bison(latency_ms=LATENCY_MS) as bison, target.client() as verbs:
        made = Scene(target, verbs, bison)
        add_operator(made.run)
        yield made


async def fill(made: Scene) -> None:
    """The fleet with a day of history, synced now."""
    await register(made.verbs, made.bison)
    await made.verbs.call(
        "set_budget", p_source="email_bison", p_requests_per_second=None, p_max_in_flight=None
    )
    await made.sync()
    made.run(HISTORY)


async def spoil(made: Scene) -> None:
    """A refused key, a failure, held deletions, a pause, and what nobody synced for days."""
    gone = [int(record["id"]) for record in (await made.bison.accounts(HELD))[:16]]
    await made.bison.remove_accounts(HELD, *gone)
    await made.sync("sync", [HELD])
    await made.bison.revoke_key(KEY_REFUSED)
    await made.bison.add_rule(
        Rule(fault=Status(status=403), match=Match(workspace=FAILING, page=3), times=None)
    )
    await made.sync()
    await made.verbs.call("pause_sync", p_workspace=PAUSED)
    for name, days in ((KEY_REFUSED, 18), (STALE, 2)):
        made.run(
            "update sync_workspace_streams set last_complete_sync_at = now()"
            " - make_interval(days => :days) where workspace_id ="
            " (select id from sync_workspaces where workspace_name = :name)",
            days=days,
            name=name,
        )
    # pg_cron serves no copy of the database.
    made.run("select sync.beat('cron')")
    made.run("select sync.check_health()")


def last_partial_job(made: Scene) -> str:
    found = made.run(
        "select id from polling_job_status where status = 'partial'"
        " order by started_at desc limit 1"
    )
    return str(found[0][0])


def fill_many(run: Callable[..., object], count: int) -> None:
    """So many workspaces, most of them fresh."""
    run(MANY.format(count=count))
    run(MANY_SYNCED)
    run("analyze")
