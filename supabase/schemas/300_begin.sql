-- Begin: the first chunk of a run.
-- Stands on: slots, missing.

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
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, reading)
    select r.job_id, r.id, case p_phase when 'scan' then 'page' else 'connection' end, r.scan,
      case p_phase when 'scan' then 1 end, case p_phase when 'scan' then r.reading end
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
    where held.run_id = q.run_id and held.slot = 1 offset 0);
  get diagnostics v_ready = row_count;
  if v_ready < cardinality(v_chunk_ids) then
    perform sync.refill_slots(id) from unnest(p_run_ids) as id;
  end if;
end; $$;
comment on function sync.begin_phase(bigint[], text) is
$$The first chunk of each run, page 1 (scan) or the question whose key it is (connect), in its first
free slot, which of a new run is slot 1: as one set, however many there are. All is looked up by
key, whatever the planner knows of tables that were just filled. The caller holds the runs' locks,
or made them. Locks: queue rows by SKIP LOCKED.$$;

create function sync.forget_what_says_nothing(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = on
  set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  perform sync.forget_missing(r.workspace_id, r.stream_id) from public.workspace_sync_runs as r
  where r.id = any (p_run_ids) and exists (
    select 1 from sync.missing_records as m
    join public.workspace_sync_runs as x on x.id = m.missed_by_run_id
    where m.workspace_id = r.workspace_id and m.stream_id = r.stream_id
      and (x.access_revision, x.stream_revision)
        is distinct from (r.access_revision, r.stream_revision) offset 0);
end; $$;
comment on function sync.forget_what_says_nothing(bigint[]) is
$$What runs missed with another key or declaration says nothing for those that begin: mostly that is
forgotten with the change. Looked up by key, as what is missing may be much. Locks: missing
records.$$;

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
    where st.id = p_run.stream_id and (parent.status = 'running') is true
  );
end; $$;
comment on function sync.live_parent_of(public.workspace_sync_runs) is
$$Returns: of a run of children or items the live run of their parents in the same job, if there is
one.$$;

revoke all on function
  sync.begin_phase, sync.forget_what_says_nothing, sync.live_parent_of
from public, anon, authenticated, service_role;
