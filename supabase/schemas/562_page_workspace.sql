-- Page: one workspace, its streams, and what would be deleted of them.
-- Stands on: workspaces, missing, page_fleet.

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
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_held_deletions(p_run_id, p_after, p_limit);
end; $$;
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
    'rows_here', coalesce((select c.row_count
      from sync.count_rows(p_row.stream_id, array[p_row.workspace_id]) as c), 0),
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
language plpgsql stable set search_path = pg_catalog, pg_temp set statement_timeout = '8s'
  set default_transaction_isolation = 'read committed' as $$
begin
  return sync.get_workspace_page(p_workspace_name);
end; $$;
comment on function public.get_workspace_page(text) is
$$One workspace: its key, and of each stream the state, rows here and at the API, the last 60 runs,
held deletions (50 of them), unlisted records; chunks of its last runs that failed. Returns:
{"as_of", "workspace_name", …, "streams": […], "failed": […]}. Raises: 42501 no operator, SY002
unknown workspace.$$;

revoke all on function
  sync.held_deletions, sync.workspace_stream_detail, sync.get_held_deletions,
  public.get_held_deletions, sync.get_workspace_page, public.get_workspace_page
from public, anon, authenticated, service_role;
grant execute on function
  sync.get_held_deletions, public.get_held_deletions, sync.get_workspace_page,
  public.get_workspace_page
to authenticated, service_role;
