-- Steer: cancel, pause, resume, retry.
-- Stands on: workspaces, jobs, slots, close, settle, start, audits.

create function sync.cancel_sync_job(p_job_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_status text;
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  perform sync.require_read_committed();
  perform sync.require_job(p_job_id);
  select array_agg(id) into v_run_ids from (
    select id from public.workspace_sync_runs where job_id = p_job_id and status = 'running'
    order by id for no key update) as live;
  update public.polling_job_status
  set cancel_requested_at = coalesce(cancel_requested_at, sync.now())
  where id = p_job_id and status = 'running' returning status into v_status;
  if v_status is null then
    raise exception using errcode = 'SY008', message = format('job %s has ended already', p_job_id),
      hint = 'select status from polling_job_status tells how.';
  end if;
  perform sync.end_run_early(id, 'cancelled', null) from unnest(v_run_ids) as id;
  perform sync.advance_runs_and_jobs(coalesce(v_run_ids, '{}'));
  perform sync.close_job(p_job_id);
  return (select jsonb_build_object('job_id', id, 'status', status,
    'chunks_in_flight', (select count(*) from public.chunk_processing_queue as q
      where q.run_id = any (v_run_ids) and q.slot is not null))
    from public.polling_job_status where id = p_job_id);
end; $$;
comment on function sync.cancel_sync_job(uuid) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
cancel_sync_job() raises.$$;

create function public.cancel_sync_job(p_job_id uuid) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.cancel_sync_job(p_job_id);
$$;
comment on function public.cancel_sync_job(uuid) is
$$End a job: pending chunks are cancelled, leased ones end by their holder's next call (nothing of
them is applied) or by expiry, and the last one closes the run. Returns: {"job_id", "status",
"chunks_in_flight"}. Raises: SY007 unknown job, SY008 it has ended, SY016 wrong isolation. Locks:
its runs by id, pending queue rows by SKIP LOCKED, the job.$$;

create function sync.follow_pause() returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_run_ids bigint[];
begin
  v_run_ids := array(
    select id from public.workspace_sync_runs
    where status = 'running' and is_paused <> sync.is_paused(workspace_id)
    order by id for no key update skip locked);
  update public.workspace_sync_runs set is_paused = not is_paused where id = any (v_run_ids);
  update public.chunk_processing_queue as q set
    ready_seq = case when not (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then nextval('sync.ready_seq') end,
    next_retry_at = case when (select r.is_paused from public.workspace_sync_runs as r
      where r.id = q.run_id) then 'infinity'::timestamptz end,
    turn = null, line_budget_id = null
  where q.id = any (array(
    select s.id from public.workspace_sync_runs as r
    cross join lateral (
      select x.id from public.chunk_processing_queue as x
      where x.run_id = r.id and x.slot is not null and x.status = 'pending' and (
        r.is_paused and (x.ready_seq is not null or x.next_retry_at <= sync.now())
        or not r.is_paused and x.next_retry_at = 'infinity')
      for no key update skip locked
    ) as s
    where r.status = 'running'));
  return v_run_ids;
end; $$;
comment on function sync.follow_pause() is
$$Live runs learn that a pause holds them, or no longer does; their chunks that are ready or due are
held until infinity, or are ready again. A delayed chunk keeps its time: a backoff lasts as long as
without the pause. Returns: the runs that changed. Locks: runs and queue rows by SKIP LOCKED; a
chunk that another holds is caught by the next claim or sweep.$$;

create function sync.write_pause(p_source text, p_workspace text, p_paused_at timestamptz)
  returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_source_id bigint;
  v_workspace_id bigint;
begin
  if p_source is not null and p_workspace is not null then
    raise exception using errcode = 'SY006', message = 'name a source or a workspace, '
      'not both', hint = 'Neither means everything.';
  end if;
  v_workspace_id := case when p_workspace is not null then sync.workspace_id_of(p_workspace) end;
  select id into v_source_id from public.sync_sources where source_name = p_source;
  if p_source is not null and v_source_id is null then
    raise exception using errcode = 'SY003', message = format('there is no source %L', p_source),
      hint = 'select source_name from sync_sources lists them.';
  end if;
  perform 1 from public.workspace_sync_runs as r
  where r.status = 'running' and (v_workspace_id is null or r.workspace_id = v_workspace_id)
    and (v_source_id is null or v_source_id = (
      select w.source_id from public.sync_workspaces as w where w.id = r.workspace_id))
  order by r.id for no key update of r;
  if v_workspace_id is not null then
    update public.sync_workspaces set paused_at = p_paused_at where id = v_workspace_id;
  elsif v_source_id is not null then
    update public.sync_sources set paused_at = p_paused_at where id = v_source_id;
  else
    update public.sync_settings set value = to_jsonb(p_paused_at is not null) where name = 'paused';
  end if;
  return sync.follow_pause();
end; $$;
comment on function sync.write_pause(text, text, timestamptz) is
$$Write the pause of a source, a workspace or everything (both null), or lift it. Returns: the live
runs it changes. Raises: SY002 unknown workspace, SY003 unknown source, SY006 both named. Locks: its
live runs by id, then that row.$$;

create function sync.pause_sync(p_source text, p_workspace text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  v_run_ids := sync.write_pause(p_source, p_workspace, sync.now());
  return jsonb_build_object('paused', true, 'live_runs', cardinality(v_run_ids));
end; $$;
comment on function sync.pause_sync(text, text) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
pause_sync() raises.$$;

create function public.pause_sync(p_source text default null, p_workspace text default null)
  returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.pause_sync(p_source, p_workspace);
$$;
comment on function public.pause_sync(text, text) is
$$Hand out no more chunks of a source, of a workspace, or at all (no argument); what is in flight
ends. Returns: {"paused", "live_runs"}. Raises: SY002 unknown workspace, SY003 unknown source, SY006
both named. Locks: its live runs by id, that row, pending queue rows by SKIP LOCKED.$$;

create function sync.resume_sync(p_source text, p_workspace text) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_run_ids bigint[];
begin
  perform sync.require_operator();
  v_run_ids := sync.write_pause(p_source, p_workspace, null);
  return jsonb_build_object('paused', false, 'live_runs', cardinality(v_run_ids));
end; $$;
comment on function sync.resume_sync(text, text) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
resume_sync() raises.$$;

create function public.resume_sync(p_source text default null, p_workspace text default null)
  returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.resume_sync(p_source, p_workspace);
$$;
comment on function public.resume_sync(text, text) is
$$Lift the pause of a source, of a workspace, or of everything; another pause that still holds
stays. Returns: {"paused", "live_runs"}. Raises: SY002 unknown workspace, SY003 unknown source,
SY006 both named. Locks: its live runs by id, that row, delayed queue rows by SKIP LOCKED.$$;

create function sync.retried_runs(p_job_id uuid) returns sync.requested_run[]
language sql stable set search_path = pg_catalog, pg_temp as $$
  select coalesce(array_agg(row(r.workspace_id, r.stream_id)::sync.requested_run order by r.id), '{}')
  from public.workspace_sync_runs as r
  join public.sync_workspaces as w on w.id = r.workspace_id
  join public.sync_streams as st on st.id = r.stream_id and st.source_id = w.source_id
  where r.job_id = p_job_id and r.status <> 'completed';
$$;
comment on function sync.retried_runs(uuid) is
$$Returns: what of an ended job a retry runs again: what did not complete, without workspaces that
have moved to another source.$$;

create function sync.retry_obstacle(p_job_id uuid, out o_message text, out o_hint text)
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_status text := (select status from public.polling_job_status where id = p_job_id);
begin
  if v_status in ('running', 'completed') or not exists (
    select 1 from public.workspace_sync_runs where job_id = p_job_id and status <> 'completed'
  ) then
    o_message := format('job %s is %s: there is nothing to retry', p_job_id, v_status);
    o_hint := case v_status
      when 'running' then 'It retries by itself; cancel_sync_job() ends it.'
      else 'start_sync_job() starts another.' end;
    return;
  end if;
  select format('job %s is newer and has run %s again', newer.job_id, w.workspace_name),
    'Look at that job, or start a new one.'
  into o_message, o_hint
  from public.workspace_sync_runs as r
  join public.workspace_sync_runs as newer on newer.workspace_id = r.workspace_id
    and newer.stream_id = r.stream_id and newer.id > r.id
  join public.sync_workspaces as w on w.id = r.workspace_id
  where r.job_id = p_job_id and r.status <> 'completed' order by newer.id desc limit 1;
  if o_message is null and cardinality(sync.retried_runs(p_job_id)) = 0 then
    o_message := format('what job %s left belongs to workspaces that have moved to another source',
      p_job_id);
    o_hint := 'start_sync_job() syncs what their new source serves.';
  end if;
end; $$;
comment on function sync.retry_obstacle(uuid) is
$$Returns: why retry_failed_chunks() refuses a job with SY008, and what helps; nulls if it does
not.$$;

create function sync.is_retryable(p_job_id uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select o.o_message is null and not exists (
    select 1 from unnest(sync.retried_runs(p_job_id)) as q
    join public.sync_workspaces as w on w.id = q.workspace_id where not w.is_active)
  from sync.retry_obstacle(p_job_id) as o;
$$;
comment on function sync.is_retryable(uuid) is
$$Returns: whether retry_failed_chunks() takes a job: nothing in its way, no workspace inactive.$$;

create function public.get_retryable_jobs(p_job_ids uuid[]) returns jsonb
language plpgsql stable security definer set search_path = pg_catalog, pg_temp
  set statement_timeout = '5s'
  set default_transaction_isolation = 'read committed' as $$
begin
  perform sync.require_service();
  return (
    select jsonb_build_object('job_ids', coalesce(jsonb_agg(id order by started_at, id), '[]'))
    from public.polling_job_status where id = any (p_job_ids) and sync.is_retryable(id));
end; $$;
comment on function public.get_retryable_jobs(uuid[]) is
$$Which of some jobs retry_failed_chunks() takes now. Returns: {"job_ids"}.$$;

create function sync.retry_failed_chunks(p_job_id uuid) returns jsonb
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_obstacle record;
  v_inactive text;
  v_answer jsonb;
begin
  perform sync.require_operator();
  perform sync.require_job(p_job_id);
  select * into v_obstacle from sync.retry_obstacle(p_job_id);
  if v_obstacle.o_message is not null then
    raise exception using errcode = 'SY008', message = v_obstacle.o_message,
      hint = v_obstacle.o_hint;
  end if;
  select w.workspace_name into v_inactive from unnest(sync.retried_runs(p_job_id)) as q
  join public.sync_workspaces as w on w.id = q.workspace_id
  where not w.is_active order by w.id limit 1;
  if v_inactive is not null then
    raise exception using errcode = 'SY004',
      message = format('workspace %L is not active', v_inactive),
      hint = 'register_workspace() activates it again.';
  end if;
  perform set_config('response.status', '202', true);
  v_answer := sync.start_job((select job_name from public.polling_job_status where id = p_job_id),
    sync.retried_runs(p_job_id), p_job_id);
  perform sync.remember_records((v_answer ->> 'job_id')::uuid)
  where v_answer ->> 'status' = 'accepted' and exists (
    select 1 from public.polling_job_status where id = p_job_id and kind = 'audit');
  return v_answer;
end; $$;
comment on function sync.retry_failed_chunks(uuid) is
$$Behind the public verb of the same name; checks for an operator. Raises: 42501 and what
retry_failed_chunks() raises.$$;

create function public.retry_failed_chunks(p_job_id uuid) returns jsonb
language sql set search_path = pg_catalog, pg_temp set statement_timeout = '20s'
  set default_transaction_isolation = 'read committed' as $$
  select sync.retry_failed_chunks(p_job_id);
$$;
comment on function public.retry_failed_chunks(uuid) is
$$Start a new job for what of an ended one did not complete, from page 1; nothing terminal is
reopened. What has moved to another source is left out; of an audit it is an audit again. Returns:
as start_sync_job(). Raises: SY004 inactive workspace, SY007 unknown job, SY008 nothing to retry, or
a newer run exists (named). Locks: new rows only.$$;

revoke all on function
  sync.cancel_sync_job, public.cancel_sync_job, sync.follow_pause,
  sync.write_pause, sync.pause_sync, public.pause_sync, sync.resume_sync, public.resume_sync,
  sync.retried_runs, sync.retry_obstacle, sync.is_retryable,
  public.get_retryable_jobs, sync.retry_failed_chunks, public.retry_failed_chunks
from public, anon, authenticated, service_role;
grant execute on function
  sync.cancel_sync_job, public.cancel_sync_job, sync.pause_sync, public.pause_sync,
  sync.resume_sync, public.resume_sync, sync.retry_failed_chunks, public.retry_failed_chunks,
  sync.retried_runs, sync.retry_obstacle, sync.is_retryable
to authenticated, service_role;
grant execute on function public.get_retryable_jobs to service_role;
