-- Page: what runs now, what ran before, and one job.
-- Stands on: jobs, budget_room, steer, views_progress, views_queue, page_fleet.

create function sync.budgets_of(p_job_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('source_name', s.source_name,
      'scope_key', b.scope_key, 'requests_per_second', b.requests_per_second,
      'learned_rate', b.learned_rate, 'max_in_flight', b.max_in_flight,
      'reduced_in_flight', b.reduced_in_flight, 'in_flight', sync.in_flight_of(b.id),
      'blocked_until', case when b.blocked_until > sync.now() then b.blocked_until end,
      'blocked_at', b.blocked_at) order by s.source_name, b.scope_key), '[]')
    from public.sync_budgets as b join public.sync_sources as s on s.id = b.source_id
    where p_job_id is null and b.scope_key not like 'workspace:%'
      or b.id in (
        select w.budget_id from public.workspace_sync_runs as r
        join public.sync_workspaces as w on w.id = r.workspace_id
        where r.job_id = p_job_id and r.status = 'running')
      or p_job_id is null and (b.blocked_until > sync.now() or b.reduced_in_flight is not null));
end; $$;
comment on function sync.budgets_of(uuid) is
$$Returns: the budgets that a live job draws on; null: those of instances, and those that 429s
reduced.$$;

create function sync.waits_of(p_job_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select coalesce(jsonb_agg(jsonb_build_object('why', x.why, 'message', x.message,
      'waits_until', x.waits_until, 'runs', x.runs, 'workspaces', x.workspaces)
      order by x.runs desc, x.message), '[]')
    from (
      select v.why, v.message, max(v.waits_until) as waits_until, count(*) as runs,
        (array_agg(v.workspace_name order by v.workspace_name))[1:5] as workspaces
      from public.waiting_runs as v
        where v.job_id = p_job_id and v.why <> 'turn' group by 1, 2
      order by 4 desc, 2 limit 20
    ) as x);
end; $$;
comment on function sync.waits_of(uuid) is
$$Returns: what holds up runs of a live job, what holds up most first, with what helps. That others
are before them is no reason.$$;

create function sync.job_summary(p_job_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select jsonb_build_object('job_id', j.id, 'job_name', j.job_name, 'status', j.status,
      'started_at', j.started_at, 'completed_at', j.completed_at,
      'duration_ms', coalesce(j.duration_ms,
        round(extract(epoch from sync.now() - j.started_at) * 1000)),
      'percentage', p.percentage, 'total_workspaces', j.total_workspaces,
      'workspaces_processed', p.workspaces_completed, 'workspaces_skipped', j.workspaces_skipped,
      'records', j.total_accounts_synced, 'retry_of_job_id', j.retry_of_job_id,
      'cancel_requested_at', j.cancel_requested_at, 'error_message', j.error_message,
      'warnings', to_jsonb(j.warnings), 'happening_now', p.happening_now,
      'planned', p.planned, 'pending', p.pending, 'processing', p.processing,
      'completed', p.completed, 'failed', p.failed, 'cancelled', p.cancelled)
    from public.polling_job_status as j join sync.job_progress as p on p.job_id = j.id
    where j.id = p_job_id);
end; $$;
comment on function sync.job_summary(uuid) is $$Returns: a job and how far its chunks are.$$;

create function sync.get_jobs_page(p_before timestamptz, p_status text, p_limit int) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_limit int;
  v_jobs jsonb[];
begin
  perform sync.require_operator();
  v_limit := least(greatest(p_limit, 1), 500);
  v_jobs := array(
    select jsonb_build_object('job_id', j.id, 'job_name', j.job_name, 'status', j.status,
      'started_at', j.started_at, 'completed_at', j.completed_at, 'duration_ms', j.duration_ms,
      'total_workspaces', j.total_workspaces, 'workspaces_processed', j.workspaces_processed,
      'workspaces_skipped', j.workspaces_skipped, 'records', j.total_accounts_synced,
      'percentage', j.progress_percentage, 'retry_of_job_id', j.retry_of_job_id,
      'message', coalesce(j.error_message, j.warnings[1]))
    from public.polling_job_status as j
    where (p_before is null or j.started_at < p_before)
      and (p_status is null or j.status = p_status) and j.status <> 'running'
    order by j.started_at desc limit v_limit + 1);
  return sync.page_head() || jsonb_build_object(
    'live', (
      select coalesce(jsonb_agg(sync.job_summary(j.id) || jsonb_build_object(
        'waits', sync.waits_of(j.id), 'budgets', sync.budgets_of(j.id))
        order by j.started_at desc), '[]')
      from public.polling_job_status as j where j.status = 'running'),
    'oldest_ready_at', (
      select min(coalesce(q.started_at, q.created_at)) from public.workspace_sync_runs as r
      cross join lateral (
        select x.started_at, x.created_at from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true
        offset 0
      ) as q
      where r.status = 'running'),
    'jobs', to_jsonb(v_jobs[1 : v_limit]), 'has_more', cardinality(v_jobs) > v_limit);
end; $$;
comment on function sync.get_jobs_page(timestamptz, text, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_jobs_page(p_before timestamptz default null,
  p_status text default null, p_limit int default 50) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_jobs_page(p_before, p_status, p_limit);
end; $$;
comment on function public.get_jobs_page(timestamptz, text, int) is
$$Now and before: live jobs with what holds them up and the budgets they draw on; ended ones, newest
first, that started before p_before, at most 500. Returns: {"as_of", "live": […], "oldest_ready_at",
"jobs": […], "has_more"}. Raises: 42501 no operator.$$;

create function sync.get_job_page(p_job_id uuid, p_limit int, p_offset int) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_obstacle record;
begin
  perform sync.require_operator();
  perform sync.require_job(p_job_id);
  select * into v_obstacle from sync.retry_obstacle(p_job_id);
  return sync.page_head() || sync.job_summary(p_job_id) || jsonb_build_object(
    'waits', sync.waits_of(p_job_id), 'budgets', sync.budgets_of(p_job_id),
    'retry_obstacle', v_obstacle.o_message,
    'run_count', (select count(*) from public.workspace_sync_runs where job_id = p_job_id),
    'run_states', (
      select coalesce(jsonb_object_agg(s.status, s.count), '{}')
      from (
        select r.status, count(*) as count from public.workspace_sync_runs as r
        where r.job_id = p_job_id group by 1
      ) as s),
    'runs', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', r.run_id, 'workspace_name',
        w.workspace_name, 'stream', s.stream_name, 'status', r.status, 'phase', r.phase,
        'percentage', trunc(100.0 * r.progress_done / nullif(r.progress_total, 0), 1),
        'planned', r.planned, 'completed', r.completed, 'failed', r.failed,
        'processing', r.processing, 'delayed', r.delayed, 'records', r.records,
        'changed', r.changed, 'deleted', x.records_deleted, 'expected_total', x.expected_total,
        'deletions_waiting', x.deletions_waiting,
        'duration_ms', round(extract(epoch from coalesce(x.completed_at, sync.now())
          - x.started_at) * 1000),
        'error_message', x.error_message, 'warnings', to_jsonb(x.warnings)) order by o.n), '[]')
      from (
        select y.id, row_number() over (order by array_position(
          '{failed,partial,running,cancelled,completed}', y.status), y.id) as n
        from public.workspace_sync_runs as y where y.job_id = p_job_id
        order by 2 limit least(greatest(p_limit, 1), 500) offset greatest(p_offset, 0)
      ) as o
      join sync.run_progress as r on r.run_id = o.id
      join public.workspace_sync_runs as x on x.id = o.id
      join public.sync_workspaces as w on w.id = r.workspace_id
      join public.sync_streams as s on s.id = r.stream_id),
    'failed_chunks', (
      select coalesce(jsonb_agg(to_jsonb(f)), '[]') from (
        select c.id, c.workspace_name, c.stream, c.kind, c.page, c.record_id, c.attempts,
          c.error_message, c.failed_at
        from public.failed_chunks as c where c.parent_sync_job_id = p_job_id limit 50) as f));
end; $$;
comment on function sync.get_job_page(uuid, int, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501 and what that
raises.$$;

create function public.get_job_page(p_job_id uuid, p_limit int default 200,
  p_offset int default 0) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_job_page(p_job_id, p_limit, p_offset);
end; $$;
comment on function public.get_job_page(uuid, int, int) is
$$One job: how far it is, what holds it up, its runs (worst first, at most 500 from p_offset on), 50
of its chunks that failed, why it cannot be retried. Returns: {"as_of", "job_id", "status", "runs":
[…], "run_count", "failed_chunks": […], "retry_obstacle" (null: it can), …}. Raises: 42501 no
operator, SY007 unknown job.$$;

revoke all on function
  sync.budgets_of, sync.waits_of, sync.job_summary, sync.get_jobs_page, public.get_jobs_page,
  sync.get_job_page, public.get_job_page
from public, anon, authenticated, service_role;
grant execute on function
  sync.get_jobs_page, public.get_jobs_page, sync.get_job_page, public.get_job_page
to authenticated, service_role;
