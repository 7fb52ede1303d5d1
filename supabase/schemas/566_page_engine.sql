-- Page: what is wrong, how the engine is, and what is synced.
-- Stands on: views_queue, cron, health, page_fleet, page_jobs.

create function sync.get_alerts_page(p_before bigint, p_limit int) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_limit int;
  v_ended jsonb[];
begin
  perform sync.require_operator();
  v_limit := least(greatest(p_limit, 1), 500);
  v_ended := array(
    select jsonb_build_object('id', a.id, 'kind', a.kind, 'subject', a.subject, 'message',
      a.message, 'opened_at', a.opened_at, 'resolved_at', a.resolved_at)
    from public.sync_alerts as a
    where a.resolved_at is not null and (p_before is null or a.id < p_before)
    order by a.id desc limit v_limit + 1);
  return sync.page_head() || jsonb_build_object(
    'open', (
      with open_ones as (
        select a.* from public.sync_alerts as a where a.resolved_at is null
        order by a.opened_at desc, a.id desc limit 500
      ), subjects as (
        select w.workspace_name as subject, w.workspace_name from public.sync_workspaces as w
        where w.workspace_name in (select o.subject from open_ones as o)
        union all
        select format('%s %s', w.workspace_name, st.stream_name), w.workspace_name
        from public.sync_workspaces as w
        join public.sync_streams as st on st.source_id = w.source_id
        where exists (select 1 from open_ones as o where o.kind in ('stale_workspace',
          'counts_disagree', 'deletions_waiting'))
      )
      select coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'kind', o.kind, 'subject',
        o.subject, 'message', o.message, 'opened_at', o.opened_at, 'last_seen_at',
        o.last_seen_at, 'repeats', o.repeats, 'workspace_name', s.workspace_name,
        'job_id', substring(o.message from
          'job ([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})'),
        'act', case o.kind when 'stale_workspace' then 'sync' when 'counts_disagree' then 'sync'
          when 'deletions_waiting' then 'approve' when 'job_not_completed' then 'retry'
          when 'job_stalled' then 'job' else 'command' end,
        'command', case o.kind
          when 'key_refused' then 'chunkwise keys rotate ' || sync.shell_word(o.subject)
          when 'key_of_other_workspace'
            then 'chunkwise keys rotate ' || sync.shell_word(o.subject)
          when 'keys_unreadable' then 'chunkwise keys rotate'
          when 'no_worker' then 'chunkwise worker'
          when 'cron_job_missing' then 'select schedule_jobs();'
          else 'chunkwise doctor' end)
        order by o.opened_at desc, o.id desc), '[]')
      from open_ones as o left join subjects as s
        on s.subject = o.subject and o.kind in ('stale_workspace', 'counts_disagree',
          'deletions_waiting', 'key_refused', 'key_of_other_workspace')),
    'ended', to_jsonb(v_ended[1 : v_limit]), 'has_more', cardinality(v_ended) > v_limit,
    'checked_at', (select b.beat_at from sync.heartbeats as b where b.name = 'health'));
end; $$;
comment on function sync.get_alerts_page(bigint, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_alerts_page(p_before bigint default null, p_limit int default 50)
  returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_alerts_page(p_before, p_limit);
end; $$;
comment on function public.get_alerts_page(bigint, int) is
$$Alerts that are open (the newest 500; "alerts" counts all), each with what helps; those that are
over, newest first, with an id below p_before. Returns: {"as_of", "alerts", "open": […], "ended":
[…], "has_more", "checked_at"}. Raises: 42501 no operator.$$;

create function sync.cron_job_states() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  if to_regclass('cron.job') is null then
    return '[]'::jsonb;
  end if;
  return (
    select coalesce(jsonb_agg(jsonb_build_object('job_name', w.job_name, 'schedule',
      coalesce(j.schedule, w.schedule), 'fault', f.fault) order by w.job_name), '[]')
    from sync.cron_jobs as w
    left join cron.job as j on j.jobname = w.job_name and j.username
      = (select pg_get_userbyid(n.nspowner) from pg_namespace as n where n.nspname = 'sync')
    left join sync.cron_job_faults() as f on f.job_name = w.job_name and f.is_own);
end; $$;
comment on function sync.cron_job_states() is
$$Returns: the jobs that pg_cron must have, when they run, what is wrong with them.$$;

create function sync.get_engine_page() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  perform sync.require_operator();
  return sync.page_head() || jsonb_build_object(
    'queue', (select to_jsonb(q) from public.queue_health as q),
    'oldest_ready_at', (
      select min(coalesce(q.started_at, q.created_at)) from public.workspace_sync_runs as r
      cross join lateral (
        select x.started_at, x.created_at from public.chunk_processing_queue as x
        where x.run_id = r.id and x.slot is not null and (x.ready_seq is not null) is true
        offset 0
      ) as q
      where r.status = 'running'),
    'workers', (
      select coalesce(jsonb_agg(jsonb_build_object('worker_id', k.worker_id, 'first_seen_at',
        k.first_seen_at, 'last_seen_at', k.last_seen_at, 'is_alive', k.is_alive,
        'chunks_in_flight', k.chunks_in_flight, 'alone_with', k.alone_with)
        order by k.last_seen_at desc), '[]')
      from (
        select * from public.worker_health where last_seen_at > sync.now() - interval '1 day'
        order by last_seen_at desc limit 200
      ) as k),
    'budgets', sync.budgets_of(null),
    'hints', (
      select jsonb_build_object('takes_broadcasts', sync.takes_broadcasts(),
        'expect_realtime', sync.is_switched_on('expect_realtime'),
        'last_broadcast_at', nullif(s.last_broadcast_at, '-infinity'),
        'broadcasts', s.broadcasts, 'last_error', s.last_error,
        'last_push_error', s.last_push_error)
      from sync.hint_state as s),
    'endpoints', (
      select coalesce(jsonb_agg(jsonb_build_object('url', e.url, 'is_active', e.is_active,
        'resting_until', e.resting_until, 'last_answered_at', e.last_answered_at,
        'consecutive_failures', e.consecutive_failures, 'last_error', e.last_error)
        order by e.url), '[]') from public.worker_endpoints as e),
    'posts', (
      select jsonb_build_object('count', count(*), 'answered', count(*)
        filter (where h.outcome in ('answered', 'busy')),
        'failed', count(*) filter (where h.outcome in ('failed', 'refused', 'timed_out', 'lost')),
        'median_ms', round(percentile_cont(0.5) within group (order by extract(epoch
          from h.settled_at - h.sent_at) * 1000) filter (where h.outcome = 'answered')))
      from (select * from sync.hints order by id desc limit 200) as h),
    'cron', jsonb_build_object(
      'beat_at', (select b.beat_at from sync.heartbeats as b where b.name = 'cron'),
      'checked_at', (select b.beat_at from sync.heartbeats as b where b.name = 'health'),
      'last_error', (select b.last_error from sync.heartbeats as b where b.name = 'health'),
      'jobs', sync.cron_job_states()),
    'causes', (
      select coalesce(jsonb_agg(jsonb_build_object('kind', a.kind, 'subject', a.subject,
        'message', a.message, 'opened_at', a.opened_at) order by a.opened_at), '[]')
      from public.sync_alerts as a
      where a.resolved_at is null and a.kind in ('no_worker', 'cron_silent', 'cron_job_missing',
        'hints_silent', 'endpoint_failing', 'open_grants', 'check_failing')),
    'versions', public.chunkwise_version());
end; $$;
comment on function sync.get_engine_page() is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_engine_page() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_engine_page();
end; $$;
comment on function public.get_engine_page() is
$$Queue, workers of the last day, budgets, hints, cron, and what is wrong with them. Returns:
{"as_of", "queue", "workers": […], "budgets": […], "hints", "posts", "endpoints": […], "cron",
"causes": […]}. Raises: 42501 no operator.$$;

create function sync.get_sources_page() returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  perform sync.require_operator();
  return sync.page_head() || jsonb_build_object('sources', (
    select coalesce(jsonb_agg(jsonb_build_object('source_name', so.source_name, 'base_path',
      so.base_path, 'auth', so.auth, 'auth_in', so.auth_in, 'auth_name', so.auth_name,
      'token_url', so.token_url, 'token_auth', so.token_auth, 'budget_scope', so.budget_scope,
      'requests_per_second', so.requests_per_second, 'max_in_flight', so.max_in_flight,
      'paused_at', so.paused_at,
      'workspaces', (select count(*) from public.sync_workspaces as w
        where w.source_id = so.id and w.is_active),
      'streams', (
        select coalesce(jsonb_agg(jsonb_build_object('stream', st.stream_name, 'path', st.path,
          'item_path', st.item_path, 'completeness', st.completeness, 'is_default',
          st.is_default, 'revision', st.revision, 'page_size', st.page_size, 'target_table',
          st.target_table, 'parent_stream', st.parent_stream, 'params', st.params,
          'synced', s.synced, 'records', s.records, 'last_complete_sync_at', s.last_at,
          'command', format('chunkwise sync --stream %s%s --watch',
            sync.shell_word(st.stream_name), coalesce(' --workspace ' || sync.shell_word((
              select w.workspace_name from public.sync_workspaces as w
              where w.source_id = so.id and w.is_active order by w.workspace_name limit 1)), '')))
          order by st.is_default desc, st.stream_name), '[]')
        from public.sync_streams as st
        cross join lateral (
          select count(*) as synced, sum(x.record_count) as records,
            max(x.last_complete_sync_at) as last_at
          from public.sync_workspace_streams as x
          where x.stream_id = st.id and x.last_complete_sync_at is not null
        ) as s
        where st.source_id = so.id and st.completeness <> 'connection'))
      order by so.source_name), '[]')
    from public.sync_sources as so));
end; $$;
comment on function sync.get_sources_page() is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_sources_page() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_sources_page();
end; $$;
comment on function public.get_sources_page() is
$$What is synced and how it is read: sources with their streams. Returns: {"as_of", "sources":
[{"source_name", "streams": […], …}]}. Raises: 42501 no operator.$$;

revoke all on function
  sync.cron_job_states, sync.get_alerts_page, public.get_alerts_page, sync.get_engine_page,
  public.get_engine_page, sync.get_sources_page, public.get_sources_page
from public, anon, authenticated, service_role;
grant execute on function
  sync.get_alerts_page, public.get_alerts_page, sync.get_engine_page, public.get_engine_page,
  sync.get_sources_page, public.get_sources_page
to authenticated, service_role;
