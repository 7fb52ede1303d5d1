-- Marks: up to where a workspace's feed was read completely, and when everything is read again.
-- Stands on: feeds.

create function sync.advance_mark(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.sync_workspace_streams as s set marks = s.marks
    || jsonb_strip_nulls(jsonb_build_object('newest_id',
    greatest((s.marks ->> 'newest_id')::bigint, (
      select max(id::bigint) from sync.seen_pages as p cross join unnest(p.record_ids) as id
      where p.run_id = p_run.id))))
    || case when p_run.is_full_scan then jsonb_build_object('full_scan_at', sync.now())
    else '{}'::jsonb end
  from public.sync_streams as st
  where st.id = p_run.stream_id and st.completeness = 'feed' and s.workspace_id = p_run.workspace_id
    and s.stream_id = p_run.stream_id;
end; $$;
comment on function sync.advance_mark(public.workspace_sync_runs) is
$$After a complete scan of a feed: the newest id it saw is the mark of the next one. The caller
holds the run's lock.$$;

create function sync.set_marks(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set
    mark = (s.marks ->> 'newest_id')::bigint,
    is_full_scan = coalesce(s.marks ->> 'newest_id' is null
      or (s.marks ->> 'full_scan_at')::timestamptz < sync.now() -
      make_interval(days => st.full_scan_days)
      or s.marks ->> 'full_scan_at' is null, true)
  from public.sync_streams as st, public.sync_workspace_streams as s
  where r.id = any (p_run_ids) and st.id = r.stream_id and st.completeness = 'feed'
    and s.workspace_id = r.workspace_id and s.stream_id = r.stream_id;
end; $$;
comment on function sync.set_marks(bigint[]) is
$$New runs of feeds read to the mark of the last complete scan, or everything when that is due.$$;

create function public.request_full_scan(p_stream text, p_workspace text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '10s' as $$
declare
  v_workspace_id bigint;
begin
  perform sync.require_service();
  v_workspace_id := sync.workspace_id_of(p_workspace);
  update public.sync_workspace_streams as s set marks = s.marks - 'full_scan_at'
  from public.sync_streams as st
  where st.id = s.stream_id and st.stream_name = p_stream and st.completeness = 'feed'
    and s.workspace_id = v_workspace_id;
  if not found and not exists (select 1 from public.sync_streams
    where stream_name = p_stream and completeness = 'feed') then
    raise exception using errcode = 'SY003', message = format('there is no feed %L', p_stream),
      hint = 'select stream_name from sync_streams where completeness = ''feed'' lists them.';
  end if;
  return jsonb_build_object('stream', p_stream, 'workspace', p_workspace);
end; $$;
comment on function public.request_full_scan(text, text) is
$$Let the next scan of a feed read everything, not only what is newer than its mark. Returns:
{"stream", "workspace"}. Raises: SY002 unknown workspace, SY003 unknown feed. Locks: the workspace's
row of that stream.$$;

revoke all on function
  sync.advance_mark, sync.set_marks, public.request_full_scan
from public, anon, authenticated, service_role;
grant execute on function public.request_full_scan to service_role;
