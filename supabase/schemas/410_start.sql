-- Start: a job, its runs, and page 1 of each in slot 1, in one transaction that answers at once.
-- Stands on: workspaces, statistics, slots, close, stream_kinds.

create type sync.requested_run as (workspace_id bigint, stream_id bigint);
comment on type sync.requested_run is
'A run that a new job is to have, unless it is live elsewhere.';

create function sync.requested_runs(p_streams text[], p_workspaces text[])
  returns sync.requested_run[]
language plpgsql stable set search_path = pg_catalog, pg_temp set enable_seqscan = off as $$
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
      return sync.answer_of_start('already_running', v_live_job_id, format('job %s is already '
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
      return sync.answer_of_start('already_running', v_live_job_id,
        'everything requested is already being synced', '{}');
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
  perform sync.learn_of_filled_tables();
  perform sync.begin_runs(array(
    select id from public.workspace_sync_runs where job_id = v_job_id));
  perform sync.close_job(v_job_id);
  return sync.answer_of_start('accepted', v_job_id, format('syncing %s',
    sync.counted(v_started.o_requested - cardinality(v_started.o_skipped), 'workspace')),
    v_started.o_skipped);
end; $$;
comment on function sync.start_job(text, sync.requested_run[], uuid) is
$$The body of every verb that starts a job. Returns: as start_sync_job(). Raises: SY005 what was
requested is gone, SY006 no name, SY016 wrong isolation. Locks: new rows, and tables against being
analyzed that were empty before.$$;

create function sync.answer_of_start(p_status text, p_job_id uuid, p_message text, p_skipped text[])
  returns jsonb
language sql stable set search_path = pg_catalog, pg_temp as $$
  select jsonb_build_object('success', true, 'job_id', p_job_id, 'status', p_status, 'message',
    p_message,
    'workspaces_skipped', to_jsonb(p_skipped));
$$;
comment on function sync.answer_of_start(text, uuid, text, text[]) is
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
  sync.requested_runs, sync.start_runs, sync.start_job, sync.answer_of_start, sync.start_sync_job,
  public.start_sync_job
from public, anon, authenticated, service_role;
grant execute on function sync.start_sync_job, public.start_sync_job to authenticated, service_role;
