-- Views of the queue: what failed, what waits and why, how the queue and the workers are.
-- Stands on: views_progress.

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
comment on column public.failed_chunks.id is 'The chunk.';
comment on column public.failed_chunks.parent_sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.failed_chunks.workspace_name is 'Its workspace.';
comment on column public.failed_chunks.stream is 'The kind of record.';
comment on column public.failed_chunks.kind is
'page, cursor, confirmation, item or connection: see chunked_sync_jobs.kind.';
comment on column public.failed_chunks.scan is 'Which scan of its run, from 1.';
comment on column public.failed_chunks.page is 'The page, of chunks of kind page.';
comment on column public.failed_chunks.record_id is
'The record, of chunks of kind confirmation or item.';
comment on column public.failed_chunks.attempts is 'How often it was tried and failed.';
comment on column public.failed_chunks.lease_losses is
'How often its worker fell silent; only while that held nothing else it counts towards failing.';
comment on column public.failed_chunks.error_message is 'Why it failed last.';
comment on column public.failed_chunks.worker_id is 'Who had it last.';
comment on column public.failed_chunks.failed_at is 'When it failed for good.';

create view public.sync_page_queue with (security_invoker = true) as
select q.id, q.status, q.attempts, q.next_retry_at, q.created_at, q.started_at, q.completed_at,
  q.parent_sync_job_id, q.run_id, c.scan, c.page
from public.chunk_processing_queue as q
join public.chunked_sync_jobs as c on c.id = q.id
where c.kind = 'page';
comment on view public.sync_page_queue is
'Page chunks. Read only: claim_chunk_job_safe() and claim_next_chunk_job_safe() hand them out.';
comment on column public.sync_page_queue.id is 'The chunk: what claim_chunk_job_safe() takes.';
comment on column public.sync_page_queue.status is
'pending, processing, completed, failed or cancelled.';
comment on column public.sync_page_queue.attempts is 'Failures so far; rate limits do not count.';
comment on column public.sync_page_queue.next_retry_at is 'When a delayed chunk is ready again.';
comment on column public.sync_page_queue.created_at is 'When it was planned.';
comment on column public.sync_page_queue.started_at is 'When it was last claimed.';
comment on column public.sync_page_queue.completed_at is 'When it ended, however it did.';
comment on column public.sync_page_queue.parent_sync_job_id is 'Its job: polling_job_status.id.';
comment on column public.sync_page_queue.run_id is 'Its run: workspace_sync_runs.id.';
comment on column public.sync_page_queue.scan is 'Which scan of its run, from 1.';
comment on column public.sync_page_queue.page is 'The page to fetch.';

create function sync.refuse_queue_write() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp as $$
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
  (select coalesce(sum(q.held), 0)::bigint from public.workspace_sync_runs as r
    cross join lateral (
      select count(*) as held from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'processing'
        and x.worker_id = k.worker_id
    ) as q
    where r.status = 'running') as chunks_in_flight,
  k.alone_with, k.is_listening, k.idle_finds
from sync.workers as k;
comment on view public.worker_health is
'Workers, when they were last heard of, what they hold. An idle worker looks at least every 5 s.';
comment on column public.worker_health.worker_id is 'The name that the worker gave itself.';
comment on column public.worker_health.first_seen_at is 'Its first claim.';
comment on column public.worker_health.last_seen_at is 'Its last claim, to within 5 s.';
comment on column public.worker_health.time_since_seen is 'Since then.';
comment on column public.worker_health.is_alive is 'Whether it was heard of in the last 30 s.';
comment on column public.worker_health.chunks_in_flight is 'What it holds now.';
comment on column public.worker_health.alone_with is
'The chunk that it holds alone, or empties itself for: two workers died that held it.';
comment on column public.worker_health.is_listening is
'Whether it says that it listens to hints by Realtime.';
comment on column public.worker_health.idle_finds is
'Of one that listens: how often in a row an idle look found work of which it had heard nothing.';

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
comment on column public.queue_health.live_jobs is 'Jobs that run.';
comment on column public.queue_health.live_runs is 'Runs of theirs that have not ended.';
comment on column public.queue_health.ready_chunks is 'What a claim would find.';
comment on column public.queue_health.delayed_chunks is 'What waits for its time.';
comment on column public.queue_health.chunks_in_flight is 'What workers hold.';
comment on column public.queue_health.waiting_chunks is 'What waits for a slot of its run.';
comment on column public.queue_health.next_retry_at is 'When the next delayed chunk is ready.';
comment on column public.queue_health.workers_alive is 'Workers heard of in the last 30 s.';
comment on column public.queue_health.blocked_budgets is
'Instances or keys that nobody sends to, after several 429s in a row.';
comment on column public.queue_health.last_sweep_at is 'When lost work was last looked for.';
comment on column public.queue_health.last_sweep_error is 'Why that failed.';

-- Words are made for the reason that holds only, and few tables are joined: most of the time goes
-- into planning.
create view sync.live_runs with (security_invoker = true) as
select
  p.job_id, p.run_id, p.workspace_id, p.stream_id, w.workspace_name, p.planned, p.completed,
  p.progress_done, p.progress_total, p.expected_total, found.why,
  case when found.why = 'rate_limited' then limited.until
    when found.why = 'token' then asked.due_at
    when found.why in ('database', 'retry') then p.next_retry_at end as waits_until,
  case found.why
    when 'ending' then format('it ends (%s) with the next sweep', p.ending)
    when 'no_key' then format('its key cannot be read from Vault: chunkwise keys rotate %s',
      sync.shell_word(w.workspace_name))
    when 'paused' then format('paused: chunkwise resume%s lifts that', case
      when sync.is_switched_on('paused') then ''
      else coalesce((
        select format(' --source %s', sync.shell_word(so.source_name))
        from public.sync_sources as so where so.id = w.source_id and so.paused_at is not null
      ), format(' --workspace %s', sync.shell_word(w.workspace_name))) end)
    when 'parent' then 'it waits for the stream it depends on, in the same job'
    when 'closing_failed' then format('closing failed and is tried again: %s', p.close_error)
    when 'no_worker' then 'no worker is alive: start one with chunkwise worker'
    when 'rate_limited' then format('the API limits the rate of %s', (
      select x.scope_key from public.sync_budgets as x where x.id = w.budget_id))
    when 'token' then concat_ws(': ', 'it waits for an access token', asked.error_message)
    when 'database' then (
      select case when count(*) = 0
        then 'another session has locked the row of its budget in sync_budgets'
        else concat_ws(': ', format('the database itself does not take %s',
          sync.counted(count(*), 'chunk')),
          (array_agg(q.error_message order by q.next_retry_at))[1]) end
      from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null and q.postponements > 0)
    when 'retry' then (
      select concat_ws(': ', sync.counted(count(*), 'chunk is', 'chunks are') || ' tried again',
        (array_agg(q.error_message order by q.next_retry_at)
        filter (where q.error_message is not null))[1])
      from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null
        and (q.attempts > 0 or q.error_message is not null))
    when 'budget' then 'its budget is used up: set_budget() allows more'
    else format('%s for their turn',
      sync.counted(p.ready, 'chunk is ready and waits', 'chunks are ready and wait')) end as message
from sync.run_progress as p
join public.sync_workspaces as w on w.id = p.workspace_id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
cross join lateral (
  select greatest(b.blocked_until, case when w.rate_limited_until > sync.now()
    then w.rate_limited_until end) as until
) as limited
left join sync.token_requests as asked on asked.workspace_id = w.id and asked.ended_at is null
cross join lateral (
  select case
    when p.processing > 0 then null
    when p.ending is not null then 'ending'
    when w.key_status = 'unreadable' then 'no_key'
    when p.is_paused then 'paused'
    when p.phase = 'parent' then 'parent'
    when p.close_error is not null then 'closing_failed'
    when not exists (
      select 1 from sync.workers where last_seen_at > sync.now() - interval '30 seconds'
    ) and not exists (
      select 1 from public.worker_endpoints
      where is_active and last_answered_at > sync.now() - interval '5 minutes'
    ) then 'no_worker'
    when limited.until is not null then 'rate_limited'
    when asked.id is not null and p.ready = 0 then 'token'
    when p.delayed > 0 and p.ready = 0 then (
      select case when bool_or(q.postponements > 0)
        or bool_or(q.turn is not null and q.line_budget_id is null
          and w.rate_limited_until is null) then 'database'
        when bool_or(q.attempts > 0 or q.error_message is not null) then 'retry'
        else 'budget' end
      from public.chunk_processing_queue as q where q.run_id = p.run_id and q.slot is not null)
    else 'turn' end as why
  order by why limit 1
) as found
where p.status = 'running';
comment on view sync.live_runs is
'Live runs: how far they are, and of those of which nothing is in flight, why. Who asks for both
reads each of them once.';

create view public.waiting_runs with (security_invoker = true) as
select
  l.job_id, l.run_id, l.workspace_name,
  (select st.stream_name from public.sync_streams as st where st.id = l.stream_id) as stream,
  l.why, l.waits_until, l.message
from sync.live_runs as l
where l.why is not null;
comment on view public.waiting_runs is
'Live runs of which nothing is in flight: why, until when (null: nobody knows), and what helps.';
comment on column public.waiting_runs.why is
'ending, no_key, paused, parent, closing_failed, no_worker, rate_limited, token, database (a lock, a
time limit, no space: no attempt is lost), retry, budget or turn; the first that holds.';
comment on column public.waiting_runs.job_id is 'Its job: polling_job_status.id.';
comment on column public.waiting_runs.run_id is 'The run: workspace_sync_runs.id.';
comment on column public.waiting_runs.workspace_name is 'Its workspace.';
comment on column public.waiting_runs.stream is 'The kind of record.';
comment on column public.waiting_runs.waits_until is
'When it goes on by itself; null: nobody knows.';
comment on column public.waiting_runs.message is 'The same in words, with what helps.';

revoke all on table
  public.failed_chunks, public.sync_page_queue, public.worker_health, public.queue_health,
  sync.live_runs, public.waiting_runs
from public, anon, authenticated, service_role;
grant select on table
  public.failed_chunks, public.worker_health, public.queue_health, sync.live_runs,
  public.waiting_runs
to authenticated, service_role;
grant select, insert, update, delete on table public.sync_page_queue to service_role;
grant select on table public.sync_page_queue to authenticated;
revoke all on function sync.refuse_queue_write from public, anon, authenticated, service_role;
