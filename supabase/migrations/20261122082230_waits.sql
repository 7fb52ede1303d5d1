-- Waits: what holds up a live run of which nothing is in flight, in words and with the way out.
-- Stands on: progress, endpoints.

create function sync.shell_word(p_text text) returns text
language sql immutable set search_path = '' as $$
  select case when p_text ~ '^[A-Za-z0-9_.-]+$' then p_text
    else '''' || replace(p_text, '''', '''"''"''') || '''' end;
$$;
comment on function sync.shell_word(text) is
$$Returns: a text as one word of a shell command, of which the shell expands nothing.$$;

-- Words are made for the reason that holds only, and few tables are joined: most of the time goes
-- into planning.
create view public.waiting_runs with (security_invoker = true) as
select
  p.job_id, p.run_id, w.workspace_name,
  (select st.stream_name from public.sync_streams as st where st.id = p.stream_id) as stream,
  found.why,
  case found.why when 'rate_limited' then b.blocked_until when 'retry' then p.next_retry_at end
    as waits_until,
  case found.why
    when 'ending' then format('it ends (%s) with the next sweep', p.ending)
    when 'paused' then format('paused: chunkwise resume%s lifts that', case
      when sync.is_switched_on('paused') then ''
      else coalesce((
        select format(' --source %s', sync.shell_word(so.source_name))
        from public.sync_sources as so where so.id = w.source_id and so.paused_at is not null
      ), format(' --workspace %s', sync.shell_word(w.workspace_name))) end)
    when 'parent' then 'it waits for the stream it depends on, in the same job'
    when 'closing_failed' then format('closing failed and is tried again: %s', p.close_error)
    when 'no_worker' then 'no worker is alive: start one with chunkwise worker'
    when 'rate_limited' then format('the API limits the rate of %s', b.scope_key)
    when 'retry' then (
      select concat_ws(': ', format('%s chunks are tried again', count(*)),
        (array_agg(q.error_message order by q.next_retry_at)
        filter (where q.error_message is not null))[1])
      from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null
        and (q.attempts > 0 or q.error_message is not null))
    when 'budget' then 'its budget is used up: set_budget() allows more'
    else format('%s chunks are ready and wait for their turn', p.ready) end as message
from sync.run_progress as p
join public.sync_workspaces as w on w.id = p.workspace_id
left join public.sync_budgets as b on b.id = w.budget_id and b.blocked_until > sync.now()
cross join lateral (
  select case
    when p.ending is not null then 'ending'
    when p.is_paused then 'paused'
    when p.phase = 'parent' then 'parent'
    when p.close_error is not null then 'closing_failed'
    when not exists (
      select 1 from sync.workers where last_seen_at > sync.now() - interval '30 seconds'
    ) and not exists (
      select 1 from public.worker_endpoints
      where is_active and last_answered_at > sync.now() - interval '5 minutes'
    ) then 'no_worker'
    when b.id is not null then 'rate_limited'
    when p.delayed > 0 and p.ready = 0 then case when exists (
      select 1 from public.chunk_processing_queue as q
      where q.run_id = p.run_id and q.slot is not null
        and (q.attempts > 0 or q.error_message is not null)) then 'retry' else 'budget' end
    else 'turn' end as why
  order by why limit 1
) as found
where p.status = 'running' and p.processing = 0;
comment on view public.waiting_runs is
'Live runs of which nothing is in flight: why, until when (null: nobody knows), and what helps.';
comment on column public.waiting_runs.why is
'ending, paused, parent, closing_failed, no_worker, rate_limited, retry, budget or turn; the first
that holds.';

revoke all on table public.waiting_runs from public, anon, authenticated, service_role;
grant select on table public.waiting_runs to service_role, authenticated;
revoke all on function sync.shell_word from public, anon, authenticated, service_role;
grant execute on function sync.shell_word to service_role, authenticated;
