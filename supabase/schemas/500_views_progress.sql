-- Progress: how far runs and jobs are, from totals that are counted once.

create view sync.run_progress with (security_invoker = true) as
select
  r.id as run_id, r.job_id, r.workspace_id, r.stream_id, r.status, r.ending, r.is_paused,
  r.close_error, r.phase, r.scan, r.expected_total,
  r.planned_chunks + case when r.status = 'running' and r.ending is null
    then r.known_pages - r.planned_pages else 0 end as planned,
  r.chunks_completed + coalesce(c.completed, 0) as completed,
  r.chunks_failed + coalesce(c.failed, 0) as failed,
  r.chunks_cancelled + coalesce(c.cancelled, 0) as cancelled,
  r.records_seen + coalesce(c.records, 0) as records,
  r.records_changed + coalesce(c.changed, 0) as changed,
  r.pages_planned, r.pages_completed + coalesce(c.pages, 0) as pages_completed,
  coalesce(q.processing, 0) as processing, coalesce(q.ready, 0) as ready,
  coalesce(q.delayed, 0) as delayed, q.next_retry_at, q.last_claim_at,
  case when r.status = 'running' then r.progress_total else coalesce(r.progress_total, 1) end
  as progress_total,
  case r.status when 'running'
    then least(r.progress_total,
      coalesce(r.parts_ended, r.chunks_completed + coalesce(c.completed, 0)))
    when 'completed' then coalesce(r.progress_total, 1)
    else least(coalesce(r.progress_total, 1), r.chunks_completed) end as progress_done
from public.workspace_sync_runs as r
left join lateral (
  select sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
    sum(records) as records, sum(changed) as changed, sum(pages) as pages
  from sync.run_counters where run_id = r.id and r.status = 'running'
) as c on true
left join lateral (
  select count(*) filter (where status = 'processing') as processing,
    count(*) filter (where ready_seq is not null) as ready,
    count(*) filter (where next_retry_at is not null and status = 'pending') as delayed,
    min(next_retry_at) filter (where status = 'pending') as next_retry_at,
    max(started_at) as last_claim_at
  from public.chunk_processing_queue
  where run_id = r.id and slot is not null and r.status = 'running'
) as q on true;
comment on view sync.run_progress is
'Totals of each run: of closed ones as written, of live ones summed from one counter row per slot.
progress_done never falls: its 100 % is fixed when page 1 was answered, and re-scans add nothing to
it. What failed or was cancelled is not done. Of a live run planned counts the pages that are known
and have no chunk yet, too.';

-- One statement whose plan a session keeps: planning it took longer than running it.
create function sync.sum_up_runs(p_job_id uuid)
returns table (planned bigint, processing bigint, completed bigint, failed bigint, cancelled bigint,
  ready bigint, delayed bigint, percentage numeric, workspaces_completed bigint,
  last_claim_at timestamptz)
language plpgsql stable rows 1 set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan
set enable_seqscan = off as $$
begin
  return query
  select coalesce(sum(r.planned), 0)::bigint, coalesce(sum(r.processing), 0)::bigint,
    coalesce(sum(r.completed), 0)::bigint, coalesce(sum(r.failed), 0)::bigint,
    coalesce(sum(r.cancelled), 0)::bigint, coalesce(sum(r.ready), 0)::bigint,
    coalesce(sum(r.delayed), 0)::bigint,
    case when not bool_or(r.progress_total is null)
    then least(99.9, trunc(100.0 * sum(r.progress_done) / sum(r.progress_total), 1)) end,
    count(distinct r.workspace_id)
    - count(distinct r.workspace_id) filter (where r.status <> 'completed'),
    max(r.last_claim_at)
  from sync.run_progress as r where r.job_id = p_job_id;
end; $$;
comment on function sync.sum_up_runs(uuid) is
$$Returns: the totals of a live job, summed over its runs; the percentage is null until every run's
total is known.$$;

-- Two branches, because a left join would add up the runs of every closed job too; of one type,
-- because they would be converted row by row.
create view sync.job_progress with (security_invoker = true) as
select
  j.id as job_id, j.job_name, j.kind, j.status, j.total_workspaces,
  j.chunks_completed + j.chunks_failed + j.chunks_cancelled as planned, 0::bigint as pending,
  0::bigint as processing,
  j.chunks_completed as completed, j.chunks_failed as failed, j.chunks_cancelled as cancelled,
  case j.status when 'completed' then 'completed' when 'cancelled' then 'cancelled'
    else 'partial_failure' end as overall_status,
  coalesce(j.progress_percentage, case j.status when 'completed' then 100.0 end) as percentage,
  j.workspaces_processed::bigint as workspaces_completed, j.updated_at,
  coalesce(j.error_message, j.warnings[1]) as happening_now
from public.polling_job_status as j
where j.status <> 'running'
union all
select
  j.id, j.job_name, j.kind, j.status, j.total_workspaces,
  p.planned, left_over.pending, p.processing,
  p.completed, p.failed, p.cancelled,
  case when p.planned = left_over.pending then 'pending' else 'processing' end,
  p.percentage, p.workspaces_completed, greatest(j.updated_at, p.last_claim_at),
  case
    when j.cancel_requested_at is not null
    then format('cancelled; %s still in flight', sync.counted(p.processing, 'chunk'))
    else format('%s in flight, %s ready, %s delayed, %s waiting',
    sync.counted(p.processing, 'chunk'), p.ready, p.delayed,
    left_over.pending - p.ready - p.delayed) end
from public.polling_job_status as j
cross join lateral sync.sum_up_runs(j.id) as p
cross join lateral (
  select p.planned - p.completed - p.failed - p.cancelled - p.processing as pending
) as left_over
where j.status = 'running';
comment on view sync.job_progress is
'Totals of each job: of closed ones as written, of live ones summed over their runs.';

create view public.chunk_processing_status with (security_invoker = true) as
select
  job_id as parent_sync_job_id, pending as pending_chunks, processing as processing_chunks,
  completed as completed_chunks, failed as failed_chunks, overall_status,
  percentage as progress_percentage
from sync.job_progress;
comment on view public.chunk_processing_status is
'Chunks per job. The percentage is null until every run''s total is known, and never falls.';
comment on column public.chunk_processing_status.parent_sync_job_id is
'The job: polling_job_status.id.';
comment on column public.chunk_processing_status.pending_chunks is
'Chunks that wait, are ready or are delayed.';
comment on column public.chunk_processing_status.processing_chunks is 'Chunks that a worker holds.';
comment on column public.chunk_processing_status.completed_chunks is
'Chunks whose page was applied.';
comment on column public.chunk_processing_status.failed_chunks is
'Chunks that failed for good: failed_chunks says why.';
comment on column public.chunk_processing_status.overall_status is
'pending (nothing begun), processing, completed, partial_failure or cancelled.';
comment on column public.chunk_processing_status.progress_percentage is
'0 to 99.9 while it runs, 100 when it completed, else how far it came; null until every run''s total
is known.';

create view public.sync_progress with (security_invoker = true) as
select
  job_id, job_name, kind, status, workspaces_completed, total_workspaces,
  percentage as progress_percentage, updated_at, happening_now
from sync.job_progress;
comment on view public.sync_progress is
'What each job is doing: select * from sync_progress order by updated_at desc limit 3.';
comment on column public.sync_progress.job_id is 'The job: polling_job_status.id.';
comment on column public.sync_progress.job_name is 'Jobs of one name run one after the other.';
comment on column public.sync_progress.kind is 'sync, audit or key_check.';
comment on column public.sync_progress.status is
'running, completed, partial, failed or cancelled.';
comment on column public.sync_progress.workspaces_completed is
'Workspaces whose every requested stream completed.';
comment on column public.sync_progress.total_workspaces is 'Workspaces that the job has runs for.';
comment on column public.sync_progress.progress_percentage is
'0 to 99.9 while it runs, 100 when it completed, else how far it came; null until every run''s total
is known.';
comment on column public.sync_progress.updated_at is
'When it last changed, or a chunk of it was last claimed.';
comment on column public.sync_progress.happening_now is
'What its chunks do; of an ended job, what went wrong.';

create function public.get_sync_job_progress(p_job_id uuid) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_progress jsonb;
begin
  select jsonb_build_object(
    'job_id', j.id, 'job_name', j.job_name, 'kind', j.kind, 'status', j.status, 'started_at', j.started_at,
    'completed_at', j.completed_at,
    'duration_ms', coalesce(j.duration_ms,
    (extract(epoch from sync.now() - j.started_at) * 1000)::bigint),
    'percentage', p.percentage, 'total_workspaces', j.total_workspaces, 'workspaces_processed',
    p.workspaces_completed,
    'workspaces_skipped', j.workspaces_skipped,
    'total_accounts_synced', j.total_accounts_synced,
    'chunks', jsonb_build_object('planned', p.planned, 'pending', p.pending, 'processing',
    p.processing, 'completed', p.completed,
      'failed', p.failed, 'cancelled', p.cancelled),
    'warnings', to_jsonb(j.warnings), 'error_message', j.error_message,
    'runs', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'run_id', r.run_id, 'workspace', w.workspace_name, 'stream', s.stream_name, 'status',
        r.status, 'scan', x.scan - x.begun_again, 'phase', r.phase,
        'percentage', trunc(100.0 * r.progress_done / r.progress_total, 1),
        'planned', r.planned, 'completed', r.completed, 'failed', r.failed, 'processing',
        r.processing, 'delayed', r.delayed,
        'pages', jsonb_build_object('planned', r.pages_planned, 'completed', r.pages_completed),
        'next_retry_ms', case when r.next_retry_at < 'infinity'
        then greatest(0, ceil(extract(epoch from r.next_retry_at - sync.now()) * 1000)) end,
        'records', r.records, 'changed', r.changed, 'deleted', x.records_deleted, 'expected_total',
        x.expected_total,
        'duration_ms', (extract(epoch from coalesce(x.completed_at,
        sync.now()) - x.started_at) * 1000)::bigint,
        'error_message', x.error_message, 'warnings', to_jsonb(x.warnings))
        order by w.workspace_name, s.stream_name), '[]')
      from sync.run_progress as r
      join public.workspace_sync_runs as x on x.id = r.run_id
      join public.sync_workspaces as w on w.id = r.workspace_id
      join public.sync_streams as s on s.id = r.stream_id
      where r.job_id = j.id))
  into v_progress
  from public.polling_job_status as j join sync.job_progress as p on p.job_id = j.id
  where j.id = p_job_id;
  if v_progress is null then
    raise exception using errcode = 'SY007',
      message = format('there is no job %s', coalesce(p_job_id::text, 'null')),
      hint = 'select id, job_name, status from polling_job_status order by started_at desc limit '
        '5 shows the last ones.';
  end if;
  return v_progress;
end; $$;
comment on function public.get_sync_job_progress(uuid) is
$$All that a progress bar needs, in one call: the job, its chunks, each of its runs; durations in
ms. Never goes backwards. Returns: {"job_id", "job_name", "status", "percentage" (null until known),
"chunks", "runs": […], "warnings", …}. Raises: SY007 unknown job.$$;

revoke all on table
  sync.run_progress, sync.job_progress, public.chunk_processing_status, public.sync_progress
from public, anon, authenticated, service_role;
grant select on table
  sync.run_progress, sync.job_progress, public.chunk_processing_status, public.sync_progress
to authenticated, service_role;
revoke all on function
  sync.sum_up_runs, public.get_sync_job_progress
from public, anon, authenticated, service_role;
grant execute on function
  sync.sum_up_runs, public.get_sync_job_progress
to authenticated, service_role;
