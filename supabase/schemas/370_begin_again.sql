-- Begin again: a live run whose key, URL or declaration changed starts over.
-- Stands on: streams, runs, slots, missing, close, stream_kinds.

create function sync.begin_again(p_run_id bigint, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.cancel_pending(p_run_id, p_reason);
  perform sync.forget_unaccepted(p_run_id);
  update public.workspace_sync_runs as r
  set scan = greatest(scan, last_part_scan) + 1,
    begun_again = begun_again + greatest(scan, last_part_scan) + 1 - scan, mark = null,
    needed_pages = null, parts_total = null, parts_ended = null, window_turn = null,
    reading = null, sound_scan = null, is_full_scan = true,
    stream_revision = st.revision, warnings = warnings || p_reason,
    access_revision = w.access_revision
  from public.sync_workspaces as w, public.sync_streams as st
  where r.id = p_run_id and w.id = r.workspace_id and st.id = r.stream_id;
  perform sync.begin_runs(array[p_run_id]);
end; $$;
comment on function sync.begin_again(bigint, text) is
$$A live run starts over, in its next scan; what is in flight of the one before is not applied. The
caller holds its lock and has checked that it is not ending. Locks: queue rows by SKIP LOCKED.$$;

create function sync.begin_again_if_outdated(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_found record;
begin
  select r.workspace_id, r.stream_id, r.phase, sync.is_outdated(r, w, st) as is_outdated, case
      when r.stream_revision <> st.revision then 'its stream was declared anew'
      when sync.connection_path(w.source_id) is null then 'its workspace has another key or URL'
      else 'it had to be asked whose key it is' end as why_again, case
      when w.removed_at is not null then 'its workspace was removed'
      when w.source_id <> st.source_id then 'its workspace moved to another source' end as why_ended
  into v_found
  from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as st on st.id = r.stream_id
  -- A plain comparison would offer the planner to look through all that is live.
  where r.id = p_run_id and (r.status = 'running') is true and r.ending is null;
  if v_found.is_outdated is not true then
    return;
  end if;
  perform sync.forget_missing(v_found.workspace_id, v_found.stream_id);
  if v_found.why_ended is not null then
    perform sync.end_run_early(p_run_id, 'cancelled', v_found.why_ended);
    perform sync.cancel_pending(p_run_id, v_found.why_ended);
  elsif v_found.phase = 'parent' then
    update public.workspace_sync_runs as r
    set access_revision = w.access_revision, stream_revision = st.revision
    from public.sync_workspaces as w, public.sync_streams as st
    where r.id = p_run_id and w.id = r.workspace_id and st.id = r.stream_id;
  else
    perform sync.begin_again(p_run_id, 'begun again: ' || v_found.why_again);
  end if;
end; $$;
comment on function sync.begin_again_if_outdated(bigint) is
$$A live run whose workspace has another key, URL or id since it began, or whose stream another
declaration, begins again; one whose workspace has another source, or was removed, is ending. What
was missed is forgotten. The caller holds its lock. Locks: missing records, queue rows by SKIP
LOCKED.$$;

revoke all on function
  sync.begin_again, sync.begin_again_if_outdated
from public, anon, authenticated, service_role;
