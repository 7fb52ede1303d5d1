-- Feeds: newest first, until the end or the mark of the last complete scan. By page as deep as
-- pages go, side by side, and then by cursor; or, where nothing names the last page, one by one.
-- Stands on: templates, slots, answers, marks, begin, list_order, list_pages.

create function sync.build_cursor(p_id numeric) returns text
language sql immutable set search_path = pg_catalog, pg_temp as $$
  select translate(encode(convert_to(format('{"id":%s,"_pointsToNextItems":true}', p_id), 'UTF8'),
    'base64'), '+/=' || chr(10), '-_');
$$;
comment on function sync.build_cursor(numeric) is
$$Returns: the cursor of codec laravel_id that asks for the records below an id.$$;

create function sync.cursor_id(p_cursor text) returns bigint
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return (convert_from(decode(
    rpad(translate(p_cursor, '-_', '+/'), (4 * ceil(length(p_cursor) / 4.0))::int, '='), 'base64'),
    'UTF8')::jsonb ->> 'id')::bigint;
exception when data_exception then
  return null;
end; $$;
comment on function sync.cursor_id(text) is
$$Returns: the id in a cursor of codec laravel_id, or null if it is none.$$;

create function sync.require_progress_by_cursor(p_page sync.page_in_hand) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_from bigint := sync.cursor_id(p_page.reading ->> 'cursor');
  v_to bigint := sync.cursor_id(p_page.next_cursor);
begin
  if v_from is not null and v_to >= v_from then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s: from id %s to id %s',
      case when v_to = v_from then 'repeats' else 'goes backwards' end, v_from, v_to),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
  if (v_from is null or v_to is null) and exists (
    select 1 from public.chunked_sync_jobs
    where run_id = p_page.run_id and scan = p_page.scan and kind = 'cursor'
      and md5(reading ->> 'cursor') = md5(p_page.next_cursor)
  ) then
    raise exception using errcode = 'SY020',
      message = format('the cursor %s repeats', left(p_page.next_cursor, 80)),
      hint = 'The scan would never end. Ask the API''s operator; the next job begins anew.';
  end if;
end; $$;
comment on function sync.require_progress_by_cursor(sync.page_in_hand) is
$$Raises: SY020 the next cursor leads where the scan has been.$$;

create function sync.with_order(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp
  set standard_conforming_strings = on as $$
declare
  v_page sync.page_in_hand := p_page;
  -- Cursors that hold an id go by id, whatever pages go by.
  v_is_by_id boolean := p_stream.order_path is null or (p_stream.cursor_codec is not null
    and (p_page.kind = 'cursor' or coalesce(p_page.is_past_pages, false)));
  v_path text[] := case when v_is_by_id then p_stream.id_path else p_stream.order_path end;
begin
  select (array_agg(k.key order by k.n))[1], (array_agg(k.key order by k.n desc))[1],
    (array_agg(format('record %s comes after %s', k.id, k.id_above) order by k.n)
      filter (where k.key > k.key_above))[1]
  into v_page.first_key, v_page.last_key, v_page.disorder
  from (
    select r.*, lag(r.id) over by_place as id_above, lag(r.key) over by_place as key_above
    from (
      select e.n, e.record #>> p_stream.id_path as id, case
          when p_stream.order_type = 'time' and not v_is_by_id
          then extract(epoch from sync.time_or_null(e.record #>> v_path))
          when e.record #>> v_path ~ '^-?[0-9]{1,40}(\.[0-9]{1,40})?$'
          then (e.record #>> v_path)::numeric end as key
      from jsonb_array_elements(p_page.answer) with ordinality as e (record, n)
    ) as r
    where r.key is not null window by_place as (order by r.n)
  ) as k;
  if v_page.first_key is null and jsonb_array_length(p_page.answer) > 1 then
    v_page.disorder := format('no record has a %s at %s', p_stream.order_type,
      array_to_string(v_path, '.'));
  end if;
  return v_page;
end; $$;
comment on function sync.with_order(sync.page_in_hand, public.sync_streams) is
$$Returns: a feed's page with what its first and its last record are ordered by, and its disorder:
what on it is not newest first, or null. Records that do not say are passed over.$$;

create function sync.begin_feed(p_run_ids bigint[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform sync.set_marks(p_run_ids);
  perform sync.begin_phase(p_run_ids, 'scan');
end; $$;
comment on function sync.begin_feed(bigint[]) is
$$Page 1 of runs, with the mark to which they read. The caller holds their locks, or made them.$$;

create function sync.is_walked(p_page sync.page_in_hand, p_stream public.sync_streams)
  returns boolean
language plpgsql immutable set search_path = pg_catalog, pg_temp as $$
begin
  return p_page.kind = 'page' and (sync.position_of(p_stream) <> 'page'
    -- Where pages begin at 0, the last one may be named by number or by count.
    or (p_stream.cursor_params is null and (coalesce(p_page.reading ? 'guess', false)
      or p_stream.first_page = 0 or (p_page.page = 1
        and sync.page_number_in(p_page.answer, p_stream.last_page_path) is null))));
end; $$;
comment on function sync.is_walked(sync.page_in_hand, public.sync_streams) is
$$Returns: whether a feed is read one page after the other: not by number, or its page 1 does not
name the last one clearly.$$;

create function sync.read_walked(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  v_page.records := jsonb_array_length(v_page.answer);
  v_page.total := sync.count_in(p_page.answer, p_stream.total_path);
  v_page := sync.with_next(v_page, p_page.answer, p_stream, p_source);
  perform sync.require_progress(v_page, p_stream);
  v_page.reveals_pages := true;
  v_page := sync.with_order(v_page, p_stream);
  v_page.disorder := coalesce(v_page.disorder, sync.tied_last(v_page, p_stream));
  return v_page;
end; $$;
comment on function sync.read_walked(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is
$$Returns: a page of a feed that is read one page after the other, with its records, their order,
what comes next and whether it is the end. Raises: SY010 wrong shape, SY020 it leads where the scan
has been.$$;

create function sync.read_feed(p_page sync.page_in_hand, p_stream public.sync_streams,
  p_source public.sync_sources) returns sync.page_in_hand
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand := p_page;
begin
  if sync.is_walked(p_page, p_stream) then
    return sync.read_walked(p_page, p_stream, p_source);
  end if;
  v_page.next_cursor := sync.cursor_at(p_page.answer, p_stream.next_cursor_path);
  if p_page.kind = 'cursor' then
    if p_page.answer #> p_stream.next_cursor_path is null then
      perform sync.refuse_shape(format('the answer has no cursor at %s',
        array_to_string(p_stream.next_cursor_path, '.')),
        'declare_stream() says where the next cursor stands; at the end it is null or empty.');
    end if;
    perform sync.require_progress_by_cursor(v_page) where v_page.next_cursor is not null;
  elsif nullif(p_page.answer #> p_stream.last_page_path, 'null') is null
    and p_page.answer #> p_stream.next_cursor_path is not null then
    v_page.is_past_pages := true;
  else
    v_page.last_page := least(greatest(sync.count_at(p_page.answer, p_stream.last_page_path), 1),
      2147483647);
    if v_page.last_page > sync.setting('max_pages') and p_stream.deep_page_limit is null then
      perform sync.refuse_shape(format('the answer names %s as its last page', v_page.last_page),
        format('More than %s are refused; set_setting(''max_pages'', …) allows more.',
        sync.counted(sync.setting('max_pages'), 'page')));
    end if;
    v_page.total := case when nullif(p_page.answer #> p_stream.total_path, 'null') is not null
      then sync.count_at(p_page.answer, p_stream.total_path) end;
  end if;
  v_page.answer := p_page.answer #> p_stream.records_path;
  perform sync.require_records(v_page, p_stream);
  if p_stream.id_type = 'integer' then
    select min((r.record #>> p_stream.id_path)::bigint) into v_page.lowest_id
    from jsonb_array_elements(v_page.answer) as r (record);
  end if;
  return sync.with_order(v_page, p_stream);
end; $$;
comment on function sync.read_feed(sync.page_in_hand, public.sync_streams,
  public.sync_sources) is
$$Returns: the page with its records, their order, lowest id, and last_page or next_cursor;
is_past_pages when the install answered in cursor mode. Raises: SY010 wrong shape, SY020 cursor.$$;

create function sync.is_above_mark(p_page sync.page_in_hand) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_mark record;
begin
  select (marks ->> 'run_id')::bigint as run_id, (marks ->> 'read_at')::timestamptz as read_at
  into v_mark from public.sync_workspace_streams
  where workspace_id = p_page.workspace_id and stream_id = p_page.stream_id;
  return exists (
    select 1 from sync.seen_pages as shown
    where shown.run_id = p_page.run_id and shown.scan = p_page.scan
      and shown.chunk_id = p_page.queue_id
      and (shown.new_ids is not null or exists (
        select 1 from public.workspace_sync_runs as r
        join sync.seen_pages as s on s.run_id = r.id
        -- The day is for a clock that was set back.
        where r.workspace_id = p_page.workspace_id and r.stream_id = p_page.stream_id
          and r.id > v_mark.run_id and r.started_at > v_mark.read_at - interval '1 day'
          and s.new_ids && shown.record_ids))
  );
end; $$;
comment on function sync.is_above_mark(sync.page_in_hand) is
$$Returns: whether a page of a feed shows a record that was stored for the first time since the last
complete scan, by this run or by one that did not get to its end. No value in a record says where
the mark is: a huge id or a date of the future would stay the highest for ever.$$;

create function sync.pages_below(p_page sync.page_in_hand, p_run public.workspace_sync_runs)
  returns int
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_before int := coalesce((p_page.reading ->> 'pages_below')::int, 0);
begin
  return case
    when p_run.is_full_scan or sync.is_above_mark(p_page) then 0
    -- Where an API filters after paging, a page without records says nothing of the mark.
    when exists (
      select 1 from sync.seen_pages as s
      where s.run_id = p_page.run_id and s.scan = p_page.scan and s.chunk_id = p_page.queue_id
        and s.record_ids = '{}')
    then v_before
    else v_before + 1 end;
end; $$;
comment on function sync.pages_below(sync.page_in_hand, public.workspace_sync_runs) is
$$Returns: how many pages of a chain lie below the mark of the last complete scan, one after the
other, with this one.$$;

create function sync.plan_feed_pages(p_page sync.page_in_hand) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_needed int;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  if p_page.is_past_pages then
    perform sync.cancel_pending(v_run.id, 'pages end before this one',
      case when p_page.http_status >= 400 then p_page.page else 0 end);
    update public.workspace_sync_runs set known_pages = planned_pages where id = v_run.id;
    return;
  end if;
  v_needed := greatest(v_run.needed_pages, case
    when v_run.is_full_scan then p_page.last_page
    else least(p_page.last_page, v_stream.overlap_pages + 1 + case
    when sync.is_above_mark(p_page) then p_page.page else 0 end) end);
  update public.workspace_sync_runs
  set needed_pages = v_needed, progress_total = coalesce(progress_total, v_needed),
  expected_total = coalesce(p_page.total, expected_total)
  where id = v_run.id;
  perform sync.reveal_pages(v_run.id,
    least(v_needed, coalesce(v_stream.deep_page_limit, v_needed)))
  where not exists (
    select 1 from sync.seen_pages
    where run_id = v_run.id and scan = v_run.scan and page is null);
end; $$;
comment on function sync.plan_feed_pages(sync.page_in_hand) is
$$Know of pages as far as a feed needs them: all, or until a whole page lies below the mark plus the
overlap; no deeper than the API serves pages. Where pages end, the pending ones beyond are
cancelled, and no more are planned. The caller holds the run's lock.$$;

create function sync.plan_walked(p_page sync.page_in_hand) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_stream public.sync_streams;
  v_below int;
  v_goes_on boolean;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  select * into strict v_stream from public.sync_streams where id = p_page.stream_id;
  v_below := sync.pages_below(p_page, v_run);
  v_goes_on := not p_page.ends and p_page.next is not null and v_below <= v_stream.overlap_pages;
  update public.workspace_sync_runs
  set needed_pages = greatest(needed_pages, p_page.page + v_goes_on::int),
  expected_total = coalesce(p_page.total, expected_total)
  where id = v_run.id;
  perform sync.plan_page(v_run.id, p_page.page + 1,
    p_page.next || jsonb_build_object('pages_below', v_below))
  where v_goes_on and v_run.ending is null
    and (p_page.page >= v_stream.deep_page_limit) is not true;
end; $$;
comment on function sync.plan_walked(sync.page_in_hand) is
$$Queue the next page of a feed that is read one page after the other, unless it reached the end, or
the mark and the overlap. The caller holds the run's lock.$$;

create function sync.plan_cursor(p_run_id bigint, p_reading jsonb) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with planned as (
    insert into public.chunked_sync_jobs (parent_sync_job_id, run_id, kind, scan, reading)
    select job_id, id, 'cursor', scan, p_reading from public.workspace_sync_runs where id = p_run_id
    returning id, parent_sync_job_id, run_id
  ), queued as (
    insert into public.chunk_processing_queue (id, parent_sync_job_id, run_id) select id,
      parent_sync_job_id, run_id from planned
  )
  update public.workspace_sync_runs set planned_chunks = planned_chunks + 1,
    pages_planned = pages_planned + 1, progress_total = coalesce(progress_total, 1) where id = p_run_id;
end; $$;
comment on function sync.plan_cursor(bigint, jsonb) is
$$Queue one cursor chunk. The caller holds the run's lock and has checked that it lives.$$;

create function sync.plan_next_cursor(p_page sync.page_in_hand) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_run public.workspace_sync_runs;
  v_below int;
begin
  select * into strict v_run from public.workspace_sync_runs where id = p_page.run_id;
  v_below := sync.pages_below(p_page, v_run);
  if v_run.ending is not null or p_page.next_cursor is null
    or p_page.lowest_id <= (p_page.reading ->> 'low_id')::bigint
    or v_below > (select overlap_pages from public.sync_streams where id = p_page.stream_id) then
    return;
  end if;
  perform sync.plan_cursor(v_run.id,
    p_page.reading || jsonb_build_object('cursor', p_page.next_cursor, 'pages_below', v_below));
end; $$;
comment on function sync.plan_next_cursor(sync.page_in_hand) is
$$Queue the next page of a chain, unless it reached the end, its range's lower end, or the mark and
the overlap. The caller holds the run's lock.$$;

create function sync.plan_feed(p_pages sync.page_in_hand[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_page sync.page_in_hand;
begin
  for v_page in select p.* from unnest(p_pages) as p order by p.turn loop
    perform sync.plan_walked(v_page) where v_page.kind = 'page' and v_page.ends is not null;
    perform sync.plan_feed_pages(v_page) where v_page.kind = 'page' and v_page.ends is null;
    perform sync.plan_next_cursor(v_page) where v_page.kind = 'cursor';
  end loop;
end; $$;
comment on function sync.plan_feed(sync.page_in_hand[]) is
$$Know of pages as far as a feed needs them, and queue the next page of a chain. The caller holds
the runs' locks.$$;

create function sync.begin_cursors(p_run public.workspace_sync_runs, p_pages_read int) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_stream public.sync_streams;
  -- Not bigint: what is computed from ids may lie beyond them.
  v_start numeric;
  v_low numeric;
  v_records bigint;
  v_chains int := 1;
  v_width numeric;
begin
  select * into strict v_stream from public.sync_streams where id = p_run.stream_id;
  select min(id::numeric) filter (where s.page = greatest(p_pages_read - v_stream.overlap_pages, 1)),
    max(s.total) - count(*),
    (max(id::numeric) - min(id::numeric)) / greatest(count(*) - 1, 1)
  into v_start, v_records, v_width
  from sync.seen_pages as s cross join unnest(s.record_ids) as id
  where s.run_id = p_run.id and s.scan = p_run.scan and s.page <= p_pages_read;
  if v_start is not null and v_stream.cursor_codec is not null and p_run.is_full_scan then
    v_low := greatest(least(0, v_start - 1),
      v_start - greatest(ceil(v_width * coalesce(v_records, 0)), 1));
    v_chains := least(p_run.max_concurrency,
      greatest(1, coalesce(v_records, 0) / (4 * v_stream.page_size)));
  end if;
  perform sync.plan_cursor(p_run.id, jsonb_build_object(
    'chain', chain, 'pages_below', 0,
    'cursor', case when v_stream.cursor_codec is not null
    then sync.build_cursor(v_start - div((v_start - v_low) * (chain - 1), v_chains)) end,
    'low_id', case when chain < v_chains
    then v_start - div((v_start - v_low) * chain, v_chains) end))
  from generate_series(1, v_chains) as chain where v_chains > 1;
  perform sync.plan_cursor(p_run.id,
    jsonb_build_object('chain', 1, 'pages_below', 0, 'low_id', null,
    'cursor', case when v_stream.cursor_codec is not null and v_start is not null
    then sync.build_cursor(v_start) end)) where v_chains = 1;
  update public.workspace_sync_runs set phase = 'cursor' where id = p_run.id;
  perform sync.refill_slots(p_run.id);
end; $$;
comment on function sync.begin_cursors(public.workspace_sync_runs, int) is
$$Read on by cursor from where the pages that were read in a row end, less the overlap. Where
cursors can be built and everything is to be read, the rest is split by id into ranges that are read
side by side; their number and width follow from the total and the ids seen. The caller holds the
run's lock.$$;

create function sync.plan_between_pages(p_run public.workspace_sync_runs, p_pages_read int)
  returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_gap record;
  v_found boolean := false;
begin
  for v_gap in
    select n.page, n.highest_id, n.next_lowest_id from (
      select s.page, s.total, lead(s.total) over by_page as next_total,
        (select max(id::bigint) from unnest(s.record_ids) as id) as highest_id,
        lead((select min(id::bigint) from unnest(s.record_ids) as id)) over by_page
        as next_lowest_id
      from sync.seen_pages as s
      where s.run_id = p_run.id and s.scan = p_run.scan and s.page <= p_pages_read
      window by_page as (order by s.page)
    ) as n
    where n.next_total < n.total and n.next_lowest_id <= n.highest_id order by n.page
  loop
    perform sync.plan_cursor(p_run.id, jsonb_build_object('chain', -v_gap.page, 'pages_below', 0,
      'cursor', sync.build_cursor(v_gap.highest_id::numeric + 1), 'low_id', v_gap.next_lowest_id));
    v_found := true;
  end loop;
  return v_found;
end; $$;
comment on function sync.plan_between_pages(public.workspace_sync_runs, int) is
$$Where new records move others on, a page that was read before the one above it lacks what moved
between them: its total is the smaller one. Such gaps are read by cursor. Returns: whether there are
any. The caller holds the run's lock.$$;

create function sync.plan_skipped(p_run public.workspace_sync_runs) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_below bigint;
begin
  select max(sync.cursor_id(reading ->> 'cursor')) into v_below from public.chunked_sync_jobs
  where run_id = p_run.id and scan = p_run.scan and kind = 'cursor'
    and reading -> 'chain' = '1';
  if not p_run.is_full_scan or v_below is null or exists (
    select 1 from public.chunked_sync_jobs
    where run_id = p_run.id and scan = p_run.scan and kind = 'cursor'
      and reading -> 'chain' = '0'
  ) or p_run.expected_total <= (
    select count(distinct id) from sync.seen_pages as s cross join unnest(s.record_ids) as id
    where s.run_id = p_run.id and s.scan = p_run.scan
  ) is not false then
    return false;
  end if;
  perform sync.plan_cursor(p_run.id,
    jsonb_build_object('chain', 0, 'pages_below', 0, 'low_id', v_below, 'cursor', null));
  perform sync.refill_slots(p_run.id);
  return true;
end; $$;
comment on function sync.plan_skipped(public.workspace_sync_runs) is
$$Pages go by date and cursors by id: a high id with an old date stands on no page that was read and
above every cursor. Where a full scan saw fewer ids than the API counts, the part above the first
cursor is read by cursor too, once. Returns: whether it is. The caller holds the run's lock.$$;

revoke all on function
  sync.build_cursor, sync.cursor_id, sync.require_progress_by_cursor, sync.with_order,
  sync.is_walked, sync.read_walked, sync.plan_walked, sync.read_feed, sync.is_above_mark,
  sync.pages_below, sync.plan_feed_pages, sync.plan_cursor, sync.plan_next_cursor,
  sync.begin_cursors, sync.plan_between_pages, sync.plan_skipped, sync.begin_feed, sync.plan_feed
from public, anon, authenticated, service_role;
