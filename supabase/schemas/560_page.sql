-- Page: what the dashboard asks, one function for each screen. Each answers with one jsonb: a row
-- limit of the API cuts no list and no count.
-- Stands on: workspaces, targets, jobs, admission, missing, steer, views_progress, views_queue,
--   cron, health.

-- Most of what these cost is planning: a session plans each of their statements once.

create type sync.fleet_row as (
  workspace_id bigint, stream_id bigint, workspace_name text, source_name text, stream text,
  is_counted boolean, state text, tone text, severity int, reason text, remedy text, act text,
  command text, waits_until timestamptz, is_fresh boolean, is_stale boolean,
  last_complete_sync_at timestamptz, last_sync_duration_ms bigint, record_count bigint,
  api_total bigint, live_run_id bigint, live_job_id uuid, percentage numeric, pages_done bigint,
  pages_planned bigint, retry_job_id uuid, held_run_id bigint, deletions_waiting bigint
);
comment on type sync.fleet_row is
'A workspace and stream as the dashboard shows it. state: what it is in a word; tone: fresh,
working, waiting, wrong (somebody has to act) or off; severity: worst first; reason and remedy in
words; act: what an operator can press (sync, retry, resume, approve, command).';

create function sync.fleet_rows(p_workspace_id bigint) returns setof sync.fleet_row
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_now timestamptz := sync.now();
  v_fresh_since timestamptz := v_now - make_interval(hours => sync.setting('stale_after_hours')::int);
  v_is_paused boolean := sync.is_switched_on('paused');
begin
  return query
  with live as materialized (
    select p.workspace_id, p.stream_id, p.run_id, p.job_id, p.completed, p.planned,
      trunc(100.0 * p.progress_done / p.progress_total, 1) as percentage,
      x.expected_total, v.why, v.message, v.waits_until
    from sync.run_progress as p
    join public.workspace_sync_runs as x on x.id = p.run_id
    left join public.waiting_runs as v on v.run_id = p.run_id
    where p.status = 'running' and (p_workspace_id is null or p.workspace_id = p_workspace_id)
  )
  select w.id, st.id, w.workspace_name, so.source_name, st.stream_name,
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
        else 'last complete sync at ' || sync.in_utc(s.last_complete_sync_at) end
      when 'never synced' then 'registered, and not synced yet'
      when 'deletions held' then format('rows that would be deleted: %s', h.deletions_waiting)
      when 'paused' then 'pause_sync() holds it'
    end,
    case f.state
      when 'key refused' then 'chunkwise keys rotate sets a new one'
      when 'key of another workspace' then 'chunkwise keys rotate sets its own'
      when 'key unreadable' then 'chunkwise keys rotate gives it its key again'
      when 'failed' then 'a retry reads it again from page 1'
      when 'partial' then 'a sync reads it again'
      when 'stale' then 'a sync reads it now'
      when 'never synced' then 'a sync reads it now'
      when 'deletions held' then 'look at them, then approve or leave them'
      when 'paused' then 'resuming lets it go on'
      when 'no worker' then 'chunkwise worker starts one'
    end,
    case
      when f.state like 'key %' or f.state = 'no worker' then 'command'
      when f.state = 'failed' then 'retry'
      when f.state in ('partial', 'stale', 'never synced', 'fresh') then 'sync'
      when f.state = 'deletions held' then 'approve'
      when f.state = 'paused' or l.why = 'paused' then 'resume'
    end,
    case
      when f.state like 'key %' then 'chunkwise keys rotate ' || sync.shell_word(w.workspace_name)
      when f.state = 'no worker' then 'chunkwise worker'
    end,
    l.waits_until,
    f.is_in_time and t.tone not in ('wrong', 'off'), w.is_active and not f.is_in_time,
    s.last_complete_sync_at, s.last_sync_duration_ms, s.record_count,
    coalesce(l.expected_total, e.expected_total), l.run_id, l.job_id, l.percentage,
    l.completed::bigint, l.planned, case when f.state = 'failed' then e.job_id end,
    case when h.deletions_waiting > 0 then h.id end, coalesce(h.deletions_waiting, 0)
  from public.sync_workspaces as w
  join public.sync_sources as so on so.id = w.source_id
  join public.sync_streams as st on st.source_id = w.source_id and st.completeness <> 'connection'
  left join public.sync_workspace_streams as s on s.workspace_id = w.id and s.stream_id = st.id
  left join live as l on l.workspace_id = w.id and l.stream_id = st.id
  left join lateral (
    select x.status, x.job_id, x.error_message, x.warnings, x.expected_total, x.completed_at
    from public.workspace_sync_runs as x
    where x.workspace_id = w.id and x.stream_id = st.id and x.status in ('completed', 'partial',
      'failed')
    order by x.started_at desc, x.id desc limit 1
  ) as e on true
  left join public.workspace_sync_runs as h on h.id = s.last_complete_run_id
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
        when l.run_id is not null then 'syncing'
        when v_is_paused or w.paused_at is not null or so.paused_at is not null then 'paused'
        when e.status = 'failed' then 'failed'
        when e.status = 'partial' then 'partial'
        when coalesce(s.last_complete_sync_at, w.created_at) < v_fresh_since then 'stale'
        when s.last_complete_sync_at is null then 'never synced'
        when h.deletions_waiting > 0 then 'deletions held'
        else 'fresh'
      end as state
  ) as f
  cross join lateral (
    select case
        when f.state in ('key refused', 'key of another workspace', 'key unreadable', 'no worker',
          'failed', 'partial', 'stale') then 'wrong'
        when f.state in ('waiting', 'paused', 'never synced', 'deletions held') then 'waiting'
        when f.state = 'syncing' then 'working'
        when f.state = 'fresh' then 'fresh'
        else 'off' end as tone,
      case f.state
        when 'key refused' then 10 when 'key of another workspace' then 11
        when 'key unreadable' then 12 when 'no worker' then 20 when 'failed' then 30
        when 'partial' then 31 when 'stale' then 32 when 'deletions held' then 40
        when 'waiting' then 41 when 'never synced' then 42 when 'paused' then 43
        when 'syncing' then 50 when 'fresh' then 60 else 70 end as severity
  ) as t
  where w.removed_at is null and (p_workspace_id is null or w.id = p_workspace_id)
    and (st.is_default or s.workspace_id is not null or l.run_id is not null or e.status is not null);
end; $$;
comment on function sync.fleet_rows(bigint) is
$$Returns: each workspace and stream that syncs take by default or ever took, of one workspace or
(null) of all: its state, why, what helps. A stream that is being synced is fresh as long as its last
complete sync is.$$;

create function sync.count_rows(p_stream_id bigint, p_workspace_ids bigint[]) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_target text := (select target_table from public.sync_streams where id = p_stream_id);
  v_counts jsonb;
begin
  -- Grouped before it is joined: each row is looked at once, and compared with no list of ids.
  execute format('select jsonb_object_agg(w.id, coalesce(c.row_count, 0)) from unnest($1) as w (id)
    left join (
      select t.workspace_id, count(*) as row_count from %s as t
      where %s and t.deleted_at is null group by t.workspace_id
    ) as c on c.workspace_id = w.id',
    v_target, case when sync.is_shared_target(to_regclass(v_target)) then 't.stream_id = $2'
    else '$2 is not null' end)
  into v_counts using p_workspace_ids, p_stream_id;
  return v_counts;
end; $$;
comment on function sync.count_rows(bigint, bigint[]) is
$$Returns: {workspace id: how many rows of a stream it has here that are not deleted}.$$;

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
  v_rows sync.fleet_row[];
  v_page sync.fleet_row[];
  v_matching bigint;
  v_search text;
begin
  perform sync.require_operator();
  v_search := lower(sync.trim_blanks(coalesce(p_search, '')));
  v_rows := array(select f from sync.fleet_rows(null) as f);
  select coalesce(array_agg(row(m.*)::sync.fleet_row order by m.severity,
      m.last_complete_sync_at nulls first, m.workspace_name, m.stream), '{}')
  into v_page
  from unnest(v_rows) as m
  where (v_search = '' or position(v_search in lower(m.workspace_name)) > 0
      or position(v_search in m.state) > 0 or position(v_search in lower(m.reason)) > 0)
    and (p_states is null or m.state = any (p_states) or m.tone = any (p_states));
  v_matching := cardinality(v_page);
  v_page := v_page[greatest(p_offset, 0) + 1 : greatest(p_offset, 0) + least(p_limit, 500)];
  return sync.page_head() || jsonb_build_object(
    'total', cardinality(v_rows), 'matching', v_matching,
    'fresh', (select count(*) from unnest(v_rows) as r where r.is_fresh),
    'states', (
      select coalesce(jsonb_agg(jsonb_build_object('state', s.state, 'tone', s.tone, 'count',
        s.count) order by s.severity), '[]')
      from (
        select r.state, r.tone, r.severity, count(*) as count from unnest(v_rows) as r
        group by 1, 2, 3
      ) as s),
    'records', (select sum(r.record_count) from unnest(v_rows) as r),
    'api_total', (select sum(coalesce(r.api_total, r.record_count)) from unnest(v_rows) as r),
    'jobs', (
      select coalesce(jsonb_agg(jsonb_build_object('job_id', p.job_id, 'job_name', p.job_name,
        'percentage', p.percentage, 'workspaces_completed', p.workspaces_completed,
        'total_workspaces', p.total_workspaces) order by p.updated_at), '[]')
      from sync.job_progress as p where p.status = 'running'),
    'rows', (
      with counted as (
        select p.stream_id, sync.count_rows(p.stream_id, array_agg(p.workspace_id)) as rows_by_id
        from unnest(v_page) as p where p.is_counted group by p.stream_id
      )
      select coalesce(jsonb_agg(to_jsonb(p) - '{workspace_id,stream_id,severity}'::text[]
        || jsonb_build_object(
          'rows_here', case when p.is_counted
            then (c.rows_by_id ->> p.workspace_id::text)::bigint else p.record_count end,
          'runs', past.runs) order by p.n), '[]')
      from unnest(v_page) with ordinality as p (workspace_id, stream_id, workspace_name,
        source_name, stream, is_counted, state, tone, severity, reason, remedy, act, command,
        waits_until, is_fresh, is_stale, last_complete_sync_at, last_sync_duration_ms,
        record_count, api_total, live_run_id, live_job_id, percentage, pages_done, pages_planned,
        retry_job_id, held_run_id, deletions_waiting, n)
      left join counted as c on c.stream_id = p.stream_id
      cross join lateral (
        -- One text: an array costs as much as all else of a row.
        select string_agg(concat((date_part('epoch', r.completed_at - r.started_at) * 1000)::bigint,
          ' ', r.status), ',') as runs
        from (
          select x.started_at, x.completed_at, x.status
          from public.workspace_sync_runs as x
          where x.workspace_id = p.workspace_id and x.stream_id = p.stream_id
            and x.status <> 'running'
          order by x.started_at desc, x.id desc limit 30
        ) as r
      ) as past));
end; $$;
comment on function sync.get_fleet(text, text[], int, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_fleet(p_search text default null, p_states text[] default null,
  p_limit int default 100, p_offset int default 0) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_fleet(p_search, p_states, p_limit, p_offset);
$$;
comment on function public.get_fleet(text, text[], int, int) is
$$The fleet, worst first: a row for each workspace and stream, of those whose name, state or reason
has the text and whose state or tone is named. Returns: {"as_of", "total", "matching", "fresh",
"states": [{"state", "tone", "count"}] of all, "records", "api_total", "jobs", "rows": at most 500
from p_offset on, each with "runs": its last 30 runs, newest first, in ms and status:
"4200 completed,900 failed", null if there is none}. Raises: 42501 no operator.$$;

create function sync.held_deletions(p_run_id bigint, p_after text, p_limit int) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_records jsonb;
begin
  select * into v_run from public.workspace_sync_runs where id = p_run_id;
  if v_run.id is null then
    return '[]'::jsonb;
  end if;
  execute sync.target_sql('select coalesce(jsonb_agg(jsonb_build_object(''id'', m.record_id,
      ''name'', coalesce(t.raw ->> ''email'', t.raw ->> ''name'', t.raw ->> ''title'', m.record_id),
      ''detail'', t.raw ->> ''status'', ''last_changed_at'', t.last_changed_at,
      ''last_seen_at'', m.last_seen_at, ''is_confirmed'', m.is_confirmed) order by m.record_id), ''[]'')
    from (
      select x.* from sync.missing_records as x
      where x.held_by_run_id = $3 and ($4 is null or x.record_id > $4)
      order by x.record_id limit $5
    ) as m
    left join %1$s as t on %2$s and %3$s = m.record_id', v_run.stream_id)
  into v_records using v_run.workspace_id, v_run.stream_id, p_run_id, p_after, p_limit;
  return v_records;
end; $$;
comment on function sync.held_deletions(bigint, text, int) is
$$Returns: records that a run would delete, by id, from behind one on.$$;

create function sync.get_held_deletions(p_run_id bigint, p_after text, p_limit int) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_operator();
  return sync.page_head() || jsonb_build_object('run_id', p_run_id,
    'count', (select count(*) from sync.missing_records where held_by_run_id = p_run_id),
    'records', sync.held_deletions(p_run_id, p_after, least(greatest(p_limit, 1), 500)));
end; $$;
comment on function sync.get_held_deletions(bigint, text, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_held_deletions(p_run_id bigint, p_after text default null,
  p_limit int default 200) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_held_deletions(p_run_id, p_after, p_limit);
$$;
comment on function public.get_held_deletions(bigint, text, int) is
$$What approve_deletions() of a run would delete: records by id, at most 500, from behind p_after
on. Returns: {"run_id", "count" of all, "records": [{"id", "name", "last_seen_at", …}]}. Raises:
42501 no operator.$$;

create function sync.workspace_stream_detail(p_row sync.fleet_row) returns jsonb
language plpgsql stable set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_unlisted jsonb;
  v_unlisted_count bigint;
begin
  execute sync.target_sql('select count(*), coalesce(jsonb_agg(jsonb_build_object(
      ''id'', t.id, ''name'', coalesce(t.raw ->> ''email'', t.raw ->> ''name'', t.id),
      ''unlisted_at'', t.unlisted_at)) filter (where t.n <= 50), ''[]'')
    from (
      select %3$s as id, t.raw, t.unlisted_at, row_number() over (order by t.unlisted_at desc, t.id) as n
      from %1$s as t where %2$s and t.unlisted_at is not null and t.deleted_at is null
    ) as t', p_row.stream_id)
  into v_unlisted_count, v_unlisted using p_row.workspace_id, p_row.stream_id;
  return to_jsonb(p_row) - '{workspace_id,stream_id,severity}'::text[] || jsonb_build_object(
    'rows_here', (sync.count_rows(p_row.stream_id, array[p_row.workspace_id])
      ->> p_row.workspace_id::text)::bigint,
    'unlisted_count', v_unlisted_count, 'unlisted', v_unlisted,
    'held', case when p_row.held_run_id is not null
      then sync.held_deletions(p_row.held_run_id, null, 50) else '[]' end,
    'history', (
      select coalesce(jsonb_agg(jsonb_build_object('run_id', r.id, 'job_id', r.job_id, 'status',
        r.status, 'started_at', r.started_at, 'completed_at', r.completed_at,
        'duration_ms', round(extract(epoch from coalesce(r.completed_at, sync.now())
          - r.started_at) * 1000),
        'records', coalesce(r.distinct_ids, r.records_seen), 'expected_total', r.expected_total,
        'changed', r.records_changed, 'deleted', r.records_deleted,
        'deletions_waiting', r.deletions_waiting, 'scans', r.scan - r.begun_again,
        'error_message', r.error_message, 'warnings', to_jsonb(r.warnings))
        order by r.started_at, r.id), '[]')
      from (
        select x.* from public.workspace_sync_runs as x
        where x.workspace_id = p_row.workspace_id and x.stream_id = p_row.stream_id
        order by x.started_at desc, x.id desc limit 60
      ) as r));
end; $$;
comment on function sync.workspace_stream_detail(sync.fleet_row) is
$$Returns: a stream of a workspace with its last 60 runs, what a scan misses, what is unlisted.$$;

create function sync.get_workspace_page(p_workspace_name text) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan as $$
declare
  v_workspace public.sync_workspaces;
begin
  perform sync.require_operator();
  select * into v_workspace from public.sync_workspaces
  where id = sync.workspace_id_of(p_workspace_name);
  return sync.page_head() || jsonb_build_object(
    'workspace_name', v_workspace.workspace_name, 'base_url', v_workspace.base_url,
    'source_name', (select s.source_name from public.sync_sources as s
      where s.id = v_workspace.source_id),
    'external_id', v_workspace.external_id, 'is_active', v_workspace.is_active,
    'created_at', v_workspace.created_at, 'paused_at', v_workspace.paused_at,
    'max_concurrency', v_workspace.max_concurrency,
    'key_status', v_workspace.key_status, 'key_checked_at', v_workspace.key_checked_at,
    'key_owner', v_workspace.key_owner, 'key_owner_id', v_workspace.key_owner_id,
    'rate_limited_until', case when v_workspace.rate_limited_until > sync.now()
      then v_workspace.rate_limited_until end,
    'streams', (
      select coalesce(jsonb_agg(sync.workspace_stream_detail(f) order by f.severity, f.stream),
        '[]') from sync.fleet_rows(v_workspace.id) as f),
    'failed', (
      select coalesce(jsonb_agg(to_jsonb(c) order by c.failed_at desc, c.id desc), '[]')
      from (
        select q.id, r.job_id as parent_sync_job_id, st.stream_name as stream, c.kind, c.page,
          c.record_id, q.attempts, q.error_message, q.completed_at as failed_at
        from public.sync_streams as st
        cross join lateral (
          select x.id, x.job_id, x.chunks_failed from public.workspace_sync_runs as x
          where x.workspace_id = v_workspace.id and x.stream_id = st.id
          order by x.started_at desc, x.id desc limit 60
        ) as r
        join public.chunk_processing_queue as q on q.run_id = r.id and q.status = 'failed'
        join public.chunked_sync_jobs as c on c.id = q.id
        where st.source_id = v_workspace.source_id and r.chunks_failed > 0
        order by q.completed_at desc limit 50
      ) as c));
end; $$;
comment on function sync.get_workspace_page(text) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501 and what that
raises.$$;

create function public.get_workspace_page(p_workspace_name text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_workspace_page(p_workspace_name);
$$;
comment on function public.get_workspace_page(text) is
$$One workspace: its key, and of each stream the state, rows here and at the API, the last 60 runs,
held deletions (50 of them), unlisted records; chunks of its last runs that failed. Returns:
{"as_of", "workspace_name", …, "streams": […], "failed": […]}. Raises: 42501 no operator, SY002
unknown workspace.$$;

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
      join public.chunk_processing_queue as q on q.run_id = r.id and q.slot is not null
        and q.ready_seq is not null
      where r.status = 'running'),
    'jobs', to_jsonb(v_jobs[1 : v_limit]), 'has_more', cardinality(v_jobs) > v_limit);
end; $$;
comment on function sync.get_jobs_page(timestamptz, text, int) is
$$Behind the public function of the same name; checks for an operator. Raises: 42501.$$;

create function public.get_jobs_page(p_before timestamptz default null,
  p_status text default null, p_limit int default 50) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_jobs_page(p_before, p_status, p_limit);
$$;
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
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_job_page(p_job_id, p_limit, p_offset);
$$;
comment on function public.get_job_page(uuid, int, int) is
$$One job: how far it is, what holds it up, its runs (worst first, at most 500 from p_offset on),
50 of its chunks that failed, why it cannot be retried. Returns: {"as_of", "job_id", "status",
"runs": […], "run_count", "failed_chunks": […], "retry_obstacle" (null: it can), …}. Raises: 42501 no
operator, SY007 unknown job.$$;

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
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_alerts_page(p_before, p_limit);
$$;
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
      join public.chunk_processing_queue as q on q.run_id = r.id and q.slot is not null
        and q.ready_seq is not null
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
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_engine_page();
$$;
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
      so.base_path, 'auth_in', so.auth_in, 'auth_name', so.auth_name, 'budget_scope',
      so.budget_scope, 'requests_per_second', so.requests_per_second, 'max_in_flight',
      so.max_in_flight, 'paused_at', so.paused_at,
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
language sql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.get_sources_page();
$$;
comment on function public.get_sources_page() is
$$What is synced and how it is read: sources with their streams. Returns: {"as_of", "sources":
[{"source_name", "streams": […], …}]}. Raises: 42501 no operator.$$;

revoke all on function
  sync.fleet_rows, sync.count_rows, sync.page_head, sync.held_deletions,
  sync.workspace_stream_detail, sync.budgets_of, sync.waits_of, sync.job_summary,
  sync.cron_job_states,
  sync.get_fleet, public.get_fleet, sync.get_held_deletions, public.get_held_deletions,
  sync.get_workspace_page, public.get_workspace_page, sync.get_jobs_page, public.get_jobs_page,
  sync.get_job_page, public.get_job_page, sync.get_alerts_page, public.get_alerts_page,
  sync.get_engine_page, public.get_engine_page, sync.get_sources_page, public.get_sources_page
from public, anon, authenticated, service_role;
grant execute on function
  sync.get_fleet, public.get_fleet, sync.get_held_deletions, public.get_held_deletions,
  sync.get_workspace_page, public.get_workspace_page, sync.get_jobs_page, public.get_jobs_page,
  sync.get_job_page, public.get_job_page, sync.get_alerts_page, public.get_alerts_page,
  sync.get_engine_page, public.get_engine_page, sync.get_sources_page, public.get_sources_page
to authenticated, service_role;
