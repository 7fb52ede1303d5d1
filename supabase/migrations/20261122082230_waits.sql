-- Waits: what holds up a live run of which nothing is in flight, in words and with the way out.
-- Stands on: progress, endpoints.

create view public.waiting_runs with (security_invoker = true) as
select
  p.job_id, p.run_id, w.workspace_name, st.stream_name as stream, told.why, told.waits_until,
  told.message
from sync.run_progress as p
join public.workspace_sync_runs as r on r.id = p.run_id
join public.sync_workspaces as w on w.id = r.workspace_id
join public.sync_sources as so on so.id = w.source_id
join public.sync_streams as st on st.id = r.stream_id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
left join lateral (
  select q.error_message from public.chunk_processing_queue as q
  where q.run_id = r.id and q.slot is not null and q.error_message is not null
  order by q.next_retry_at limit 1
) as failure on true
cross join lateral (
  select exists (
    select 1 from sync.workers where last_seen_at > sync.now() - interval '30 seconds'
  ) or exists (
    select 1 from public.worker_endpoints
    where is_active and last_answered_at > sync.now() - interval '5 minutes'
  ) as is_anybody
) as alive
cross join lateral (
  select * from (values
    (1, 'ending', r.ending is not null, null::timestamptz,
      format('it ends (%s) with the next sweep', r.ending)),
    (2, 'paused', r.is_paused, null,
      format('paused: chunkwise resume%s lifts that', case
        when sync.is_switched_on('paused') then ''
        when so.paused_at is not null then format(' --source %s', quote_ident(so.source_name))
        else format(' --workspace %s', quote_ident(w.workspace_name)) end)),
    (3, 'parent', r.phase = 'parent', null,
    'it waits for the stream it depends on, in the same job'),
    (4, 'closing_failed', r.close_error is not null, null,
      format('closing failed and is tried again: %s', r.close_error)),
    (5, 'no_worker', not alive.is_anybody, null,
      'no worker is alive: start one with chunkwise worker'),
    (6, 'rate_limited', b.id is not null, b.blocked_until,
      format('the API limits the rate of %s', b.scope_key)),
    (7, 'retry', p.delayed > 0 and p.ready = 0, p.next_retry_at,
      concat_ws(': ', format('%s chunks are tried again', p.delayed), failure.error_message)),
    (8, 'turn', true, null, format('%s chunks are ready and wait for their turn', p.ready))
  ) as reason (rank, why, holds, waits_until, message)
  where holds order by rank limit 1
) as told
where p.status = 'running' and p.processing = 0;
comment on view public.waiting_runs is
'Live runs of which nothing is in flight: why, until when (null: nobody knows), and what helps.';
comment on column public.waiting_runs.why is
'ending, paused, parent, closing_failed, no_worker, rate_limited, retry or turn; the first that
holds.';

revoke all on table public.waiting_runs from public, anon, authenticated, service_role;
grant select on table public.waiting_runs to service_role, authenticated;
