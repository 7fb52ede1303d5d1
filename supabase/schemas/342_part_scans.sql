-- Part scans: the list below one parent is queued, read on, scanned again, and ends with a finding
-- of its own.
-- Stands on: templates, list_scans, kind_counted, kind_agreed.

create function sync.queue_below(p_run public.workspace_sync_runs, p_kind text, p_scans int[],
  p_pages int[], p_record_ids text[], p_readings jsonb[]) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_ids bigint[];
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, page, record_id,
      reading)
    select p_run.job_id, p_run.id, p_kind, x.scan, x.page, x.record_id, x.reading
    from unnest(p_scans, p_pages, p_record_ids, p_readings)
      with ordinality as x (scan, page, record_id, reading, n)
    order by x.n
    returning id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id)
    select planned.id, p_run.job_id, p_run.id from planned order by planned.id
    returning id
  )
  select array_agg(id order by id) into v_ids from queued;
  update public.workspace_sync_runs set planned_chunks = planned_chunks + cardinality(v_ids),
    pages_planned = pages_planned + case p_kind when 'page' then cardinality(v_ids) else 0 end
  where id = p_run.id and v_ids is not null;
  return coalesce(v_ids, '{}');
end; $$;
comment on function sync.queue_below(public.workspace_sync_runs, text, int[], int[], text[],
  jsonb[]) is
$$Queue pages of lists, or confirmations, as waiting chunks. The caller holds the run's lock and has
checked that it lives. Returns: them.$$;

create function sync.queue_parts(p_run public.workspace_sync_runs, p_room int) returns bigint[]
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_part_ids bigint[];
  v_scans int[];
  v_pages int[];
  v_readings jsonb[];
begin
  -- Lists that were begun go on before others begin.
  select array_agg(due.id order by due.n), array_agg(due.scan order by due.n),
    array_agg(due.page order by due.n),
    array_agg(jsonb_build_object('parent', due.parent) || case when due.step is not null
      then jsonb_build_object('offset', (due.page - 1)::bigint * due.step) else '{}' end
      order by due.n)
  into v_part_ids, v_scans, v_pages, v_readings
  from (
    select x.*, row_number() over (order by x.state <> 'reading', x.id, x.page) as n
    from (
      (select p.id, p.scan, p.parent, p.state, p.step, page from sync.run_parts as p
      cross join lateral generate_series(p.planned_pages + 1,
        least(p.known_pages, p.planned_pages + p_room)) as page
      where p.run_id = p_run.id and p.state = 'reading' and p.planned_pages < p.known_pages
      order by p.id, page limit p_room)
      union all
      (select p.id, p.scan, p.parent, p.state, p.step, 1 from sync.run_parts as p
      where p.run_id = p_run.id and p.state = 'waiting' order by p.id limit p_room)
    ) as x
    order by n limit p_room
  ) as due;
  update sync.run_parts as p set state = 'reading', planned_pages = due.page
  from (
    select id, max(page) as page from unnest(v_part_ids, v_pages) as x (id, page) group by id
  ) as due
  where p.id = due.id;
  return sync.queue_below(p_run, 'page', v_scans, v_pages, array[]::text[], v_readings);
end; $$;
comment on function sync.queue_parts(public.workspace_sync_runs, int) is
$$Queue the next pages of a run's lists, at most so many. The caller holds its lock. Returns: their
chunks.$$;

create function sync.cancel_part(p_part sync.run_parts, p_reason text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  with pending as (
    select q.id from public.chunked_sync_jobs as c
    join public.chunk_processing_queue as q on q.id = c.id
    where c.run_id = p_part.run_id and c.scan = p_part.scan and c.kind = 'page'
      and q.status = 'pending'
    order by q.id for no key update of q skip locked
  ), cancelled as (
    update public.chunk_processing_queue as q
    set status = 'cancelled', slot = null, ready_seq = null, next_retry_at = null, turn = null,
    line_budget_id = null, completed_at = sync.now(), error_message = p_reason
    from pending where q.id = pending.id returning q.id
  ), events as (
    insert into public.chunk_events (chunk_id, run_id, event, details)
    select id, p_part.run_id, 'cancelled', jsonb_build_object('message', p_reason) from cancelled
  )
  update public.workspace_sync_runs as r set chunks_cancelled = r.chunks_cancelled + c.chunks
  from (select count(*) as chunks from cancelled) as c
  where r.id = p_part.run_id and c.chunks > 0;
  update sync.run_parts set known_pages = planned_pages where id = p_part.id;
end; $$;
comment on function sync.cancel_part(sync.run_parts, text) is
$$One page of a list failed: cancel what of it is pending, and plan no more of it. The caller holds
the run's lock. Locks: queue rows by SKIP LOCKED.$$;

create type sync.part_result as (
  total bigint, distinct_ids bigint, finding text, is_final boolean, is_sound boolean, next jsonb,
  pages int
);
comment on type sync.part_result is
'What the pages of a list of children add up to. finding: what speaks against them; is_final: so
that reading them again cannot help; is_sound: they have to be compared with another scan first;
next: the reading of the page after them, where they are not the whole list, pages long.';

create function sync.walk_part(p_part sync.run_parts, p_stream public.sync_streams,
  p_result sync.part_result) returns sync.part_result
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result := p_result;
  v_walk sync.walk := sync.walk_list(p_part.run_id, p_part.scan, p_stream);
begin
  v_result.finding := v_walk.flaw;
  v_result.is_final := v_walk.is_final;
  v_result.pages := v_walk.pages;
  if v_walk.flaw is null and not v_walk.is_ended then
    v_result.next := v_walk.next;
  elsif v_walk.flaw is null and p_result.distinct_ids >= p_stream.result_cap
    and sync.position_of(p_stream) <> 'last' then
    v_result.finding := format('%s were shown, and the API shows no more than result_cap (%s) of a '
      'list', sync.counted(p_result.distinct_ids, 'record'), p_stream.result_cap);
    v_result.is_final := true;
  end if;
  return v_result;
end; $$;
comment on function sync.walk_part(sync.run_parts, public.sync_streams, sync.part_result) is
$$Returns: of a list that is read as a chain whether its pages join up to its end.$$;

create function sync.compare_part(p_part sync.run_parts, p_stream public.sync_streams,
  p_result sync.part_result) returns sync.part_result
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result := sync.walk_part(p_part, p_stream, p_result);
  v_run public.workspace_sync_runs;
  v_repeated text;
begin
  if v_result.finding is not null or v_result.next is not null then
    return v_result;
  end if;
  select * into strict v_run from public.workspace_sync_runs where id = p_part.run_id;
  v_run.scan := p_part.scan;
  v_run.sound_scan := p_part.sound_scan;
  v_repeated := sync.repeated_id(v_run);
  if v_repeated is not null then
    v_result.finding := format('record %s stands on two pages', v_repeated);
  else
    v_result.is_sound := true;
    v_result.finding := case when v_run.sound_scan is null
      then 'one scan only: it takes two that agree' else sync.disagreement(v_run) end;
  end if;
  return v_result;
end; $$;
comment on function sync.compare_part(sync.run_parts, public.sync_streams, sync.part_result) is
$$Returns: of a list that takes two scans whether this one agrees with the one before.$$;

create function sync.sum_up_part(p_part sync.run_parts, p_stream public.sync_streams)
  returns sync.part_result
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result;
begin
  select case p_stream.completeness when 'single' then s.o_distinct_ids else s.o_total end,
    s.o_distinct_ids, s.o_finding, false, false, null::jsonb, null::int
  into v_result from sync.sum_up_scan(p_part.run_id, p_part.scan) as s;
  return case p_stream.completeness when 'chained' then sync.walk_part(p_part, p_stream, v_result)
    when 'agreed' then sync.compare_part(p_part, p_stream, v_result) else v_result end;
end; $$;
comment on function sync.sum_up_part(sync.run_parts, public.sync_streams) is
$$Returns: what the pages of a list of children add up to, by its completeness.$$;

create function sync.repeat_part(p_part sync.run_parts, p_finding text, p_sound_scan int)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_scan int;
begin
  update sync.run_parts set state = 'repeated', finding = p_finding where id = p_part.id;
  update public.workspace_sync_runs set last_part_scan = greatest(scan, last_part_scan) + 1
  where id = p_part.run_id returning last_part_scan into v_scan;
  insert into sync.run_parts (run_id, scan, parent_id, attempt, sound_scan, parent, created_at)
  values (p_part.run_id, v_scan, p_part.parent_id, p_part.attempt + 1, p_sound_scan, p_part.parent,
    p_part.created_at);
end; $$;
comment on function sync.repeat_part(sync.run_parts, text, int) is
$$A list is read again, as a part of its own. The caller holds the run's lock.$$;

create function sync.plan_rest_of_part(p_part sync.run_parts, p_run public.workspace_sync_runs,
  p_page int, p_reading jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.queue_below(p_run, 'page', array[p_part.scan], array[p_page], array[]::text[],
    array[p_reading]);
  update sync.run_parts set known_pages = greatest(known_pages, p_page),
    planned_pages = greatest(planned_pages, p_page)
  where id = p_part.id;
end; $$;
comment on function sync.plan_rest_of_part(sync.run_parts, public.workspace_sync_runs, int,
  jsonb) is
$$Queue the page that comes after the last one of a list that is read as a chain. The caller holds
the run's lock.$$;

create function sync.unstage_parent(p_part sync.run_parts, p_run public.workspace_sync_runs)
  returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.staged_items as s set processed_at = sync.now()
  from (
    select id from sync.staged_items
    where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
      and record_id = p_part.parent_id and processed_at is null and staged_at <= p_part.created_at
    for no key update skip locked
  ) as done
  where s.id = done.id;
end; $$;
comment on function sync.unstage_parent(sync.run_parts, public.workspace_sync_runs) is
$$A list was read: its parent's last change needs no other look. Locks: the staged row by SKIP
LOCKED.$$;

create function sync.leave_unproven(p_part sync.run_parts, p_run public.workspace_sync_runs,
  p_finding text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update sync.run_parts set state = 'unproven', finding = p_finding where id = p_part.id;
  insert into sync.staged_items (workspace_id, stream_id, record_id)
  values (p_run.workspace_id, p_run.stream_id, p_part.parent_id)
  on conflict (workspace_id, stream_id, record_id) where processed_at is null do nothing;
end; $$;
comment on function sync.leave_unproven(sync.run_parts, public.workspace_sync_runs, text) is
$$A list was not read completely, and this run reads it no more: its parent is staged, for the next
run that follows what changed, or a retry. The caller holds the run's lock.$$;

create function sync.end_part(p_part sync.run_parts, p_run public.workspace_sync_runs,
  p_stream public.sync_streams, p_failure text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result := sync.sum_up_part(p_part, p_stream);
begin
  if p_failure is null and v_result.next is not null then
    perform sync.plan_rest_of_part(p_part, p_run, v_result.pages + 1, v_result.next);
    return;
  elsif p_failure is null and v_result.finding is not null and not v_result.is_final
    -- One more than where one scan is enough.
    and p_part.attempt < sync.setting('max_scans') + (p_stream.completeness = 'agreed')::int then
    perform sync.repeat_part(p_part, v_result.finding,
      case when v_result.is_sound then p_part.scan end);
    return;
  end if;
  v_result.finding := coalesce(p_failure, v_result.finding);
  update sync.run_parts set total = v_result.total, distinct_ids = v_result.distinct_ids,
    state = case when v_result.finding is null then 'proven' else state end
  where id = p_part.id;
  update public.workspace_sync_runs set parts_ended = parts_ended + 1 where id = p_run.id;
  if v_result.finding is null then
    perform sync.unstage_parent(p_part, p_run);
  else
    perform sync.leave_unproven(p_part, p_run, v_result.finding);
  end if;
end; $$;
comment on function sync.end_part(sync.run_parts, public.workspace_sync_runs, public.sync_streams,
  text) is
$$A list of which nothing is live is proven, read again, or left unproven. The caller holds the
run's lock.$$;

create function sync.end_parts(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_stream public.sync_streams;
  v_part sync.run_parts;
  v_chunks record;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  for v_part in
    select * from sync.run_parts where run_id = p_run.id and state = 'reading' order by id
  loop
    select count(*) filter (where q.status = 'pending') as pending,
      count(*) filter (where q.status = 'processing') as processing,
      (array_agg(coalesce(q.error_message, 'a page failed') order by q.id)
        filter (where q.status = 'failed'))[1] as failure
    into v_chunks
    from public.chunked_sync_jobs as c
    join public.chunk_processing_queue as q on q.id = c.id
    where c.run_id = p_run.id and c.scan = v_part.scan and c.kind = 'page';
    if v_chunks.failure is not null and v_chunks.pending > 0 then
      perform sync.cancel_part(v_part, v_chunks.failure);
    end if;
    if v_chunks.processing = 0 and (v_chunks.failure is not null
      or (v_chunks.pending = 0 and v_part.planned_pages = v_part.known_pages)) then
      perform sync.end_part(v_part, p_run, v_stream, v_chunks.failure);
    end if;
  end loop;
end; $$;
comment on function sync.end_parts(public.workspace_sync_runs) is
$$End the lists of a run of which nothing is live. The caller holds its lock. Locks: queue rows and
staged rows by SKIP LOCKED.$$;

revoke all on function
  sync.queue_below, sync.queue_parts, sync.cancel_part, sync.walk_part, sync.compare_part,
  sync.sum_up_part, sync.repeat_part, sync.plan_rest_of_part, sync.unstage_parent,
  sync.leave_unproven, sync.end_part, sync.end_parts
from public, anon, authenticated, service_role;
