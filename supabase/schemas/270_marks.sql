-- Marks: how far a new scan of a feed reads, since when a list is read, and when everything is read
-- again.
-- Stands on: workspaces, streams, templates, answers.

create function sync.set_marks(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set
    mark = case when f.is_usable and f.id_type = 'integer'
      then (f.marks ->> 'newest_id')::bigint end,
    is_full_scan = not f.is_usable or coalesce((f.marks ->> 'full_scan_at')::timestamptz
      < sync.now() - make_interval(days => f.full_scan_days), true)
  from (
    select x.id, s.marks, st.full_scan_days, st.id_type,
      coalesce(s.marks -> 'of' = sync.feed_identity(w, st) and (s.marks ->> 'read_at')::timestamptz
        > sync.now() - make_interval(days => sync.setting('chunks_kept_days')::int), false)
      as is_usable
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id and st.completeness = 'feed'
    join public.sync_workspaces as w on w.id = x.workspace_id
    join public.sync_workspace_streams as s
      on s.workspace_id = x.workspace_id and s.stream_id = x.stream_id
    where x.id = any (p_run_ids)
  ) as f
  where r.id = f.id;
end; $$;
comment on function sync.set_marks(bigint[]) is
$$New runs of feeds read to the mark of the last complete scan, or everything: when that is due,
when the mark is of another address, owner or declaration, or when what was read since it may have
been pruned.$$;

create function sync.is_read_since(p_stream public.sync_streams) returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_stream.updated_at_path is not null and sync.has_template(p_stream, 'since');
end; $$;
comment on function sync.is_read_since(public.sync_streams) is
$$Returns: whether a stream's requests can ask for what changed since a time.$$;

create function sync.latest_time(p_records jsonb, p_stream public.sync_streams)
  returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp
  set timezone = 'UTC' set datestyle = 'ISO, MDY' as $$
begin
  if not sync.is_read_since(p_stream) then
    return null;
  end if;
  return (select max(sync.record_time(r.record, p_stream))
    from jsonb_array_elements(p_records) as r (record));
end; $$;
comment on function sync.latest_time(jsonb, public.sync_streams) is
$$Returns: the latest updated_at of records, of a stream that is read since a time; else null.$$;

create function sync.set_since(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set is_full_scan = f.since is null,
    reading = case when f.since is not null then jsonb_build_object('since', f.since) end
  from (
    select x.id, case
      when s.marks -> 'of' = sync.feed_identity(w, st) and j.kind <> 'audit'
        and (s.marks ->> 'full_scan_at')::timestamptz
          >= sync.now() - make_interval(days => st.full_scan_days)
      -- Zero of many languages: no request can ask for a year before it.
      then greatest((s.marks ->> 'since')::timestamptz, timestamptz '0001-01-01 00:00:00+00'
        + make_interval(secs => st.since_overlap)) - make_interval(secs => st.since_overlap)
      end as since
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id and sync.is_read_since(st)
    join public.sync_workspaces as w on w.id = x.workspace_id
    join public.polling_job_status as j on j.id = x.job_id
    left join public.sync_workspace_streams as s
      on s.workspace_id = x.workspace_id and s.stream_id = x.stream_id
    where x.id = any (p_run_ids)
  ) as f
  where r.id = f.id;
end; $$;
comment on function sync.set_since(bigint[]) is
$$New runs of lists that can be asked for what changed: since the last completed run, or everything,
for an audit, when that is due, or when that run was of another address, owner or declaration.$$;

create function sync.set_list_marks(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_of jsonb;
  v_old jsonb;
  v_seen record;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  -- Of children each list is another, and is read from its start.
  if p_run.parts_total is not null or (
    v_stream.completeness not in ('chained', 'agreed') and not sync.is_read_since(v_stream)) then
    return;
  end if;
  select sync.feed_identity(w, v_stream), coalesce(case when s.marks -> 'of'
      = sync.feed_identity(w, v_stream) then s.marks end, '{}') into v_of, v_old
  from public.sync_workspaces as w
  left join public.sync_workspace_streams as s
    on s.workspace_id = w.id and s.stream_id = p_run.stream_id
  where w.id = p_run.workspace_id and w.access_revision = p_run.access_revision
    and v_stream.revision = p_run.stream_revision;
  if v_of is null then
    return;
  end if;
  select max(latest_at) as latest_at,
    max(cardinality(record_ids)) filter (where page = 1) as page_records
  into v_seen from sync.seen_pages where run_id = p_run.id and scan = p_run.scan;
  insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
  values (p_run.workspace_id, p_run.stream_id, jsonb_strip_nulls(jsonb_build_object(
    'of', v_of, 'run_id', p_run.id, 'read_at', sync.now(),
    'since', case when sync.is_read_since(v_stream) then
      least(coalesce(v_seen.latest_at, (v_old ->> 'since')::timestamptz), p_run.started_at) end,
    'full_scan_at', case when p_run.is_full_scan then to_jsonb(sync.now())
      else v_old -> 'full_scan_at' end,
    'short_by', case when p_run.is_full_scan
      then nullif(greatest(p_run.expected_total - p_run.distinct_ids, 0), 0)
      else (v_old ->> 'short_by')::bigint end,
    'pages', case when p_run.is_full_scan then p_run.known_pages
      else (v_old ->> 'pages')::int end,
    'page_records', case when p_run.is_full_scan then v_seen.page_records
      else (v_old ->> 'page_records')::int end)))
  on conflict (workspace_id, stream_id) do update set marks = excluded.marks;
end; $$;
comment on function sync.set_list_marks(public.workspace_sync_runs) is
$$A list was read completely: since when the next run has to ask, and how many pages it had, of
which as many are read side by side next time. The caller holds the run's lock.$$;

create function public.request_full_scan(p_stream text, p_workspace text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s'
  set default_transaction_isolation = 'read committed' as $$
declare
  v_workspace_id bigint;
begin
  perform sync.require_service();
  v_workspace_id := sync.workspace_id_of(p_workspace);
  update public.sync_workspace_streams as s set marks = s.marks - 'full_scan_at'
  from public.sync_streams as st
  where st.id = s.stream_id and st.stream_name = p_stream and s.workspace_id = v_workspace_id
    and (st.completeness = 'feed' or sync.is_read_since(st));
  if not found and not exists (select 1 from public.sync_streams as st
    where st.stream_name = p_stream and (st.completeness = 'feed' or sync.is_read_since(st))) then
    raise exception using errcode = 'SY003',
      message = format('there is no stream %L that is read in part', p_stream),
      hint = 'A feed is, and one with {since} in its request; any other is read whole each time.';
  end if;
  return jsonb_build_object('stream', p_stream, 'workspace', p_workspace);
end; $$;
comment on function public.request_full_scan(text, text) is
$$Let the next scan of a feed read everything, not only what is newer than its mark, and that of a
list with {since} not only what changed. Returns: {"stream", "workspace"}. Raises: SY002 unknown
workspace, SY003 no such stream. Locks: the workspace's row of that stream.$$;

revoke all on function
  sync.set_marks, sync.is_read_since, sync.latest_time, sync.set_since, sync.set_list_marks,
  public.request_full_scan
from public, anon, authenticated, service_role;
grant execute on function public.request_full_scan to service_role;
