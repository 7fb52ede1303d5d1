-- Page: the fleet, and what every screen shows. The dashboard asks one function for each screen;
-- each answers with one jsonb: a row limit of the API cuts no list and no count.
-- Stands on: workspaces, targets, views_progress, views_queue.

-- Most of what these cost is planning: a session plans each of their statements once.

create type sync.fleet_row as (
  workspace_id bigint, stream_id bigint, workspace_name text, stream text, is_counted boolean,
  state text, tone text, severity int, reason text, remedy text, act text, command text,
  waits_until timestamptz, is_fresh boolean, is_stale boolean, last_complete_sync_at timestamptz,
  last_sync_duration_ms bigint, record_count bigint, api_total bigint, live_job_id uuid,
  percentage numeric, pages_done bigint, pages_planned bigint, retry_job_id uuid,
  held_run_id bigint, deletions_waiting bigint
);
comment on type sync.fleet_row is
'A workspace and stream as the dashboard shows it. state: what it is in a word; tone: fresh,
working, waiting, wrong (somebody has to act) or off; severity: worst first; reason and remedy in
words; act: what an operator can press (sync, retry, resume, approve, command).';

-- Without nested loops: the planner expects one live run, and would compare each with each row.
create function sync.fleet_rows(p_workspace_id bigint) returns setof sync.fleet_row
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan set enable_nestloop = off set enable_hashjoin = on
  set jit = off as $$
declare
  v_stale_after int := sync.setting('stale_after_hours');
  v_fresh_since timestamptz := sync.now() - make_interval(hours => v_stale_after);
  v_is_paused boolean := sync.is_switched_on('paused');
begin
  return query
  with live as materialized (
    select x.workspace_id, x.stream_id, x.job_id, x.completed, x.planned,
      trunc(100.0 * x.progress_done / x.progress_total, 1) as percentage, x.expected_total,
      x.why, x.message, x.waits_until
    from sync.live_runs as x where p_workspace_id is null or x.workspace_id = p_workspace_id
  )
  select w.id, st.id, w.workspace_name, st.stream_name,
    st.completeness = 'counted', f.state, t.tone, t.severity,
    case f.state
      when 'key refused' then 'the API refuses its key'
      when 'key of another workspace' then format('its key belongs to %s', w.key_owner)
      when 'key unreadable' then 'its key is not in Vault, or cannot be read there'
      when 'waiting' then l.message
      when 'no worker' then l.message
      when 'syncing' then case when l.why in ('parent', 'budget', 'ending') then l.message end
      when 'failed' then coalesce(e.error_message, 'its last run failed')
      when 'partial' then coalesce(nullif(array_to_string(e.warnings, '; '), ''),
        'its last run found other numbers than the API names')
      when 'stale' then case when s.last_complete_sync_at is null then 'never synced completely'
        else 'no complete sync within ' || sync.counted(v_stale_after, 'hour') end
      when 'never synced' then 'registered, and not synced yet'
      when 'awaiting approval' then sync.counted(h.deletions_waiting, 'row') || ' would be deleted'
      when 'paused' then 'it was paused and waits to be resumed'
    end,
    case f.state
      when 'key refused' then 'chunkwise keys rotate sets a new one'
      when 'key of another workspace' then 'chunkwise keys rotate sets its own'
      when 'key unreadable' then 'chunkwise keys rotate gives it its key again'
      when 'failed' then 'a retry reads it again from page 1'
      when 'partial' then 'a sync reads it again'
      when 'stale' then 'a sync reads it now'
      when 'never synced' then 'a sync reads it now'
      when 'awaiting approval' then 'look at what would go, then approve that or leave it'
      when 'paused' then 'resuming lets it go on'
      when 'no worker' then 'chunkwise worker starts one'
    end,
    case
      when f.state like 'key %' or f.state = 'no worker' then 'command'
      when f.state = 'failed' then 'retry'
      when f.state in ('partial', 'stale', 'never synced', 'fresh') then 'sync'
      when f.state = 'awaiting approval' then 'approve'
      when f.state = 'paused' or l.why = 'paused' then 'resume'
    end,
    case
      when f.state like 'key %' then 'chunkwise keys rotate ' || sync.shell_word(w.workspace_name)
      when f.state = 'no worker' then 'chunkwise worker'
    end,
    l.waits_until,
    f.is_in_time and t.tone not in ('wrong', 'off'), w.is_active and not f.is_in_time,
    s.last_complete_sync_at, s.last_sync_duration_ms, s.record_count,
    coalesce(l.expected_total, e.expected_total), l.job_id, l.percentage, l.completed::bigint,
    l.planned, case when f.state = 'failed' then e.job_id end, h.id,
    coalesce(h.deletions_waiting, 0)
  from public.sync_workspaces as w
  join public.sync_sources as so on so.id = w.source_id
  join public.sync_streams as st on st.source_id = w.source_id and st.completeness <> 'connection'
  left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
  left join live as l on l.workspace_id = w.id and l.stream_id = st.id
  left join lateral (
    select x.status, x.job_id, x.error_message, x.warnings, x.expected_total
    from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id and x.status in ('completed', 'partial',
      'failed')
    order by x.started_at desc, x.id desc limit 1
  ) as e on true
  left join public.workspace_sync_runs as h
    on h.id = s.last_complete_run_id and h.deletions_waiting > 0
  -- Offset 0: a state is found once, not wherever it is named.
  cross join lateral (
    select coalesce(s.last_complete_sync_at, '-infinity') >= v_fresh_since as is_in_time,
      case
        when not w.is_active then 'inactive'
        when w.key_status = 'refused' then 'key refused'
        when w.key_status = 'other_workspace' then 'key of another workspace'
        when w.key_status = 'unreadable' then 'key unreadable'
        when l.why = 'no_worker' then 'no worker'
        when l.why in ('paused', 'closing_failed', 'rate_limited', 'database', 'retry')
          then 'waiting'
        when l.job_id is not null then 'syncing'
        when v_is_paused or w.paused_at is not null or so.paused_at is not null then 'paused'
        when e.status = 'failed' then 'failed'
        when e.status = 'partial' then 'partial'
        when coalesce(s.last_complete_sync_at, w.created_at) < v_fresh_since then 'stale'
        when s.last_complete_sync_at is null then 'never synced'
        when h.deletions_waiting > 0 then 'awaiting approval'
        else 'fresh'
      end as state
    offset 0
  ) as f
  cross join lateral (
    select case
        when f.state in ('key refused', 'key of another workspace', 'key unreadable', 'no worker',
          'failed', 'partial', 'stale') then 'wrong'
        when f.state in ('waiting', 'paused', 'never synced', 'awaiting approval') then 'waiting'
        when f.state = 'syncing' then 'working'
        when f.state = 'fresh' then 'fresh'
        else 'off' end as tone,
      case f.state
        when 'key refused' then 10 when 'key of another workspace' then 11
        when 'key unreadable' then 12 when 'no worker' then 20 when 'failed' then 30
        when 'partial' then 31 when 'stale' then 32 when 'awaiting approval' then 40
        when 'waiting' then 41 when 'never synced' then 42 when 'paused' then 43
        when 'syncing' then 50 when 'fresh' then 60 else 70 end as severity
    offset 0
  ) as t
  where w.removed_at is null and (p_workspace_id is null or w.id = p_workspace_id)
    and (st.is_default or s.workspace_id is not null or l.job_id is not null or e.status is not null);
end; $$;
comment on function sync.fleet_rows(bigint) is
$$Returns: each workspace and stream that syncs take by default or ever took, of one workspace or
(null) of all: its state, why, what helps. A stream that is being synced is fresh as long as its
last complete sync is.$$;

create type sync.counted_rows as (workspace_id bigint, row_count bigint);
comment on type sync.counted_rows is 'How many rows of a stream a workspace has here.';

create function sync.count_rows(p_stream_id bigint, p_workspace_ids bigint[])
returns setof sync.counted_rows
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_target text := (select target_table from public.sync_streams where id = p_stream_id);
begin
  return query execute format('select t.workspace_id, count(*) from %s as t
    where t.workspace_id = any ($1) and t.deleted_at is null and %s group by 1', v_target,
    case when sync.is_shared_target(to_regclass(v_target)) then 't.stream_id = $2'
    else '$2 is not null' end) using p_workspace_ids, p_stream_id;
end; $$;
comment on function sync.count_rows(bigint, bigint[]) is
$$Returns: how many rows of a stream each workspace has here that are not deleted; of one that has
none, nothing.$$;

create function sync.page_head() returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
begin
  return (
    select jsonb_build_object(
      'as_of', sync.now(), 'is_paused', sync.is_switched_on('paused'),
      'alerts', (select count(*) from public.sync_alerts where resolved_at is null),
      'live_jobs', (select count(*) from public.polling_job_status where status = 'running'),
      'workers_alive', (select count(*) from sync.workers
        where last_seen_at > sync.now() - interval '30 seconds'),
      'stale_after_hours', sync.setting('stale_after_hours')));
end; $$;
comment on function sync.page_head() is
$$Returns: what every screen shows: the database's time, open alerts, live jobs, workers.$$;

create function sync.get_fleet(p_search text, p_states text[], p_limit int, p_offset int)
  returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_search text;
  v_offset int;
  v_limit int;
begin
  perform sync.require_operator();
  v_offset := greatest(p_offset, 0);
  v_limit := least(p_limit, 500);
  v_search := lower(coalesce(sync.trim_blanks(p_search), ''));
  return sync.page_head() || (
    with fleet as materialized (
      select * from sync.fleet_rows(null)
    ), matching as materialized (
      -- What is well stays where it is while it is looked at.
      select m.*, row_number() over (order by m.severity,
        case when m.tone in ('wrong', 'waiting') then m.last_complete_sync_at end nulls first,
        m.workspace_name, m.stream) as n
      from fleet as m
      where (v_search = '' or position(v_search in lower(m.workspace_name)) > 0
          or position(v_search in m.state) > 0 or position(v_search in lower(m.reason)) > 0)
        and (p_states is null or m.state = any (p_states) or m.tone = any (p_states))
    ), page as materialized (
      select * from matching where n > v_offset and n <= v_offset + v_limit
    ), counted as materialized (
      select c.stream_id, r.workspace_id, r.row_count
      from (
        select p.stream_id, array_agg(p.workspace_id) as workspace_ids
        from page as p where p.is_counted group by 1
      ) as c
      cross join lateral sync.count_rows(c.stream_id, c.workspace_ids) as r
    )
    select jsonb_build_object(
      'total', count(*), 'matching', (select count(*) from matching),
      'fresh', count(*) filter (where f.is_fresh),
      'states', (
        select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'tone', s.tone, 'count',
          s.count) order by s.severity), '[]')
        from (
          select r.state, r.tone, r.severity, count(*) as count from fleet as r group by 1, 2, 3
        ) as s),
      'records', sum(f.record_count),
      'api_total', sum(coalesce(f.api_total, f.record_count)),
      'jobs', (
        select coalesce(jsonb_agg(jsonb_build_object('job_id', j.id, 'job_name', j.job_name,
          'percentage', a.percentage, 'workspaces_completed', a.workspaces_completed,
          'total_workspaces', j.total_workspaces) order by j.started_at, j.id), '[]')
        from public.polling_job_status as j cross join lateral sync.sum_up_runs(j.id) as a
        where j.status = 'running'),
      'rows', (
        select coalesce(jsonb_agg(jsonb_build_object('workspace_name', p.workspace_name,
          'stream', p.stream, 'is_counted', p.is_counted, 'state', p.state, 'tone', p.tone,
          'reason', p.reason, 'remedy', p.remedy, 'act', p.act, 'waits_until', p.waits_until,
          'is_stale', p.is_stale, 'last_complete_sync_at', p.last_complete_sync_at,
          'last_sync_duration_ms', p.last_sync_duration_ms, 'api_total', p.api_total,
          'live_job_id', p.live_job_id, 'percentage', p.percentage, 'pages_done', p.pages_done,
          'pages_planned', p.pages_planned, 'retry_job_id', p.retry_job_id,
          'held_run_id', p.held_run_id, 'deletions_waiting', p.deletions_waiting,
          'rows_here', case when p.is_counted then coalesce(c.row_count, 0)
            else p.record_count end,
          'runs', past.runs) order by p.n), '[]')
        from page as p
        left join counted as c on c.workspace_id = p.workspace_id and c.stream_id = p.stream_id
        cross join lateral (
          -- One text: an array costs as much as all else of a row.
          select string_agg(concat((date_part('epoch', r.completed_at - r.started_at) * 1000)
            ::bigint, ' ', r.status), ',') as runs
          from (
            select x.started_at, x.completed_at, x.status
            from public.workspace_sync_runs as x
            where x.workspace_id = p.workspace_id and x.stream_id = p.stream_id
              and x.status <> 'running'
            order by x.started_at desc, x.id desc limit 30
          ) as r
        ) as past))
    from fleet as f);
end; $$;
comment on function sync.get_fleet(text, text[], int, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_fleet(p_search text default null, p_states text[] default null,
  p_limit int default 100, p_offset int default 0) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_fleet(p_search, p_states, p_limit, p_offset);
end; $$;
comment on function public.get_fleet(text, text[], int, int) is
$$The fleet, worst first: a row for each workspace and stream, of those whose name, state or reason
has the text and whose state or tone is named. Returns: {"as_of", "total", "matching", "fresh",
"states": [{"state", "tone", "count"}] of all, "records", "api_total", "jobs", "rows": at most 500
from p_offset on, each with "runs": its last 30 runs, newest first, in ms and status:
"4200 completed,900 failed", null if there is none}. Raises: 42501 no operator.$$;

revoke all on function
  sync.fleet_rows, sync.count_rows, sync.page_head, sync.get_fleet, public.get_fleet
from public, anon, authenticated, service_role;
grant execute on function
  sync.get_fleet, public.get_fleet
to authenticated, service_role;
