-- Marks: how far a new scan of a feed reads, and when everything is read again.
-- Stands on: workspaces, streams.

create function sync.set_marks(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs as r set
    mark = case when f.is_usable then (f.marks ->> 'newest_id')::bigint end,
    is_full_scan = not f.is_usable or coalesce((f.marks ->> 'full_scan_at')::timestamptz
      < sync.now() - make_interval(days => f.full_scan_days), true)
  from (
    select x.id, s.marks, st.full_scan_days,
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
  sync.set_marks, public.request_full_scan
from public, anon, authenticated, service_role;
grant execute on function public.request_full_scan to service_role;
