-- Health: what is wrong now becomes alerts, also if no job ran at all; what is mended resolves
-- them.
-- Stands on: keys, alerts, views_progress, views_queue, views_workspaces, alert_delivery, cron.

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
  last_error text,
  constraint heartbeats_name_check check (name in ('cron', 'health'))
) with (fillfactor = 50);
comment on table sync.heartbeats is 'When pg_cron last ran, and when health was last checked.';
comment on column sync.heartbeats.last_error is
'Of health: which parts of the last check failed and why, or why messages did not reach pg_net.';
insert into sync.heartbeats (name, beat_at) values ('cron', sync.now()), ('health', sync.now());
alter table sync.heartbeats enable row level security;
create trigger heartbeats_stay before delete or truncate on sync.heartbeats
for each statement execute function sync.refuse_removal();

create function sync.beat(p_name text) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  update sync.heartbeats set beat_at = sync.now(), last_error = null where name = p_name;
$$;
comment on function sync.beat(text) is $$Note a heartbeat. Locks: its row.$$;

create function sync.watch_jobs() returns void
language sql set search_path = pg_catalog, pg_temp as $$
  delete from sync.job_watch as w where not exists (
    select 1 from public.polling_job_status as j where j.id = w.job_id and j.status = 'running');
  insert into sync.job_watch as w (job_id, ended_chunks, since)
  select p.job_id, p.completed + p.failed + p.cancelled,
    case when p.completed + p.failed + p.cancelled = 0 then j.started_at else sync.now() end
  from public.polling_job_status as j join sync.job_progress as p on p.job_id = j.id
  where j.status = 'running'
  on conflict (job_id) do update set ended_chunks = excluded.ended_chunks, since = sync.now()
  where w.ended_chunks <> excluded.ended_chunks;
$$;
comment on function sync.watch_jobs() is $$Note which live jobs moved since the last look.$$;

create function sync.why_stalled(p_job_id uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(string_agg(x.message, '; ' order by x.runs desc, x.message),
    'nothing of it is live: cleanup_stuck_chunks() closes it')
  from (
    select concat_ws(', until ', w.message, sync.in_utc(w.waits_until)) as message,
      count(*) as runs
    from public.waiting_runs as w where w.job_id = p_job_id group by 1
    union all
    select sync.counted(sum(p.processing), 'request is in flight and does not end',
      'requests are in flight and do not end'), count(*)
    from sync.run_progress as p
    where p.job_id = p_job_id and p.status = 'running' and p.processing > 0
    having count(*) > 0
    order by 2 desc, 1 limit 3
  ) as x;
$$;
comment on function sync.why_stalled(uuid) is
$$Returns: why a live job does not move, and what helps: what holds up most of its runs first.$$;

create function sync.stale_causes() returns setof sync.cause
language sql stable set search_path = pg_catalog, pg_temp as $$
  -- What stale_workspaces and workspace_health say, each workspace looked at once: joined by their
  -- names, which is all that views have, each would be compared with all the others.
  select 'stale_workspace', format('%s %s', w.workspace_name, st.stream_name), concat_ws('; ',
    case when s.last_complete_sync_at is null
      then 'never synced completely, registered at ' || sync.in_utc(w.created_at)
      else format('last complete sync at %s, %s ago', sync.in_utc(s.last_complete_sync_at),
        sync.counted(trunc(extract(epoch from sync.now() - s.last_complete_sync_at) / 86400, 1),
          'day')) end,
    case when w.paused_at is not null then 'it is paused' end,
    case when ended.status <> 'completed' then format('its last run ended %s',
      concat_ws(': ', ended.status, ended.error_message)) end)
  from public.sync_workspaces as w
  join public.sync_streams as st on st.source_id = w.source_id and st.is_default
  left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
  left join lateral (
    select x.status, x.error_message from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id and x.status <> 'running'
    order by x.started_at desc, x.id desc limit 1
  ) as ended on true
  where w.is_active and coalesce(s.last_complete_sync_at, w.created_at) < (
    select sync.now() - make_interval(hours => sync.setting('stale_after_hours')::int))
  order by s.last_complete_sync_at nulls first, w.workspace_name;
$$;
comment on function sync.stale_causes() is
$$Returns: workspaces without a complete sync for too long; a new one has as long as any other.$$;

create function sync.workspace_causes() returns setof sync.cause
language sql stable set search_path = pg_catalog, pg_temp as $$
  select 'key_refused', w.workspace_name, case
    when t.refusal is not null then format('its grant is refused: %s. rotate_workspace_key() sets '
      'another', t.refusal)
    else 'the API refuses its key: rotate_workspace_key() sets a new one' end
  from public.sync_workspaces as w left join sync.workspace_tokens as t on t.workspace_id = w.id
  where w.is_active and w.key_status = 'refused'
  union all
  select 'token_failing', w.workspace_name, format('no access token since %s: %s. It is asked for '
    'again by itself, by %s', sync.in_utc(r.failing_since), rtrim(r.error_message, '.'),
    sync.in_utc(r.due_at))
  from sync.token_requests as r join public.sync_workspaces as w on w.id = r.workspace_id
  where r.ended_at is null and r.failures + r.lease_losses >= 3
  union all
  select 'key_of_other_workspace', w.workspace_name,
    format('its key belongs to %s: rotate_workspace_key() sets its own', w.key_owner)
  from public.sync_workspaces as w where w.is_active and w.key_status = 'other_workspace'
  union all
  select 'keys_unreadable', 'vault', format('%s not in Vault, unreadable there, or not of the form '
    'that the auth of the source takes (%s%s); chunkwise keys rotate gives a workspace its key '
    'again', sync.counted(count(*), 'key is', 'keys are'),
    string_agg(w.workspace_name, ', ' order by w.workspace_name) filter (where w.n <= 10),
    case when count(*) > 10 then ', …' end)
  from (
    select workspace_name, row_number() over (order by workspace_name) as n
    from public.sync_workspaces where is_active and key_status = 'unreadable'
  ) as w having count(*) > 0
  union all
  -- Live and failed runs say nothing new of the counts: the last one that could tell decides.
  select 'counts_disagree', format('%s %s', w.workspace_name, st.stream_name),
    array_to_string(r.warnings, '; ')
  from public.sync_workspaces as w
  join public.sync_streams as st on st.source_id = w.source_id and st.completeness = 'counted'
  cross join lateral (
    select x.status, x.ending, x.warnings from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id
      and (x.status = 'completed' or x.status = 'partial' and x.ending is null)
    order by x.started_at desc, x.id desc limit 1
  ) as r
  where w.is_active and r.status = 'partial'
  union all
  select 'deletions_waiting', format('%s %s', h.workspace_name, h.stream), format(
    '%s would be deleted; approve_deletions(%s) lets that happen',
    sync.counted(h.deletions_waiting, 'row'), h.last_complete_run_id)
  from public.workspace_health as h where h.is_active and h.deletions_waiting > 0;
$$;
comment on function sync.workspace_causes() is
$$Returns: what else is wrong with active workspaces: keys, counts, deletions that wait.$$;

create function sync.job_causes() returns setof sync.cause
language sql stable set search_path = pg_catalog, pg_temp as $$
  (select distinct on (j.job_name) 'job_not_completed', j.job_name, format(
    'job %s ended %s: chunkwise status %s tells why, %s', j.id, j.status, j.id, case
      when exists (select 1 from public.workspace_sync_runs as r where r.job_id = j.id)
      then 'retry_failed_chunks() tries again' else 'start_sync_job() starts another' end)
  from (
    select x.* from public.workspace_sync_runs as r
    join public.polling_job_status as x on x.id = r.job_id and x.status in ('partial', 'failed')
    join public.sync_workspaces as w on w.id = r.workspace_id and w.is_active
    join public.sync_streams as st on st.id = r.stream_id and st.completeness <> 'connection'
    left join public.sync_workspace_streams as s
      on s.workspace_id = r.workspace_id and s.stream_id = r.stream_id
    where r.status in ('failed', 'partial') and r.completed_at > sync.now() - interval '30 days'
      and coalesce(s.last_complete_sync_at, '-infinity') < r.completed_at
    union all
    -- A job that the user's own code writes has no runs: the last of its name decides.
    select own.* from (
      select distinct on (x.job_name) x.* from public.polling_job_status as x
      where x.status in ('completed', 'partial', 'failed')
        and x.started_at > sync.now() - interval '30 days'
      order by x.job_name, x.started_at desc
    ) as own
    where own.status <> 'completed'
      and not exists (select 1 from public.workspace_sync_runs as r where r.job_id = own.id)
  ) as j
  order by j.job_name, j.started_at desc)
  union all
  select 'job_stalled', j.job_name, format('job %s has not moved since %s: %s', j.id,
    sync.in_utc(w.since), sync.why_stalled(j.id))
  from sync.job_watch as w
  join public.polling_job_status as j on j.id = w.job_id and j.status = 'running'
    and exists (select 1 from public.workspace_sync_runs as r where r.job_id = j.id)
  where w.since < sync.now() - make_interval(mins => sync.setting('stalled_after_minutes')::int);
$$;
comment on function sync.job_causes() is
$$Returns: by name the last job with a run that did not complete, until any job completed that
workspace and stream (a refused key has an alert of its own); live jobs that do not move.$$;

create function sync.takes_broadcasts() returns boolean
language sql stable set search_path = pg_catalog, pg_temp set datestyle = 'ISO, MDY' as $$
  select to_regprocedure('realtime.send(jsonb,text,text,boolean)') is not null and exists (
    select 1 from pg_catalog.pg_inherits as i
    join pg_catalog.pg_class as c on c.oid = i.inhrelid
    where i.inhparent = to_regclass('realtime.messages')
      and pg_catalog.pg_get_expr(c.relpartbound, c.oid) like '%('''
      || to_char(pg_catalog.now() at time zone 'utc', 'YYYY-MM-DD') || ' 00:00:00'') TO%');
$$;
comment on function sync.takes_broadcasts() is
$$Returns: whether Realtime has a partition for today, without which realtime.send() loses every
message and raises nothing. It files them by the time of the database, not by ours.$$;

create function sync.engine_causes() returns setof sync.cause
language sql stable set search_path = pg_catalog, pg_temp as $$
  select 'no_worker', 'workers', format(
    '%s; no worker was heard of since %s',
    sync.counted(q.ready_chunks, 'chunk is ready', 'chunks are ready'),
    coalesce(sync.in_utc((select max(last_seen_at) from sync.workers)), 'ever'))
  from public.queue_health as q
  where q.ready_chunks > 0 and q.workers_alive = 0
    and exists (select 1 from public.polling_job_status
      where status = 'running' and started_at < sync.now() - interval '1 minute')
    and not exists (select 1 from public.worker_endpoints
      where is_active and last_answered_at > sync.now() - interval '5 minutes')
  union all
  select 'cron_silent', 'pg_cron', format(
    'no job of pg_cron ended well since %s: cron.job_run_details tells more',
    sync.in_utc(b.beat_at))
  from sync.heartbeats as b
  where b.name = 'cron' and b.beat_at < sync.now() - interval '3 minutes'
  union all
  select 'hints_silent', 'realtime', 'hints by Realtime fail: ' || s.last_error
  from sync.hint_state as s where s.last_error is not null
  union all
  select 'hints_silent', 'realtime', 'Realtime takes no broadcast, so that every hint by it is '
    'lost: chunkwise doctor tells why; where no worker is meant to listen, '
    'set_setting(''expect_realtime'', ''false'') says so'
  where sync.is_switched_on('expect_realtime') and not sync.takes_broadcasts() and exists (
    select 1 from sync.workers where first_seen_at < sync.now() - interval '1 minute'
      and last_seen_at > sync.now() - interval '30 seconds')
  union all
  select 'hints_silent', 'realtime', format('workers that listen to Realtime hear nothing of it '
    '(%s), and find work by idle looks only: see whether the project''s Realtime is at work; '
    'where no worker is meant to hear hints, set_setting(''expect_realtime'', ''false'') says so',
    string_agg(k.worker_id, ', ' order by k.worker_id))
  from (
    -- Once is none: where the machine stalls, a hint comes later than an idle look.
    select worker_id from sync.workers
    where is_listening and idle_finds >= 2 and last_seen_at > sync.now() - interval '30 seconds'
    order by worker_id limit 10
  ) as k
  where sync.is_switched_on('expect_realtime') having count(*) > 0
  union all
  select 'hints_silent', 'pg_net', 'hints by POST fail: ' || s.last_push_error
  from sync.hint_state as s where s.last_push_error is not null
  union all
  select 'hints_silent', 'pg_net', 'pg_net sends nothing: none of the last POSTs was answered'
  from (
    select h.outcome from sync.hints as h where h.outcome <> 'sent' order by h.id desc limit 10
  ) as h
  where exists (select 1 from public.worker_endpoints where is_active)
  having count(*) > 2 and bool_and(h.outcome = 'lost')
  union all
  select 'keys_unreadable', 'wake tokens', format('wake tokens that are not in Vault, or cannot be '
    'read there: of %s; register_worker_endpoint() sets one again', string_agg(e.url, ', '
    order by e.url))
  from public.worker_endpoints as e
  where e.is_active and sync.read_secret(e.secret_id) is null having count(*) > 0
  union all
  select 'keys_unreadable', 'alert urls', format('alert URLs that cannot be read in Vault: %s; '
    'set_alert_url() sets one again', string_agg(k.kind, ', ' order by k.kind))
  from unnest('{webhook,dead_man}'::text[]) as k (kind)
  join vault.secrets as s on s.name = 'chunkwise/alert/' || k.kind
  where sync.read_secret(s.id) is null having count(*) > 0
  union all
  select 'open_grants', g.grantee, format('it was granted more of Chunkwise than is for it (%s), '
    'such as %s: chunkwise doctor lists what to revoke', sync.counted(count(*), 'privilege'),
    min(format('%s on %s', g.privilege, g.object)))
  from sync.careless_grants() as g group by g.grantee;
$$;
comment on function sync.engine_causes() is
$$Returns: what is wrong with workers, cron, hints, their secrets and grants now.$$;

create function sync.check_health() returns int
language plpgsql set search_path = pg_catalog, pg_temp
  set plan_cache_mode = auto set enable_seqscan = on
set enable_bitmapscan = on set enable_hashjoin = on set enable_mergejoin = on as $$
declare
  v_part text;
  v_causes sync.cause[] := array[]::sync.cause[];
  v_error text;
  v_error_before text;
begin
  if not sync.lock_engine_if_free('health') then
    return null;
  end if;
  select last_error into v_error_before from sync.heartbeats where name = 'health';
  -- Somebody's transaction may hold a job's row for hours. Within a sweep its limit holds.
  perform set_config('lock_timeout', '1s', true) where current_setting('lock_timeout') = '0';
  foreach v_part in array
    '{watch_jobs,stale_causes,workspace_causes,job_causes,engine_causes,cron_causes}'::text[]
  loop
    begin
      if v_part = 'watch_jobs' then
        perform sync.watch_jobs();
        continue;
      end if;
      v_causes := v_causes || case v_part
        when 'stale_causes' then array(select c from sync.stale_causes() as c)
        when 'workspace_causes' then array(select c from sync.workspace_causes() as c)
        when 'job_causes' then array(select c from sync.job_causes() as c)
        when 'engine_causes' then array(select c from sync.engine_causes() as c)
        else array(select c from sync.cron_causes() as c) end;
    exception when others then
      -- A lock that others hold for a moment is nothing to wake anybody for.
      if sqlstate <> '55P03' or strpos(v_error_before, v_part || ': ') > 0 then
        v_causes := v_causes || row('check_failing', v_part, sqlerrm)::sync.cause;
      end if;
      v_error := concat_ws('; ', v_error, format('%s: %s', v_part, sqlerrm));
    end;
  end loop;
  perform sync.open_alert(c.kind, c.subject, coalesce(string_agg(c.message, '; '), ''))
  from unnest(v_causes) as c group by c.kind, c.subject order by c.kind, c.subject;
  update public.sync_alerts as a set resolved_at = sync.now()
  where v_error is null and a.resolved_at is null and a.kind <> 'endpoint_failing' and not exists (
    select 1 from unnest(v_causes) as c where c.kind = a.kind and c.subject = a.subject);
  update sync.heartbeats set beat_at = sync.now(), last_error = sync.mask_secrets(v_error)
  where name = 'health';
  perform sync.deliver_alerts();
  perform sync.ping_dead_man();
  return cardinality(v_causes);
end; $$;
comment on function sync.check_health() is
$$Open alerts for what is wrong now, resolve those whose cause is gone, and send both out. A part
that fails is an alert, for a lock that others hold the second time in a row, and stops no other;
until it works again nothing is resolved, as what it would find is unknown. Returns: causes that
hold, or null while another session checks. Locks: the alerts; it waits for none longer than 1 s.$$;

create function sync.check_health_if_late() returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  if exists (
    select 1 from sync.heartbeats as health
    join sync.heartbeats as cron on cron.name = 'cron'
    where health.name = 'health' and health.beat_at < sync.now() - case
      when cron.beat_at < sync.now() - interval '3 minutes' then interval '5 minutes'
      else interval '11 minutes' end
  ) then
    perform sync.check_health();
  end if;
exception when others then
  update sync.heartbeats set last_error = sync.mask_secrets(sqlerrm) where name = 'health';
end; $$;
comment on function sync.check_health_if_late() is
$$Check health where its own job does not: at once when pg_cron is silent, after two missed ones
when it lives; every sweep comes here, also those in claims, and so does the scheduled sync. An
error is noted in sync.heartbeats and fails nothing else.$$;

revoke all on table sync.job_watch, sync.heartbeats from public, anon, authenticated, service_role;
grant select on table sync.job_watch, sync.heartbeats to authenticated, service_role;
create policy job_watch_select_operator on sync.job_watch
for select to authenticated using ((select sync.is_operator()));
create policy heartbeats_select_operator on sync.heartbeats
for select to authenticated using ((select sync.is_operator()));
revoke all on function
  sync.beat, sync.watch_jobs, sync.why_stalled, sync.stale_causes, sync.workspace_causes,
  sync.job_causes, sync.takes_broadcasts, sync.engine_causes, sync.check_health,
  sync.check_health_if_late
from public, anon, authenticated, service_role;
