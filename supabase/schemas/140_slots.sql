-- Slots: waiting chunks are planned, get a slot of their run, or are cancelled.

create function sync.is_paused(p_workspace_id bigint) returns boolean
language sql stable set search_path = pg_catalog, pg_temp as $$
  select w.paused_at is not null or s.paused_at is not null or w.key_status = 'unreadable'
    or sync.is_switched_on('paused')
  from public.sync_workspaces as w join public.sync_sources as s on s.id = w.source_id
  where w.id = p_workspace_id;
$$;
comment on function sync.is_paused(bigint) is
$$Returns: whether pause_sync() holds this workspace, its source or everything, or there is no key
to ask with.$$;

create function sync.refill_slots(p_run_id bigint) returns int
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_sort = off set enable_bitmapscan = off
  set enable_seqscan = off as $$
declare
  v_filled int;
begin
  with run as (
    select id, max_concurrency, is_paused
    from public.workspace_sync_runs
    -- A plain comparison would offer the planner to look through all that is live.
    where id = p_run_id and (status = 'running') is true and ending is null
  ), free as (
    select s.slot, row_number() over (order by s.slot) as turn
    from run, generate_series(1, run.max_concurrency) as s (slot)
    where not exists (select 1 from public.chunk_processing_queue as q
    where q.run_id = p_run_id and q.slot = s.slot)
  ), waiting as (
    select w.id, row_number() over (order by w.id) as turn
    from (
      select id from public.chunk_processing_queue
      where run_id = p_run_id and status = 'pending' and slot is null
      order by id limit (select count(*) from free) for no key update skip locked
    ) as w
  )
  update public.chunk_processing_queue as q set
    slot = free.slot,
    ready_seq = case when run.is_paused then null else nextval('sync.ready_seq') end,
    next_retry_at = case when run.is_paused then 'infinity'::timestamptz end
  from run, waiting join free using (turn)
  where q.id = waiting.id;
  get diagnostics v_filled = row_count;
  return v_filled;
end; $$;
comment on function sync.refill_slots(bigint) is
$$Promote waiting chunks into a run's free slots. The caller holds the run's lock. Returns: how
many. Locks: queue rows, by SKIP LOCKED.$$;

create function sync.cancel_pending(p_run_id bigint, p_reason text, p_beyond_page int default null)
  returns int
-- A job's end calls it once per run, and planning took longer than running.
language plpgsql set search_path = pg_catalog, pg_temp
  set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
  v_waiting int;
  v_slotted int;
begin
  with pending as (
    select q.id, q.slot from public.chunk_processing_queue as q
    -- By the two partial indices of live chunks: neither covers all that is pending.
    where q.id = any (array(
        select w.id from public.chunk_processing_queue as w
        where w.run_id = p_run_id and w.status = 'pending' and w.slot is null
        union all
        select s.id from public.chunk_processing_queue as s
        where s.run_id = p_run_id and s.slot is not null))
      and q.status = 'pending'
      and (p_beyond_page is null or exists (select 1 from public.chunked_sync_jobs as c
      where c.id = q.id and c.page > p_beyond_page))
    for no key update skip locked
  ), cancelled as (
    update public.chunk_processing_queue as q
    set status = 'cancelled', slot = null, ready_seq = null, next_retry_at = null, turn = null,
    line_budget_id = null,
    completed_at = sync.now(), error_message = p_reason
    from pending where q.id = pending.id returning q.id, pending.slot
  ), events as (
    insert into public.chunk_events (chunk_id, run_id, event, details)
    select id, p_run_id, 'cancelled', jsonb_build_object('message', p_reason) from cancelled
  )
  select count(*) filter (where slot is null), count(*) filter (where slot is not null)
  into v_waiting, v_slotted from cancelled;
  update public.workspace_sync_runs set chunks_cancelled = chunks_cancelled + v_waiting + v_slotted
  where id = p_run_id and v_waiting + v_slotted > 0;
  return v_waiting + v_slotted;
end; $$;
comment on function sync.cancel_pending(bigint, text, int) is
$$Cancel what of an ending run is pending, or only its pages beyond one; what another transaction
holds comes back in its own call or in the next sweep. The caller holds the run's lock. Returns: how
many. Locks: queue rows, by SKIP LOCKED.$$;

create function sync.plan_chunks(p_run_id bigint, p_kind text, p_pages int[], p_record_ids text[])
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, record_id,
      reading)
    select r.job_id, r.id, p_kind, r.scan, what.page, what.record_id, case p_kind
      when 'page' then nullif((r.reading - 'step') || case when r.reading ? 'step'
        then jsonb_build_object('offset', (what.page - 1) * (r.reading ->> 'step')::bigint)
        else '{}'::jsonb end, '{}') end
    from public.workspace_sync_runs as r
    cross join unnest(coalesce(p_pages, array_fill(null::int, array[cardinality(p_record_ids)])),
      p_record_ids) as what (page, record_id)
    where r.id = p_run_id
    order by what.page, what.record_id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned order by id
    returning id
  )
  update public.workspace_sync_runs as r set planned_chunks = planned_chunks + q.chunks,
    pages_planned = pages_planned + case p_kind when 'page' then q.chunks else 0 end
  from (select count(*) as chunks from queued) as q where r.id = p_run_id;
end; $$;
comment on function sync.plan_chunks(bigint, text, int[], text[]) is
$$Queue pages, or confirmations, of the run's current scan as waiting chunks. The caller holds the
run's lock and has checked that it lives.$$;

create function sync.plan_page(p_run_id bigint, p_page int, p_reading jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, reading)
    select r.job_id, r.id, 'page', r.scan, p_page, nullif(p_reading, '{}')
    from public.workspace_sync_runs as r where r.id = p_run_id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select id, parent_sync_job_id, run_id from planned
  )
  update public.workspace_sync_runs set planned_chunks = planned_chunks + 1,
    pages_planned = pages_planned + 1, known_pages = greatest(known_pages, p_page),
    planned_pages = greatest(planned_pages, p_page)
  where id = p_run_id;
end; $$;
comment on function sync.plan_page(bigint, int, jsonb) is
$$Queue one page of the run's current scan, with the values that its request takes. The caller holds
the run's lock and has checked that it lives.$$;

create function sync.pages_ahead(p_slots int) returns int
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return greatest(16, 4 * p_slots);
end; $$;
comment on function sync.pages_ahead(int) is
$$Returns: how many pages of a run with so many slots wait at most. They are planned anew when half
of them are used up.$$;

create function sync.plan_window(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_run public.workspace_sync_runs;
  v_ahead int;
  v_waiting int;
  v_last_page int;
begin
  select * into v_run from public.workspace_sync_runs
  where id = p_run_id and (status = 'running') is true and ending is null and phase = 'scan'
    and planned_pages < known_pages;
  if v_run.id is null then
    return;
  end if;
  v_ahead := sync.pages_ahead(v_run.max_concurrency);
  -- What waits stands among the last pages planned. By key: in the index of what waits, a long
  -- snapshot keeps an entry of every page that waited once.
  select count(*) into v_waiting from public.chunked_sync_jobs as c
  cross join lateral (
    select q.id from public.chunk_processing_queue as q
    where q.id = c.id and q.status = 'pending' and q.slot is null offset 0
  ) as waiting
  where c.run_id = p_run_id and c.scan = v_run.scan and c.kind = 'page'
    and c.page > v_run.planned_pages - v_ahead;
  if v_waiting > v_ahead / 2 then
    return;
  end if;
  v_last_page := least(v_run.known_pages, v_run.planned_pages + v_ahead - v_waiting);
  perform sync.plan_chunks(p_run_id, 'page',
    array(select generate_series(v_run.planned_pages + 1, v_last_page)), null);
  update public.workspace_sync_runs set planned_pages = v_last_page where id = p_run_id;
end; $$;
comment on function sync.plan_window(bigint) is
$$Queue the next known pages of a run's scan, once half of those that waited are used up: a list of
100,000 pages that ends with a refusal costs a window, and each transaction plans at most that. The
caller holds the run's lock, and fills its slots.$$;

create function sync.reveal_pages(p_run_id bigint, p_last_page int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update public.workspace_sync_runs
  set known_pages = greatest(known_pages, p_last_page),
  progress_total = coalesce(progress_total, p_last_page)
  where id = p_run_id and ending is null;
end; $$;
comment on function sync.reveal_pages(bigint, int) is
$$Know of the pages up to the last one that an answer named; plan_window() queues them. The caller
holds the run's lock. Nothing happens while the run is ending.$$;

revoke all on function
  sync.is_paused, sync.refill_slots, sync.cancel_pending, sync.plan_chunks, sync.plan_page,
  sync.pages_ahead,
  sync.plan_window, sync.reveal_pages
from public, anon, authenticated, service_role;
