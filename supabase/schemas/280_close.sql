-- Close: what a run without live chunks becomes; a job without live runs.
-- Stands on: keys, missing, marks.

create function sync.has_live_chunks(p_run_id bigint) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from public.chunk_processing_queue where run_id = p_run_id and slot is not null
  ) or exists (
    select 1 from public.chunk_processing_queue
    where run_id = p_run_id and status = 'pending' and slot is null
  );
end; $$;
comment on function sync.has_live_chunks(bigint) is
$$Returns: whether anything of a run is pending or in flight.$$;

create function sync.end_run_early(p_run_id bigint, p_ending text, p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs set ending = p_ending,
    error_message = coalesce(error_message, p_message)
  where id = p_run_id and (status = 'running') is true and ending is null;
end; $$;
comment on function sync.end_run_early(bigint, text, text) is
$$Mark a live run as ending: cancelled, failed or timeout; the first reason stays. The caller holds
the run's lock and settles it.$$;

create function sync.close_jobs(p_job_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job_id uuid;
begin
  foreach v_job_id in array p_job_ids loop
    begin
      perform sync.close_job(v_job_id);
    exception when assert_failure or others then
      update public.workspace_sync_runs as r set close_error = sync.mask_secrets(sqlerrm)
      from (select id from public.workspace_sync_runs where job_id = v_job_id
      order by id for no key update skip locked) as free
      where r.id = free.id;
    end;
  end loop;
end; $$;
comment on function sync.close_jobs(uuid[]) is
$$Close jobs, each in a savepoint of its own; a failure is noted on the job's runs and left to the
next sweep. Locks: the jobs, in the order given.$$;

create function sync.fold_counters(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with folded as (
    delete from sync.run_counters where run_id = p_run_id returning *
  )
  update public.workspace_sync_runs as r set
    chunks_completed = r.chunks_completed + f.completed, chunks_failed = r.chunks_failed + f.failed,
    chunks_cancelled = r.chunks_cancelled + f.cancelled, records_seen = r.records_seen + f.records,
    records_changed = r.records_changed + f.changed,
    pages_completed = r.pages_completed + f.pages
  from (
    select sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
      sum(records) as records, sum(changed) as changed, sum(pages) as pages
    from folded
  ) as f
  where r.id = p_run_id and f.completed is not null;
end; $$;
comment on function sync.fold_counters(bigint) is
$$Move a closing run's live totals into its row. The caller holds its lock; nothing of it is
live.$$;

create function sync.close_run(p_run_id bigint, p_status text, p_warning text) returns void
-- A job's end calls it once per run, and planning took longer than running.
language plpgsql set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_run public.workspace_sync_runs;
  v_waiting bigint[];
  v_close_function text;
begin
  perform sync.fold_counters(p_run_id);
  update public.workspace_sync_runs as r set
    status = p_status, completed_at = sync.now(), close_error = null,
    warnings = case when p_warning is null then warnings else warnings || p_warning end,
    error_message = coalesce(error_message, case when p_status = 'failed' then (
      select q.error_message from public.chunk_processing_queue as q
      where q.run_id = p_run_id and q.status = 'failed' order by q.id limit 1) end)
  where id = p_run_id returning * into strict v_run;
  -- Of children each list counts by itself.
  perform sync.forget_unaccepted(p_run_id) where p_status <> 'completed'
    and (v_run.parts_total is null or v_run.ending is not null);
  -- By the index of parents, and not through all that is live.
  with children as materialized (
    select * from public.workspace_sync_runs where parent_run_id = p_run_id for no key update
  )
  select array_agg(id) into v_waiting from children
  where status = 'running' and ending is null and phase = 'parent';
  if v_waiting is not null then
    perform sync.begin_runs(v_waiting);
  end if;
  if p_status <> 'completed' then
    return;
  end if;
  insert into public.sync_workspace_streams as s
    (workspace_id, stream_id, last_complete_sync_at, last_complete_run_id, last_sync_duration_ms,
    record_count)
  values (v_run.workspace_id, v_run.stream_id, v_run.completed_at, p_run_id,
    extract(epoch from v_run.completed_at - v_run.started_at) * 1000, v_run.distinct_ids)
  on conflict (workspace_id, stream_id) do update set
    last_complete_sync_at = excluded.last_complete_sync_at,
    last_complete_run_id = excluded.last_complete_run_id,
    last_sync_duration_ms = excluded.last_sync_duration_ms, record_count = excluded.record_count;
  perform sync.set_list_marks(v_run);
  select close_function into v_close_function from public.sync_streams where id = v_run.stream_id;
  if v_close_function is not null then
    begin
      -- Somebody else's statements are planned as anywhere.
      set local plan_cache_mode = auto;
      set local enable_seqscan = on;
      execute format('select %s($1)', v_close_function) using v_run.workspace_id;
    exception when query_canceled or assert_failure or others then
      if sqlstate = '57014' then
        perform sync.set_out_of_time();
      end if;
      update public.workspace_sync_runs set warnings = warnings || format('%s: %s',
        v_close_function, sync.mask_secrets(sqlerrm)) where id = p_run_id;
    end;
  end if;
end; $$;
comment on function sync.close_run(bigint, text, text) is
$$End a run: totals, status, and for a completed one the registry and statistics. A close function
that fails is a warning. The caller holds its lock; nothing of it is live.$$;

create function sync.refresh_jobs(p_job_ids uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.polling_job_status as j set
    workspaces_processed = r.workspaces_completed,
    total_accounts_synced = greatest(j.total_accounts_synced, r.records),
    chunks_completed = r.chunks_completed, chunks_failed = r.chunks_failed,
    chunks_cancelled = r.chunks_cancelled
  from (
    select x.job_id,
      count(distinct x.workspace_id) - count(distinct x.workspace_id) filter
      (where x.status <> 'completed') as workspaces_completed,
      -- Of a first scan what its pages showed so far; of a later one what the one before showed.
      coalesce(sum(coalesce(x.distinct_ids, c.records)) filter (
        where x.status in ('running', 'completed', 'partial')
          and st.completeness in ('counted', 'chained', 'agreed', 'single')), 0)
      as records,
      sum(x.chunks_completed + coalesce(c.completed, 0)) as chunks_completed,
      sum(x.chunks_failed + coalesce(c.failed, 0)) as chunks_failed,
      sum(x.chunks_cancelled + coalesce(c.cancelled, 0)) as chunks_cancelled
    from public.workspace_sync_runs as x
    join public.sync_streams as st on st.id = x.stream_id
    left join lateral (
      select sum(completed) as completed, sum(failed) as failed, sum(cancelled) as cancelled,
        sum(records) as records
      from sync.run_counters where run_id = x.id and x.status = 'running'
    ) as c on true
    where x.job_id = any (p_job_ids)
    group by x.job_id
  ) as r
  where j.id = r.job_id and j.status = 'running'
    and (j.workspaces_processed, j.chunks_completed, j.chunks_failed, j.chunks_cancelled)
    is distinct from
    (r.workspaces_completed, r.chunks_completed, r.chunks_failed, r.chunks_cancelled);
end; $$;
comment on function sync.refresh_jobs(uuid[]) is
$$Write how far live jobs are into their rows, of those of which anything ended since. The caller
holds the jobs' locks. Jobs that a user's own code writes have no runs, and are left alone.$$;

create function sync.close_job(p_job_id uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_job public.polling_job_status;
begin
  select * into v_job from public.polling_job_status where id = p_job_id for no key update;
  if v_job.status is distinct from 'running' then
    return;
  end if;
  if exists (
    select 1 from public.workspace_sync_runs where job_id = p_job_id and status = 'running'
  ) then
    perform sync.refresh_jobs(array[p_job_id])
    where v_job.updated_at < sync.now() - interval '1 second';
    return;
  end if;
  update public.polling_job_status as j set
    status = case
      when j.cancel_requested_at is not null then 'cancelled'
      when r.completed + r.partial = 0 then 'failed'
      when r.completed = r.runs then 'completed'
      else 'partial' end,
    workspaces_processed = r.workspaces_completed, total_accounts_synced = r.records,
    chunks_completed = r.chunks_completed, chunks_failed = r.chunks_failed,
    chunks_cancelled = r.chunks_cancelled,
    progress_percentage = case when r.completed = r.runs then 100.0
      else least(99.9, trunc(100.0 * r.progress_done / r.progress_total, 1)) end,
    warnings = j.warnings || r.warnings,
    error_message = case
      when r.runs > 0 or j.cancel_requested_at is not null then r.error_message
      else coalesce(j.error_message, 'it has no runs: they were deleted, or never were') end
  from (
    select count(*) as runs, count(*) filter (where status = 'completed') as completed,
      count(*) filter (where status = 'partial') as partial,
      count(distinct r.workspace_id) - count(distinct r.workspace_id) filter
      (where status <> 'completed') as workspaces_completed,
      coalesce(sum(distinct_ids) filter (where status in ('completed', 'partial')), 0) as records,
      coalesce(sum(r.chunks_completed), 0) as chunks_completed,
      sum(coalesce(r.progress_total, 1)) as progress_total,
      sum(least(coalesce(r.progress_total, 1), case
        when r.status = 'completed' then r.progress_total else r.chunks_completed end))
      as progress_done,
      coalesce(sum(r.chunks_failed), 0) as chunks_failed,
      coalesce(sum(r.chunks_cancelled), 0) as chunks_cancelled,
      coalesce(array_agg(format('%s: %s', w.workspace_name, warning)
      order by r.id) filter (where warning is not null), '{}') as warnings,
      left(string_agg(format('%s: %s', w.workspace_name, r.error_message), '; ' order by r.id)
        filter (where r.error_message is not null), 2000) as error_message
    from public.workspace_sync_runs as r
    join public.sync_workspaces as w on w.id = r.workspace_id
    left join lateral (select array_to_string(r.warnings, '; ') as warning
    where cardinality(r.warnings) > 0) as x on true
    where r.job_id = p_job_id
  ) as r
  where j.id = p_job_id;
  update public.workspace_sync_runs set close_error = null
  where id = any (array(select id from public.workspace_sync_runs
    where job_id = p_job_id and close_error is not null for no key update skip locked));
end; $$;
comment on function sync.close_job(uuid) is
$$Close a job if its last run has closed: cancelled if it was, completed if every run is, failed if
none is completed or partial (or there is none at all), else partial. Else, once a second, write how
far it is. Locks: the job; then it looks anew for live runs.$$;

revoke all on function
  sync.has_live_chunks, sync.end_run_early, sync.close_jobs, sync.fold_counters, sync.close_run,
  sync.refresh_jobs, sync.close_job
from public, anon, authenticated, service_role;
