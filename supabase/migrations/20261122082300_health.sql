-- Health: what is wrong now becomes alerts, also if no job ran at all; what is mended resolves
-- them.
-- Stands on: alerts, observe, hints, schedule.

create table sync.job_watch (
  job_id uuid primary key references public.polling_job_status (id) on delete cascade,
  ended_chunks bigint not null,
  since timestamptz not null
);
comment on table sync.job_watch is
'How many chunks of each live job had ended, and since when it is that many.';
alter table sync.job_watch enable row level security;

create table sync.heartbeats (
  name text primary key,
  beat_at timestamptz not null,
  constraint heartbeats_name_check check (name in ('cron', 'health'))
) with (fillfactor = 50);
comment on table sync.heartbeats is 'When pg_cron last ran, and when health was last checked.';
insert into sync.heartbeats (name, beat_at) values ('cron', sync.now()), ('health', '-infinity');
alter table sync.heartbeats enable row level security;

create function sync.beat(p_name text) returns void
language sql set search_path = '' as $$
  update sync.heartbeats set beat_at = sync.now() where name = p_name;
$$;
comment on function sync.beat(text) is $$Note a heartbeat. Locks: its row.$$;

create function sync.watch_jobs() returns void
language sql set search_path = '' as $$
  delete from sync.job_watch as w
  where not exists (select 1 from public.polling_job_status as j
  where j.id = w.job_id and j.status = 'running');
  insert into sync.job_watch as w (job_id, ended_chunks, since)
  select p.job_id, p.completed + p.failed + p.cancelled, sync.now()
  from public.polling_job_status as j join sync.job_progress as p on p.job_id = j.id
  where j.status = 'running'
  on conflict (job_id) do update set ended_chunks = excluded.ended_chunks, since = excluded.since
  where w.ended_chunks <> excluded.ended_chunks;
$$;
comment on function sync.watch_jobs() is $$Note which live jobs moved since the last look.$$;

create function sync.why_stalled(p_job_id uuid) returns text
language sql stable set search_path = '' as $$
  select case
    when bool_and(r.is_paused) then 'it is paused: resume_sync() lifts that'
    when max(b.blocked_until) > sync.now()
    then format('the API limits the rate until %s', max(b.blocked_until))
    when not exists (select 1 from sync.workers
    where last_seen_at > sync.now() - interval '60 seconds')
      then 'no worker is alive: start one with chunkwise worker'
    when sum(p.processing) > 0 then format('%s requests are in flight and do not end',
    sum(p.processing))
    when sum(p.delayed) > 0 then format('%s chunks wait to be tried again, the next at %s',
    sum(p.delayed), min(p.next_retry_at))
    else 'chunks are ready and no worker takes them' end
  from public.workspace_sync_runs as r
  join sync.run_progress as p on p.run_id = r.id
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_budgets as b on b.id = w.budget_id
  where r.job_id = p_job_id and r.status = 'running';
$$;
comment on function sync.why_stalled(uuid) is
$$Returns: why a live job does not move, and what helps.$$;

create type sync.cause as (kind text, subject text, message text);
comment on type sync.cause is 'Something that is wrong now: the kind and subject of an alert.';

create function sync.workspace_causes() returns table (kind text, subject text, message text)
language sql stable set search_path = '' as $$
  select 'stale_workspace', format('%s %s', s.workspace_name, s.stream), case
    when s.last_complete_sync_at is null then 'was never synced completely'
    else format('last complete sync %s days ago',
    floor(extract(epoch from s.time_since_sync) / 86400)) end
  from public.stale_workspaces as s join public.sync_workspaces as w using (workspace_name)
  where s.last_complete_sync_at is not null
    or w.created_at < sync.now() - make_interval(hours => sync.setting('stale_after_hours')::int)
  union all
  select case w.key_status when 'refused' then 'key_refused' else 'key_of_other_workspace' end,
    w.workspace_name,
    case w.key_status when 'refused'
    then 'the API refuses its key: rotate_workspace_key() sets a new one'
      else format('its key belongs to %s: rotate_workspace_key() sets its own', w.key_owner) end
  from public.sync_workspaces as w
  where w.is_active and w.key_status in ('refused', 'other_workspace')
  union all
  select 'counts_disagree', format('%s %s', h.workspace_name, h.stream),
    array_to_string(h.last_warnings, '; ')
  from public.workspace_health as h where h.is_active and h.last_run_status = 'partial'
  union all
  select 'deletions_waiting', format('%s %s', h.workspace_name, h.stream),
    format('%s rows would be deleted: approve_deletions(%s) lets them go', h.deletions_waiting,
    h.last_complete_run_id)
  from public.workspace_health as h where h.deletions_waiting > 0;
$$;
comment on function sync.workspace_causes() is
$$Returns: what is wrong with workspaces now: kind, subject, message.$$;

create function sync.engine_causes() returns table (kind text, subject text, message text)
language sql stable set search_path = '' as $$
  select 'job_not_completed', j.job_name,
    format('job %s ended %s: retry_failed_chunks(''%s'') tries again', j.id, j.status, j.id)
  from (
    select distinct on (job_name) * from public.polling_job_status
    where status in ('completed', 'partial', 'failed')
      and started_at > sync.now() - interval '7 days' order by job_name, started_at desc
  ) as j where j.status <> 'completed'
  union all
  select 'job_stalled', j.job_name,
    format('job %s has not moved since %s: %s', j.id, w.since, sync.why_stalled(j.id))
  from sync.job_watch as w join public.polling_job_status as j on j.id = w.job_id
    and j.status = 'running'
  where w.since < sync.now() - make_interval(mins => sync.setting('stalled_after_minutes')::int)
  union all
  select 'no_worker', 'workers',
    format('%s chunks are ready and no worker was heard of since %s', q.ready_chunks,
    coalesce((select max(last_seen_at) from sync.workers)::text, 'ever'))
  from public.queue_health as q
  where q.ready_chunks > 0 and q.workers_alive = 0
    and not exists (select 1 from public.worker_endpoints
    where is_active and last_answered_at > sync.now() - interval '5 minutes')
  union all
  select 'cron_silent', 'pg_cron',
    format('pg_cron has run nothing since %s: restart it in the dashboard', b.beat_at)
  from sync.heartbeats as b where b.name = 'cron' and b.beat_at < sync.now() - interval '3 minutes'
  union all
  select 'hints_silent', 'hints', format('hints fail: %s', s.last_error) from sync.hint_state as s
  where s.last_error is not null
  union all
  select 'hints_silent', 'pg_net',
    format('%s wake-ups of the last 15 minutes got no answer', count(*))
  from sync.hints as h where h.sent_at > sync.now() - interval '15 minutes'
  having count(*) filter (where h.outcome = 'lost') > 2
    and count(*) filter (where h.outcome in ('answered', 'refused', 'busy')) = 0;
$$;
comment on function sync.engine_causes() is
$$Returns: what is wrong with jobs, workers, cron and hints now: kind, subject, message.$$;

create function sync.check_health() returns int
language plpgsql set search_path = '' as $$
declare
  v_causes sync.cause[];
begin
  perform sync.watch_jobs();
  v_causes := array(select row(c.*)::sync.cause from sync.workspace_causes() as c)
    || array(select row(c.*)::sync.cause from sync.engine_causes() as c);
  perform sync.open_alert(c.kind, c.subject, string_agg(c.message, '; '))
  from unnest(v_causes) as c group by c.kind, c.subject order by c.kind, c.subject;
  update public.sync_alerts as a set resolved_at = sync.now()
  where a.resolved_at is null and a.kind <> 'endpoint_failing'
    and not exists (select 1 from unnest(v_causes) as c
    where c.kind = a.kind and c.subject = a.subject);
  perform sync.beat('health');
  perform sync.deliver_alerts();
  perform sync.ping_dead_man();
  return cardinality(v_causes);
end; $$;
comment on function sync.check_health() is
$$Open alerts for what is wrong now, resolve those whose cause is gone, and send both out. Returns:
causes that hold. Locks: the alerts.$$;

create function sync.check_health_if_cron_is_silent() returns void
language plpgsql set search_path = '' as $$
begin
  if exists (select 1 from sync.heartbeats
    where name = 'cron' and beat_at < sync.now() - interval '3 minutes')
    and exists (select 1 from sync.heartbeats
    where name = 'health' and beat_at < sync.now() - interval '5 minutes') then
    perform sync.check_health();
  end if;
exception when others then
  update sync.sweep_state set last_error = sync.mask_secrets(sqlerrm) where is_only_row;
end; $$;
comment on function sync.check_health_if_cron_is_silent() is
$$The sweep's part when pg_cron does not run. An error is noted in sync.sweep_state and fails
nothing else.$$;

select cron.schedule('chunkwise health', '*/5 * * * *',
  'set statement_timeout = ''55s''; select sync.beat(''cron''); select sync.check_health()');
select cron.schedule('chunkwise sweep', '* * * * *',
  'set statement_timeout = ''55s''; select sync.beat(''cron'');
  select public.cleanup_stuck_chunks()');

revoke all on table sync.job_watch, sync.heartbeats from public, anon, authenticated, service_role;
grant select on table sync.job_watch, sync.heartbeats to service_role, authenticated;
create policy job_watch_select_operator on sync.job_watch
for select to authenticated using ((select sync.is_operator()));
create policy heartbeats_select_operator on sync.heartbeats
for select to authenticated using ((select sync.is_operator()));
revoke all on function sync.beat, sync.watch_jobs, sync.why_stalled, sync.workspace_causes,
  sync.engine_causes, sync.check_health,
sync.check_health_if_cron_is_silent from public, anon, authenticated, service_role;
