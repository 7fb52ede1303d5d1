-- Start: a job, its runs, and page 1 of each in slot 1, in one transaction that answers at once.
-- Stands on: slots, deletions.

create type sync.requested_run as (workspace_id bigint, stream_id bigint);
comment on type sync.requested_run is
'A run that a new job is to have, unless it is live elsewhere.';

create function sync.requested_runs(p_streams text[], p_workspaces text[])
  returns sync.requested_run[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_name text;
  v_workspace_id bigint;
  v_workspace_ids bigint[] := array[]::bigint[];
  v_requested sync.requested_run[];
begin
  perform sync.require_read_committed();
  foreach v_name in array coalesce(p_workspaces, '{}') loop
    v_workspace_id := sync.workspace_id_of(v_name);
    v_workspace_ids := v_workspace_ids || v_workspace_id;
    if not (select w.is_active from public.sync_workspaces as w where w.id = v_workspace_id) then
      raise exception using errcode = 'SY004',
        message = format('workspace %L is not active', v_name),
        hint = 'register_workspace() activates it again.';
    end if;
  end loop;
  foreach v_name in array coalesce(p_streams, '{}') loop
    if not exists (select 1 from public.sync_streams as s where s.stream_name = v_name) then
      raise exception using errcode = 'SY003', message = format('there is no stream %L', v_name),
        hint = 'select stream_name from sync_streams lists them; declare_stream() adds one.';
    end if;
  end loop;
  select named.name into v_name from unnest(p_workspaces, v_workspace_ids) as named (name, id)
  where not exists (
    select 1 from public.sync_workspaces as w
    join public.sync_streams as s on s.source_id = w.source_id
    where w.id = named.id
      and case when p_streams is null then s.is_default else s.stream_name = any (p_streams) end
  ) limit 1;
  if found then
    raise exception using errcode = 'SY005',
      message = format('workspace %L serves none of the requested streams', v_name),
      hint = 'select * from sync_streams shows what its source serves.';
  end if;
  select array_agg(row(w.id, s.id)::sync.requested_run order by w.id, s.id) into v_requested
  from public.sync_workspaces as w
  join public.sync_streams as s on s.source_id = w.source_id
  where w.is_active and (p_workspaces is null or w.id = any (v_workspace_ids))
    and case when p_streams is null then s.is_default else s.stream_name = any (p_streams) end;
  if v_requested is null then
    raise exception using errcode = 'SY005',
      message = 'there is nothing to sync: no active workspace serves the requested streams',
      hint = 'register_workspace() adds one; select * from sync_streams shows what its source '
        'serves.';
  end if;
  return v_requested;
end; $$;
comment on function sync.requested_runs(text[], text[]) is
$$Returns: workspace x stream that a request means; null means every active workspace, every default
stream. Raises: SY002 unknown workspace, SY003 unknown stream, SY004 inactive workspace, SY005
nothing to do, or nothing for a workspace that is named, SY016 wrong isolation.$$;

create function sync.begin_phase(p_run_ids bigint[], p_phase text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_bitmapscan = off
  set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_chunk_ids bigint[];
  v_ready int;
begin
  update public.workspace_sync_runs set phase = p_phase, planned_chunks = planned_chunks + 1,
    known_pages = case p_phase when 'scan' then 1 else 0 end,
    planned_pages = case p_phase when 'scan' then 1 else 0 end,
    pages_planned = pages_planned + case p_phase when 'scan' then 1 else 0 end
  where id = any (p_run_ids);
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page)
    select r.job_id, r.id, case p_phase when 'scan' then 'page' else 'connection' end, r.scan,
      case p_phase when 'scan' then 1 end
    from public.workspace_sync_runs as r where r.id = any (p_run_ids) order by r.id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned order by id
    returning id
  )
  select array_agg(id order by id) into v_chunk_ids from queued;
  -- Of a run that begins again slot 1 may be in flight.
  update public.chunk_processing_queue as q set slot = 1,
    ready_seq = case when not (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then nextval('sync.ready_seq') end,
    next_retry_at = case when (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then 'infinity'::timestamptz end
  where q.id = any (v_chunk_ids) and not exists (
    select 1 from public.chunk_processing_queue as held
    where held.run_id = q.run_id and held.slot = 1);
  get diagnostics v_ready = row_count;
  if v_ready < cardinality(v_chunk_ids) then
    perform sync.fill_slots(id) from unnest(p_run_ids) as id;
  end if;
end; $$;
comment on function sync.begin_phase(bigint[], text) is
$$The first chunk of each run, page 1 (scan) or the question whose key it is (connect), in its first
free slot, which of a new run is slot 1: as one set, however many there are. All is looked up by
key, whatever the planner knows of tables that were just filled. The caller holds the runs' locks,
or made them. Locks: queue rows by SKIP LOCKED.$$;

create function sync.begin_pages(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.set_marks(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $$;
comment on function sync.begin_pages(bigint[]) is
$$Page 1 of runs, of feeds with the mark to which they read. The caller holds the runs' locks, or
made them.$$;

create function sync.forget_missed_with_another_key(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on
  set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  perform sync.forget_missing(r.workspace_id, r.stream_id) from public.workspace_sync_runs as r
  where r.id = any (p_run_ids) and exists (
    select 1 from sync.missing_records as m
    join public.workspace_sync_runs as x on x.id = m.missed_by_run_id
    where m.workspace_id = r.workspace_id and m.stream_id = r.stream_id
      and x.access_revision <> r.access_revision offset 0);
end; $$;
comment on function sync.forget_missed_with_another_key(bigint[]) is
$$What runs missed with another key says nothing for those that begin: mostly that is forgotten with
the change. Looked up by key, as what is missing may be much. Locks: missing records.$$;

create function sync.live_parent_of(p_run public.workspace_sync_runs) returns bigint
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select parent.id from public.sync_streams as st
    join public.sync_streams as ps
      on ps.source_id = st.source_id and ps.stream_name = st.parent_stream
    join public.workspace_sync_runs as parent on parent.job_id = p_run.job_id
      and parent.workspace_id = p_run.workspace_id and parent.stream_id = ps.id
    -- A plain comparison would offer the planner to look through all that is live.
    where st.id = p_run.stream_id and st.completeness = 'items'
      and (parent.status = 'running') is true
  );
end; $$;
comment on function sync.live_parent_of(public.workspace_sync_runs) is
$$Returns: of a run of an items stream the live run of its feed in the same job, if there is one.$$;

create function sync.begin_runs(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on
  set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_wait bigint[];
  v_connect bigint[];
  v_items bigint[];
  v_pages bigint[];
begin
  perform sync.forget_missed_with_another_key(p_run_ids);
  -- Each is looked up by its key: a join of tables that were just filled may compare all with all.
  select array_agg(id) filter (where first = 'parent'),
    array_agg(id order by id) filter (where first = 'connect'),
    array_agg(id order by id) filter (where first = 'items'),
    array_agg(id order by id) filter (where first = 'page')
  into v_wait, v_connect, v_items, v_pages
  from unnest(p_run_ids) as given (id)
  cross join lateral (
    select case
      when sync.live_parent_of(r) is not null then 'parent'
      when st.completeness = 'connection'
        or (w.key_status <> 'accepted' and sync.connection_path(st.source_id) is not null)
        then 'connect'
      when st.completeness = 'items' then 'items'
      else 'page' end as first
    from public.workspace_sync_runs as r
    join public.sync_streams as st on st.id = r.stream_id
    join public.sync_workspaces as w on w.id = r.workspace_id
    where r.id = given.id offset 0
  ) as begins;
  update public.workspace_sync_runs as r
  set phase = 'parent', parent_run_id = sync.live_parent_of(r) where id = any (v_wait);
  if v_connect is not null then
    perform sync.begin_phase(v_connect, 'connect');
  end if;
  if v_pages is not null then
    perform sync.begin_pages(v_pages);
  end if;
  perform sync.open_items(id) from unnest(v_items) as id;
end; $$;
comment on function sync.begin_runs(bigint[]) is
$$What runs begin with: whose key it is, where the source tells and the key is not accepted as the
workspace's own; else page 1; of an items stream what is staged already, or nothing while its feed
runs in the same job. Locks: the new rows.$$;

create function sync.begin_again(p_run_id bigint, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.cancel_pending(p_run_id, p_reason);
  perform sync.forget_unaccepted(p_run_id);
  update public.workspace_sync_runs as r
  set scan = scan + 1, begun_again = begun_again + 1, mark = null, needed_pages = null,
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
  where r.id = p_run_id and r.status = 'running' and r.ending is null;
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
was missed is forgotten. The caller holds its lock. Locks: missing records, queue rows by SKIP LOCKED.$$;

create function sync.start_runs(p_job_id uuid, p_requested sync.requested_run[],
  out o_requested int, out o_skipped text[], out o_started int)
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_mergejoin = off
  set enable_hashjoin = on as $$
begin
  insert into public.workspace_sync_runs (job_id, workspace_id, stream_id, stream_revision,
    max_concurrency, is_paused, access_revision)
  select p_job_id, w.id, s.id, s.revision, w.max_concurrency, sync.is_paused(w.id),
    w.access_revision
  from unnest(p_requested) as q
  join public.sync_workspaces as w on w.id = q.workspace_id and w.is_active
  join public.sync_streams as s on s.id = q.stream_id and s.source_id = w.source_id
  order by w.id, s.id
  on conflict (workspace_id, stream_id) where status = 'running' do nothing;
  get diagnostics o_started = row_count;
  select count(distinct w.id), coalesce(array_agg(distinct w.workspace_name) filter (
    where r.id is null), '{}')
  into o_requested, o_skipped
  from unnest(p_requested) as q
  join public.sync_workspaces as w on w.id = q.workspace_id and w.is_active
  join public.sync_streams as s on s.id = q.stream_id and s.source_id = w.source_id
  left join public.workspace_sync_runs as r on r.job_id = p_job_id and r.status = 'running'
    and r.workspace_id = w.id and r.stream_id = s.id;
end; $$;
comment on function sync.start_runs(uuid, sync.requested_run[]) is
$$The runs of a new job, without those that are live elsewhere and those whose workspace has been
removed or has moved to another source meanwhile. Returns: workspaces requested, names of those
skipped, runs started. Locks: new rows; it waits for a run that is just being closed.$$;

create function sync.start_job(p_job_name text, p_requested sync.requested_run[],
  p_retry_of_job_id uuid) returns jsonb
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job_id uuid;
  v_live_job_id uuid;
  v_started record;
  v_kind text := case when exists (
    select 1 from unnest(p_requested) as q join public.sync_streams as st on st.id = q.stream_id
    where st.completeness <> 'connection') then 'sync' else 'key_check' end;
begin
  perform sync.require_read_committed();
  if coalesce(btrim(p_job_name), '') = '' then
    raise exception using errcode = 'SY006', message = 'a job needs a '
      'name', hint = 'start_sync_job(''nightly'')';
  end if;
  -- What was found taken may close before it is looked at: then it is free, and taken by the next
  -- try. More than a few tries only what is not there at all would need.
  for v_try in 1 .. 100 loop
    insert into public.polling_job_status (job_name, kind, retry_of_job_id)
    values (p_job_name, v_kind, p_retry_of_job_id)
    on conflict (job_name) where status = 'running' do nothing returning id into v_job_id;
    exit when v_job_id is not null;
    select id into v_live_job_id from public.polling_job_status
    where job_name = p_job_name and status = 'running';
    if v_live_job_id is not null then
      return sync.start_answer('already_running', v_live_job_id, format('job %s is already '
        'running', p_job_name), '{}');
    end if;
  end loop;
  for v_try in 1 .. 100 loop
    v_started := sync.start_runs(v_job_id, p_requested);
    exit when v_started.o_started > 0 or v_started.o_requested = 0;
    select r.job_id into v_live_job_id from unnest(p_requested) as q
    join public.workspace_sync_runs as r on r.workspace_id = q.workspace_id
      and r.stream_id = q.stream_id and r.status = 'running'
    limit 1;
    if v_live_job_id is not null then
      delete from public.polling_job_status where id = v_job_id;
      return sync.start_answer('already_running', v_live_job_id, 'everything requested is already '
        'being synced', '{}');
    end if;
  end loop;
  if v_job_id is null or v_started.o_started = 0 then
    raise exception using errcode = 'SY005',
      message = 'there is nothing to sync: what was requested was removed, moved or ended meanwhile',
      hint = 'Ask again: select * from sync_workspaces shows what there is now.';
  end if;
  update public.polling_job_status set
    total_workspaces = v_started.o_requested,
    workspaces_skipped = cardinality(v_started.o_skipped),
    warnings = array(select format('%s: skipped, '
    'it is already being synced', name) from unnest(v_started.o_skipped) as name)
  where id = v_job_id;
  perform sync.begin_runs(array(
    select id from public.workspace_sync_runs where job_id = v_job_id));
  perform sync.close_job(v_job_id);
  return sync.start_answer('accepted', v_job_id, format('syncing %s',
    sync.counted(v_started.o_requested - cardinality(v_started.o_skipped), 'workspace')),
    v_started.o_skipped);
end; $$;
comment on function sync.start_job(text, sync.requested_run[], uuid) is
$$The body of every verb that starts a job. Returns: as start_sync_job(). Raises: SY005 what was
requested is gone, SY006 no name, SY016 wrong isolation. Locks: new rows only.$$;

create function sync.start_answer(p_status text, p_job_id uuid, p_message text, p_skipped text[])
  returns jsonb
language sql set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('success', true, 'job_id', p_job_id, 'status', p_status, 'message',
    p_message,
    'workspaces_skipped', to_jsonb(p_skipped));
$$;
comment on function sync.start_answer(text, uuid, text, text[]) is
$$Returns: the answer of start_sync_job().$$;

create function sync.start_sync_job(p_job_name text, p_streams text[], p_workspaces text[])
  returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.require_operator();
  perform sync.require_read_committed();
  perform set_config('response.status', '202', true);
  return sync.start_job(p_job_name, sync.requested_runs(p_streams, p_workspaces), null);
end; $$;
comment on function sync.start_sync_job(text, text[], text[]) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
start_sync_job() raises.$$;

create function public.start_sync_job(
  p_job_name text default 'sync', p_streams text[] default null, p_workspaces text[] default null
) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.start_sync_job(p_job_name, p_streams, p_workspaces);
$$;
comment on function public.start_sync_job(text, text[], text[]) is
$$Ask for a sync; answers at once, over HTTP with 202. Null means every default stream, every active
workspace. Returns: {"success", "job_id", "status": "accepted" or "already_running", "message",
"workspaces_skipped": [names]}. Raises: SY002 unknown workspace, SY003 unknown stream, SY004
inactive workspace, SY005 nothing to sync, also of a named workspace, SY006 no job name. Locks: new
rows only; the live job name and the live workspace x stream are unique indices.$$;

revoke all on function
  sync.requested_runs, sync.begin_phase, sync.begin_pages, sync.forget_missed_with_another_key,
  sync.live_parent_of, sync.begin_runs, sync.begin_again, sync.begin_again_if_outdated,
  sync.start_runs, sync.start_job, sync.start_answer, sync.start_sync_job, public.start_sync_job
from public, anon, authenticated, service_role;
grant execute on function sync.start_sync_job, public.start_sync_job to authenticated, service_role;
