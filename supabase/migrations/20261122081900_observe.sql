-- Observe: which workspaces are stale, what failed, how the queue and the workers are.
-- Stands on: progress, sender emails.

create view public.workspace_health with (security_invoker = true) as
select
  w.workspace_name, st.stream_name as stream, w.is_active, s.last_complete_sync_at,
  sync.now() - s.last_complete_sync_at as time_since_sync, s.last_sync_duration_ms, s.record_count,
  w.key_status, w.key_checked_at, w.paused_at, b.blocked_until as rate_limited_until,
  s.last_complete_run_id, r.job_id as last_job_id, r.id as last_run_id, r.status as last_run_status,
  r.error_message as last_error, r.warnings as last_warnings,
  coalesce(held.deletions_waiting, 0) as deletions_waiting,
  ended.status as last_ended_status, ended.error_message as last_ended_error,
  ended.warnings as last_ended_warnings
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
left join lateral (
  select x.* from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id
  order by x.started_at desc, x.id desc limit 1
) as r on true
left join lateral (
  select x.status, x.error_message, x.warnings from public.workspace_sync_runs as x
  where x.workspace_id = w.id and x.stream_id = st.id and x.status <> 'running'
  order by x.started_at desc, x.id desc limit 1
) as ended on true
left join public.workspace_sync_runs as held on held.id = s.last_complete_run_id;
comment on view public.workspace_health is
'Each workspace and stream: last complete sync, key, last run, what waits.';

create view public.stale_workspaces with (security_invoker = true) as
select w.workspace_name, st.stream_name as stream, s.last_complete_sync_at,
  sync.now() - s.last_complete_sync_at as time_since_sync, w.key_status
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id and st.is_default
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
where w.is_active
  and coalesce(s.last_complete_sync_at, '-infinity')
  < (select sync.now() - make_interval(hours => sync.setting('stale_after_hours')::int))
order by s.last_complete_sync_at nulls first, w.workspace_name;
comment on view public.stale_workspaces is
'Active workspaces without a complete sync in 24 hours, never-synced ones first.';

create view public.missing_workspaces with (security_invoker = true) as
select w.workspace_name, w.base_url, w.key_status, s.last_complete_sync_at
from public.sync_workspaces as w
join public.sync_streams as st on st.source_id = w.source_id and st.stream_name = 'sender_emails'
left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
where w.is_active
  and not exists (select 1 from sync.sender_emails as e
  where e.workspace_id = w.id and e.deleted_at is null)
order by w.workspace_name;
comment on view public.missing_workspaces is 'Active workspaces that have no accounts here.';

-- Names are looked up, not joined: planning the joins took longer than running them. The job is
-- the run's: by job, its runs lead to their failed chunks, however many others failed.
create view public.failed_chunks with (security_invoker = true) as
select
  q.id, r.job_id as parent_sync_job_id,
  (select w.workspace_name from public.sync_workspaces as w where w.id = r.workspace_id)
  as workspace_name,
  (select st.stream_name from public.sync_streams as st where st.id = r.stream_id) as stream,
  c.kind, c.scan, c.page, c.record_id, q.attempts, q.lease_losses, q.error_message, q.worker_id,
  q.completed_at as failed_at
from public.chunk_processing_queue as q
join public.chunked_sync_jobs as c on c.id = q.id
join public.workspace_sync_runs as r on r.id = q.run_id
where q.status = 'failed';
comment on view public.failed_chunks is
'Chunks that failed for good, and why. retry_failed_chunks(parent_sync_job_id) starts a new job for
their runs.';

-- What ended badly lately is found without a look at every run; entries are made when runs close.
create index workspace_sync_runs_ended_badly_idx on public.workspace_sync_runs (completed_at)
  where status in ('failed', 'partial');

create view public.sync_page_queue with (security_invoker = true) as
select q.id, q.status, q.attempts, q.next_retry_at, q.created_at, q.started_at, q.completed_at,
  q.parent_sync_job_id, q.run_id, c.scan, c.page
from public.chunk_processing_queue as q
join public.chunked_sync_jobs as c on c.id = q.id
where c.kind = 'page';
comment on view public.sync_page_queue is
'Page chunks. Read only: claim_chunk_job_safe() and claim_next_chunk_job_safe() hand them out.';

create function sync.refuse_queue_write() returns trigger
language plpgsql set search_path = '' as $$
begin
  raise exception using errcode = 'SY018', message = format('%s is read only', tg_table_name),
    hint = 'claim_chunk_job_safe(id, worker) claims a chunk, complete_chunk_job_safe() and '
      'fail_chunk_job_safe() end it.';
end; $$;
comment on function sync.refuse_queue_write() is
$$Trigger: chunks move by the verbs only. Raises: SY018.$$;
create trigger sync_page_queue_write instead of insert or update or delete on public.sync_page_queue
for each row execute function sync.refuse_queue_write();

create view public.worker_health with (security_invoker = true) as
select
  k.worker_id, k.first_seen_at, k.last_seen_at, sync.now() - k.last_seen_at as time_since_seen,
  k.last_seen_at > sync.now() - interval '30 seconds' as is_alive,
  (select count(*) from public.workspace_sync_runs as r
    join public.chunk_processing_queue as q on q.run_id = r.id and q.slot is not null
      and q.status = 'processing'
    where r.status = 'running' and q.worker_id = k.worker_id) as chunks_in_flight
from sync.workers as k;
comment on view public.worker_health is
'Workers, when they were last heard of, what they hold. An idle worker looks at least every 5 s.';

create view public.queue_health with (security_invoker = true) as
select
  (select count(*) from public.polling_job_status where status = 'running') as live_jobs,
  coalesce(p.live_runs, 0) as live_runs, coalesce(p.ready, 0) as ready_chunks,
  coalesce(p.delayed, 0) as delayed_chunks,
  coalesce(p.processing, 0) as chunks_in_flight,
  coalesce(p.unfinished - p.ready - p.delayed - p.processing, 0) as waiting_chunks,
  p.next_retry_at,
  (select count(*) from sync.workers where last_seen_at > sync.now() - interval '30 seconds')
  as workers_alive,
  (select count(*) from public.sync_budgets where blocked_until > sync.now()) as blocked_budgets,
  s.swept_at as last_sweep_at, s.last_error as last_sweep_error
from sync.sweep_state as s
left join lateral (
  select count(*) as live_runs, sum(r.ready) as ready, sum(r.delayed) as delayed,
    sum(r.processing) as processing,
    sum(r.planned - r.completed - r.failed - r.cancelled) as unfinished,
    min(r.next_retry_at) as next_retry_at
  from sync.run_progress as r where r.status = 'running'
) as p on true;
comment on view public.queue_health is 'One row: what waits, what is in flight, who works.';

revoke all on table public.workspace_health, public.stale_workspaces, public.missing_workspaces,
  public.failed_chunks, public.sync_page_queue,
public.worker_health, public.queue_health from public, anon, authenticated, service_role;
grant select on table public.workspace_health, public.stale_workspaces, public.missing_workspaces,
  public.failed_chunks,
public.worker_health, public.queue_health to service_role, authenticated;
grant select, insert, update, delete on table public.sync_page_queue to service_role;
grant select on table public.sync_page_queue to authenticated;
revoke all on function sync.refuse_queue_write from public, anon, authenticated, service_role;
