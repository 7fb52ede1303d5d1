-- Children: below each record of the parent's stream a list, read once the parent's run has closed.
-- Each list is a part of the run, planned in a window and proven by itself.
-- Stands on: streams, templates, targets, slots, answers, record_parents, missing, close,
--   deletions, lists, kind_counted, kind_agreed, kind_items.

create function sync.parent_of(p_stream public.sync_streams) returns public.sync_streams
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select s from public.sync_streams as s
    where s.source_id = p_stream.source_id and s.stream_name = p_stream.parent_stream);
end; $$;
comment on function sync.parent_of(public.sync_streams) is
$$Returns: the stream of a stream's parents.$$;

create type sync.live_row as (record_id text, raw jsonb);
comment on type sync.live_row is 'A row of a target table that is not deleted.';

create function sync.live_rows(p_stream_id bigint, p_workspace_id bigint, p_ids text[],
  p_after text default null, p_limit int default null) returns setof sync.live_row
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_target regclass := (
    select to_regclass(target_table) from public.sync_streams where id = p_stream_id);
  v_is_keyed boolean := sync.is_keyed_by_parent(v_target);
  v_sql text := 'select %3$s, t.raw from %1$s as t where %2$s and t.deleted_at is null';
begin
  -- By the key in its own type, so that each is looked up.
  v_sql := v_sql || case when v_is_keyed then '
    and ($3 is null or (t.parent_id, t.id::text) in (select p.o_parent_id, p.o_own_id
      from unnest($3) as x (id) cross join lateral sync.scoped_parts(x.id) as p))
    and ($4 is null or (t.parent_id, t.id) > (select p.o_parent_id, p.o_own_id::<type>
      from sync.scoped_parts($4) as p))
    order by t.parent_id, t.id limit $5'
    else '
    and ($3 is null or t.id = any ($3::<type>[])) and ($4 is null or t.id > $4::<type>)
    order by t.id limit $5' end;
  return query execute sync.target_sql(replace(v_sql, '<type>', (
    select format_type(atttypid, atttypmod) from pg_catalog.pg_attribute
    where attrelid = v_target and attname = 'id')), p_stream_id)
  using p_workspace_id, p_stream_id, p_ids, p_after, p_limit;
end; $$;
comment on function sync.live_rows(bigint, bigint, text[], text, int) is
$$Returns: live rows of a stream and workspace: those with some ids, or those behind one in the
order of the table's key, at most so many.$$;

create function sync.picked(p_record jsonb, p_paths text[]) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
declare
  v_picked jsonb := '{}'::jsonb;
  v_name text;
  v_path text[];
begin
  foreach v_name in array p_paths loop
    v_path := string_to_array(v_name, '.');
    for v_depth in 1 .. cardinality(v_path) - 1 loop
      v_picked := jsonb_set(v_picked, v_path[:v_depth],
        coalesce(v_picked #> v_path[:v_depth], '{}'));
    end loop;
    if p_record #> v_path is not null then
      v_picked := jsonb_set(v_picked, v_path, p_record #> v_path);
    end if;
  end loop;
  return v_picked;
end; $$;
comment on function sync.picked(jsonb, text[]) is
$$Returns: what stands in a record at some paths, written as a.b, in the same places.$$;

create function sync.parent_values(p_parent public.sync_streams, p_workspace_id bigint,
  p_rows sync.live_row[], p_paths text[]) returns jsonb[]
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_above public.sync_streams;
  v_deeper text[] := array(
    select substr(x.path, 8) from unnest(p_paths) as x (path)
    where x.path like 'parent.%' and p_parent.parent_stream is not null);
  v_ids text[];
  v_rows sync.live_row[];
  v_values jsonb := '{}'::jsonb;
begin
  if cardinality(v_deeper) > 0 then
    v_above := sync.parent_of(p_parent);
    v_ids := array(
      select (
        select min(b.parent_id) from sync.record_parents as b
        where b.workspace_id = p_workspace_id and b.stream_id = p_parent.id
          and b.record_id = x.record_id and b.parent_id <> '')
      from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
    v_rows := array(
      select l from sync.live_rows(v_above.id, p_workspace_id,
        array(select distinct id from unnest(v_ids) as id where id is not null)) as l);
    select coalesce(jsonb_object_agg(v_rows[above.n].record_id, above.value), '{}') into v_values
    from unnest(sync.parent_values(v_above, p_workspace_id, v_rows, v_deeper))
      with ordinality as above (value, n);
  end if;
  return array(
    select sync.picked(x.raw, array(
        select path from unnest(p_paths) as path
        where path not like 'parent.%' or p_parent.parent_stream is null))
      || case when v_values ? v_ids[x.n::int]
        then jsonb_build_object('parent', v_values -> v_ids[x.n::int]) else '{}' end
    from unnest(p_rows) with ordinality as x (record_id, raw, n) order by x.n);
end; $$;
comment on function sync.parent_values(public.sync_streams, bigint, sync.live_row[], text[]) is
$$Returns: for each row of a parent's stream what templates take of it, and, under parent, of the
record above it.$$;

create function sync.parent_paths(p_stream public.sync_streams) returns text[]
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select distinct array_to_string(t.path, '.')
    from sync.templates_in(concat_ws(' ', p_stream.path, p_stream.item_path, p_stream.params,
      p_stream.headers, p_stream.body)) as t where t.name = 'parent');
end; $$;
comment on function sync.parent_paths(public.sync_streams) is
$$Returns: what of its parent a stream's requests need, as a.b.$$;

create function sync.takes_all_parents(p_run public.workspace_sync_runs,
  p_stream public.sync_streams) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
begin
  return p_stream.fan_out = 'all' or coalesce((
    select s.marks -> 'of' <> sync.feed_identity(w, p_stream)
      or (s.marks ->> 'all_parents_at')::timestamptz
        < sync.now() - make_interval(days => p_stream.full_scan_days)
    from public.sync_workspace_streams as s
    join public.sync_workspaces as w on w.id = s.workspace_id
    where s.workspace_id = p_run.workspace_id and s.stream_id = p_stream.id), true);
end; $$;
comment on function sync.takes_all_parents(public.workspace_sync_runs, public.sync_streams) is
$$Returns: whether a run reads the children of all parents that live. Of those that follow what
changed the first run of an address, owner and declaration does, and one every full_scan_days.$$;

create function sync.add_parts(p_run_id bigint, p_limit int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_rows sync.live_row[];
  v_staged_ids bigint[];
  v_record_ids text[];
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  if v_run.mark is null then
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, null, v_run.parts_mark, p_limit)
        as l);
    v_record_ids := array(select x.record_id from unnest(v_rows) as x);
  else
    select o_ids, o_record_ids into v_staged_ids, v_record_ids
    from sync.next_staged(v_run, p_limit);
    v_record_ids := coalesce(v_record_ids, '{}');
    v_rows := array(
      select l from sync.live_rows(v_parent.id, v_run.workspace_id, v_record_ids) as l);
    -- What is deleted has no list; its children go with it.
    update sync.staged_items as s set processed_at = sync.now()
    where s.id = any (v_staged_ids) and s.processed_at is null
      and s.record_id <> all (array(select x.record_id from unnest(v_rows) as x));
  end if;
  insert into sync.run_parts (run_id, scan, parent_id, parent)
  select v_run.id, greatest(v_run.scan, v_run.last_part_scan) + x.n, v_rows[x.n].record_id, x.value
  from unnest(sync.parent_values(v_parent, v_run.workspace_id, v_rows,
    sync.parent_paths(v_stream))) with ordinality as x (value, n)
  order by x.n
  on conflict (run_id, parent_id, attempt) do nothing;
  update public.workspace_sync_runs set
    last_part_scan = greatest(scan, last_part_scan) + cardinality(v_rows),
    has_more_parts = cardinality(v_record_ids) = p_limit,
    parts_mark = coalesce(v_record_ids[cardinality(v_record_ids)], parts_mark),
    mark = coalesce(v_staged_ids[cardinality(v_staged_ids)], mark)
  where id = v_run.id;
end; $$;
comment on function sync.add_parts(bigint, int) is
$$The next lists of a run: of parents that live, in the order of their table, or of those that
changed, staged first first. The caller holds the run's lock. Locks: staged rows of parents that are
deleted.$$;

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

create function sync.add_up_part(p_part sync.run_parts, p_stream public.sync_streams)
  returns sync.part_result
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result;
begin
  select case p_stream.completeness when 'single' then s.o_distinct_ids else s.o_total end,
    s.o_distinct_ids, s.o_finding, false, false, null::jsonb, null::int
  into v_result from sync.add_up_scan(p_part.run_id, p_part.scan) as s;
  return case p_stream.completeness when 'chained' then sync.walk_part(p_part, p_stream, v_result)
    when 'agreed' then sync.compare_part(p_part, p_stream, v_result) else v_result end;
end; $$;
comment on function sync.add_up_part(sync.run_parts, public.sync_streams) is
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

create function sync.read_part_on(p_part sync.run_parts, p_run public.workspace_sync_runs,
  p_page int, p_reading jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.queue_below(p_run, 'page', array[p_part.scan], array[p_page], array[]::text[],
    array[p_reading]);
  update sync.run_parts set known_pages = greatest(known_pages, p_page),
    planned_pages = greatest(planned_pages, p_page)
  where id = p_part.id;
end; $$;
comment on function sync.read_part_on(sync.run_parts, public.workspace_sync_runs, int, jsonb) is
$$Queue the page that comes after the last one of a list that is read as a chain. The caller holds
the run's lock.$$;

create function sync.note_processed(p_part sync.run_parts, p_run public.workspace_sync_runs)
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
comment on function sync.note_processed(sync.run_parts, public.workspace_sync_runs) is
$$A list was read: its parent's last change needs no other look. Locks: the staged row by SKIP
LOCKED.$$;

create function sync.end_part(p_part sync.run_parts, p_run public.workspace_sync_runs,
  p_stream public.sync_streams, p_failure text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_result sync.part_result := sync.add_up_part(p_part, p_stream);
begin
  if p_failure is null and v_result.next is not null then
    perform sync.read_part_on(p_part, p_run, v_result.pages + 1, v_result.next);
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
    finding = v_result.finding,
    state = case when v_result.finding is null then 'proven' else 'unproven' end
  where id = p_part.id;
  update public.workspace_sync_runs set parts_ended = parts_ended + 1 where id = p_run.id;
  if v_result.finding is null then
    perform sync.note_processed(p_part, p_run);
  elsif p_stream.fan_out = 'changed' then
    insert into sync.staged_items (workspace_id, stream_id, record_id)
    values (p_run.workspace_id, p_run.stream_id, p_part.parent_id)
    on conflict (workspace_id, stream_id, record_id) where processed_at is null do nothing;
  end if;
end; $$;
comment on function sync.end_part(sync.run_parts, public.workspace_sync_runs, public.sync_streams,
  text) is
$$A list of which nothing is live is proven, read again, or left unproven: then the next run that
follows what changed takes it up. The caller holds the run's lock.$$;

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

create function sync.plan_parts(p_run_id bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_ahead int;
  v_waiting bigint[];
  v_is_rest boolean;
begin
  select * into v_run from public.workspace_sync_runs
  where id = p_run_id and status = 'running' and ending is null and phase = 'parts';
  if v_run.id is null then
    return;
  end if;
  perform sync.end_parts(v_run);
  v_ahead := sync.pages_ahead(v_run.max_concurrency);
  -- What waits was planned last: the bound skips index entries of what waited before.
  v_waiting := array(
    select id from public.chunk_processing_queue
    where (run_id, id) >= (p_run_id, coalesce(v_run.window_turn, 0)) and run_id = p_run_id
      and status = 'pending' and slot is null order by id);
  if cardinality(v_waiting) > v_ahead / 2 then
    return;
  end if;
  if v_run.has_more_parts and (
    select count(*) from sync.run_parts where run_id = p_run_id and state = 'waiting') < v_ahead
  then
    perform sync.add_parts(p_run_id, 1000);
  end if;
  v_waiting := v_waiting || sync.queue_parts(v_run, v_ahead - cardinality(v_waiting));
  select not (r.has_more_parts or exists (
    select 1 from sync.run_parts as p where p.run_id = r.id and (p.state = 'waiting'
      or (p.state = 'reading' and p.planned_pages < p.known_pages))))
  into v_is_rest from public.workspace_sync_runs as r where r.id = p_run_id;
  update public.workspace_sync_runs set window_turn = case when not v_is_rest then coalesce(
    v_waiting[greatest(1, cardinality(v_waiting) - v_run.max_concurrency - v_ahead / 2)], 0) end
  where id = p_run_id;
end; $$;
comment on function sync.plan_parts(bigint) is
$$End lists that were read, and queue the next pages of others, once half of those that waited are
used up: 100,000 parents do not make 100,000 chunks at once. The caller holds the run's lock, and
fills its slots.$$;

create function sync.plan_children(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
  v_part sync.run_parts;
  v_run public.workspace_sync_runs;
begin
  for v_page in
    select p.* from unnest(p_pages) as p
    join public.sync_streams as st on st.id = p.stream_id
      and st.completeness in ('chained', 'agreed')
    where p.kind = 'page' and p.ends is false and p.next is not null order by p.turn
  loop
    select * into v_part from sync.run_parts
    where id = v_page.part_id and state = 'reading' and known_pages = v_page.page;
    if found then
      select * into strict v_run from public.workspace_sync_runs where id = v_page.run_id;
      perform sync.read_part_on(v_part, v_run,
        v_page.page + case when v_page.is_past_pages then 0 else 1 end, v_page.next)
      where v_run.ending is null;
    end if;
  end loop;
  update sync.run_parts as p set known_pages = greatest(p.known_pages, said.last_page),
    step = coalesce(p.step, said.step)
  from (
    select x.part_id, max(x.last_page) as last_page, max(x.records) filter (
      where x.page = 1 and x.records between 1 and st.page_size - 1
        and sync.position_of(st) = 'offset') as step
    from unnest(p_pages) as x
    join public.sync_streams as st on st.id = x.stream_id
      and st.completeness not in ('chained', 'agreed')
    where x.reveals_pages group by x.part_id
  ) as said
  where p.id = said.part_id and p.state = 'reading';
end; $$;
comment on function sync.plan_children(sync.page_in_hand[]) is
$$Know of the pages up to the last one that completed pages of lists name, or queue what comes after
them. The caller holds the runs' locks.$$;

create function sync.begin_children(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_takes_all boolean;
  v_parents bigint;
begin
  for v_run in
    select * from public.workspace_sync_runs where id = any (p_run_ids)
    order by id for no key update
  loop
    select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
    v_takes_all := sync.takes_all_parents(v_run, v_stream);
    if v_takes_all then
      execute sync.target_sql('select count(*) from %1$s as t where %2$s and t.deleted_at is null',
        (sync.parent_of(v_stream)).id)
      into v_parents using v_run.workspace_id, (sync.parent_of(v_stream)).id;
    else
      select count(*) into v_parents from sync.staged_items
      where workspace_id = v_run.workspace_id and stream_id = v_run.stream_id
        and processed_at is null;
    end if;
    delete from sync.run_parts where run_id = v_run.id;
    update public.workspace_sync_runs set phase = 'parts', parts_total = v_parents, parts_ended = 0,
      parts_mark = null, has_more_parts = true, window_turn = 0,
      mark = case when not v_takes_all then 0 end, known_pages = 0, planned_pages = 0,
      progress_total = greatest(1, v_parents)
    where id = v_run.id returning * into v_run;
    perform sync.advance_children(v_run);
  end loop;
end; $$;
comment on function sync.begin_children(bigint[]) is
$$The first lists of runs, or their end where no parent has any. Locks: the runs by id.$$;

create function sync.miss_below(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_parent public.sync_streams := sync.parent_of((
    select s from public.sync_streams as s where s.id = p_run.stream_id));
  v_gone text[];
begin
  with shown as materialized (
    select s.scan, x.id from sync.seen_pages as s cross join unnest(s.record_ids) as x (id)
    where s.run_id = p_run.id
  )
  update sync.record_parents as m
  set missed_scans = m.missed_scans + 1, missed_by_run_id = p_run.id
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven'
    and m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and m.parent_id = p.parent_id and m.missed_by_run_id is distinct from p_run.id
    and not exists (select 1 from shown where shown.scan = p.scan and shown.id = m.record_id);
  execute sync.target_sql('select array(
    select %3$s from %1$s as t where %2$s and t.deleted_at is not null
    intersect
    select b.parent_id from sync.record_parents as b
    where b.workspace_id = $1 and b.stream_id = $3)', v_parent.id)
  into v_gone using p_run.workspace_id, v_parent.id, p_run.stream_id;
  update sync.record_parents set missed_scans = greatest(missed_scans, 2),
    missed_by_run_id = p_run.id
  where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id
    and parent_id = any (v_gone);
end; $$;
comment on function sync.miss_below(public.workspace_sync_runs) is
$$What lists that were proven did not show, they have missed; that a parent is gone was proven
twice, so its list has missed all it had. The caller holds the run's lock.$$;

create function sync.note_emptied(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  delete from sync.emptied_lists as e using sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids > 0
    and e.workspace_id = p_run.workspace_id and e.stream_id = p_run.stream_id
    and e.parent_id = p.parent_id;
  insert into sync.emptied_lists (workspace_id, stream_id, parent_id, emptied_at)
  select p_run.workspace_id, p_run.stream_id, p.parent_id, sync.now()
  from sync.run_parts as p
  where p.run_id = p_run.id and p.state = 'proven' and p.distinct_ids = 0 and exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.parent_id = p.parent_id)
  on conflict (workspace_id, stream_id, parent_id) do nothing;
end; $$;
comment on function sync.note_emptied(public.workspace_sync_runs) is
$$Remember since when lists of children that had some have been empty. The caller holds the run's
lock.$$;

create function sync.note_missing_below(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_ids text[];
  v_scans int[];
  v_are_held boolean[];
begin
  -- What no list is known to show counts as missed by a run that proved every list, one at the
  -- least: without parents nothing was looked at.
  if p_run.mark is null and exists (
    select 1 from sync.run_parts where run_id = p_run.id and state = 'proven')
    and not exists (
      select 1 from sync.run_parts where run_id = p_run.id and state = 'unproven') then
    execute sync.target_sql('with unlisted as (
        select %3$s as id from %1$s as t where %2$s and t.deleted_at is null
        except
        select b.record_id from sync.record_parents as b
        where b.workspace_id = $1 and b.stream_id = $2 and b.parent_id <> ''''
      )
      insert into sync.record_parents as m
        (workspace_id, stream_id, parent_id, record_id, missed_scans, missed_by_run_id)
      select $1, $2, '''', id, 1, $3 from unlisted order by id
      on conflict (workspace_id, stream_id, parent_id, record_id) do update
      set missed_scans = m.missed_scans + 1, missed_by_run_id = $3
      where m.missed_by_run_id is distinct from $3', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, p_run.id;
  end if;
  execute sync.target_sql('
    select array_agg(x.record_id order by x.record_id), array_agg(x.scans order by x.record_id),
      array_agg(x.is_held order by x.record_id)
    from (
      select b.record_id, min(b.missed_scans) as scans,
        coalesce(bool_or(e.emptied_at > $3::timestamptz), false) as is_held
      from sync.record_parents as b
      left join sync.emptied_lists as e on e.workspace_id = b.workspace_id
        and e.stream_id = b.stream_id and e.parent_id = b.parent_id
      where b.workspace_id = $1 and b.stream_id = $2 and b.record_id in (
        select m.record_id from sync.record_parents as m
        where m.workspace_id = $1 and m.stream_id = $2 and m.missed_scans > 0)
      group by b.record_id having min(b.missed_scans) > 0
    ) as x
    where x.record_id in (select %3$s from %1$s as t where %2$s and t.deleted_at is null)',
    p_run.stream_id)
  into v_ids, v_scans, v_are_held using p_run.workspace_id, p_run.stream_id,
    case when sync.setting('empty_list_minutes') > 0 then p_run.started_at
      - sync.setting('empty_list_minutes') * interval '1 minute' else 'infinity' end;
  delete from sync.missing_records as m
  where m.workspace_id = p_run.workspace_id and m.stream_id = p_run.stream_id
    and not exists (select 1 from unnest(v_ids) as missed (id) where missed.id = m.record_id);
  insert into sync.missing_records as m (workspace_id, stream_id, record_id, missed_by_run_id,
    missed_scans, is_confirmed, held_by_run_id, last_seen_at)
  select p_run.workspace_id, p_run.stream_id, x.id, p_run.id, x.scans, x.scans > 1 and not x.is_held,
    case when x.is_held then p_run.id end, (
      select last_complete_sync_at from public.sync_workspace_streams
      where workspace_id = p_run.workspace_id and stream_id = p_run.stream_id)
  from unnest(v_ids, v_scans, v_are_held) as x (id, scans, is_held)
  where exists (
    select 1 from sync.record_parents as b
    where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
      and b.record_id = x.id and b.missed_by_run_id = p_run.id)
  order by x.id
  on conflict (workspace_id, stream_id, record_id) do update set
    missed_by_run_id = excluded.missed_by_run_id, missed_scans = excluded.missed_scans,
    is_confirmed = m.answers = 0 and excluded.is_confirmed, held_by_run_id = excluded.held_by_run_id;
  perform sync.recount_held(p_run.workspace_id, p_run.stream_id);
  update public.workspace_sync_runs set deletions_waiting = (
    select count(*) from sync.missing_records where held_by_run_id = p_run.id)
  where id = p_run.id;
end; $$;
comment on function sync.note_missing_below(public.workspace_sync_runs) is
$$Which live children no list shows that has shown them: confirmed where each of these has missed
them twice. Those of a list that only became empty are held back. The caller holds the run's lock.$$;

create function sync.revive_shown_below(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_nestloop = off set enable_hashjoin = on as $$
declare
  v_ids text[];
begin
  execute sync.target_sql('select array(
    select %3$s from %1$s as t
    where %2$s and (t.deleted_at is not null or t.unlisted_at is not null)
    intersect
    select unnest(s.record_ids) from sync.run_parts as p
    join sync.seen_pages as s on s.run_id = p.run_id and s.scan = p.scan
    where p.run_id = $3 and p.state = ''proven'')', p_run.stream_id)
  into v_ids using p_run.workspace_id, p_run.stream_id, p_run.id;
  if cardinality(v_ids) > 0 then
    execute sync.target_sql('update %1$s as t set deleted_at = null, unlisted_at = null
      where %2$s and %3$s in (select unnest($3))', p_run.stream_id)
    using p_run.workspace_id, p_run.stream_id, v_ids;
  end if;
end; $$;
comment on function sync.revive_shown_below(public.workspace_sync_runs) is
$$What a proven list showed lives and is listed. The caller holds the run's lock. Locks: target
rows.$$;

create function sync.ask_below(p_run public.workspace_sync_runs, p_ids text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  v_parent public.sync_streams;
  v_parent_ids text[];
  v_rows sync.live_row[];
  v_values jsonb;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  v_parent := sync.parent_of(v_stream);
  v_parent_ids := array(
    select coalesce((
      select min(b.parent_id) from sync.record_parents as b
      where b.workspace_id = p_run.workspace_id and b.stream_id = p_run.stream_id
        and b.record_id = x.id and b.parent_id <> ''), '')
    from unnest(p_ids) with ordinality as x (id, n) order by x.n);
  v_rows := array(
    select l from sync.live_rows(v_parent.id, p_run.workspace_id,
      array(select distinct id from unnest(v_parent_ids) as id where id <> '')) as l);
  select coalesce(jsonb_object_agg(v_rows[x.n].record_id, x.value), '{}') into v_values
  from unnest(sync.parent_values(v_parent, p_run.workspace_id, v_rows, sync.parent_paths(v_stream)))
    with ordinality as x (value, n);
  perform sync.queue_below(p_run, 'confirmation', array_fill(p_run.scan, array[cardinality(p_ids)]),
    array[]::int[], p_ids, array(
      select jsonb_strip_nulls(jsonb_build_object('parent_id', v_parent_ids[x.n],
        'parent', v_values -> v_parent_ids[x.n], 'id', case v_stream.id_scope
          when 'parent' then to_jsonb((sync.scoped_parts(x.id)).o_own_id) end))
      from unnest(p_ids) with ordinality as x (id, n) order by x.n));
end; $$;
comment on function sync.ask_below(public.workspace_sync_runs, text[]) is
$$Queue a request for each of some children, with what its templates need of its parent. The caller
holds the run's lock.$$;

create function sync.reject_below(p_run public.workspace_sync_runs, p_finding text)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
  set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  v_part sync.run_parts;
  v_parent_ids text[] := array(
    select distinct b.parent_id from public.chunked_sync_jobs as c
    join sync.missing_records as m on m.workspace_id = p_run.workspace_id
      and m.stream_id = p_run.stream_id and m.record_id = c.record_id and m.answers = 1
    join sync.record_parents as b on b.workspace_id = m.workspace_id
      and b.stream_id = m.stream_id and b.record_id = m.record_id
      and b.missed_by_run_id = p_run.id
    where c.run_id = p_run.id and c.scan = p_run.scan and c.kind = 'confirmation');
  v_is_any_repeated boolean := false;
begin
  for v_part in
    select * from sync.run_parts
    where run_id = p_run.id and state = 'proven' and parent_id = any (v_parent_ids) order by id
  loop
    if v_part.attempt < sync.setting('max_scans') then
      perform sync.repeat_part(v_part, p_finding, null);
      update public.workspace_sync_runs set parts_ended = parts_ended - 1 where id = p_run.id;
      v_is_any_repeated := true;
    else
      update sync.run_parts set state = 'unproven', finding = p_finding where id = v_part.id;
    end if;
  end loop;
  perform sync.forget_missed_below(p_run.workspace_id, p_run.stream_id, p_run.id, v_parent_ids);
  perform sync.forget_shown_below(p_run);
  if v_is_any_repeated then
    update public.workspace_sync_runs
    set scan = greatest(scan, last_part_scan) + 1, phase = 'parts', window_turn = 0,
      begun_again = begun_again + greatest(scan, last_part_scan) - scan
    where id = p_run.id;
  end if;
  return v_is_any_repeated;
end; $$;
comment on function sync.reject_below(public.workspace_sync_runs, text) is
$$Children that their lists missed answered for themselves: what these lists missed is forgotten,
and they are read again. The caller holds the run's lock. Returns: whether any is.$$;

create function sync.close_children(p_run_id bigint, p_warning text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_parts record;
  v_finding text;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_run_id;
  select * into strict v_stream from public.sync_streams where id = v_run.stream_id;
  select count(*) filter (where state in ('proven', 'unproven')) as lists,
    count(*) filter (where state = 'unproven') as unproven,
    sum(total) filter (where state = 'proven') as total,
    array_agg(parent_id order by id) filter (where state = 'unproven') as parent_ids,
    (array_agg(finding order by id) filter (where state = 'unproven'))[1] as finding
  into v_parts from sync.run_parts where run_id = p_run_id;
  update public.workspace_sync_runs set parts_total = v_parts.lists, parts_ended = v_parts.lists,
    progress_total = greatest(1, v_parts.lists), expected_total = v_parts.total, distinct_ids = (
      select count(distinct shown.id) from sync.run_parts as p
      join sync.seen_pages as s on s.run_id = p.run_id and s.scan = p.scan
      cross join unnest(s.record_ids) as shown (id)
      where p.run_id = p_run_id and p.state in ('proven', 'unproven')),
    warnings = warnings || case
      when p_warning is not null then array[p_warning]
      when deletions_waiting > 0 then array[format('%s of lists that became empty would be deleted: '
        'waiting for approve_deletions(%s), or a later run that finds them so too',
        sync.counted(deletions_waiting, 'row'), p_run_id)]
      else '{}' end
  where id = p_run_id;
  v_finding := case
    when v_parts.unproven > 0 then format('%s of %s not read completely, below %s; the first: %s',
      v_parts.unproven, sync.counted(v_parts.lists, 'list was', 'lists were'),
      sync.some_of(v_parts.parent_ids), v_parts.finding)
    when v_parts.lists = 0 and v_run.mark is null and not exists (
      select 1 from public.sync_workspace_streams as s
      where s.workspace_id = v_run.workspace_id and s.stream_id = (sync.parent_of(v_stream)).id
        and s.last_complete_sync_at is not null)
    then format('there are no parents: %s was never synced completely', v_stream.parent_stream) end;
  if v_run.mark is null then
    insert into public.sync_workspace_streams as s (workspace_id, stream_id, marks)
    select v_run.workspace_id, v_run.stream_id, jsonb_build_object('of',
      sync.feed_identity(w, v_stream), 'all_parents_at', v_run.started_at)
    from public.sync_workspaces as w where w.id = v_run.workspace_id
      and v_stream.fan_out = 'changed' and v_parts.lists > 0
    on conflict (workspace_id, stream_id) do update set marks = s.marks || excluded.marks;
  end if;
  delete from sync.record_parents as b
  where b.workspace_id = v_run.workspace_id and b.stream_id = v_run.stream_id
    and b.missed_scans > 1 and not exists (
      select 1 from sync.missing_records as m
      where m.workspace_id = b.workspace_id and m.stream_id = b.stream_id
        and m.record_id = b.record_id);
  perform sync.close_run(p_run_id, case when v_finding is null then 'completed' else 'partial' end,
    v_finding);
end; $$;
comment on function sync.close_children(bigint, text) is
$$Close a run of children: completed if each of its lists is proven, else partial, with the numbers;
those that are count all the same. The caller holds its lock.$$;

create function sync.advance_children(p_run public.workspace_sync_runs) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_finding text;
  v_asked record;
  v_run public.workspace_sync_runs := p_run;
begin
  if p_run.phase = 'confirm' then
    v_finding := sync.confirmation_finding(p_run);
    if v_finding is null or not sync.reject_below(p_run, v_finding) then
      perform sync.close_children(p_run.id, sync.delete_confirmed(p_run.id));
      return;
    end if;
  end if;
  loop
    perform sync.plan_parts(p_run.id);
    if sync.fill_slots(p_run.id) > 0 then
      return;
    end if;
    select * into strict v_run from public.workspace_sync_runs where id = p_run.id;
    exit when v_run.window_turn is null;
  end loop;
  perform sync.miss_below(v_run);
  perform sync.note_emptied(v_run);
  perform sync.note_missing_below(v_run);
  perform sync.revive_shown_below(v_run);
  perform sync.note_gone(v_run, sync.gone_ids(v_run));
  v_asked := sync.ask_missing(v_run);
  if v_asked.o_ids is null then
    perform sync.close_children(v_run.id, v_asked.o_warning);
  else
    update public.workspace_sync_runs set phase = 'confirm' where id = v_run.id;
    perform sync.ask_below(v_run, v_asked.o_ids);
    perform sync.fill_slots(v_run.id);
  end if;
end; $$;
comment on function sync.advance_children(public.workspace_sync_runs) is
$$The next step of a run of children of which nothing is live: more lists, what they missed, or its
end. The caller holds its lock.$$;

revoke all on function
  sync.parent_of, sync.live_rows, sync.picked, sync.parent_values, sync.parent_paths,
  sync.takes_all_parents, sync.add_parts, sync.queue_below, sync.queue_parts, sync.cancel_part,
  sync.walk_part, sync.compare_part, sync.add_up_part, sync.repeat_part, sync.read_part_on,
  sync.note_processed, sync.end_part, sync.end_parts,
  sync.plan_parts, sync.plan_children, sync.begin_children, sync.miss_below, sync.note_emptied,
  sync.note_missing_below, sync.revive_shown_below, sync.ask_below, sync.reject_below,
  sync.close_children, sync.advance_children
from public, anon, authenticated, service_role;
